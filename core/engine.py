"""The engine: one style on one device, frames in, painted frames out.

from impasto.core.engine import Engine
from impasto.core.media import open_reader
engine = Engine("wheatfield")
for frame in open_reader("plate.%04d.exr"):
    painted = engine(frame)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core import colour
from impasto.core.card import UNCHANGED
from impasto.core.colour.plate import DETAIL_RADIUS
from impasto.core.device.choice import PRECISIONS, Precision, choose_device, choose_precision
from impasto.core.device.cuda_graphs import CudaGraphs
from impasto.core.device.determinism import be_deterministic
from impasto.core.device.frame_job import DeviceContext, FrameJob, paint
from impasto.core.device.shortage import is_shortage, raises_out_of_memory
from impasto.core.device.streams import on, streams_of
from impasto.core.device.working_picture import device_transform_of
from impasto.core.errors import DeviceError, OutOfMemory, UsageError
from impasto.core.frame import Frame, Pixels, Samples
from impasto.core.frame_settings import KEYS_MAP, FrameSettings
from impasto.core.generators.packed import PackedNetwork, maps_of, pack, painted_by
from impasto.core.grade import GRADE_REACH, grade_after, grade_before
from impasto.core.grade_settings import After, Before
from impasto.core.guide_planes import planes_of, resized_planes
from impasto.core.immersive import FLAT, PictureLayout, layout_of, views_of
from impasto.core.keyframe_paint.blending import KeyBlend, KeyedFrame, Lay, refusal_of
from impasto.core.keyframe_paint.carried_keys import CarriedKeys
from impasto.core.painted_picture import PaintedPicture
from impasto.core.panorama import painted_sphere
from impasto.core.params import Params
from impasto.core.recent_paintings import RecentPaintings
from impasto.core.resize import resize_frame
from impasto.core.smoothing import PaintedPlate, smoothed
from impasto.core.stereo import require_two_eyes, shared_between_halves, shared_between_views
from impasto.core.style_file import Style, find_style, load_style
from impasto.core.tiling import AUTO_TILE, SMALLER_TILES, Painter, automatic_tile, run_tiled
from impasto.core.working_picture import (
    WorkingPicture,
    by_strips,
    check_matte,
    to_plate,
    to_working,
    without_tables,
)

_NO_PICTURE = np.empty((0, 0, 3), np.float32)


@dataclass(frozen=True, slots=True)
class Report:
    """What rendering one frame took, and what was noticed on the way."""

    invalid_pixels: int
    """Pixels with a NaN or infinite channel; they came back as they were."""
    seconds: Mapping[str, float]
    """Stage ('before', 'network', 'after') -> seconds."""
    tile: int | None
    """Side of the tiles that were used, None for the whole frame at once."""
    notes: tuple[str, ...] = ()
    cached: bool = False
    """Whether the frame was painted before now, and kept."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A painted frame and its report."""

    frame: Frame
    report: Report


@dataclass(frozen=True)
class _Painted:
    """A frame painted by itself, before it goes back into its own space."""

    working: WorkingPicture
    picture: Samples
    painted: Samples
    invented: Samples | None
    precision: str
    tile: int | None
    refusal: str
    seconds: dict[str, float]

    @cached_property
    def plate(self) -> PaintedPlate:
        """What the frames around it look at."""
        return PaintedPlate.of(self.picture, self.painted)


