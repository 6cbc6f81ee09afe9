"""Distillation as a whole: a known best student is found, libraries open it, and a killed run resumes."""

from __future__ import annotations

import itertools

import numpy as np
import orjson
import pytest

from embedkit.data.text.record import Record
from embedkit.embedding.encoder import Mapped, unit_length
from embedkit.embedding.loading import load
from embedkit.errors import DataError, ExistsError, FormatError, ModelError, UsageError
from embedkit.training.distillation import teacher_vectors as corpus_module
from embedkit.training.distillation.distill_settings import DistillSettings
from embedkit.training.distillation.distillation import Distillation
from tests.training.distillation.conftest import DIM, Planted, random_texts

SETTINGS = DistillSettings(model="planted", dim=None)


def records(texts: list[str]) -> list[Record]:
    return [Record(str(place), text, {}) for place, text in enumerate(texts)]


def distil(output, teacher, texts, settings=SETTINGS, **how):
    with Distillation(output, teacher, settings, **how) as run:
        for _ in run.encode(records(texts)):
            pass
        return run.fit()


def test_the_planted_vectors_are_found(tmp_path, planted):
    found = distil(tmp_path / "out", planted, random_texts(3000))
    assert found.texts == 3000
    assert found.held_out == 300
    assert found.dimension == DIM
    assert found.agreement.overlap > 0.9
    unseen = random_texts(200, seed=99)
    student = load(str(tmp_path / "out")).encode(unseen)
    cosines = np.sum(student * planted.encode(unseen), axis=1)
    assert cosines.mean() > 0.99  # with all dimensions, the space is the teacher's own


def test_fewer_dimensions_are_the_teachers_principal_axes(tmp_path, planted):
    texts = random_texts(3000)
    distil(tmp_path / "out", planted, texts, DistillSettings(model="planted", dim=6, refine=False))
    vectors = planted.encode(texts).astype(np.float64)
    axes = np.linalg.svd(vectors, full_matrices=False)[2][:6]
    student = load(str(tmp_path / "out")).encode(texts)
    wanted = unit_length((vectors @ axes.T).astype(np.float32))
    signs = np.sign(np.sum(student * wanted, axis=0))
    assert np.sum(student * signs * wanted, axis=1).mean() > 0.97


def test_both_libraries_give_the_same_vectors(tmp_path, planted):
    from model2vec import StaticModel
    from sentence_transformers import SentenceTransformer

    out = str(tmp_path / "out")
    distil(tmp_path / "out", planted, random_texts(500), DistillSettings(model="planted", dim=8))
    texts = [*random_texts(50, seed=5), "w1 unknown words w2", "", "nothing known", "w3 " * 200]
    vectors = load(out).encode(texts)
    plain = SentenceTransformer(out, device="cpu")
    np.testing.assert_allclose(plain.encode(texts, show_progress_bar=False), vectors, atol=1e-5)
    np.testing.assert_allclose(
        plain.encode(texts, prompt_name="query", show_progress_bar=False), vectors, atol=1e-5
    )
    np.testing.assert_allclose(StaticModel.from_pretrained(out).encode(texts), vectors, atol=1e-5)


def test_the_folder_states_how_it_was_made(tmp_path, planted):
    found = distil(tmp_path / "out", planted, random_texts(500))
    story = orjson.loads((tmp_path / "out" / "embedkit.json").read_bytes())
    assert story["base"]["model"] == "planted"
    assert story["distilled"]["overlap@10"] == round(found.agreement.overlap, 4)
    assert found.fingerprint == load(str(tmp_path / "out")).identity.fingerprint
    assert 'model = "planted"' in (tmp_path / "out" / "train.toml").read_text()
    assert f"{found.agreement.overlap:.1%}" in (tmp_path / "out" / "README.md").read_text()
    assert not (tmp_path / "out.partial").exists()


