"""A cluster of nobody but this process: what the units of work do is tested without Ray."""

import os
import pickle

import pytest

from embedkit.cluster.session import ONE, WorkerResources


class Here:
    """Stands for `session.Cluster`: the same questions, answered in this process, through pickle as there."""

    def __init__(self, workers=2):
        self.folder, self._workers = os.getcwd(), workers
        self.done = []  # the names of the work, in order

    def share(self, largest, *, gpus=False):
        return WorkerResources(1)

    def workers(self, share):
        return self._workers

    def map(self, work, items, *common, share=ONE):
        for item in items:
            self.done.append(work.__name__)
            item, *given = pickle.loads(pickle.dumps((item, *common)))
            yield pickle.loads(pickle.dumps(work(item, *given)))

    def map_pieces(self, work, join, items, pieces, *common, share=ONE):
        for item in items:
            found = list(self.map(work, [(item, piece) for piece in range(pieces)], *common))
            yield from self.map(join, [item], found, *common)

    def crew(self, kind, settings):
        return HereCrew([kind(self.folder, *pickle.loads(pickle.dumps(each))) for each in settings])


class HereCrew:
    """Stands for `session.Crew`."""

    def __init__(self, actors):
        self._actors = actors

    def ask(self, method, *arguments):
        return [getattr(actor, method)(*arguments) for actor in self._actors]


@pytest.fixture
def here(folder):
    """A stand-in for a cluster of two workers, in an empty folder."""
    return Here()
