"""Reading of requests: the parameters of a query string, and a body in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from embedkit.errors import UsageError
from embedkit.serving.http_errors import BAD, WRONG_TYPE, RequestError

if TYPE_CHECKING:
    from starlette.requests import Request


def query_parameters(request: Request) -> dict[str, str]:
    """Return the parameters of a query string, none of which may be given twice."""
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in values:
            raise UsageError(f"'{name}' is given twice")
        values[name] = value
    return values


async def json_body(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body of a request."""
    from starlette.requests import ClientDisconnect

    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(WRONG_TYPE, f"the body must be application/json, got {kind[:100] or 'no type'}")
    try:
        value = orjson.loads(await request.body())
    except ClientDisconnect:
        raise RequestError(BAD, "the client ended before its request did") from None
    except orjson.JSONDecodeError as error:
        raise RequestError(BAD, f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError("the body must be a JSON object")
    return value
