"""Training from end to end on a tiny model: what comes out, killed and resumed, repeated, refused."""

import logging
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from tokenizers import Tokenizer

from embedkit.data.text.examples import Examples
from embedkit.data.text.scored_pairs import Pair
from embedkit.embedding.loading import load
from embedkit.errors import (
    DataError,
    DivergedError,
    EmbedkitError,
    ExistsError,
    FormatError,
    MismatchError,
    ModelError,
    UsageError,
)
from embedkit.training import trainer
from embedkit.training.gradient_check import check_exact
from embedkit.training.seeds import train_seeds
from embedkit.training.simcse import SimCSE, train_simcse
from embedkit.training.simcse_settings import SimCSESettings
from embedkit.training.toml import read_toml
from tests.embedding.conftest import BUILDERS, WORDS
from tests.training.running import KeptRuns, Killed, killed_at, log, same, until_killed, weights


def sentence(seed):
    return " ".join(random.Random(seed).choices(WORDS, k=3 + seed % 9))


SENTENCES = Examples(("text",), [(sentence(seed),) for seed in range(41)])
PAIRS = [Pair(sentence(seed), sentence(seed + seed % 3), -(seed % 3)) for seed in range(60)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(BUILDERS["bert"](tmp_path_factory.mktemp("models") / "bert"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return KeptRuns(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def settings(tiny, folder):
    """Two epochs of 5 steps: 41 sentences, 8 a batch, one left over."""
    return SimCSESettings(
        inputs=("a.txt",), model=tiny, batch_size=8, epochs=2.0, learning_rate=1e-3, precision="fp32",
        eval_steps=2, log_steps=1, head=True,
    )  # fmt: skip


@pytest.fixture
def placed(settings):
    """The settings with one path of the input for every current folder, so that a copied run resumes."""
    return replace(settings, inputs=("/a.txt",))


@pytest.fixture
def killed_run(placed, kept):
    """The run `out`, killed after step 5 of 10."""
    kept.copied("killed", lambda: until_killed(train_simcse, placed, SENTENCES, step=5))


def test_what_comes_out_is_a_better_model_and_its_story(settings):
    from sentence_transformers import SentenceTransformer

    done = train_simcse("out", settings, SENTENCES, PAIRS)
    assert done.steps == 10
    assert done.best >= max(
        line["eval_spearman"] for line in log("out") if "eval_spearman" in line and line["step"]
    )
    texts = [sentence(seed) for seed in range(5)]
    plain = SentenceTransformer("out", device="cpu").encode(texts)
    np.testing.assert_allclose(load("out", runtime="torch").encode(texts), plain, atol=1e-6)
    assert not same(weights("out"), weights(settings.model))
    story = orjson.loads(Path("out/embedkit.json").read_bytes())
    assert (story["made by"], story["examples"]) == ("embedkit train-simcse", 41)
    assert story["figures"]["best_step"] == done.best_step
    assert story["base"]["fingerprint"] == load(settings.model).identity.fingerprint
    card = Path("out/README.md").read_text()
    assert "two-view" in card
    assert sentence(0) not in card
    assert not Path("out.partial").exists()
    assert sorted(path.name for path in Path().iterdir()) == ["out"]


def test_the_loss_falls(settings):
    train_simcse("out", replace(settings, epochs=12.0, learning_rate=3e-3), SENTENCES)
    losses = [line["loss"] for line in log("out") if "loss" in line]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_the_log_has_a_line_a_step(settings):
    train_simcse("out", settings, SENTENCES, PAIRS)
    lines = log("out")
    steps = [line for line in lines if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 11))
    named = {"step", "loss", "learning_rate", "gradient_norm", "sentences_per_second", "seconds", "epoch"}
    assert all(line.keys() == named for line in steps)
    assert [line["step"] for line in lines if "eval_spearman" in line] == [0, 2, 4, 6, 8, 10]
    assert steps[0]["learning_rate"] == pytest.approx(1e-3)


def test_the_log_counts_sentences_not_examples(settings, monkeypatch):
    counted = []

    class Spy(trainer.Log):
        def __init__(self, path, texts, watch):
            counted.append(texts)
            super().__init__(path, texts, watch)

    monkeypatch.setattr(trainer, "Log", Spy)
    once = replace(settings, max_steps=1)
    train_simcse("one", once, SENTENCES)
    train_simcse("three", once, Examples(("a", "b", "c"), [row * 3 for row in SENTENCES.rows]))
    assert counted == [8, 24]


@pytest.mark.parametrize("step", [1, 4, 5, 7])
def test_killed_and_resumed_it_ends_in_the_same_weights(settings, kept, step):
    whole = kept.copied("whole", lambda: train_simcse("whole", settings, SENTENCES, PAIRS))
    until_killed(train_simcse, settings, SENTENCES, PAIRS, step=step)
    assert not Path("out").exists()
    resumed = train_simcse("out", settings, SENTENCES, PAIRS, resume=True)
    assert same(weights("out"), weights("whole"))
    assert (resumed.best, resumed.before, resumed.best_step) == (whole.best, whole.before, whole.best_step)
    without_time = [{**line, "seconds": 0, "sentences_per_second": 0} for line in log("out")]
    assert without_time == [{**line, "seconds": 0, "sentences_per_second": 0} for line in log("whole")]


def test_a_checkpoint_that_was_cut_short_is_not_resumed_from(settings):
    train_simcse("whole", settings, SENTENCES)
    with pytest.raises(Killed):
        train_simcse("out", settings, SENTENCES, watch=killed_at(5))
    last = Path("out.partial/checkpoints/checkpoint-4")
    (last / "whole").unlink()
    (last / "optimizer.pt").write_bytes(b"cut")
    train_simcse("out", settings, SENTENCES, resume=True)
    assert same(weights("out"), weights("whole"))


def test_the_file_of_settings_repeats_the_run(settings):
    train_simcse("one", settings, SENTENCES)
    again = SimCSESettings(**read_toml("one/train.toml", SimCSESettings))
    train_simcse("two", again, SENTENCES)
    assert same(weights("one"), weights("two"))
    assert (again.passes, again.chunk_tokens) == (1, 2048)


def test_another_seed_is_another_model(settings):
    train_simcse("one", settings, SENTENCES)
    train_simcse("two", replace(settings, seed=1), SENTENCES)
    assert not same(weights("one"), weights("two"))


def test_chunks_in_two_passes_give_the_weights_of_one_pass(settings):
    for name, passes in (("one", 1), ("two", 2)):
        train_simcse(name, replace(settings, chunk_tokens=40, passes=passes), SENTENCES)
    one, two = ([(line["loss"], line["gradient_norm"]) for line in log(name)] for name in ("one", "two"))
    np.testing.assert_allclose(two[:4], one[:4], rtol=1e-4)  # AdamW makes a step of any rounding in the end


def test_accumulated_batches_are_one_step(settings):
    done = train_simcse("out", replace(settings, accumulate=2, epochs=2.0), SENTENCES)
    assert done.steps == 6  # 5 batches an epoch: 2 + 2 + 1


@pytest.mark.parametrize("columns", [2, 3, 4])
def test_pairs_and_triplets_with_several_negatives(settings, columns):
    names = ("anchor", "positive", "negative", "another")[:columns]
    rows = [tuple(sentence(seed + 50 * place) for place in range(columns)) for seed in range(20)]
    done = train_simcse("out", replace(settings, hard_negative_weight=2.0), Examples(names, rows))
    assert done.steps == 4


@pytest.mark.parametrize(
    "given",
    [
        {"loss": "nt-xent"}, {"optimizer": "adax"}, {"optimizer": "exponentiated"},
        {"schedule": "cosine", "warmup": 0.2},
        {"schedule": "constant"}, {"warmup": 3.0}, {"pooling": "cls"}, {"pooling": "first-last"},
        {"dropout": 0.3, "attention_dropout": 0.0}, {"max_length": 5}, {"precision": "bf16"},
        {"scale_with_candidates": 8}, {"max_steps": 3}, {"head": False},
    ],
    ids=str,
)  # fmt: skip
def test_every_setting_trains(settings, given):
    done = train_simcse("out", replace(settings, epochs=1.0, **given), SENTENCES)
    assert done.steps == given.get("max_steps", 5)
    assert not same(weights("out"), weights(settings.model))
    if "pooling" in given:
        assert load("out").identity.pooling is not None
        expected = load(settings.model, pooling=given["pooling"]).encode(["fox"])
        assert load("out", runtime="torch").encode(["fox"]).shape == expected.shape


def test_the_models_own_length_and_dropout_are_kept(settings):
    train_simcse("out", replace(settings, max_length=5, dropout=0.3, epochs=1.0), SENTENCES)
    assert load("out").identity.max_length == load(settings.model).identity.max_length
    before, after = (
        orjson.loads((Path(path) / "config.json").read_bytes()) for path in (settings.model, "out")
    )
    assert after["hidden_dropout_prob"] == before["hidden_dropout_prob"] == 0.1


def test_training_stops_without_a_better_score(settings):
    constant = replace(settings, learning_rate=1e-12, patience=2, epochs=20.0)
    assert train_simcse("out", constant, SENTENCES, PAIRS).steps < 20


def test_several_seeds_report_mean_and_deviation_and_keep_the_best(settings):
    runs = train_seeds("out", SimCSE(settings, SENTENCES, PAIRS), count=3)
    scores = [run.best for run in runs.trained.values()]
    assert runs.mean == pytest.approx(np.mean(scores))
    assert runs.deviation == pytest.approx(np.std(scores, ddof=1))
    assert runs.kept == int(np.argmax(scores))
    assert len(orjson.loads(Path("out/embedkit.json").read_bytes())["seeds"]["runs"]) == 3
    assert sorted(path.name for path in Path().iterdir()) == ["out"]


def test_the_models_of_all_seeds_can_be_kept(settings):
    train_seeds("out", SimCSE(settings, SENTENCES, PAIRS), count=2, keep_all=True)
    assert sorted(path.name for path in Path().iterdir()) == ["out", "out.seed0", "out.seed1"]
    assert not same(weights("out.seed0"), weights("out.seed1"))


def test_seeds_that_are_done_are_not_trained_again(settings):
    whole = train_seeds("whole", SimCSE(settings, SENTENCES, PAIRS), count=2)
    calls = []

    def watch(event):
        calls.append(event)
        if len(calls) == 20:
            raise Killed

    with pytest.raises(Killed):
        train_seeds("out", SimCSE(settings, SENTENCES, PAIRS), count=2, watch=watch)
    resumed = train_seeds("out", SimCSE(settings, SENTENCES, PAIRS), count=2, resume=True)
    assert resumed.scores == whole.scores
    assert same(weights("out"), weights("whole"))


def test_the_gradient_is_exact_on_the_users_model(settings):
    assert check_exact(SimCSE(settings, SENTENCES)) < 1e-5
    assert not list(Path().iterdir())


def test_warnings_teach(settings, caplog):
    caplog.set_level(logging.INFO, "embedkit")
    rows = [*SENTENCES.rows, SENTENCES.rows[0]]
    dropout_off = replace(
        settings, dropout=0.0, attention_dropout=0.0, chunk_size=5, max_steps=1, warmup=0.1, eval="dev.tsv"
    )
    train_simcse("out", dropout_off, Examples(("text",), rows), PAIRS)
    said = " | ".join(record.getMessage() for record in caplog.records)
    assert "1 of 42 examples repeat an earlier one" in said
    assert "of dev.tsv are also in the training text" in said
    assert "dropout is 0: both views of a sentence are equal" in said
    assert "a batch of 8 is less than two chunks of 5" in said
    assert "the warm-up is the whole run of 1 step: the first step has a learning rate of 0" in said


@pytest.mark.parametrize(
    ("warmup", "line"),
    [(0.0, ""), (0.5, ""), (3, "is the whole run of 3 steps"), (500, "of 500 steps is longer")],
)
def test_a_warm_up_that_never_ends_is_reported(settings, caplog, warmup, line):
    train_simcse("out", replace(settings, max_steps=3, warmup=warmup), SENTENCES)
    assert ("the warm-up" in caplog.text) is bool(line)
    assert line in caplog.text


@pytest.mark.parametrize(
    ("rows", "pairs", "error", "line"),
    [
        (SENTENCES.rows[:1], [], DataError, "training needs at least 2 sentences, got 1"),
        (
            SENTENCES.rows[:7], [], UsageError,
            "`batch_size=8`: exceeds the 7 examples; lower it",
        ),
        (
            SENTENCES.rows, [Pair("a", "b", float("nan"))], DataError,
            "dev.tsv: a score is not a finite number",
        ),
        (
            SENTENCES.rows, [Pair("a", "b", 1.0)] * 3, DataError,
            "dev.tsv: the scores of all 3 pairs are 1, so there is no correlation",
        ),
    ],
)  # fmt: skip
def test_data_that_cannot_train_is_refused_before_a_model_is_loaded(settings, rows, pairs, error, line):
    wanted = replace(settings, model="/nowhere", eval="dev.tsv")
    with pytest.raises(error) as caught:
        train_simcse("out", wanted, Examples(("text",), rows), pairs)
    assert str(caught.value) == line
    assert not list(Path().iterdir())


def test_a_model_that_is_not_there_leaves_nothing(settings):
    with pytest.raises(EmbedkitError):
        train_simcse("out", replace(settings, model="/nowhere"), SENTENCES)
    assert not list(Path().iterdir())


def test_an_unfinished_run_is_neither_replaced_nor_changed(settings):
    with pytest.raises(Killed):
        train_simcse("out", settings, SENTENCES, watch=killed_at(3))
    with pytest.raises(ExistsError, match="is an unfinished run; continue it with `resume=True`"):
        train_simcse("out", settings, SENTENCES)
    with pytest.raises(MismatchError, match=r"the run there has learning_rate 0\.001, not 0\.5"):
        train_simcse("out", replace(settings, learning_rate=0.5), SENTENCES, resume=True)
    train_simcse("out", replace(settings, learning_rate=0.5), SENTENCES, force=True)
    assert Path("out/model.safetensors").is_file()


def test_a_model_that_is_there_is_replaced_by_force_only(settings):
    train_simcse("out", settings, SENTENCES)
    with pytest.raises(ExistsError, match="already exists"):
        train_simcse("out", settings, SENTENCES)
    before = weights("out")
    train_simcse("out", replace(settings, seed=3), SENTENCES, force=True)
    assert not same(before, weights("out"))


def test_a_folder_of_somebody_else_is_left_alone(settings):
    Path("out").mkdir()
    Path("out/thesis.tex").write_text("x")
    with pytest.raises(ExistsError, match="is a folder that contains other files"):
        train_simcse("out", settings, SENTENCES, force=True)
    Path("two.partial").mkdir()
    Path("two.partial/thesis.tex").write_text("x")
    with pytest.raises(ExistsError, match="is a folder that contains other files"):
        train_simcse("two", settings, SENTENCES, force=True)


@pytest.mark.parametrize("evaluated", [(), PAIRS], ids=["plain", "scored"])
def test_a_run_that_diverges_stops_at_its_step_and_keeps_the_model_that_was_there(settings, evaluated):
    train_simcse("out", replace(settings, max_steps=1), SENTENCES)
    before = weights("out")
    wild = replace(settings, learning_rate=1e30, warmup=6.0, max_grad_norm=1e9)
    with pytest.raises(DivergedError, match=r"^out\.partial: training diverged at step \d+: the ") as caught:
        train_simcse("out", wild, SENTENCES, evaluated, force=True)
    assert same(weights("out"), before)
    assert all(np.isfinite(line["loss"]) for line in log("out.partial") if "loss" in line)
    step = int(str(caught.value).partition("step ")[2].partition(":")[0])
    assert max(line["step"] for line in log("out.partial")) <= step


def test_a_diverged_run_names_its_last_good_checkpoint(settings, monkeypatch):
    from sentence_transformers import SentenceTransformerTrainer as Above

    step = Above.training_step

    def broken(self, model, *args, **kwargs):
        loss = step(self, model, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 6 else loss

    monkeypatch.setattr(Above, "training_step", broken)
    line = r"diverged at step 7: the loss is nan; the last good checkpoint is .*/checkpoint-6; start again"
    with pytest.raises(DivergedError, match=line):
        train_simcse("out", settings, SENTENCES)
    assert all(np.isfinite(np.asarray(value)).all() for value in weights(
        "out.partial/checkpoints/checkpoint-6").values())  # fmt: skip
    assert not Path("out").exists()


def test_a_model_with_weights_that_are_not_finite_is_not_trained(settings, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(settings.model, tmp_path / "nan")
    broken = load_file(tmp_path / "nan/model.safetensors")
    next(iter(broken.values())).view(-1)[3] = float("nan")
    save_file(broken, tmp_path / "nan/model.safetensors", {"format": "pt"})
    with pytest.raises(EmbedkitError, match=r"finite|nan"):
        train_simcse("out", replace(settings, model=str(tmp_path / "nan")), SENTENCES, PAIRS)
    assert not Path("out").exists()


@pytest.mark.parametrize("what", ["examples", "pairs", "model"])
def test_a_resumed_run_refuses_what_changed_in_place(settings, tmp_path, what):
    import shutil

    shutil.copytree(settings.model, tmp_path / "base")
    settings = replace(settings, model=str(tmp_path / "base"), eval="dev.tsv")
    with pytest.raises(Killed):
        train_simcse("out", settings, SENTENCES, PAIRS, watch=killed_at(5))
    rows = [(sentence(500),), *SENTENCES.rows[1:]] if what == "examples" else SENTENCES.rows
    pairs = [PAIRS[0]._replace(score=7.0), *PAIRS[1:]] if what == "pairs" else PAIRS
    if what == "model":
        file = tmp_path / "base/model.safetensors"
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    named = {"examples": "the training examples of a.txt", "pairs": "the pairs of `eval` of dev.tsv",
             "model": "the model "}[what]  # fmt: skip
    with pytest.raises(MismatchError, match=f"^out.partial: {named}.* changed after the run had begun"):
        train_simcse("out", settings, Examples(("text",), rows), pairs, resume=True)


def test_a_finished_seed_of_other_data_is_not_counted(settings):
    calls = []

    def watch(event):
        calls.append(event)
        if len(calls) == 25:  # two for each of the ten steps of the first seed
            raise Killed

    with pytest.raises(Killed):
        train_seeds("out", SimCSE(settings, SENTENCES), count=2, watch=watch)
    assert Path("out.seed0/embedkit.json").is_file()
    other = Examples(("text",), SENTENCES.rows[::-1])
    with pytest.raises(MismatchError, match=r"^out\.seed0: the training examples of a\.txt changed"):
        train_seeds("out", SimCSE(settings, other), count=2, resume=True)


@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "foreign", "another run"])
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "trainer_state.json"])
def test_a_damaged_checkpoint_is_one_line(placed, damage, name, killed_run):
    last = Path("out.partial/checkpoints/checkpoint-4")
    content = (last / name).read_bytes()
    if damage == "missing":
        (last / name).unlink()
    elif damage == "another run":
        marked = orjson.loads((last / "whole").read_bytes())
        marked["../../sources.json"][1] ^= 1
        (last / "whole").write_bytes(orjson.dumps(marked))
    else:
        changed = {"cut": content[:-7], "empty": b"", "foreign": content[:-1] + bytes([content[-1] ^ 1])}[
            damage
        ]
        (last / name).write_bytes(changed)
    with pytest.raises(
        FormatError,
        match=r"^out\.partial/checkpoints/checkpoint-4: the run cannot resume from this checkpoint: ",
    ):
        train_simcse("out", placed, SENTENCES, resume=True)


@pytest.mark.parametrize("chunks", [{}, {"chunk_tokens": 512, "passes": 1}])
def test_a_token_without_an_embedding_is_one_line(settings, chunks):
    """It ended in an IndexError of torch."""
    shutil.copytree(settings.model, "m")
    tokenizer = Tokenizer.from_file("m/tokenizer.json")
    rows = tokenizer.get_vocab_size()
    tokenizer.add_tokens(["zyzzyva"])
    tokenizer.save("m/tokenizer.json")
    altered = replace(settings, model="m", **chunks)
    assert train_simcse("out", altered, SENTENCES).steps == 10
    with_it = Examples(("text",), [*SENTENCES.rows, ("the zyzzyva",)])
    said = f"^m: cannot be trained: its tokenizer gives the token {rows}, its embeddings cover"
    with pytest.raises(ModelError, match=said) as caught:
        train_simcse("other", replace(altered, epochs=1.0), with_it)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("length", "line"), [(1, "leaves no room"), (2, "leaves no room"), (1000, "has positions")]
)
def test_a_length_that_the_model_cannot_read_is_refused(settings, length, line):
    with pytest.raises(ModelError, match=line):
        train_simcse("out", replace(settings, max_length=length), SENTENCES)


