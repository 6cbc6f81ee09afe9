"""The errors of a request, each with its HTTP status and one line of JSON, as OpenAI's clients read them."""

from __future__ import annotations

import logging

from embedkit.errors import DataError, EmbedkitError, MissingPackageError, UsageError

_log = logging.getLogger("embedkit")

BAD, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ALLOWED = 400, 401, 403, 404, 405
TIMEOUT, TOO_LARGE, WRONG_TYPE, FAILED, NOT_INSTALLED, BUSY = 408, 413, 415, 500, 501, 503
_TYPES = {
    UNAUTHORIZED: "authentication_error",
    FORBIDDEN: "permission_error",
    TIMEOUT: "timeout_error",
    FAILED: "server_error",
    NOT_INSTALLED: "server_error",
    BUSY: "overloaded_error",
}


class RequestError(Exception):
    """A request that is not answered; `code` is a word by which programs tell some errors apart."""

    def __init__(self, status: int, what: str, *, code: str | None = None) -> None:
        super().__init__(what)
        self.status, self.what, self.code = status, what, code

    def to_json(self) -> dict[str, object]:
        """Return the body of the answer."""
        kind = _TYPES.get(self.status, "invalid_request_error")
        return {"error": {"message": self.what, "type": kind, "param": None, "code": self.code}}


def request_error(error: BaseException) -> RequestError:
    """Return the error of a request for an exception that was raised while it was answered."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, UsageError | DataError):
        return RequestError(BAD, str(error))
    if isinstance(error, MissingPackageError):
        return RequestError(NOT_INSTALLED, str(error))
    shown = error if isinstance(error, EmbedkitError) else repr(error)
    _log.error("a request failed: %s", shown, exc_info=error)
    what = str(error) if isinstance(error, EmbedkitError) else "the server failed; its log has the reason"
    return RequestError(FAILED, what)
