"""The trainer of sentence-transformers, which keeps the state of the loss, with a log."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from transformers import EarlyStoppingCallback, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from embedkit.errors import DataError
from embedkit.training.adax import AdaX
from embedkit.training.batch_sampling import Distinct, Numbers, Shuffled
from embedkit.training.checkpoints import last_checkpoint
from embedkit.training.divergence import Watchdog
from embedkit.training.exponentiated import ExponentiatedAdam
from embedkit.training.gather import processes
from embedkit.training.lora import is_lora
from embedkit.training.processes.shared import AverageOwn, OwnDropout
from embedkit.training.run_log import LOG, Log, Measure, Watch
from embedkit.training.run_settings import Optimizer, RunSettings
from embedkit.training.start import LABEL, Start

OWN_OPTIMIZERS: dict[Optimizer, type[torch.optim.Optimizer]] = {
    "adax": AdaX,
    "exponentiated": ExponentiatedAdam,
}
OBJECTIVE = "objective.safetensors"  # parameters outside the model: class vectors, a head, LoRA


class Trainer(SentenceTransformerTrainer):  # type: ignore[misc]
    """Saves and restores the parameters of the loss, and supports embedkit's own optimisers."""

    def __init__(self, *, optimizer: Optimizer, watchdog: Watchdog, **how: Any) -> None:
        super().__init__(**how)
        self.own_optimizer, self.watchdog = OWN_OPTIMIZERS.get(optimizer), watchdog
        self.add_callback(watchdog)
        self.remove_callback(PrinterCallback)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the loss of a batch, after adding its gradient."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        self.watchdog.note(loss=loss)
        return loss

    def _get_grad_norm(self, *args: Any, **kwargs: Any) -> Any:
        norm = super()._get_grad_norm(*args, **kwargs)
        self.watchdog.note(gradient_norm=norm)
        return norm

    def get_optimizer_cls_and_kwargs(self, args: Any, model: Any = None) -> tuple[Any, Any]:
        """Return the optimiser's class and its settings, including parameter groups."""
        cls, settings = super().get_optimizer_cls_and_kwargs(args, model)
        if self.own_optimizer is None:
            return cls, settings
        return self.own_optimizer, {
            name: value for name, value in settings.items() if name in ("lr", "optimizer_dict")
        }

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Return the evaluator's values; raises DivergedError for weights that it cannot use after step 0."""
        try:
            return super().evaluate(*args, **kwargs)
        except DataError as error:
            if not self.state.global_step:
                raise
            raise self.watchdog.diverged(self.state.global_step, error.what) from None

    def add_model_card_callback(self, default_args_dict: dict[str, object]) -> None:
        """Skip the library's model card, which would quote and encode training texts."""

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Save a checkpoint; raises DataError when a file cannot be written, for example on a full disk."""
        try:
            super()._save_checkpoint(*args, **kwargs)
        except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors have their own
            raise DataError(
                f"a checkpoint cannot be written: {str(error).splitlines()[0]}",
                where=self.args.output_dir,
                hint="free space on the disk, and continue with `resume=True`",
            ) from None

    def _save(self, output_dir: str | None = None, state_dict: object = None) -> None:
        super()._save(output_dir, state_dict)
        save_file(own_state(self.loss), Path(output_dir or self.args.output_dir) / OBJECTIVE)

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        if not any(map(is_lora, self.loss.state_dict())):  # with LoRA, the base's weights are unchanged
            super()._load_from_checkpoint(checkpoint_path)
        names = {_alone(name): name for name in self.loss.state_dict()}
        kept = load_file(Path(checkpoint_path) / OBJECTIVE)
        self.loss.load_state_dict({names[name]: kept[name] for name in names.keys() & kept}, strict=False)


def own_state(objective: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the learnt state outside the model, and LoRA's matrices in it, by name."""
    return {
        _alone(name): value.contiguous()
        for name, value in objective.state_dict().items()
        if not name.startswith("model.") or is_lora(name)
    }


