"""What the page Look asks: styles, plates, painted frames, command lines, presets."""

from __future__ import annotations

import json
from dataclasses import asdict
from secrets import token_hex
from typing import Any, Final
from urllib.parse import quote, unquote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from impasto.core.errors import OutputExists, UsageError
from impasto.core.media.commit import make_folder
from impasto.core.preset import (
    new_preset_path,
    preset_names,
    preset_path,
    preset_text,
    read_preset,
)
from impasto.hosts.web.answers import json_body
from impasto.hosts.web.look import command_line, look_of, style_for_server
from impasto.hosts.web.painting import PaintedFrame
from impasto.hosts.web.pictures import PreviewPlate, encoded
from impasto.hosts.web.plates import folder_at, plate_path
from impasto.hosts.web.settings import WebSettings
from impasto.server.client import Client

LARGEST_SIDE: Final = 8192


def routes() -> list[Route]:
    """The routes below /api that this page uses."""
    return [
        Route("/api/styles", styles),
        Route("/api/preview/{style:path}", preview),
        Route("/api/folder", folder),
        Route("/api/plate", open_plate, methods=["POST"]),
        Route("/api/pictures", take_picture, methods=["POST"]),
        Route("/api/pictures/{id}", show_picture),
        Route("/api/frame", paint, methods=["POST"]),
        Route("/api/command", command, methods=["POST"]),
        Route("/api/presets", list_presets),
        Route("/api/presets", store_preset, methods=["POST"]),
        Route("/api/presets/{name}", show_preset),
    ]


async def styles(request: Request) -> Response:
    """The library, and the controls with their ranges."""

    def ask(client: Client) -> dict[str, Any]:
        welcome = client.welcome
        return {
            "styles": [asdict(each) for each in client.styles()],
            "parameters": [asdict(each) for each in welcome.parameters],
            "before": [asdict(each) for each in welcome.before],
            "after": [asdict(each) for each in welcome.after],
        }

    return JSONResponse(await request.app.state.client.ask(ask))


async def preview(request: Request) -> Response:
    """The picture of a style."""
    name = request.path_params["style"]
    return Response(await request.app.state.client.ask(lambda client: client.preview(name)), media_type="image/png")


async def folder(request: Request) -> Response:
    """What a folder of plates holds; without a path, the roots."""
    found = await to_thread.run_sync(folder_at, request.query_params.get("path", ""), _settings(request).plates)
    return JSONResponse(asdict(found))


async def open_plate(request: Request) -> Response:
    """Open a frame of a shot below a root."""
    asked = await json_body(request)
    number = asked.get("frame")
    if not isinstance(asked.get("path"), str) or not (number is None or type(number) is int):
        raise UsageError("expected the path of a plate and a frame number; reload the page")
    pictures = request.app.state.pictures
    path = await to_thread.run_sync(plate_path, asked["path"], _settings(request).plates)
    return JSONResponse(plate_facts(await to_thread.run_sync(pictures.read, path, number)))


async def take_picture(request: Request) -> Response:
    """Open a picture that was dropped in: the file as the body, its name in the header X-Name."""
    name = unquote(request.headers.get("x-name", ""))[:200].replace("/", "_").strip() or "picture"
    data = await request.body()
    return JSONResponse(plate_facts(await to_thread.run_sync(request.app.state.pictures.take, data, name)))


async def show_picture(request: Request) -> Response:
    """A plate as a picture: its longer side at most `side`; lossless where `png` is asked for."""
    side, kind = _side(request.query_params.get("side", "0")), request.query_params.get("as", "jpeg")
    if kind not in ("jpeg", "png"):
        raise UsageError(f"expected a picture as jpeg or png, got '{kind[:20]}'; reload the page")
    pictures = request.app.state.pictures
    id = request.path_params["id"]
    data = await to_thread.run_sync(lambda: encoded(pictures.scaled(id, side), kind))
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{frame_name(pictures.get(id))}"}
    return Response(data, media_type=f"image/{kind}", headers=headers if "download" in request.query_params else None)


