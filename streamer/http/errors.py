"""What is said to a client that cannot be served, as OpenAI's interface says it."""

from __future__ import annotations

from enum import StrEnum

RETRY_S = 5
"""Seconds after which a client is asked to try again."""


class Kind(StrEnum):
    """`error.type`."""

    REQUEST = "invalid_request_error"
    LIMIT = "rate_limit_error"
    SERVER = "server_error"


class ApiError(Exception):
    """The end of a request: an HTTP status, and the object that explains it."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        kind: Kind = Kind.REQUEST,
    ) -> None:
        """`code` is for programs and from a closed set, `message` for people, `param` the field that is to blame."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.kind = kind

    @property
    def body(self) -> dict[str, object]:
        """The error object."""
        return {"error": {"message": self.message, "type": str(self.kind), "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """What goes with the status."""
        if self.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        if self.status in {429, 503}:
            return {"Retry-After": str(RETRY_S)}
        return {}


def invalid(param: str, message: str, code: str = "invalid_value") -> ApiError:
    """Return the error of a field that is not as it must be."""
    return ApiError(400, code, message, param=param)


def unavailable(code: str, message: str) -> ApiError:
    """Return the error of a server that cannot serve anybody now."""
    return ApiError(503, code, message, kind=Kind.SERVER)


def internal() -> ApiError:
    """Return the error of a failure of ours; its cause is for the log, not for the client."""
    return ApiError(500, "internal", "the server failed; this is its own fault", kind=Kind.SERVER)