def test_rows_with_unequal_numbers_of_negatives_train(settings):
    rows = [tuple(sentence(seed + 50 * place) for place in range(2 + seed % 3)) for seed in range(24)]
    examples = Examples(("query", "pos", "neg"), rows)
    recipe = SimCSE(replace(settings, batch_size=8), examples)
    assert recipe.rows()["label"] == [seed % 3 for seed in range(24)]
    assert train_simcse("out", replace(settings, epochs=1.0), examples).steps == 3
    assert check_exact(recipe) < 1e-5


@pytest.mark.parametrize("out", [".", ".."])
def test_a_place_is_no_name_for_a_model(settings, out):
    for count in (1, 2):
        with pytest.raises(ExistsError, match="is a directory reference, not a file name"):
            train_seeds(out, SimCSE(settings, SENTENCES), count=count)


@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "list"])
@pytest.mark.parametrize("name", ["config.json", "embedkit.json", "modules.json", "model.safetensors"])
def test_a_damaged_base_of_a_run_is_one_line(placed, damage, name, killed_run):
    file = Path("out.partial/base") / name
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes({"cut": file.read_bytes()[:-7], "empty": b"", "list": b"[]"}[damage])
    line = rf"^out\.partial/base: the run cannot continue from this model: {name} (is missing|has changed)"
    with pytest.raises(FormatError, match=line):
        train_simcse("out", placed, SENTENCES, resume=True)


