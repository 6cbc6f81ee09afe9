"""The description of the API in OpenAPI 3.1, with the limits of the server."""

from __future__ import annotations

from typing import Any

from embedkit.serving.page_files import PAGE_PATHS
from embedkit.serving.serve_settings import Limits
from embedkit.version import __version__

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_HIT: Schema = {
    "type": "object",
    "description": "A document with its rank and scores; its fields stand beside them.",
    "properties": {
        "rank": {"type": "integer", "description": "1 is best."},
        "id": _TEXT,
        "score": {"type": "number", "description": "Larger is better."},
        "dense": {"type": "number", "description": "The similarity, in a hybrid search."},
        "lexical": {"type": "number", "description": "The BM25 score, in a hybrid search."},
        "terms": {"type": "object", "description": "The matched terms with their parts of the BM25 score."},
        "text": _TEXT,
        "text_start": {"type": "integer", "description": "The character at which the snippet begins."},
        "text_length": {"type": "integer", "description": "The characters of the whole text."},
        "matches": {
            "type": "array",
            "description": "Start and end of each word of the query in `text`, in characters (code points).",
            "items": {"type": "array", "items": {"type": "integer"}},
        },
    },
    "required": ["rank", "id", "score"],
    "additionalProperties": True,
}
_ERROR: Schema = {
    "type": "object",
    "properties": {"error": {"type": "object", "properties": {"message": _TEXT, "type": _TEXT}}},
}


def _search_parameters(limits: Limits) -> dict[str, Schema]:
    return {
        "k": {
            "type": "integer",
            "minimum": 1,
            "maximum": limits.k,
            "default": 10,
            "description": "Hits per query.",
        },
        "index": {**_TEXT, "description": "The name of an index; without it, the first is searched."},
        "where": {**_TEXT, "description": "Search only documents for which this SQL expression holds."},
        "hybrid": {
            **_TEXT,
            "description": "Search by vectors and words: the share of the vectors from 0 to 1, or auto.",
        },
        "lexical": {"type": "boolean", "description": "Search by words alone (BM25)."},
        "min_score": {"type": "number", "description": "Return only hits with at least this score."},
        "operators": {"type": "boolean", "description": 'Whether "phrase", +word and -word are operators.'},
        "explain": {"type": "boolean", "description": "Name the terms that matched, in a search by words."},
        "highlight": {
            "type": "boolean",
            "description": "Return the places of the query's words in each text.",
        },
        "snippet": {
            "type": "integer",
            "minimum": 1,
            "description": "Cut each text to this many characters, around the query's words.",
        },
    }


def openapi(limits: Limits) -> Schema:
    """Return the description of the API as values of JSON."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "embedkit serve", "version": __version__},
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"token": []}],
        "paths": {**_search_paths(limits), **_other_paths(limits)},
    }


def _search_paths(limits: Limits) -> Schema:
    parameters = _search_parameters(limits)
    query = {**_TEXT, "maxLength": limits.characters}
    hits = {"query": _TEXT, "hits": {"type": "array", "items": _HIT}}
    found = {"index": _TEXT, "generation": {"type": "integer"}}
    results = {"type": "array", "items": _object(hits)}
    several = {"type": "array", "minItems": 1, "maxItems": limits.queries}
    queries = {**several, "items": query, "description": "The queries."}
    ids = {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": limits.ids}
    return {
        "/search": {
            "get": _operation(
                "Find the documents that answer a query.",
                _object({**found, **hits, "seconds": {"type": "number"}}),
                parameters=[
                    _parameter("q", {**query, "description": "The query."}, required=True),
                    *(_parameter(name, schema) for name, schema in parameters.items()),
                ],
            ),
            "post": _operation(
                "Find the documents that answer each of several queries.",
                _object({**found, "results": results}),
                body=_object({"queries": queries, **parameters}, ["queries"]),
            ),
        },
        "/documents": {
            "get": _operation(
                "Return documents by their ids; null for an unknown id.",
                _object(
                    {
                        "index": _TEXT,
                        "documents": {"type": "array", "items": {"type": ["object", "null"]}},
                    }
                ),
                parameters=[
                    _parameter("id", {**ids, "description": "An id; repeat it for more."}, required=True),
                    _parameter("index", parameters["index"]),
                ],
            )
        },
    }


def _other_paths(limits: Limits) -> Schema:
    return {
        "/indexes": {"get": _operation("Describe the indexes and their fields.", {"type": "object"})},
        "/v1/embeddings": {
            "post": _operation(
                "Return vectors of texts, as OpenAI's clients ask for them.",
                {"type": "object"},
                body=_embeddings(limits),
            )
        },
        "/v1/models": {"get": _operation("List the models for embeddings.", {"type": "object"})},
        "/health": {
            "get": _operation("Tell whether the server is alive; needs no token.", {"type": "object"})
        },
        "/metrics": {
            "get": _operation("Return counters in the text format of Prometheus.", _TEXT, "text/plain")
        },
    }


def _embeddings(limits: Limits) -> Schema:
    texts = {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": limits.texts}
    return _object(
        {
            "input": {"oneOf": [_TEXT, texts], "description": "A text, or several."},
            "model": {**_TEXT, "description": "The name of an index, or of its encoder."},
            "encoding_format": {"enum": ["float", "base64"], "default": "float"},
            "dimensions": {"type": "integer", "minimum": 1, "description": "Keep only the first dimensions."},
            "input_type": {
                "enum": ["document", "query"],
                "default": "document",
                "description": "Chooses the prompt.",
            },
            "user": {**_TEXT, "description": "Is ignored."},
        },
        ["input", "model"],
    )


def _object(properties: Schema, required: list[str] | None = None) -> Schema:
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _parameter(name: str, schema: Schema, *, required: bool = False) -> Schema:
    described = {key: value for key, value in schema.items() if key != "description"}
    about = {"description": schema["description"]} if "description" in schema else {}
    return {"name": name, "in": "query", "required": required, "schema": described, **about}


def _operation(
    summary: str,
    answer: Schema,
    media_type: str = "application/json",
    *,
    parameters: list[Schema] | None = None,
    body: Schema | None = None,
) -> Schema:
    operation: Schema = {
        "summary": summary,
        "responses": {
            "200": {"description": "The answer.", "content": {media_type: {"schema": answer}}},
            "default": {
                "description": "An error, in one line.",
                "content": {"application/json": {"schema": _ERROR}},
            },
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


PATHS = (*PAGE_PATHS, "/openapi.json", *openapi(Limits())["paths"])
