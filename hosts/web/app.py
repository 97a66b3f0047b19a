"""The pages and their API as one ASGI application behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from html import escape
from pathlib import Path
from typing import Final

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from impasto.core.errors import ImpastoError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.hosts.web import look_api, runs_api, server_api
from impasto.hosts.web.answers import fault, http_error, impasto_error
from impasto.hosts.web.guard import Guard
from impasto.hosts.web.painting import FrameQueue
from impasto.hosts.web.pictures import PictureStore
from impasto.hosts.web.settings import WebSettings
from impasto.hosts.web.shared_client import SharedClient
from impasto.hosts.web.training_jobs import TrainingJobs

STATIC: Final = Path(__file__).parent / "static"


@frozen_dataclass
class Page:
    """One page: NAME.html is what stands inside the frame, NAME.js its module."""

    name: str
    title: str


PAGES: Final = (Page("look", "Look"), Page("live", "Live"), Page("runs", "Runs"), Page("server", "Server"))
"""In the order of the navigation."""


def make_app(settings: WebSettings, extra_routes: Sequence[BaseRoute] = ()) -> Starlette:
    """The application.

    Its state has `settings`; `client`, the session that all tabs share; `frames`, their queue; `pictures`, the plates
    that are open; `training`, what was started here; and `tickets` of the guard.

    `extra_routes` come before the own ones; they pass the same guard.
    """

    tickets: set[str] = set()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await to_thread.run_sync(app.state.training.close)
        await app.state.client.close()

    app = Starlette(
        routes=[
            *extra_routes,
            Route("/", first_page),
            *(Route(f"/{page.name}", page_of(page), name=page.name) for page in PAGES),
            *look_api.routes(),
            *runs_api.routes(),
            *server_api.routes(),
            Mount("/static", StaticFiles(directory=STATIC), name="static"),
        ],
        middleware=[Middleware(Guard, settings=settings, tickets=tickets)],
        exception_handlers={ImpastoError: impasto_error, HTTPException: http_error, Exception: fault},
        lifespan=lifespan,
    )
    app.state.settings, app.state.tickets = settings, tickets
    app.state.client = SharedClient(settings.connect, settings.is_running)
    app.state.frames = FrameQueue(app.state.client)
    app.state.pictures, app.state.training = PictureStore(), TrainingJobs()
    return app


async def first_page(request: Request) -> Response:
    """Lead to the first page."""
    return RedirectResponse(f"/{PAGES[0].name}", 303)


def page_of(page: Page) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a page. With `?bare=1` the page stands alone, without navigation and margins."""

    async def show(request: Request) -> Response:
        return HTMLResponse(framed(page, bare=bool(request.query_params.get("bare"))))

    return show


def framed(page: Page, *, bare: bool = False) -> str:
    """A page inside the frame that all pages share."""
    links = "".join(
        f'<a href="/{each.name}"{" aria-current=page" if each is page else ""}>{escape(each.title)}</a>'
        for each in PAGES
    )
    frame = (STATIC / "frame.html").read_text(encoding="utf-8")
    parts = {
        "[class]": "bare" if bare else "",
        "[title]": escape(page.title),
        "[navigation]": links,
        "[name]": page.name,
        "[content]": (STATIC / f"{page.name}.html").read_text(encoding="utf-8"),
    }
    for name, text in parts.items():
        frame = frame.replace(name, text)
    return frame
