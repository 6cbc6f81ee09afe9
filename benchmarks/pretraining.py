"""What pretraining from nothing gives on text that no model knows, against what needs no training.

`wiki-zh`: sentences of the Chinese Wikipedia, measured on STS-B zh. `bustm-zh`: pairs of short questions, in
which every character is replaced by a random number, measured on the test pairs, replaced alike. Systems:
hashed n-grams, the mean of the token vectors after masked language modelling, the same after whitening that
is fitted on the corpus, and after SimCSE on the corpus. Figures are Spearman correlations times 100 on the
test pairs, with 95 % intervals. Sizes and steps were chosen for a budget of minutes on one core. TF-IDF of
characters, weighted by the test texts, gives 65.2 and 22.6.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from measure import data, embedkit, emit, run

from embedkit.data.text.scored_pairs import Pair, read_pairs


class Setting(NamedTuple):
    """A corpus and its pairs, and how it is pretrained and then trained by SimCSE."""

    corpus: str
    test: str
    dev: str
    anonymous: bool
    pretrain: list[str]
    simcse: list[str]


_SMALL = ["--arch", "bert:layers=2,width=256", "--max-length", "64", "--learning-rate", "1e-3"]
SETTINGS = {
    "bustm-zh": Setting(
        "sts/bustm-zh/unlabeled.json", "sts/bustm-zh/test_public.json", "sts/bustm-zh/dev_few_all.json", True,
        ["--tokens", "words", *_SMALL, "--max-steps", "1500"],
        ["--learning-rate", "1e-4", "--epochs", "1", "--max-length", "32"],
    ),
    "wiki-zh": Setting(
        "corpus/wiki-zh/sentences_simplified_200k.txt",
        "sts/stsb-zh/STS-B.test.data", "sts/stsb-zh/STS-B.valid.data", False,
        [*_SMALL, "--max-steps", "1200"],
        ["--learning-rate", "1e-4", "--max-steps", "200", "--max-length", "64"],
    ),
}  # fmt: skip
SAMPLE = 20_000  # texts of the corpus for the map and for SimCSE
QUICK = 20  # steps of each training with --quick


def main() -> None:
    """Pretrain on each corpus, and measure each system."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpora", nargs="*", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--dev", action="store_true", help="measure on the dev pairs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="steps of masked language modelling")
    parser.add_argument("--quick", action="store_true", help="train for a few steps, to see that it runs")
    parser.add_argument(
        "--penalties", type=float, nargs="+", help="only pretrain: without and with these gradient penalties"
    )
    parser.add_argument("--models", type=Path, help="keep the models in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.corpora:
            folder = (options.models or Path(scratch)) / name
            folder.mkdir(parents=True, exist_ok=True)
            (measured if options.penalties is None else penalised)(name, folder, options)


def measured(name: str, folder: Path, options: argparse.Namespace) -> None:
    """Pretrain on a corpus, train by SimCSE, and emit the figures of each system."""
    setting = SETTINGS[name]
    corpus, pairs = prepared(setting, folder, dev=options.dev)
    report(name, "hashed n-grams", evaluate(pairs, ["-m", "hash"])[0])
    model, contrasted = str(folder / "mlm"), str(folder / "simcse")
    facts, common = pretrained(corpus, model, setting, options), common_options(options)
    limit = ["--max-steps", str(QUICK)] if options.quick else []
    texts, map = str(folder / "texts.txt"), str(folder / "map.safetensors")
    run(embedkit("whiten", texts, "-m", model, "-o", map, "--force", "-q"))
    plain, whitened = evaluate(pairs, ["-m", model, "--compare", map])
    report(name, "MLM mean", plain, **facts)
    report(name, "MLM + whitening", whitened)
    done = run(
        embedkit("train-simcse", texts, "-m", model, *setting.simcse, *limit, "-o", contrasted, *common)
    )
    report(name, "MLM + SimCSE", evaluate(pairs, ["-m", contrasted])[0], seconds=round(done.seconds, 1))


def penalised(name: str, folder: Path, options: argparse.Namespace) -> None:
    """Pretrain on a corpus without and with the gradient penalty, and emit what each reaches."""
    setting, model = SETTINGS[name], str(folder / "mlm")
    corpus, pairs = prepared(setting, folder, dev=options.dev)
    for weight in (0.0, *options.penalties):
        facts = pretrained(corpus, model, setting, options, "--gradient-penalty", str(weight))
        report(name, f"MLM mean, gradient penalty {weight:g}", evaluate(pairs, ["-m", model])[0], **facts)


def pretrained(
    corpus: str, model: str, setting: Setting, options: argparse.Namespace, *more: str
) -> dict[str, Any]:
    """Pretrain a model on a corpus; return its perplexity, before and after, and the seconds."""
    number = options.steps or (QUICK if options.quick else None)
    steps = [] if number is None else ["--max-steps", str(number)]
    given = [*setting.pretrain, *steps, *more, *common_options(options)]
    done = run(embedkit("pretrain", corpus, *given, "-o", model))
    figures = json.loads((Path(model) / "embedkit.json").read_bytes())["figures"]
    return {"seconds": round(done.seconds, 1), "perplexity": [figures["before"], figures["best"]]}


def common_options(options: argparse.Namespace) -> list[str]:
    """Return the options of every training."""
    return ["--seed", str(options.seed), "--force", "-q"]


def prepared(setting: Setting, folder: Path, *, dev: bool) -> tuple[str, str]:
    """Write the corpus and the pairs, anonymised if the setting says so, and a sample of its texts."""
    corpus, texts, pairs = folder / "corpus.jsonl", folder / "texts.txt", folder / "pairs.jsonl"
    judged = read_pairs(data(setting.dev if dev else setting.test))
    rows = read(data(setting.corpus))
    if setting.anonymous:
        numbers = numbered(
            [*(text for row in rows for text in row), *(t for pair in judged for t in pair[:2])]
        )
        rows = [[anonymous(text, numbers) for text in row] for row in rows]
        judged = [Pair(anonymous(a, numbers), anonymous(b, numbers), score) for a, b, score in judged]
    names = ["sentence1", "sentence2"] if len(rows[0]) == 2 else ["text"]
    write(corpus, [dict(zip(names, row, strict=True)) for row in rows])
    single = list(dict.fromkeys(text for row in rows for text in row))
    single = random.Random(0).sample(single, min(SAMPLE, len(single)))
    texts.write_text("".join(f"{text}\n" for text in single), encoding="utf-8")
    write(pairs, [pair._asdict() for pair in judged])
    return str(corpus), str(pairs)


def read(path: Path) -> list[list[str]]:
    """Return the rows of a corpus: lines of text, or the two sentences of JSON lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if path.suffix != ".json":
        return [[line] for line in lines if line.strip()]
    return [[row["sentence1"], row["sentence2"]] for row in map(json.loads, lines)]


def numbered(texts: list[str]) -> dict[str, int]:
    """Return a random number for every character."""
    characters = sorted(set("".join(texts)))
    numbers = random.Random(0).sample(range(10 * len(characters)), len(characters))
    return dict(zip(characters, numbers, strict=True))


def anonymous(text: str, numbers: dict[str, int]) -> str:
    """Return a text with numbers in place of its characters."""
    return " ".join(str(numbers[character]) for character in text if not character.isspace())


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def evaluate(pairs: str, given: list[str]) -> list[dict[str, Any]]:
    """Return the figures of each system on the pairs."""
    done = run(embedkit("eval", "sts", pairs, *given, "--json", "-q"))
    found: list[dict[str, Any]] = json.loads(done.output)["results"]
    return found


def report(name: str, system: str, result: dict[str, Any], **facts: Any) -> None:
    """Emit the correlation of a system with its interval."""
    value = [round(result["spearman"][part], 2) for part in ("value", "low", "high")]
    emit(set=name, system=system, spearman=value, pairs=result["pairs"], **facts)


if __name__ == "__main__":
    main()