async def paint(request: Request) -> Response:
    """Paint a plate, and answer the picture; its facts are in the header X-Painted.

    A newer request of the same `viewer` takes the place of one that still waits, which is then answered 409.
    """
    asked = await json_body(request)
    look = look_of(asked)
    side, kind = _side(asked.get("side", 0)), asked.get("as", "jpeg")
    viewer, id = asked.get("viewer", ""), asked.get("picture")
    if not isinstance(viewer, str) or not isinstance(id, str) or kind not in ("jpeg", "png"):
        raise UsageError("expected the id of a plate and of a viewer; choose a plate")
    settings, pictures = _settings(request), request.app.state.pictures
    style = await to_thread.run_sync(style_for_server, look.style, settings.runs, settings.presets)
    pixels = await to_thread.run_sync(pictures.scaled, id, side)
    frame: PaintedFrame = await request.app.state.frames.paint(pixels, look, style, viewer[:64] or token_hex(8))
    data = await to_thread.run_sync(encoded, frame.pixels, kind)
    done = frame.done
    facts = {
        "seconds": round(done.seconds.get("server", 0.0), 4),
        "notes": done.notes,
        "tile": done.tile,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
    }
    return Response(data, media_type=f"image/{kind}", headers={"x-painted": json.dumps(facts)})


async def command(request: Request) -> Response:
    """The command line that paints the shot of a plate with a look."""
    asked = await json_body(request)
    look, settings = look_of(asked), _settings(request)
    style = await to_thread.run_sync(style_for_server, look.style, settings.runs, settings.presets)
    id = asked.get("picture")
    plate = request.app.state.pictures.get(id) if isinstance(id, str) else None
    return JSONResponse({"text": command_line(look, plate, style), "preset": preset_text(look)})


async def list_presets(request: Request) -> Response:
    """The names of the user's presets."""
    settings = _settings(request)
    names = await to_thread.run_sync(preset_names, settings.presets)
    return JSONResponse({"names": names, "folder": str(settings.presets)})


async def show_preset(request: Request) -> Response:
    """A preset by its name."""
    folder, name = _settings(request).presets, request.path_params["name"]
    found = await to_thread.run_sync(lambda: read_preset(preset_path(name, folder)))
    return JSONResponse(asdict(found))


async def store_preset(request: Request) -> Response:
    """Store a look under a name. OutputExists where there is one of this name, unless `overwrite`."""
    asked = await json_body(request)
    look, settings = look_of(asked), _settings(request)
    await to_thread.run_sync(style_for_server, look.style, settings.runs, settings.presets)
    path = new_preset_path(str(asked.get("name", "")), settings.presets)

    def write() -> None:
        make_folder(str(path))
        if path.exists() and asked.get("overwrite") is not True:
            raise OutputExists(f"expected a new name, a preset '{asked['name']}' is there already; choose another")
        partial = path.with_name(f".{path.name}.part")
        partial.write_text(preset_text(look), encoding="utf-8")
        partial.replace(path)

    await to_thread.run_sync(write)
    return JSONResponse({"path": str(path)})


def plate_facts(plate: PreviewPlate) -> dict[str, Any]:
    """A plate for the page; without its path on this machine."""
    return {
        "id": plate.id,
        "name": plate.name,
        "kind": plate.kind,
        "frame": plate.number,
        "first": plate.first,
        "frames": plate.frames,
        "rate": plate.rate,
        "width": plate.width,
        "height": plate.height,
        "dropped": not plate.path,
        "notes": plate.notes,
    }


def frame_name(plate: PreviewPlate) -> str:
    """A name for a frame to be painted over: the number stands where the trainer looks for it."""
    stem = plate.name.partition(".")[0].rstrip("#").rstrip("._-") or "plate"
    return quote(f"{stem}.{plate.number:04d}.png")


def _settings(request: Request) -> WebSettings:
    settings: WebSettings = request.app.state.settings
    return settings


def _side(text: Any) -> int:
    try:
        side = int(text)
    except (TypeError, ValueError):
        side = -1
    if not 0 <= side <= LARGEST_SIDE:
        raise UsageError(f"expected a side from 0 to {LARGEST_SIDE} pixels; reload the page")
    return side