@pytest.mark.parametrize("content", [b"[]", b"{}", b"null", b'{"model.safetensors": [0]}'])
def test_a_checkpoint_with_a_marker_of_nothing_is_one_line(placed, content, killed_run):
    Path("out.partial/checkpoints/checkpoint-4/whole").write_bytes(content)
    with pytest.raises(
        FormatError,
        match=r"^out\.partial/checkpoints/checkpoint-4: the run cannot resume from this checkpoint: ",
    ):
        train_simcse("out", placed, SENTENCES, resume=True)


def test_a_run_without_its_list_of_sources_is_one_line(placed, killed_run):
    Path("out.partial/sources.json").unlink()
    line = r"the run cannot resume from this checkpoint: ../../sources.json is missing; .*`force=True`"
    with pytest.raises(FormatError, match=line):
        train_simcse("out", placed, SENTENCES, resume=True)


def test_a_file_of_another_name_beside_the_run_is_not_its_own(settings):
    Path("sources.json").write_bytes(b"mine")
    with pytest.raises(Killed):
        train_simcse("out", settings, SENTENCES, watch=killed_at(5))
    Path("sources.json").write_bytes(b"changed")
    assert train_simcse("out", settings, SENTENCES, resume=True).steps == 10


@pytest.mark.parametrize("content", [b"", b"[]", b'{"figures": 1}', b"{", b'{"figures": {}}'])
def test_a_damaged_story_of_a_finished_seed_is_one_line(placed, kept, content):
    kept.copied("seeds", lambda: train_seeds("out", SimCSE(placed, SENTENCES), count=2, keep_all=True))
    Path("out").rename("elsewhere")
    Path("out.seed0/embedkit.json").write_bytes(content)
    with pytest.raises(EmbedkitError, match=r"^out\.seed0: embedkit\.json .*delete .*out\.seed0"):
        train_seeds("out", SimCSE(placed, SENTENCES), count=2, resume=True)