def test_nothing_is_fitted_on_the_held_out_rows(tmp_path, planted, monkeypatch):
    texts = random_texts(600)
    distil(tmp_path / "a", planted, texts, DistillSettings(model="planted", dim=None, refine=False))
    held = np.flatnonzero(np.isin(np.arange(600), np.random.default_rng(0).permutation(600)[:60]))
    encode, turned = (
        planted.encode,
        {texts[row] for row in held} - {texts[r] for r in range(600) if r not in held},
    )
    assert len(turned) > 30

    def other(these, role="document"):
        vectors = encode(these, role)
        for row, text in enumerate(these):
            if text in turned:
                vectors[row] = np.roll(vectors[row], 1)
        return vectors

    monkeypatch.setattr(planted, "encode", other)
    monkeypatch.setattr("embedkit.training.distillation.fitting_tokens._PENALTIES", (0.3,))
    distil(tmp_path / "c", planted, texts, DistillSettings(model="planted", dim=None, refine=False))
    monkeypatch.setattr(planted, "encode", encode)
    distil(tmp_path / "b", planted, texts, DistillSettings(model="planted", dim=None, refine=False))
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "bc"]
    assert weights[0] == weights[1]


def test_refinement_is_kept_only_if_it_finds_more_neighbours(tmp_path, monkeypatch):
    folder = tmp_path / "teacher"
    folder.mkdir()
    texts = random_texts(2500)
    teacher = Planted(folder, noise=0.3)
    plain = distil(tmp_path / "plain", teacher, texts, DistillSettings(model="p", dim=None, refine=False))
    tried = distil(tmp_path / "tried", teacher, texts, DistillSettings(model="p", dim=None))
    assert not plain.refined
    assert tried.agreement.overlap >= plain.agreement.overlap
    assert tried.refined == (tried.agreement.overlap > plain.agreement.overlap)
    monkeypatch.setattr(
        "embedkit.training.distillation.fitting_tokens.refine", lambda table, *_, **__: -table[:, ::-1]
    )
    worse = distil(tmp_path / "worse", teacher, texts, DistillSettings(model="p", dim=None))
    assert not worse.refined
    assert worse.agreement == plain.agreement


def test_a_teacher_with_prompts_teaches_both_roles(tmp_path):
    folder = tmp_path / "teacher"
    folder.mkdir()
    teacher = Planted(folder, query_shift=0.5)
    texts = random_texts(400)
    with Distillation(tmp_path / "out", teacher, SETTINGS) as run:
        vectors = np.concatenate([batch.vectors for batch in run.encode(records(texts))])
        run.fit()
    np.testing.assert_allclose(vectors[0::2], teacher.encode(texts)[0::2], atol=1e-6)
    np.testing.assert_allclose(vectors[1::2], teacher.encode(texts, "query")[1::2], atol=1e-6)
    assert load(str(tmp_path / "out")).identity.query_prompt == ""


def test_maps_are_fitted_as_part_of_the_teacher(tmp_path, planted):
    from embedkit.data.affine import AffineMap

    turn = AffineMap(np.linalg.qr(np.random.default_rng(0).normal(size=(DIM, DIM)))[0][:5], np.zeros(5), {})
    mapped = Mapped(planted, turn)
    distil(tmp_path / "out", mapped, random_texts(2000))
    unseen = random_texts(100, seed=3)
    cosines = np.sum(load(str(tmp_path / "out")).encode(unseen) * mapped.encode(unseen), axis=1)
    assert cosines.mean() > 0.97


def test_texts_are_divided_into_sentences(tmp_path, planted):
    long = [
        f"{' '.join(random_texts(4, seed))} here. {' '.join(random_texts(4, seed + 500))} there."
        for seed in range(300)
    ]
    long = [text.replace(". w", ". W") for text in long]
    with Distillation(tmp_path / "out", planted, SETTINGS) as run:
        assert sum(batch.rows for batch in run.encode(records(long))) == 600
    whole = DistillSettings(model="planted", dim=None, whole=True)
    with Distillation(tmp_path / "whole", planted, whole) as run:
        assert sum(batch.rows for batch in run.encode(records(long))) == 300


