"""Vocabularies: learnt as a slow loop learns them, the same in every process, and saved for transformers."""

import hashlib
import os
import random
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest

from embedkit.errors import DataError
from embedkit.training.pretraining.merges import alphabet_of, merged_pieces
from embedkit.training.pretraining.vocabulary import learn_tokenizer

SYLLABLES = ["ba", "ko", "ti", "ren", "sul", "mo"]


def words(count, seed=0):
    rng = random.Random(seed)
    return Counter("".join(rng.choices(SYLLABLES, k=rng.randint(1, 3))) for _ in range(count))


TEXTS = [" ".join(words(12, seed).elements()) for seed in range(60)]


def slow_pieces(counts, alphabet, prefix, most):
    """Merge the most frequent pair again and again; of equal pairs, that of the smallest numbers."""
    pieces = list(alphabet)
    texts = [([word[0], *(prefix + letter for letter in word[1:])], count) for word, count in counts.items()]
    while len(pieces) < most:
        pairs = Counter()
        for parts, count in texts:
            for pair in pairwise(parts):
                pairs[pair] += count
        if not pairs or max(pairs.values()) < 2:
            break
        one, other = min(pairs, key=lambda pair: (-pairs[pair], *map(pieces.index, pair)))
        merged = one + other.removeprefix(prefix)
        pieces.append(merged)
        for parts, _ in texts:
            place = 0
            while place < len(parts) - 1:
                if (parts[place], parts[place + 1]) == (one, other):
                    parts[place : place + 2] = [merged]
                place += 1
    return pieces


@pytest.mark.parametrize("prefix", ["##", ""])
def test_merges_are_those_of_a_slow_loop(prefix):
    counts = words(300)
    alphabet = alphabet_of(counts, prefix, most=1000, fewest=1)
    most = len(alphabet.characters) + 25
    assert merged_pieces(counts, alphabet, most=most, longest=16) == slow_pieces(
        counts, alphabet.characters, prefix, most
    )


@pytest.mark.slow
def test_another_process_with_other_threads_learns_the_same():
    script = (
        "import sys; from tests.training.pretraining.test_vocabulary import digest; "
        "print(digest('wordpiece'), digest('unigram'))"
    )
    found = {
        subprocess.check_output(
            [sys.executable, "-c", script], env={**os.environ, "RAYON_NUM_THREADS": threads}, text=True
        )
        for threads in ("1", "3")
    }
    assert found == {f"{digest('wordpiece')} {digest('unigram')}\n"}


def digest(kind):
    tokenizer = learn_tokenizer(TEXTS, kind, 80, max_length=32)
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "words"])
def test_the_order_of_texts_changes_nothing_and_the_size_is_kept(kind):
    one, other = (learn_tokenizer(texts, kind, 60, max_length=32) for texts in (TEXTS, list(reversed(TEXTS))))
    assert one.get_vocab() == other.get_vocab()
    assert len(one) <= 60
    assert one.convert_ids_to_tokens(range(5)) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_pieces_spell_the_text(kind):
    tokenizer = learn_tokenizer(TEXTS, kind, 60, max_length=32)
    for text in TEXTS[:5]:
        pieces = tokenizer.tokenize(text)
        assert "".join(piece.removeprefix("##").replace("\u2581", "") for piece in pieces) == text.replace(
            " ", ""
        )


def test_words_are_the_most_frequent_ones_as_they_are():
    texts = ["7 7 7 B", "12 12 B", "once"]
    tokenizer = learn_tokenizer(texts, "words", 7, max_length=8)
    assert tokenizer.convert_ids_to_tokens([5, 6]) == ["7", "12"]  # of equal counts, digits come first
    assert tokenizer("7 B once").input_ids == [2, 5, 1, 1, 3]


def test_unigram_uses_longer_pieces_than_characters_for_chinese_and_wordpiece_does_not():
    rng = random.Random(0)
    texts = ["".join(rng.choices(["中文", "分词", "很难", "好"], k=5)) for _ in range(40)]
    assert "中文" in learn_tokenizer(texts, "unigram", 40, max_length=8).get_vocab()
    assert learn_tokenizer(texts, "wordpiece", 40, max_length=8).tokenize("中文") == ["中", "文"]


def test_case_and_accents():
    texts = ["Été Ete", "Été Ete"]
    assert learn_tokenizer(texts, "wordpiece", 30, max_length=8).tokenize("ÉTÉ") == ["été"]
    assert learn_tokenizer(texts, "wordpiece", 30, max_length=8, lowercase=False).tokenize("Été") == ["Été"]


def test_transformers_opens_what_is_saved(tmp_path):
    from transformers import AutoTokenizer

    tokenizer = learn_tokenizer(TEXTS, "wordpiece", 60, max_length=8)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(TEXTS[:3]).input_ids == tokenizer(TEXTS[:3]).input_ids
    assert (again.mask_token, again.model_max_length, len(again)) == ("[MASK]", 8, len(tokenizer))


def test_a_text_of_a_million_characters_is_read():
    tokenizer = learn_tokenizer(["x" * 1_000_000, *TEXTS], "wordpiece", 60, max_length=8)
    assert tokenizer.tokenize("bako") == tokenizer.tokenize("BAKO")


def test_nothing_that_occurs_twice_is_refused():
    with pytest.raises(DataError, match=r"^no word occurs twice, so there is no vocabulary to learn; "):
        learn_tokenizer(["1 2 3"], "words", 60, max_length=8)


def test_the_mark_of_words_is_not_a_character_that_occurs_twice():
    with pytest.raises(DataError, match=r"^no character occurs twice, so there is no vocabulary to learn; "):
        learn_tokenizer(["abc", "def", "ghi"], "unigram", 60, max_length=8)