def test_a_seed_too_large_is_refused_before_another_is_trained(settings):
    with pytest.raises(UsageError, match=r"^`seed`: must be between 0 and 4294967295, got 4294967296$"):
        train_seeds("out", SimCSE(replace(settings, seed=2**32 - 1), SENTENCES), count=2)
    assert not list(Path().iterdir())


@pytest.mark.parametrize("pairs", [1, 2])
def test_pairs_too_few_for_a_correlation_are_refused(settings, pairs):
    with pytest.raises(DataError, match=r"^dev\.tsv: a correlation needs 3 pairs or more, there "):
        train_simcse("out", replace(settings, eval="dev.tsv"), SENTENCES, PAIRS[:pairs])


@pytest.mark.parametrize("read", ["inputs", "eval"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_model_does_not_replace_a_file_that_it_is_trained_on(settings, read, count):
    Path("own.txt").write_text("the only copy")
    given = {"inputs": ("./own.txt",)} if read == "inputs" else {"eval": "./own.txt"}
    recipe = SimCSE(replace(settings, **given), SENTENCES, PAIRS)
    with pytest.raises(ExistsError, match=r"^own\.txt: is read by this run"):
        train_seeds("own.txt", recipe, count=count, force=True)
    assert Path("own.txt").read_text() == "the only copy"