class Engine:
    """One style on one device. Two threads may render at once: one's colour work runs beside the other's network.

    The same frame gives the same pixels whatever was rendered before it. `Params.keys` blends in the painted keys of a
    style that has them: see `impasto.core.keyframe_paint`.

    `style` is a name or a file, each with or without a choice of the styles in it (see
    `impasto.core.style_reference`), or a loaded Style. `device` is 'auto', 'cpu', 'cuda:N' or 'mps'. `precision` is
    as `choose_precision` takes it. `tile` is 'auto', 'off' or a side in pixels. Raises UnknownName, StyleError or
    DeviceError, and what `parse_choice` raises.

    On CUDA most frames never pass through numpy: see `impasto.core.device`. An engine on CUDA makes torch deterministic
    for the whole process (`be_deterministic`).
    """

    def __init__(
        self,
        style: str | Path | Style,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        tile: Literal["auto", "off"] | int = "auto",
    ) -> None:
        self.style = style if isinstance(style, Style) else load_style(find_style(style))
        self.device = choose_device(device)
        self._asked_precision = precision
        self.precision = self.precision_for(eight_bit=False)
        self.tile = check_tile(tile, self.style)
        self._on_cuda = self.device.startswith("cuda")
        self._passes_on_device = self._on_cuda
        """Metal shares its memory with the processor and is unmeasured: there colour is computed in numpy."""
        if self._on_cuda:
            be_deterministic()
        config = self.style.generator.config
        self._stride, self._halo = config.stride, config.halo
        self._cell = config.shuffle
        self._net = self._new_net(self.precision)
        self._quick_net: nn.Module | None = None
        """The network of 8-bit results, where it counts in another precision; made for the first of them."""
        self._graphs = CudaGraphs(self._net) if self._on_cuda else None
        self._context = DeviceContext(self.device, self._stride, streams_of(self.device))
        self._recent: RecentPaintings[_Painted] = RecentPaintings()
        keys = self.style.keys
        self._keys = None if keys is None else CarriedKeys(keys) if keys.facts.carried else KeyBlend(keys)
        if self._on_cuda:
            # The weights came on torch's default stream, which the engine's streams do not wait for.
            torch.cuda.synchronize(self.device)

    def precision_for(self, *, eight_bit: bool) -> str:
        """What the network counts in for results of 8 bits, or for deeper ones; see `choose_precision`."""
        return choose_precision(self._asked_precision, self.device, eight_bit=eight_bit)

    def __call__(self, frame: Frame, settings: FrameSettings | None = None, *, matte: Samples | None = None) -> Frame:
        """The painted frame; see `render`."""
        return self.render(frame, settings, matte=matte).frame

    @raises_out_of_memory
    def render(
        self,
        frame: Frame,
        settings: FrameSettings | None = None,
        *,
        matte: Samples | None = None,
        cancelled: Callable[[], None] = lambda: None,
        into: Pixels | None = None,
    ) -> Rendered:
        """Paint the colour layer of a frame; everything else of it comes back bit for bit.

        Guide layers that a style needs are in the frame or in `Frame.guides`: see `impasto.core.guide_planes`.
        `Frame.motion` replaces optical flow towards the painted keys.

        `matte` is strength per pixel, (H, W) float32 in [0, 1], of the frame's size after the resize before the
        network. `cancelled` is called before each tile and may raise.

        With `into`, every sample of the colour layer's part is written to that array, and the returned frame holds
        it. `into` has the result's shape and type, else UsageError; it may have gaps between its rows, or the last
        row first, and shares no memory with `frame`. It is written last, after one more call of `cancelled`: an
        error leaves it unchanged.
        """
        settings = settings or FrameSettings()
        layout, asked = layout_of(frame, settings.projection, settings.stereo)
        needed = missing_for_views(frame, settings, matte, into) if layout.stereo == "views" else ""
        if needed:
            if settings.stereo == "views":
                raise UsageError(f"expected {needed} for --stereo views; give it, or --stereo off")
            asked = (*asked, f"the first of the two views alone is painted: both take {needed}")
            layout = replace(layout, stereo="off")
        if layout.stereo == "views":
            rendered = self._render_views(frame, settings, layout, matte, cancelled)
        else:
            rendered = self._render_frame(frame, settings, layout, matte, cancelled, into)[0]
        return replace(rendered, report=replace(rendered.report, notes=(*asked, *rendered.report.notes)))

    def _render_views(
        self,
        frame: Frame,
        settings: FrameSettings,
        layout: PictureLayout,
        matte: Samples | None,
        cancelled: Callable[[], None],
    ) -> Rendered:
        """Both views of a multi-view frame, each a colour layer; the second shares the paint of the first."""
        first, second = views_of(frame) or (frame.layer, frame.layer)
        one, eye = self._render_frame(frame, settings, layout, matte, cancelled, None)
        other = replace(one.frame, layer=second, guides=frame.guides, motion=())
        share = partial(shared_between_views, frame, other, eye)
        two, _ = self._render_frame(other, settings, layout, matte, cancelled, None, share)
        done = replace(two.frame, layer=first, provenance=one.frame.provenance)
        seconds = {stage: spent + two.report.seconds[stage] for stage, spent in one.report.seconds.items()}
        invalid = one.report.invalid_pixels + two.report.invalid_pixels
        return Rendered(done, replace(one.report, seconds=seconds, invalid_pixels=invalid))

    def _render_frame(
        self,
        frame: Frame,
        settings: FrameSettings,
        layout: PictureLayout,
        matte: Samples | None,
        cancelled: Callable[[], None],
        into: Pixels | None,
        share: Callable[[PaintedPicture], Samples] | None = None,
    ) -> tuple[Rendered, PaintedPicture]:
        """One colour layer painted, and what the network saw and made of it.

        `share` replaces the paint by one that another view shares.
        """
        params = settings.params or self.style.card.defaults
        before, after, output = settings.before, settings.after, settings.output
        input_space = settings.input_space
        note, tables = "", ""
        given, frame = frame, self._shown(frame, settings)
        if given is not frame and output is None:
            tables = f"the profile of '{frame.source}' puts colours through tables: they are written in Display P3"
        keys = self._keys if params.keys > 0 else None
        # Painted keys are blended in numpy, so a frame that uses them does not stay on the device.
        plain = layout == FLAT and output is None and before == Before() and after == After()
        plain = plain and not (settings.smoothing and frame.around)
        if self._passes_on_device and keys is None and plain:
            try:
                rendered = self._render_on_device(frame, params, matte, input_space, cancelled, into)
            except (torch.OutOfMemoryError, OutOfMemory):
                # Leave the handler before trying again: the traceback holds the tensors alive.
                note = f"memory ran short on {self.device}: colour was worked out on the processor instead"
            else:
                if rendered is not None:
                    return rendered, PaintedPicture(_NO_PICTURE, _NO_PICTURE)
            if note:
                with self._context.streams.order:
                    self._make_room()
        clock = time.perf_counter
        if settings.smoothing and frame.around:
            begun = clock()
            own, painted = self._smoothed(given, settings, layout, cancelled)
            seconds = {"before": 0.0, "network": clock() - begun}
        else:
            own = self._paint_frame(frame, settings, layout, cancelled)
            painted, seconds = own.painted, own.seconds
        after_begun = clock()
        picture, working = own.picture, own.working
        if layout.stereo in ("sbs", "ou"):
            if settings.stereo != "auto":
                require_two_eyes(layout, picture)
            painted = shared_between_halves(layout, picture, painted)
        eye = PaintedPicture(picture, painted)
        if share is not None:
            painted = share(eye)
        if params.colour:
            painted = by_strips(partial(colour.keep_colour, amount=params.colour), painted, picture)
        if layout == FLAT or not params.detail:
            painted = colour.put_back_detail(painted, picture, params.detail)
        else:
            detail = partial(_with_detail, amount=params.detail)
            painted = layout.near(detail, np.concatenate((painted, picture), axis=2), DETAIL_RADIUS)
        painted = layout.near(partial(grade_after, settings=after), painted, GRADE_REACH)
        result = to_plate(working, painted, strength=params.strength, matte=matte, output=output)
        if settings.keys_map and into is None:
            result = with_map(result, own.invented)
        if after.resize is not None:
            space = output.space if output else input_space
            result = resize_frame(result, after.resize, space, cancelled=cancelled)
        if into is not None:
            check_into(into, result.part.pixels)
            cancelled()
            np.copyto(into, result.part.pixels)
            result = with_pixels(result, into)
        provenance = self.provenance(params, before, after, working.space, own.precision)
        result = replace(result, provenance=provenance, guides=(), motion=(), around=())
        if layout.is_sphere and not result.projection:
            result = replace(result, projection="equirectangular")
        if layout.stereo != "off" and not result.stereo:
            result = replace(result, stereo=layout.stereo)
        seconds = {**seconds, "after": clock() - after_begun}
        notes = (*self._notes(own.tile), *filter(None, (note, own.refusal, tables)))
        return Rendered(result, Report(working.invalid_pixels, seconds, own.tile, notes)), eye

    def _paint_frame(
        self, frame: Frame, settings: FrameSettings, layout: PictureLayout, cancelled: Callable[[], None]
    ) -> _Painted:
        """A frame as far as it is painted by itself: graded, through the network, with the style's keys."""
        params = settings.params or self.style.card.defaults
        keys = self._keys if params.keys > 0 else None
        clock = time.perf_counter
        started = clock()
        plate, guides = frame, planes_of(frame, self.style.card.guides)
        before = settings.before
        if before.resize is not None:
            frame = resize_frame(frame, before.resize, settings.input_space, cancelled=cancelled)
        exposures = {"exposure": params.exposure, "lasting_exposure": before.exposure}
        working = to_working(frame, input_space=settings.input_space, **exposures)
        picture = layout.near(partial(grade_before, settings=before), working.picture, GRADE_REACH)
        if guides is not None and before.resize is not None:
            guides = resized_planes(guides, plate, frame)
        ready = clock()
        with self._context.streams.order:
            network_begun = clock()
            precision = self.precision_for(eight_bit=settings.is_eight_bit(frame))
            paint = partial(self._paint_layout, layout, stroke=params.stroke, cancelled=cancelled)
            painted, tile = paint(picture, guides, precision=precision)
            refusal = "" if keys is None else refusal_of(keys.facts, picture.shape[:2], params.stroke)
            lay: Lay | None = None
            if keys is not None and not refusal:
                # Always in one precision: what is kept of a key must not depend on the frame that asked first.
                alone = partial(paint, precision=self.precision)
                spent = KeyedFrame(frame.motion, params.stroke, settings.keys_quality)
                lay = keys.ready(picture, spent, lambda *key: alone(*key)[0])
            network_done = clock()
        invented: Samples | None = None
        if lay is not None:
            keyed = lay(painted, params.keys)
            painted, invented = keyed.painted, keyed.invented
        seconds = {"before": ready - started, "network": network_done - network_begun}
        return _Painted(working, picture, painted, invented, precision, tile, refusal, seconds)

    def _smoothed(
        self, frame: Frame, settings: FrameSettings, layout: PictureLayout, cancelled: Callable[[], None]
    ) -> tuple[_Painted, Samples]:
        """A frame painted by itself, and its paint with what the frames around it agree on.

        They are painted with the settings of this one.
        """
        frames = sorted((*frame.around, frame), key=lambda each: each.number)
        window = [
            self._recent.painted(
                each,
                settings,
                lambda each=each: self._paint_frame(self._shown(each, settings), settings, layout, cancelled),  # type: ignore[misc]
            )
            for each in frames
        ]
        at = sum(each.number < frame.number for each in frame.around)
        plates = [each.plate for each in window]
        return window[at], smoothed(plates, self._recent.steps(frames, settings, plates), at, settings.smoothing)

    def _shown(self, frame: Frame, settings: FrameSettings) -> Frame:
        """The frame in a space that leads back, where its own does not; see `without_tables`."""
        if settings.input_space is not None or self.style.card.name == UNCHANGED:
            return frame
        return without_tables(frame, as_stored=settings.output is None)

    def _render_on_device(
        self,
        frame: Frame,
        params: Params,
        matte: Samples | None,
        input_space: str | None,
        cancelled: Callable[[], None],
        into: Pixels | None,
    ) -> Rendered | None:
        """The same without numpy, or None for a frame that needs numpy (see `device_transform_of`)."""
        transform = device_transform_of(frame, params, input_space)
        if transform is None:
            return None
        if matte is not None:
            check_matte(matte, frame.height, frame.width)
        if into is not None:
            check_into(into, frame.part.pixels)
        guides = planes_of(frame, self.style.card.guides)
        job = FrameJob(frame.part.pixels, transform, params, guides, matte, into)
        maps = partial(maps_of, self._net_for(self.precision), self._cell, PRECISIONS[self.precision])
        try:
            result = paint(self._context, job, lambda picture: self._tiled(maps, picture, cancelled), cancelled)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise DeviceError(f"the device {self.device} failed: {error}; try --device cpu") from error
        provenance = self.provenance(params, Before(), After(), transform.space, self.precision)
        painting = replace(with_pixels(frame, result.pixels), provenance=provenance, guides=(), motion=())
        notes = self._notes(result.tile)
        return Rendered(painting, Report(result.invalid_pixels, result.seconds, result.tile, notes))

    def provenance(
        self, params: Params, before: Before, after: After, space: colour.PlateSpace, precision: str
    ) -> dict[str, str]:
        """The facts for the result's header: style, hash, parameters, spaces, precision, version."""
        record = {
            "style": self.style.card.name,
            "style_sha256": self.style.card.weights_sha256,
            "params": json.dumps(params.as_dict(), sort_keys=True),
            "input_space": space.name,
            "precision": precision,
            "version": _version(),
        }
        if before != Before():
            record["before"] = str(before)
        if after != After():
            record["after"] = str(after)
        return record

    def _notes(self, tile: int | None) -> tuple[str, ...]:
        """Notes for the artist: that memory ran short, which costs time and does not change the result."""
        asked = AUTO_TILE if self.tile == "auto" else self.tile
        short = tile is not None and tile != asked
        return (
            f"memory ran short on {self.device}: painted in tiles of {tile} pixels, the result is the same",
        ) * short

    def _new_net(self, precision: str) -> nn.Module:
        net = pack(self.style.generator.fold()).to(self.device, PRECISIONS[precision])
        return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # missing in torch's stubs

    def _net_for(self, precision: str) -> PackedNetwork:
        if precision == self.precision:
            return self._graphs or self._net
        if self._quick_net is None:
            self._quick_net = self._new_net(precision)
        return self._quick_net

    def _paint_layout(
        self,
        layout: PictureLayout,
        picture: Samples,
        guides: Samples | None,
        stroke: float,
        cancelled: Callable[[], None],
        precision: str,
    ) -> tuple[Samples, int | None]:
        """As `_paint`, each eye by itself and a sphere through views."""
        if layout == FLAT:
            return self._paint(picture, guides, stroke, cancelled, precision)
        tiles: list[int | None] = []

        def paint(seen: Samples, beside: Samples | None) -> Samples:
            painted, tile = self._paint(seen, beside, stroke, cancelled, precision)
            tiles.append(tile)
            return painted

        eyes = layout.eyes(picture)
        planes = (None,) * len(eyes) if guides is None else layout.eyes(guides)
        whole = partial(painted_sphere, paint=paint, stride=self._stride) if layout.is_sphere else paint
        painted = tuple(whole(np.ascontiguousarray(eye), beside) for eye, beside in zip(eyes, planes, strict=True))
        return layout.joined(painted), min((tile for tile in tiles if tile is not None), default=None)

    def _paint(
        self,
        picture: Samples,
        guides: Samples | None,
        stroke: float,
        cancelled: Callable[[], None],
        precision: str,
    ) -> tuple[Samples, int | None]:
        """A working picture (H, W, 3) painted by the network, and the side of the tiles that were used.

        With a stroke other than 1 the network sees the picture scaled by 1/stroke, and its gain and bias are scaled
        back to the picture: broad strokes, sharp plate.
        """
        height, width = picture.shape[:2]
        size = max(1, round(width / stroke)), max(1, round(height / stroke))
        inputs = picture if guides is None else np.concatenate((picture, guides), axis=2)
        if size != (width, height):
            scaled = cv2.resize(inputs, size, interpolation=cv2.INTER_AREA if stroke > 1 else cv2.INTER_CUBIC)
            inputs = np.asarray(scaled, np.float32)
        below, right = -size[1] % self._stride, -size[0] % self._stride
        net, dtype = self._net_for(precision), PRECISIONS[precision]
        if dtype is torch.bfloat16 and size[0] <= self._stride:
            right += self._stride  # on AMX oneDNN's answer to so narrow a picture is not the same twice
        if below or right:
            inputs = np.pad(inputs, ((0, below), (0, right), (0, 0)), mode="edge")
        with torch.inference_mode(), on(self._context.streams.compute):
            whole = torch.from_numpy(inputs).to(self.device)
            if size == (width, height):
                styled, tile = self._tiled(partial(painted_by, net, self._cell, dtype), whole, cancelled)
                return styled[:height, :width].contiguous().cpu().numpy(), tile
            maps, tile = self._tiled(partial(maps_of, net, self._cell, dtype), whole, cancelled)
            rgb = torch.from_numpy(np.ascontiguousarray(picture)).to(self.device)
            planes = maps[: size[1], : size[0]].permute(2, 0, 1)[None]
            planes = F.interpolate(planes, size=(height, width), mode="bilinear", antialias=stroke < 1)
            gain, bias = planes[0].permute(1, 2, 0).chunk(2, dim=2)
            styled = torch.addcmul(bias, gain, rgb).add_(rgb)
            return styled.contiguous().cpu().numpy(), tile

    def _first_tile(self, height: int, width: int) -> int | None:
        """The side of the tiles to begin with, None for the whole picture at once."""
        if self.tile == "auto" and self.style.card.tileable:
            return automatic_tile(self.device, height * width)
        return self.tile if isinstance(self.tile, int) else None

    def _tiled(self, paint: Painter, picture: Tensor, cancelled: Callable[[], None]) -> tuple[Tensor, int | None]:
        """What `paint` makes of a picture, in ever smaller tiles while memory runs short, and the tile it took."""
        height, width = picture.shape[:2]
        first = self._first_tile(height, width)
        smaller = [side for side in SMALLER_TILES if side < (first or max(height, width))]
        ladder: list[int | None] = [first, *smaller] if self.style.card.tileable and self.tile != "off" else [None]
        for side in ladder:
            try:
                if side is None:
                    cancelled()
                    return paint(picture), None
                sizes = {"side": side, "halo": self._halo, "stride": self._stride}
                return run_tiled(paint, picture, **sizes, cancelled=cancelled), side
            except (torch.OutOfMemoryError, MemoryError):
                # Leave the handler before trying again: the traceback holds the tensors alive.
                pass
            except RuntimeError as error:
                if not is_shortage(error):
                    raise DeviceError(f"the device {self.device} failed: {error}; try --device cpu") from error
            self._make_room()
        raise OutOfMemory(
            f"expected memory for a frame of {width}x{height} on {self.device}, there is too little even in tiles of "
            f"{ladder[-1] or 'the whole frame'}"
        )

    def _make_room(self) -> None:
        """Free the memory that the device holds only to be quicker next time."""
        if self._graphs is not None:
            self._graphs.clear()
            torch.cuda.empty_cache()


