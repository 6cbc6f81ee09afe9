"""`embedkit pretrain`: a corpus makes an encoder, from nothing or from a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embedkit.cli.closing import passed_over
from embedkit.cli.command import command_app
from embedkit.cli.console import say
from embedkit.cli.input_options import TextsOrFolders
from embedkit.cli.options import Common
from embedkit.cli.train.pretrain_options import MaskOptions, VocabularyOptions
from embedkit.cli.train.run_training import is_done, train_together
from embedkit.cli.train.training_options import TrainOptions, given_seed

if TYPE_CHECKING:
    from embedkit.training.pretraining.corpus import Corpus
    from embedkit.training.pretraining.pretrain_settings import PretrainSettings
    from embedkit.training.recipe import Recipe

OUTPUT = "The encoder: a sentence-transformers folder."


def pretrain(
    ctx: typer.Context,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="DIR", help=OUTPUT)] = None,
    *,
    masking: MaskOptions,
    learning: VocabularyOptions,
    training: TrainOptions,
    inputs: TextsOrFolders,
    common: Common,
) -> None:
    """Pretrain an encoder on text alone, from nothing or from a model, by masked words.

    A new model learns a vocabulary and then the words of the corpus. Its vectors, the means of its tokens',
    become better by train-simcse or by a whitening map.
    """

    def read(common: Common) -> Recipe | None:
        """Return the run that the options describe; None if it is finished."""
        from embedkit.training.pretraining.pretrain_settings import PretrainSettings, defaults_of

        defaults = defaults_of(training.named_model(PretrainSettings))
        own = masking.given() | learning.given() | given_seed(ctx, common)
        settings = training.settings(PretrainSettings, inputs.files, own=own, preset=defaults)
        if is_done(output, settings, training.run, common):
            return None
        corpus = _read(settings, inputs, common)
        from embedkit.data.text.scored_pairs import read_pairs
        from embedkit.training.pretraining.pretraining import Pretraining

        return Pretraining(settings, corpus, read_pairs(settings.eval) if settings.eval else [])

    train_together(output, read, training.run, common)


def _read(settings: PretrainSettings, inputs: TextsOrFolders, common: Common) -> Corpus:
    from embedkit.training.pretraining.corpus import read_corpus

    corpus = read_corpus(settings.inputs, inputs.format(), settings.columns)
    over = passed_over(corpus)
    for line in [*corpus.notes, *([over] if over else [])]:
        if not common.quiet:
            say(line)
    return corpus


app = command_app(
    pretrain,
    epilog="Example: embedkit pretrain corpus.txt -o model/; then train-simcse corpus.txt -m model/",
)