def _alone(name: str) -> str:
    """Return the name of a parameter in a single process, where no wrapper is around the model."""
    return f"model.{name.removeprefix('model.module.')}" if name.startswith("model.module.") else name


class Additions(NamedTuple):
    """What the trainer of some recipe needs in addition to the rows and the objective."""

    evaluator: Any = None  # scores the model during training
    learning_rates: Mapping[str, float] = MappingProxyType({})  # of the objective's own parameters, by name
    callbacks: Sequence[TrainerCallback] = ()
    weights: torch.Tensor | None = None  # (rows,): draw rows by weight, with replacement
    texts: Numbers | None = None  # (rows, views): no text of equal number occurs twice in a batch


def make_trainer(
    start: Start, rows: Dataset, additions: Additions, folder: Path, *, measure: Measure, watch: Watch
) -> Trainer:
    """Return the trainer of an objective on `rows`, whose columns are views and optionally a label; it works
    in `folder`. The checkpoint with the best `measure` of the evaluator is kept.
    """
    objective, settings, evaluates = start.objective, start.settings, additions.evaluator is not None
    arguments = _arguments(settings, folder, bf16=start.bf16, measure=measure if evaluates else None)
    arguments.learning_rate_mapping = {f"^{name}$": r for name, r in additions.learning_rates.items()}
    if additions.texts is not None:
        arguments.batch_sampler = partial(Distinct, texts=additions.texts)
    else:
        arguments.batch_sampler = partial(Shuffled, weights=additions.weights)
    texts = settings.batch_size * sum(name != LABEL for name in rows.column_names)
    callbacks: list[TrainerCallback] = [Log(folder / LOG, texts, watch), AverageOwn(objective), OwnDropout()]
    if evaluates and settings.patience is not None:
        callbacks.append(EarlyStoppingCallback(settings.patience))
    trainer = Trainer(
        model=start.model,
        args=arguments,
        train_dataset=rows,
        loss=objective,
        evaluator=additions.evaluator,
        callbacks=[*callbacks, *additions.callbacks],
        optimizer=settings.optimizer,
        watchdog=Watchdog(objective, folder),
    )
    trainer.data_collator.max_length = settings.max_length
    return trainer


def _arguments(
    settings: RunSettings, folder: Path, *, bf16: bool, measure: Measure | None
) -> SentenceTransformerTrainingArguments:
    best: dict[str, object] = {}
    if measure is not None:
        best = {"metric_for_best_model": measure.logged, "greater_is_better": not measure.falls}
        best["load_best_model_at_end"] = True
    schedule = "constant_with_warmup" if settings.schedule == "constant" else settings.schedule
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder / "checkpoints"),
        per_device_train_batch_size=settings.batch_size // processes(),
        gradient_accumulation_steps=settings.accumulate,
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=schedule,
        warmup_steps=settings.warmup if settings.warmup < 1 else int(settings.warmup),
        weight_decay=settings.weight_decay,
        optim="adamw_torch_fused",
        max_grad_norm=settings.max_grad_norm,
        bf16=bf16,
        use_cpu=on_processor(settings),
        seed=settings.seed,
        eval_strategy="no" if measure is None else "steps",
        eval_steps=settings.eval_steps,
        eval_on_start=measure is not None and last_checkpoint(folder) is None,
        save_strategy="steps",
        save_steps=settings.eval_steps,
        save_total_limit=2,
        logging_steps=settings.log_steps,
        logging_first_step=True,
        logging_nan_inf_filter=False,  # with the filter, a NaN loss is logged as 0
        dataloader_drop_last=True,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to=[],
        **best,
    )


def on_processor(settings: RunSettings) -> bool:
    """Return whether training runs on the processor."""
    return settings.device == "cpu" or (settings.device is None and not torch.cuda.is_available())


def quiet_trainer() -> None:
    """Limit the libraries' messages to errors; the log and the callback report the run."""
    import datasets
    import transformers

    warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)  # by accelerate
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    for name in ("sentence_transformers", "accelerate", "datasets", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