def _with_detail(both: Samples, amount: float) -> Samples:
    """`put_back_detail` of a painting and its plate, (H, W, 6)."""
    return colour.put_back_detail(np.ascontiguousarray(both[..., :3]), np.ascontiguousarray(both[..., 3:]), amount)


def missing_for_views(frame: Frame, settings: FrameSettings, matte: Samples | None, into: Pixels | None) -> str:
    """What it takes to paint both views of a frame and is not given; empty where nothing is missing."""
    resized = settings.before.resize is not None or settings.after.resize is not None
    if into is not None or settings.output is not None or resized:
        return "a result of the size and the colour space of its plate, in EXR"
    sizes = {frame.parts[layer.part].pixels.shape[:2] for layer in views_of(frame) or ()}
    if len(sizes) > 1 and (matte is not None or frame.guides):
        return "views of one size beside a matte or guides"
    return ""


def with_pixels(frame: Frame, pixels: Pixels) -> Frame:
    """The frame with other samples in the colour layer's part, of the same shape and type."""
    parts = list(frame.parts)
    parts[frame.layer.part] = replace(frame.part, pixels=pixels)
    return replace(frame, parts=tuple(parts))


def with_map(frame: Frame, invented: Samples | None) -> Frame:
    """A frame of float samples with the channel `KEYS_MAP`; of others as it is. None: no hand painted anywhere."""
    part = frame.part
    if part.pixels.dtype.kind != "f":
        return frame
    size = part.pixels.shape[1], part.pixels.shape[0]
    share = np.ones(size[::-1], np.float32)
    if invented is not None:
        share = np.asarray(cv2.resize(invented, size, interpolation=cv2.INTER_LINEAR), np.float32)
    pixels = np.concatenate((part.pixels, share.astype(part.pixels.dtype)[..., None]), axis=2)
    formats = (*part.formats, part.formats[0]) if part.formats else ()
    parts = list(frame.parts)
    parts[frame.layer.part] = replace(part, pixels=pixels, channels=(*part.channels, KEYS_MAP), formats=formats)
    return replace(frame, parts=tuple(parts))


def check_into(into: Pixels, result: Pixels) -> None:
    """UsageError unless `into` is of the result's shape and type."""
    if into.shape != result.shape or into.dtype != result.dtype:
        raise UsageError(
            f"expected an array of {result.shape} {result.dtype} for the result, got {into.shape} {into.dtype}"
        )


def check_tile(tile: Literal["auto", "off"] | int, style: Style) -> Literal["auto", "off"] | int:
    """The tile setting, if it makes sense for this style; UsageError otherwise."""
    if isinstance(tile, str) and tile not in ("auto", "off"):
        raise UsageError(f"expected a tile of auto, off or a number of pixels, got '{tile}'")
    if isinstance(tile, int) and tile < 64:
        raise UsageError(f"expected tiles of at least 64 pixels, got {tile}; halos would cost more than the picture")
    if isinstance(tile, int) and not style.card.tileable:
        raise UsageError(f"the style '{style.card.name}' sees the whole frame and cannot be tiled; use --tile off")
    return tile


@lru_cache(maxsize=1)
def _version() -> str:
    return version("impasto")
