"""A worker's encoder: loaded once per process, on the resources assigned to that worker."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache

from embedkit.cluster.session import Cluster, WorkerResources
from embedkit.data.affine import AffineMap
from embedkit.embedding.encoder import Encoder, EncoderSettings, is_hashed, with_maps
from embedkit.embedding.loading import has_network, load

CPUS = 4  # maximum processors per worker: several processes with fewer each encode faster than one


@dataclass(frozen=True)
class EncoderRecipe:
    """The settings of an encoder and its maps, from which a worker loads it."""

    settings: EncoderSettings
    maps: tuple[AffineMap, ...] = ()

    def load(self) -> Encoder:
        """Return the encoder with its maps."""
        return with_maps(load(self.settings), self.maps)

    def share(self, cluster: Cluster) -> WorkerResources:
        """Return a worker's resources: a GPU if the cluster has one and the encoder can use it, else
        processors.
        """
        settings = self.settings
        on_cpu = settings.device == "cpu" or settings.runtime == "openvino" or not has_network(settings)
        return cluster.share(CPUS, gpus=not on_cpu)


@cache
def encoder_of(recipe: EncoderRecipe, share: WorkerResources) -> Encoder:
    """Return this process's encoder, limited to the threads of its share or placed on its GPU."""
    os.environ["EMBEDKIT_THREADS"] = str(share.cpus)
    settings = recipe.settings
    if not share.gpus and not is_hashed(settings.model):
        settings = replace(settings, device="cpu")
    return replace(recipe, settings=settings).load()
