"""Errors as answers: one sentence, a word for programs, and the incident by which the server's log is searched."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from impasto.core.errors import (
    DeviceError,
    ImpastoError,
    MediaError,
    NotPermitted,
    OutputExists,
    RequestCancelled,
    ServerBusy,
    ServerError,
    StyleError,
    UnknownName,
    UsageError,
)

STATUSES: Final[Mapping[type[BaseException], int]] = {
    OutputExists: 409,
    UnknownName: 404,
    UsageError: 400,
    MediaError: 422,
    StyleError: 422,
    DeviceError: 500,
    NotPermitted: 403,
    RequestCancelled: 409,
    ServerBusy: 503,
    ServerError: 502,
    ImpastoError: 500,
}
"""Error -> status of the answer; of a class that is not here, that of the nearest class above."""


def impasto_error(request: Request, error: Exception) -> Response:
    """An error of ours as JSON: code and message."""
    assert isinstance(error, ImpastoError)
    status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    return JSONResponse({"code": error.code, "message": " ".join(str(error).split())}, status)


def http_error(request: Request, error: Exception) -> Response:
    """A path that does not exist, or a method that it does not take."""
    assert isinstance(error, HTTPException)
    what = "no such page" if error.status_code == 404 else str(error.detail)
    return JSONResponse({"code": "http", "message": f"{what}: {request.url.path}; go to /"}, error.status_code)


def fault(request: Request, error: Exception) -> Response:
    """A fault of impasto itself; the traceback goes to the log of this process."""
    logging.getLogger("impasto.web").error("a fault answering %s", request.url.path, exc_info=error)
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    message = f"impasto itself is at fault ({said}); the terminal of `impasto web` says where; please report it"
    return JSONResponse({"code": "internal", "message": message}, 500)


async def json_body(request: Request) -> dict[str, Any]:
    """The body of a request as a JSON object. Raises UsageError for anything else."""
    try:
        found = json.loads(await request.body())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError("expected a JSON object as the body of the request; reload the page")
    return found
