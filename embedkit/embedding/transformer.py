"""The transformer encoder: any model of sentence-transformers or plain transformers, as an encoder."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from collections.abc import Sequence

from embedkit.data.identity import Identity
from embedkit.embedding.encoder import EncoderSettings, Role, Vectors
from embedkit.embedding.faults import as_model_error
from embedkit.embedding.model_finding import find_model
from embedkit.embedding.model_folder import ModelFolder
from embedkit.embedding.model_reading import identify, read
from embedkit.embedding.runtime import Runtime, compute
from embedkit.embedding.unknown_tokens import UnknownTokens
from embedkit.errors import MissingPackageError, ModelError

logger = logging.getLogger("embedkit")

_ROUTERS = ("Router", "Asym")  # steps that contain other steps, in folders of their own


class Transformer:
    """A model of sentence-transformers (or plain transformers) as an encoder.

    The weights are loaded at the first text; the identity is read from the folder.
    """

    def __init__(self, settings: EncoderSettings, folder: ModelFolder | None = None) -> None:
        self.settings = settings
        self.folder = folder or find_model(settings.model, allow_pickle=settings.allow_pickle)
        _check(self.folder, settings)
        self._loading, self._computing = threading.Lock(), threading.Lock()
        self._unknown = UnknownTokens(self.folder.name)
        self._runtime: Runtime | None = None
        self._identity: Identity | None = None

    @property
    def identity(self) -> Identity:
        """The identity: everything that decides the vectors.

        The model is loaded only if its configuration states no dimension.
        """
        if self._identity is None:
            self._identity = identify(
                self.folder, self.settings, self.folder.dimension or self._loaded().dimension
            )
        return self._identity

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Return `(len(texts), dimension)` vectors; tokenising can overlap another thread's inference."""
        runtime = self._loaded()
        prompt = self.identity.query_prompt if role == "query" else self.identity.document_prompt
        with as_model_error("cannot be run", where=self.folder.name):
            prompted = [prompt + text for text in texts] if prompt else texts
            batches = runtime.at_once if role == "query" else 1  # queries are few, and are waited for
            return compute(runtime, prompted, self._computing, batches, self._unknown.count)

    @property
    def weights_prefix(self) -> str:
        """The prefix before the model's own names of the weights in its files."""
        return str(getattr(self._loaded(), "prefix", ""))

    def _loaded(self) -> Runtime:
        with self._loading:
            if self._runtime is None:
                runtime = choose_runtime(self.folder, self.settings)
                expected = self.settings.truncate_dim or self.folder.dimension
                if expected not in (None, runtime.dimension):
                    raise ModelError(
                        f"computes vectors of {runtime.dimension} dimensions, expected {expected}",
                        where=self.folder.name,
                    )
                self._runtime = runtime
                self._say_if_capped()
            return self._runtime

    def _say_if_capped(self) -> None:
        """Warn when a text is cut earlier than the model's own settings ask for."""
        wanted, read_of_it = self.folder.wanted_length, self.folder.max_length
        if self.settings.max_length is None and wanted is not None and read_of_it != wanted:
            logger.warning(
                "%s: its max_seq_length is %d, its positions cover %d tokens; longer texts are cut there",
                self.folder.name,
                wanted,
                read_of_it,
            )


def choose_runtime(folder: ModelFolder, settings: EncoderSettings) -> Runtime:
    """Load the model into the runtime of its settings: compiled for the processor, or torch.

    `auto` compiles unless there is a graphics card, and falls back to torch, with one warning, when the model
    cannot be compiled. Raises ModelError when the requested runtime is not available.
    """
    from embedkit.embedding.torch_runtime import TorchRuntime

    on_processor = settings.device == "cpu" or (settings.device is None and not has_graphics_card())
    if settings.runtime == "openvino" and settings.device not in (None, "cpu"):
        raise ModelError(
            "the openvino runtime computes only on the processor", where=f"`device={settings.device}`"
        )
    if settings.runtime == "torch" or (settings.runtime == "auto" and not on_processor):
        return TorchRuntime(folder, settings)
    from embedkit.embedding.conversion_process import load_compiled

    try:
        return load_compiled(folder, settings)
    except (ModelError, MissingPackageError) as error:
        if settings.runtime == "openvino":
            raise
        runtime = TorchRuntime(folder, settings)  # raises the error of a damaged model, before the warning
        logger.warning("%s; falling back to torch; set `runtime=torch` to skip this attempt", error)
        return runtime


def has_graphics_card() -> bool:
    """Return whether torch would use a CUDA or ROCm card; torch is imported only if there may be one."""
    signs = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # NVIDIA, NVIDIA under WSL, AMD
    if sys.platform == "darwin" or not (any(map(os.path.exists, signs)) or shutil.which("nvidia-smi")):
        return False
    import torch

    return bool(torch.cuda.is_available())


def _check(folder: ModelFolder, settings: EncoderSettings) -> None:
    """Raise ModelError for settings that the model does not support, as far as its folder shows."""
    if folder.modules[0].type != "Transformer":
        raise ModelError(f"begins with {folder.modules[0].type}, not with a transformer", where=folder.name)
    if routers := [module.type for module in folder.modules if module.type in _ROUTERS]:
        raise ModelError(
            f"has a {routers[0]} step, which computes queries and documents by different steps; "
            "embedkit does not support",
            where=folder.name,
            hint="save the steps for documents as a model of their own",
        )
    limit = folder.position_limit
    if settings.max_length is not None and limit is not None and settings.max_length > limit:
        raise ModelError(
            f"has positions for {limit} tokens, fewer than `max_length={settings.max_length}`",
            where=folder.name,
        )
    if (
        settings.pooling == "pooler"
        and folder.weight_names
        and not any("pooler." in n for n in folder.weight_names)
    ):
        raise ModelError("its weights have no pooler", where=folder.name, hint="choose another `pooling`")
    reading = read(folder, settings)
    if (
        settings.pooling is None
        and folder.pools_without_prompt
        and (reading.document_prompt or reading.query_prompt)
    ):
        raise ModelError(
            "excludes the prompt from its pooling, which embedkit does not support",
            where=folder.name,
            hint="omit it with `query_prompt=''` and `document_prompt=''`, or pool it with `pooling=mean`",
        )
