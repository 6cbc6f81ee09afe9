"""Searches over HTTP: the hits of the library, whatever the parameters, and one line for wrong ones."""

import base64
import threading
from urllib.parse import quote, urlencode

import numpy as np
import pytest

from embedkit import Fusion, Query, hits, literal_query, load, parse_query
from embedkit.indexing.hits import hit_values
from embedkit.indexing.where import rows_where
from embedkit.serving import searching
from tests.serving.conftest import ENCODER, TEXTS, make_index, running

QUERY = "a whole folder"


@pytest.fixture(params=["in the thread of the search", "apart"])
def encoded(request, monkeypatch):
    """Queries are encoded where they are searched, as short ones of light encoders are, or before."""
    if request.param == "apart":
        monkeypatch.setattr(searching, "_SHORT", -1)


def expected(index, query=QUERY, read=None, **settings):
    vectors = load(ENCODER).encode([query], "query")
    words = [] if read is None else [read(query, index.lexical.settings)]
    alone = settings.pop("alone", False)
    (found,) = hits(index, None if alone else vectors, Query(**settings), None, words)
    return [hit_values(hit) for hit in found]


def got(client, query=QUERY, **parameters):
    answer = client.get(f"/search?{urlencode({'q': query, **parameters})}")
    assert answer.status == 200, answer.body
    return answer.json["hits"]


@pytest.mark.usefixtures("encoded")
def test_the_hits_are_those_of_the_library(client, index):
    assert got(client) == expected(index, k=10)
    assert got(client, k=2, min_score=0.2) == expected(index, k=2, min_score=0.2)
    assert got(client, hybrid=0.3) == expected(index, k=10, fusion=Fusion(0.3), read=literal_query)
    assert got(client, hybrid="") == expected(index, k=10, fusion=Fusion(index.weight), read=literal_query)
    assert got(client, lexical="", explain="") == expected(
        index, alone=True, explain=True, read=literal_query
    )
    where = "lang = 'en' and year > 2001"
    assert got(client, where=where) == expected(index, passing=rows_where(index, where))
    query = "+folder -whole letters"
    assert got(client, query, lexical="1") == expected(index, query, alone=True, read=parse_query)
    literal = got(client, query, lexical="1", operators="0")
    assert (
        literal == expected(index, query, alone=True, read=literal_query) != got(client, query, lexical="1")
    )


@pytest.mark.usefixtures("encoded")
def test_many_queries_are_answered_in_order(client, index):
    answer = client.post("/search", {"queries": TEXTS, "k": 3}).json
    assert [each["query"] for each in answer["results"]] == TEXTS
    for text, each in zip(TEXTS, answer["results"], strict=True):
        found, wanted = each["hits"], expected(index, text, k=3)
        assert [hit["id"] for hit in found] == [hit["id"] for hit in wanted]
        np.testing.assert_allclose(
            [hit["score"] for hit in found], [hit["score"] for hit in wanted], atol=1e-6
        )


@pytest.mark.parametrize("query", [*TEXTS, "目录", "FOLDERS letters", "𝟙 letters"])
def test_matches_are_the_words_of_the_query_and_snippets_are_parts_of_the_text(client, query):
    whole = {hit["id"]: hit["text"] for hit in got(client, query)}
    for hit in got(client, query, highlight="1", snippet=12):
        start = hit["text_start"]
        assert whole[hit["id"]][start : start + len(hit["text"])] == hit["text"]
        assert len(hit["text"]) <= 12
        assert hit["text_length"] == len(whole[hit["id"]])
        for first, last in hit["matches"]:
            assert 0 <= first < last <= len(hit["text"])
    best = got(client, query, highlight="1", lexical="1")[0]
    assert best["matches"]


@pytest.mark.usefixtures("encoded")
def test_requests_that_come_together_are_searched_together_and_each_gets_its_own_hits(client, index):
    found = {}

    def ask(number):
        query = TEXTS[number % len(TEXTS)]
        settings = [{"k": 1}, {"k": 3}, {"hybrid": "0.5"}, {"where": "year > 2002"}][number % 4]
        found[number] = got(client, query, **settings)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 48
    for number, line in found.items():
        again = got(
            client,
            TEXTS[number % len(TEXTS)],
            **[{"k": 1}, {"k": 3}, {"hybrid": "0.5"}, {"where": "year > 2002"}][number % 4],
        )
        assert [hit["id"] for hit in line] == [hit["id"] for hit in again]


