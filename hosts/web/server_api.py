"""What the page Server asks: how the server is, and its end."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from impasto.core.errors import UsageError
from impasto.hosts.web.answers import json_body
from impasto.server.protocol.messages import Status


def routes() -> list[Route]:
    """The routes below /api that this page uses; the health is in the head of every page."""
    return [
        Route("/api/health", health),
        Route("/api/status", status),
        Route("/api/cancel", cancel, methods=["POST"]),
        Route("/api/cancel-client", cancel_client, methods=["POST"]),
        Route("/api/shutdown", shut_down, methods=["POST"]),
    ]


async def health(request: Request) -> Response:
    """The server in a few words."""
    found = await request.app.state.client.status()
    return JSONResponse({"health": found.health, "running": found.running, "queued": found.queued, "fps": found.fps})


async def status(request: Request) -> Response:
    """Everything that the server says of itself."""
    under_way, waiting = request.app.state.frames.counts
    found = status_facts(await request.app.state.client.status())
    return JSONResponse({**found, "pages": {"running": under_way, "queued": waiting}})


async def cancel(request: Request) -> Response:
    """Take back the frames that a viewer of these pages asked for; all of them without one."""
    viewer = (await json_body(request)).get("viewer", "")
    if not isinstance(viewer, str):
        raise UsageError("expected the name of a viewer; reload the page")
    return JSONResponse({"cancelled": request.app.state.frames.cancel(viewer)})


async def cancel_client(request: Request) -> Response:
    """Cancel all that another program asked for, by its number in the status."""
    number = (await json_body(request)).get("number")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise UsageError("expected the number of a client; reload the page")
    count = await request.app.state.client.ask(lambda client: client.cancel_client(number))
    return JSONResponse({"cancelled": count})


async def shut_down(request: Request) -> Response:
    """End the server: after what runs, or at once, which cancels it. The next picture starts another."""
    at_once = (await json_body(request)).get("at_once")
    if not isinstance(at_once, bool):
        raise UsageError("expected at_once as true or false; reload the page")
    seconds = await request.app.state.client.ask(lambda client: client.shut_down(at_once=at_once))
    return JSONResponse({"seconds": seconds})


def status_facts(found: Status) -> dict[str, Any]:
    """A status as JSON; its ids are hexadecimal."""
    facts = asdict(found)
    facts["id"], facts["boot"] = found.id.hex(), found.boot.hex()
    return facts
