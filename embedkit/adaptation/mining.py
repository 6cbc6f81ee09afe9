"""Mining of hard negatives: documents that a search ranks high for a query, and that do not answer it.

A document is a negative of a positive if its similarity to the query is at most a share of the positive's
(.95 by default: the positive-aware rule of Moreira et al. 2024, arXiv 2407.15831, section 4.2), and if it is
neither a known positive of the query nor nearly the same as one. The candidates are the documents at certain
ranks of a search by vectors, by words or by both; their similarities always come from the vectors. A search
by words or by both also gives its own scores, which can be taught.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np

from embedkit.adaptation.question_search import QuestionSearch
from embedkit.adaptation.questions import Question
from embedkit.embedding.encoder import Encoder, require_finite, unit_length
from embedkit.errors import UsageError
from embedkit.indexing.kind import Floats, Rows
from embedkit.indexing.lexical.fusion import Fusion
from embedkit.indexing.store import Index

WINDOW = 256  # questions that are searched together
_SPARE = 8  # candidates whose texts are read beyond the wanted number, since some may equal a positive's


@dataclass(frozen=True)
class MiningSettings:
    """How negatives are chosen; `words` names the search: by vectors, by words alone, or by both."""

    negatives: int = 5  # per positive, at most
    first: int = 1  # first and last rank of the candidates, positives not counted
    last: int = 100
    share: float = 0.95  # of the positive's similarity, which a negative reaches at most
    margin: float = 0.0  # by which a negative's similarity is below the positive's, at least
    duplicate: float = 0.98  # cosine to a positive from which a document is nearly the same
    pick: Literal["hardest", "random"] = "hardest"  # among the candidates that qualify
    words: Fusion | Literal["only"] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.negatives < 1:
            raise UsageError(f"must be at least 1, got {self.negatives}", where="`negatives`")
        if not 1 <= self.first <= self.last:
            what = f"must rise from at least 1, got {self.first} to {self.last}"
            raise UsageError(what, where="`ranks`", hint="for example 1-100")
        if not 0 < self.share <= 1:
            raise UsageError(f"must be above 0 and at most 1, got {self.share:g}", where="`share`")
        if not 0 <= self.margin < 2:
            raise UsageError(f"must be at least 0 and less than 2, got {self.margin:g}", where="`margin`")
        if not 0 < self.duplicate <= 1:
            raise UsageError(f"must be a cosine above 0, got {self.duplicate:g}", where="`duplicate`")

    def limit(self, similarity: float) -> float:
        """Return the highest similarity of a negative, given that of the positive."""
        return similarity - max((1 - self.share) * abs(similarity), self.margin)


class Mined(NamedTuple):
    """A query, one of its positives and the negatives for it, with their similarities to the query."""

    query_id: str
    query: str
    positive_id: str | None  # None for a positive that was given as text
    positive: str
    similarity: float
    negative_ids: list[str]
    negatives: list[str]
    similarities: list[float]
    score: float | None = None  # of the search by words or by both, for the positive
    scores: list[float] | None = None  # likewise for the negatives


class Candidates(NamedTuple):
    """The candidates of a question in the order of their ranks, without its positives."""

    rows: Rows
    vectors: Floats
    similarities: Floats
    scores: Mapping[int, float] | None  # of the search by row, positives included; None: similarities


class Positive(NamedTuple):
    """A positive of a question; `id` and `row` are those in the index, None for a text."""

    id: str | None
    row: int | None
    text: str
    vector: Floats


def mine(
    index: Index, encoder: Encoder, questions: Iterable[Question], settings: MiningSettings
) -> Iterator[tuple[Question, list[Mined]]]:
    """Yield every question with its mined examples, in order; a question without any has an empty list.

    A positive for which no candidate qualifies gives no example. Raises UsageError for an index without
    texts, and for one without a lexical part where words are searched.
    """
    if settings.words is not None:
        index.require_lexical()
    remaining = iter(questions)
    while window := list(islice(remaining, WINDOW)):
        texts = [question.text for question in window]
        vectors = encoder.encode(texts, "query")
        require_finite(vectors, texts)
        prepared = index.prepared(vectors)
        known = _known(index, window)
        search = QuestionSearch.of(index, settings.words, texts)
        found = search.rankings(vectors, settings.last + max(map(len, known)))
        positives = _positives(index, encoder, window)
        for place, question in enumerate(window):
            about = prepared[place], positives[place]
            rows = found[place].rows
            candidates = _candidates(index, rows[~np.isin(rows, known[place])], *about, settings)
            scored = [each.row for each in positives[place] if each.row is not None]
            scores = search.scores(place, vectors[place], found[place], scored)
            yield (
                question,
                list(_examples(index, question, *about, candidates._replace(scores=scores), settings)),
            )


def _known(index: Index, window: Sequence[Question]) -> list[list[int]]:
    """Return the rows of the documents that are never negatives of each question."""
    names = [(*question.documents, *question.known) for question in window]
    rows = index.find(name for several in names for name in several)
    return [[rows[name] for name in several if name in rows] for several in names]


def _positives(index: Index, encoder: Encoder, window: Sequence[Question]) -> list[list[Positive]]:
    """Return the positives of each question; documents that the index does not have are left out."""
    places = index.find(name for question in window for name in question.documents)
    rows = np.array(list(places.values()), dtype=np.int64)
    parts = zip(places.items(), index.take(rows, ["text"]), index.vectors(rows), strict=True)
    known = {
        name: Positive(name, row, _text(document, index), vector) for (name, row), document, vector in parts
    }
    texts = [text for question in window for text in question.texts]
    given = iter(index.prepared(encoder.encode(texts, "document")) if texts else ())
    return [
        [known[name] for name in dict.fromkeys(question.documents) if name in known]
        + [Positive(None, None, text, next(given)) for text in question.texts]
        for question in window
    ]


def _candidates(
    index: Index, rows: Rows, query: Floats, positives: Sequence[Positive], settings: MiningSettings
) -> Candidates:
    """Return the documents at the ranks of the settings that are no near-duplicates of a positive."""
    rows = rows[settings.first - 1 : settings.last]
    vectors = index.vectors(rows)
    if positives and len(rows):
        near = unit_length(vectors) @ unit_length(np.stack([each.vector for each in positives])).T
        far = near.max(axis=1) < settings.duplicate
        rows, vectors = rows[far], vectors[far]
    return Candidates(rows, vectors, vectors @ query, None)


def _examples(
    index: Index,
    question: Question,
    query: Floats,
    positives: Sequence[Positive],
    candidates: Candidates,
    settings: MiningSettings,
) -> Iterator[Mined]:
    """Yield an example per positive that has negatives."""
    same = {each.text.strip() for each in positives}
    for number, positive in enumerate(positives):
        similarity = float(positive.vector @ query)
        places = np.flatnonzero(candidates.similarities <= settings.limit(similarity))
        if settings.pick == "random":
            chance = np.random.default_rng([settings.seed, number, zlib.crc32(question.id.encode())])
            places = chance.permutation(places)
        places = places[: settings.negatives + _SPARE]
        documents = index.take(candidates.rows[places], ["id", "text"])
        kept = [
            (document["id"], text, place)
            for place, document in zip(places.tolist(), documents, strict=True)
            if (text := _text(document, index)).strip() not in same
        ][: settings.negatives]
        if kept:
            ids, texts, taken = map(list, zip(*kept, strict=True))
            about = question.id, question.text, positive.id, positive.text, similarity
            mined = Mined(*about, ids, texts, candidates.similarities[taken].tolist())
            if candidates.scores is not None and positive.row is not None:
                scores = [candidates.scores[row] for row in candidates.rows[taken].tolist()]
                mined = mined._replace(score=candidates.scores[positive.row], scores=scores)
            yield mined


def _text(document: dict[str, object], index: Index) -> str:
    text = document.get("text")
    if not isinstance(text, str):
        what = "its documents have no text, which examples need"
        raise UsageError(what, where=str(index.path), hint="build it of vectors with text")
    return text