def test_documents_are_returned_by_their_ids(client, index):
    answer = client.get(f"/documents?id={quote('id/3', safe='')}&id=none&id=../../etc/passwd").json
    assert answer["documents"] == [{"id": "id/3", "text": TEXTS[3], "lang": "zh", "year": 2003}, None, None]


def test_embeddings_are_those_of_the_encoder(client):
    encoder = load(ENCODER)
    wanted = encoder.encode(TEXTS)
    answer = client.post("/v1/embeddings", {"input": TEXTS, "model": "docs"}).json
    found = np.array([each["embedding"] for each in answer["data"]], np.float32)
    np.testing.assert_array_equal(found, wanted)
    assert [each["index"] for each in answer["data"]] == list(range(len(TEXTS)))
    coded = client.post(
        "/v1/embeddings", {"input": TEXTS[0], "model": ENCODER, "encoding_format": "base64"}
    ).json
    raw = np.frombuffer(base64.b64decode(coded["data"][0]["embedding"]), "<f4")
    np.testing.assert_array_equal(raw, wanted[0])
    short = client.post("/v1/embeddings", {"input": TEXTS[0], "model": "docs", "dimensions": 48}).json
    cut = wanted[0][:48] / np.linalg.norm(wanted[0][:48])
    np.testing.assert_allclose(short["data"][0]["embedding"], cut, atol=1e-6)