def test_an_interrupted_run_resumes_to_the_same_bytes(tmp_path, planted, monkeypatch):
    monkeypatch.setattr("embedkit.training.distillation.distillation.SHARD_ROWS", 256)
    texts = random_texts(1000)
    distil(tmp_path / "whole", planted, texts)
    with Distillation(tmp_path / "cut", planted, SETTINGS) as run:
        for _ in itertools.islice(run.encode(records(texts)), 3):
            pass
    with pytest.raises(ExistsError, match="is an unfinished run"):
        distil(tmp_path / "cut", planted, texts)
    before = planted.calls
    distil(tmp_path / "cut", planted, texts, resume=True)
    tokens = 120
    assert planted.calls - before < 1000 - 256 + tokens + 256 + 2  # sealed shards are not encoded again
    for name in ("model.safetensors", "tokenizer.json", "modules.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_that_stopped_while_fitting_encodes_nothing_again(tmp_path, planted, monkeypatch):
    texts = random_texts(600)
    with monkeypatch.context() as patch:
        patch.setattr("embedkit.training.distillation.fitting_tokens._fit_ridge", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            distil(tmp_path / "out", planted, texts)
    assert not (tmp_path / "out").exists()
    seen = []
    monkeypatch.setattr(
        planted,
        "encode",
        lambda these, role="document", e=planted.encode: seen.extend(these) or e(these, role),
    )
    distil(tmp_path / "out", planted, texts, resume=True)
    assert len(set(seen) & set(texts)) <= 60  # held-out texts are timed


def test_a_resumed_run_needs_the_same_texts(tmp_path, planted):
    with Distillation(tmp_path / "out", planted, SETTINGS) as run:
        for _ in run.encode(records(random_texts(600))):
            pass
        run._writer.complete()
    with pytest.raises((DataError, FormatError, ExistsError), match=r"other texts|has changed|differs"):
        distil(tmp_path / "out", planted, random_texts(600, seed=4), resume=True)


def test_an_existing_output_is_kept(tmp_path, planted):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    with pytest.raises(ExistsError):
        distil(tmp_path / "out", planted, random_texts(300))
    with pytest.raises(ExistsError):
        distil(tmp_path / "out", planted, random_texts(300), force=True)
    assert (tmp_path / "out" / "mine.txt").read_text() == "x"


def test_too_few_texts_are_refused(tmp_path, planted):
    with pytest.raises(DataError, match="distillation needs at least 200 texts, got 199"):
        distil(tmp_path / "out", planted, random_texts(199))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("values", [{"dim": 0}, {"vocabulary": -1}])
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(UsageError, match=next(iter(values))):
        DistillSettings(**values)


def test_encoders_without_a_network_are_refused(tmp_path, planted):
    distil(tmp_path / "out", planted, random_texts(300))
    for model in ("hash:dim=64", str(tmp_path / "out")):
        with pytest.raises(ModelError, match="is no network"):
            Distillation(tmp_path / "new", load(model), DistillSettings(model=model))


def test_new_words_are_learnt(tmp_path, planted):
    texts = [f"{text} w1w2w3" for text in random_texts(800)]
    settings = DistillSettings(model="planted", dim=None, vocabulary=5)
    found = distil(tmp_path / "out", planted, texts, settings)
    assert found.tokens == len(planted.table) + 1
    vocabulary = orjson.loads((tmp_path / "out" / "tokenizer.json").read_bytes())["model"]["vocab"]
    assert vocabulary["w1w2w3"] == len(planted.table)


def test_vectors_lie_at_their_rows_across_shards(tmp_path, planted, monkeypatch):
    monkeypatch.setattr("embedkit.training.distillation.distillation.SHARD_ROWS", 100)
    texts = random_texts(450)
    with Distillation(tmp_path / "out", planted, SETTINGS) as run:
        for _ in run.encode(records(texts)):
            pass
        corpus = corpus_module.Corpus(run._writer.complete(), 0)
        expected = planted.encode(texts)
        for rows in (slice(0, 450), slice(90, 110), slice(250, 450), slice(100, 200)):
            np.testing.assert_allclose(corpus.vectors(rows), expected[rows], atol=1e-6)
        held, vectors = corpus.held_out_rows()
        assert held == [text for text, out in zip(texts, corpus.held_out, strict=True) if out]
        np.testing.assert_allclose(vectors, planted.encode(held), atol=1e-6)
        moment = expected.T.astype(np.float64) @ expected
        np.testing.assert_allclose(corpus.second_moment(), moment, atol=1e-3)
