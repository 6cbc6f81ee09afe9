"""A worker's encoder: loaded once in its process, with the share of the machine that it was given."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache, partial

from embedkit.cluster.session import Cluster, WorkerResources
from embedkit.data.affine import AffineMap
from embedkit.embedding.encoder import Encoder, EncoderSettings, with_maps
from embedkit.embedding.loading import load

CPUS = 4  # of a worker at most: more encode faster in several processes than in one


@dataclass(frozen=True)
class EncoderRecipe:
    """What a worker needs to load an encoder: its settings, and the files of the maps behind it."""

    settings: EncoderSettings
    maps: tuple[bytes, ...] = ()

    def load(self) -> Encoder:
        """Return the encoder with its maps."""
        read = partial(AffineMap.from_bytes, where="a map behind the encoder")
        return with_maps(load(self.settings), [read(content) for content in self.maps])

    def share(self, cluster: Cluster) -> WorkerResources:
        """Return what a worker gets: a graphics card each, where the encoder would compute on one."""
        settings = self.settings
        hashed = settings.model.partition(":")[0] == "hash"
        on_cpu = hashed or settings.device == "cpu" or settings.runtime == "openvino"
        return cluster.share(CPUS, gpus=not on_cpu)


@cache
def encoder_of(recipe: EncoderRecipe, share: WorkerResources) -> Encoder:
    """Return this process's encoder, on the threads of its share, or on its graphics card."""
    os.environ["EMBEDKIT_THREADS"] = str(share.cpus)
    settings = recipe.settings
    if not share.gpus and settings.model.partition(":")[0] != "hash":
        settings = replace(settings, device="cpu")
    return replace(recipe, settings=settings).load()