def test_several_indexes_are_searched_by_their_names(tmp_path):
    first, second = make_index(tmp_path / "a.idx", 2), make_index(tmp_path / "b.idx", 6)
    with running([first.path, second.path]) as client:
        assert len(got(client)) == 2
        assert len(got(client, index="b")) == 6
        facts = client.get("/indexes").json["indexes"]
        assert [(each["name"], each["documents"]) for each in facts] == [("a", 2), ("b", 6)]
        assert facts[1]["fields"][0] == {"name": "lang", "type": "text", "values": ["en", "zh"]}
        (served_first, served_second) = client.service.indexes.values()
        assert served_first.current.encoding is served_second.current.encoding
        assert client.get("/search?q=x&index=c").error == "unknown index 'c'; known: a, b"
        assert client.get("/v1/models").json["data"][0]["id"] == "a"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/search", "the query is empty"),
        ("/search?q=%20", "the query is empty"),
        ("/search?q=x&k=0", "'k' must be a whole number from 1 to 1,000, got 0"),
        ("/search?q=x&k=1001", "'k' must be a whole number from 1 to 1,000, got 1001"),
        ("/search?q=x&k=ten", "'k' must be a whole number from 1 to 1,000, got 'ten'"),
        ("/search?q=x&k=1&k=2", "'k' is given twice"),
        ("/search?q=x&n=3", "unknown parameter 'n'; known: "),
        ("/search?q=x&hybrid=2", "'hybrid' must be 'auto' or a weight from 0 to 1, got '2'"),
        ("/search?q=x&hybrid&lexical", "'lexical' and 'hybrid' were both given; give one of them"),
        ("/search?q=x&hybrid=nan", "'hybrid' must be 'auto' or a weight from 0 to 1, got 'nan'"),
        ("/search?q=x&explain", "'explain' applies to a search by words; add 'hybrid' or 'lexical'"),
        ("/search?q=x&min_score=inf", "'min_score' must be a finite number, got 'inf'"),
        ("/search?q=x&index=../docs", "unknown index '../docs'; "),
        ("/search?q=x&where=nope=1", "`where`: unknown field 'nope'; fields: id, text, lang, year"),
        ("/search?q=x&where=len(lpad('x',9))=9", "`where`: calls the function 'lpad', which"),
        ("/search?q=-folder&lexical", "the query '-folder' only excludes words; add a word to search for"),
        ("/documents", "'id' must be given 1 to 100 times, got 0"),
        ("/documents?id=a&x=b", "unknown parameter 'x'; "),
    ],
)
def test_a_wrong_parameter_is_one_line(client, path, message):
    answer = client.get(path)
    assert answer.status == 400
    assert answer.error.startswith(message)
    assert set(answer.json["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not JSON: "),
        (b"[1]", "the body must be a JSON object"),
        (b"\xff", "the body is not JSON: "),
        (b"[" * 100_000, "the body is not JSON: "),
        ({}, "'queries' must be a list of texts, and not empty"),
        ({"queries": "x"}, "'queries' must be a list of texts, and not empty"),
        ({"queries": ["x", 1]}, "a query must be a text, got a number"),
        ({"queries": ["x"] * 101}, "'queries' has 101 queries, at most 100 are allowed"),
        (
            {"queries": ["x"] * 100, "k": 1000},
            "'k' for each query asks for 100,000 hits, at most 10,000 are allowed",
        ),
        ({"queries": ["x"], "k": True}, "'k' must be a whole number from 1 to 1,000, got True"),
        ({"queries": ["x"], "where": 1}, "'where' must be a text, got a number"),
        ({"queries": ["\ud800"]}, "the body is not JSON: "),
        ({"queries": ["x" * 100_001]}, "'q' has 100,001 characters, at most 100,000 are allowed"),
        ({"queries": ["x"], "where": "x" * 10_001}, "'where' has 10,001 characters, at most 10,000 are"),
    ],
)
def test_a_wrong_body_is_one_line(client, body, message):
    answer = client.post("/search", body)
    assert answer.status == 400
    assert answer.error.startswith(message)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"input": "x"}, 400, "'model' must be the name of a model"),
        ({"input": "x", "model": "gpt"}, 404, "unknown model 'gpt'; "),
        ({"input": [], "model": "docs"}, 400, "'input' must be a text or a list of texts, and not empty"),
        ({"input": [1, 2], "model": "docs"}, 400, "'input' must be text; tokens of another tokenizer"),
        ({"input": [[1, 2]], "model": "docs"}, 400, "'input' must be text; tokens of another tokenizer"),
        ({"input": ["x", None], "model": "docs"}, 400, "'input' must be a list of texts only"),
        ({"input": ["x"] * 2049, "model": "docs"}, 400, "'input' has 2,049 texts, at most 2,048 are allowed"),
        ({"input": "x", "model": "docs", "dimensions": 65}, 400, "'dimensions' must be at most 64, got 65"),
        (
            {"input": "x", "model": "docs", "encoding_format": "hex"},
            400,
            "'encoding_format' must be float or",
        ),
        ({"input": "x", "model": "docs", "input_type": ["a"]}, 400, "'input_type' must be document or query"),
        ({"input": "x", "model": "docs", "n": 1}, 400, "unknown parameter 'n'; "),
    ],
)
def test_wrong_embeddings_are_one_line(client, body, status, message):
    answer = client.post("/v1/embeddings", body)
    assert answer.status == status
    assert answer.error.startswith(message)


def test_metrics_count_requests_and_documents(client):
    client.get("/search?q=x")
    lines = client.get("/metrics").body.decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert values['embedkit_documents{index="docs"}'] == "6.0"
    assert float(values['embedkit_requests_total{path="/search",status="200"}']) >= 1
    assert float(values["embedkit_encoded_texts_sum"]) >= 1


def test_the_description_of_the_api_names_every_path(client):
    described = client.get("/openapi.json").json
    for path, methods in described["paths"].items():
        for method in methods:
            answer = client.ask(method.upper(), path, b"{}", {"content-type": "application/json"})
            assert answer.status in (200, 400), path
    page = client.get("/docs").body.decode()
    assert all(path in page for path in described["paths"])
    names = {each["name"] for each in described["paths"]["/search"]["get"]["parameters"]}
    from embedkit.serving.question import NAMES

    assert names == {"q", *NAMES}


def test_an_answer_that_would_be_too_large_is_refused(index):
    with running([index.path], answer=100) as client:
        refused = client.get("/search?q=folder")
        assert refused.status == 400
        assert refused.error.endswith(
            "of text, at most 100 are allowed; lower 'k', or cut the texts with 'snippet'"
        )
        assert len(client.get("/search?q=folder&snippet=9").json["hits"]) == 6
