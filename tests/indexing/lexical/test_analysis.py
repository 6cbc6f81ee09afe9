"""Text becomes the same terms by every path, in every script, and each word has its place in the text."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embedkit.errors import UsageError
from embedkit.indexing.lexical import analysis
from embedkit.indexing.lexical.analysis import LANGUAGES, LONGEST, Analysis, is_unspaced, normalised
from embedkit.indexing.lexical.lexical_settings import LexicalSettings
from embedkit.indexing.lexical.vocabulary import Vocabulary

ENGLISH = Analysis("en")
MIXED = st.text(
    st.one_of(
        st.sampled_from(
            "aB9éßΣςİ_-'\". \n\t\0\u00ad\u200c\u200d\ufe0f\u0301\u0328\u3099\u0e31人工智能。ｶﾀﾞガＡ１½①ﬁ"
            "กนั한국\u1100\u1161"
            "हि्न्\U000e0100\U0001f600𠀀ﹰـ\u3164\u180b\x85\u2028"
        ),
        st.characters(blacklist_categories=["Cs"]),
    )
)
SPACED = st.lists(MIXED).map(" ".join)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Running runners ran quickly", ["run", "runner", "ran", "quick"]),
        ("The cats' whiskers, 3.14!", ["the", "cat", "whisker", "3", "14"]),
        ("snake_case and e-mail", ["snake", "case", "and", "e", "mail"]),
        ("C++ C# .NET", ["c", "c", "net"]),
        ("STRASSE straße", ["strass", "strass"]),
        ("ﬁnance ½ ①", ["financ", "1", "2", "1"]),
        ("１２３ ＡＢＣ", ["123", "abc"]),
        ("ΣΟΦΟΣ σοφος", ["σοφοσ", "σοφοσ"]),
        ("cafe\u0301 café", ["café", "café"]),
        ("a\u0301\u0328 ą\u0301", ["ą́", "ą́"]),
        ("inter\u00adnet zero\ufeffwidth e\u200d\u0301t", ["internet", "zerowidth", "ét"]),
        ("人工智能", ["人工", "工智", "智能", "能"]),
        ("人", ["人"]),
        ("用Python写", ["用", "python", "写"]),
        ("AI人工。智能", ["ai", "人工", "工", "智能", "能"]),
        ("葛\U000e0100飾 葛\ufe00飾", ["葛飾", "飾", "葛飾", "飾"]),
        ("𠀀𠀁", ["𠀀𠀁", "𠀁"]),
        ("ｶﾀｶﾅ カタカナ", ["カタ", "タカ", "カナ", "ナ"] * 2),
        ("ガ ｶﾞ カ\u3099", ["ガ", "ガ", "ガ"]),
        ("スーパー・マン", ["スー", "ーパ", "パー", "ー", "マン", "ン"]),
        ("한국어 공부", ["한국", "국어", "어", "공부", "부"]),
        ("\u1112\u1161\u11ab", ["한"]),
        ("ภาษา ไทย", ["ภา", "าษ", "ษา", "า", "ไท", "ทย", "ย"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("👩\u200d🔬 🇩🇪 ok", ["ok"]),
        ("\0a\0b\0", ["a", "b"]),
        ("", []),
        (" .,;!?—…\n", []),
        ("\u0301 \u200d", []),
    ],
)
def test_known_terms(text, terms):
    assert ENGLISH.document_terms(text) == terms


@pytest.mark.parametrize(
    ("text", "document", "query"),
    [
        ("人", ["人"], ["人"]),
        ("人工", ["人工", "工"], ["人工"]),
        ("人工 智能 ok", ["人工", "工", "智能", "能", "ok"], ["人工", "智能", "ok"]),
    ],
)
def test_a_query_has_only_the_pairs_of_a_run(text, document, query):
    assert ENGLISH.document_terms(text) == document
    assert ENGLISH.query_terms(text) == query


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("人工", ["人工"]),
        ("人", ["人"]),
        ("人工 智能", ["人工", "工", "智能"]),
        ("深度 learning", ["深度", "度", "learn"]),
        ("", []),
    ],
)
def test_a_phrase_has_the_terms_of_a_document_that_holds_it_alone_or_continues_it(text, terms):
    assert ENGLISH.phrase_terms(text) == terms


@pytest.mark.parametrize(
    ("language", "text", "terms"),
    [
        ("none", "Running Häuser", ["running", "häuser"]),
        ("de", "Häuser laufend", ["haus", "laufend"]),
        ("fr", "continuellement", ["continuel"]),
        ("ru", "книги", ["книг"]),
        ("ar", "ـ ــ كتاب", ["ـ", "ــ", "كتاب"]),  # of a word of fillers alone, the stemmer leaves nothing
    ],
)
def test_each_language_has_its_stems(language, text, terms):
    assert Analysis(language).document_terms(text) == terms


def test_every_language_has_a_stemmer():
    for language in LANGUAGES:
        assert Analysis(language).document_terms("2026 人工") == ["2026", "人工", "工"]


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match=r"^unknown language 'xx'; known: none, ar, ca, "):
        Analysis("xx")


@pytest.mark.parametrize(
    "text", ["language=xx", "k1=-1", "k1=nan", "b=1.5", "b=nan", "stem=en", "en", "k1=x"]
)
def test_settings_that_are_not_possible_are_one_line(text):
    with pytest.raises(UsageError) as caught:
        LexicalSettings.parse(text)
    assert "\n" not in str(caught.value)


def test_settings_are_written_as_they_are_read():
    made = LexicalSettings.parse("language=none,k1=0.9,b=0")
    assert made == LexicalSettings("none", 0.9, 0.0)
    assert LexicalSettings.parse(str(made)) == made
    assert LexicalSettings(**made.to_json()) == made
    assert LexicalSettings.parse("") == LexicalSettings() == LexicalSettings("en", 1.2, 0.75)


def test_a_longer_word_is_cut():
    assert ENGLISH.document_terms("9" * 1000) == ["9" * LONGEST]
    assert len(ENGLISH.document_terms("人" * 1000)) == 1000


@settings(max_examples=120)
@given(SPACED, SPACED)
@example("", "\u0301")
@example("e", "\u0301")
@example("Σ", "σ")
def test_the_terms_of_two_texts_are_those_of_each(one, other):
    both = ENGLISH.document_terms(one) + ENGLISH.document_terms(other)
    for space in " \n\t\u2028\u3000":
        assert ENGLISH.document_terms(one + space + other) == both


@settings(max_examples=120)
@given(SPACED, st.sampled_from(["none", *LANGUAGES]))
def test_no_term_is_empty_or_longer_than_the_limit(text, language):
    for term in Analysis(language).document_terms(text):
        assert 0 < len(term) <= LONGEST
        term.encode()


@settings(max_examples=120)
@given(SPACED)
@example("e\u200d\u0301")
@example("\u0345\u0301")
def test_normalised_text_has_the_same_terms(text):
    assert ENGLISH.document_terms(normalised(text)) == ENGLISH.document_terms(text)


def test_normalisation_of_each_character_is_final():
    for code in (*range(0xD800), *range(0xE000, 0x32400), *range(0xE0000, 0xE0200)):
        once = normalised(chr(code))
        assert normalised(once) == once


@settings(max_examples=120)
@given(st.lists(SPACED, max_size=8), st.sampled_from(["en", "none", "ar"]))
@example(["a\0b", "\0", "", "\n", "\u0301", "人\0工", "👍"], "en")
def test_a_batch_has_the_terms_of_each_text(texts, language):
    own = Analysis(language)
    vocabulary = Vocabulary(own)
    for _ in range(2):  # all words are new, then known
        found, counts = vocabulary.encode(texts)
        names = {number: term for term, number in vocabulary._numbers.items()}
        terms = [own.document_terms(text) for text in texts]
        assert counts.tolist() == ([len(each) for each in terms] or [0])
        assert [names[number] for number in found.tolist()] == [term for each in terms for term in each]


@settings(max_examples=120)
@given(SPACED)
def test_words_are_places_of_the_text_in_order(text):
    end = 0
    for word in ENGLISH.words(text):
        assert end <= word.start < word.end <= len(text)
        assert word.terms == ENGLISH.document_terms(text[word.start : word.end])
        end = word.end


@settings(max_examples=120)
@given(SPACED)
def test_the_words_of_normalised_text_have_all_of_its_terms(text):
    text = normalised(text)
    assert [term for word in ENGLISH.words(text) for term in word.terms] == ENGLISH.document_terms(text)


@pytest.mark.parametrize(
    ("text", "query", "found"),
    [
        ("The Runner was running.", "run", ["running"]),
        ("Inter\u00adnet and CAFE\u0301", "internet café", ["Inter\u00adnet", "CAFE\u0301"]),
        ("我爱人工智能", "人工智能", ["人工", "工智", "智能"]),
        ("我爱人工", "人", ["人工"]),
        ("工人", "人", ["人"]),
        ("用Ｐｙｔｈｏｎ写", "python", ["Ｐｙｔｈｏｎ"]),
        ("nothing", "else", []),
        ("", "else", []),
    ],
)
def test_matches_are_places_of_the_text(text, query, found):
    places = ENGLISH.matches(text, set(ENGLISH.query_terms(query)))
    assert [text[start:end] for start, end in places] == found


@given(SPACED, SPACED)
def test_matches_lie_in_the_text(text, query):
    for start, end in ENGLISH.matches(text, set(ENGLISH.query_terms(query))):
        assert 0 <= start < end <= len(text)


@given(st.text(min_size=1))
def test_a_word_is_unspaced_as_a_whole_or_not_at_all(text):
    for word in analysis.split([text]):
        assert not is_unspaced(word) or all(map(is_unspaced, word))
