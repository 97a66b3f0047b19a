"""Run all benchmarks, print them, and keep them in build/bench.json."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

os.environ["IMPASTO_CACHE"] = "off"  # what is measured is painted
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded: waiting threads leave their core

from rich.console import Console
from rich.table import Table

from tests.bench.bars import COPIED, FAULTS, INLINE, LATENCY, ON_A_GPU, PEAK_OF_4K, SERVED, VIEWED
from tests.bench.blender import blender_figures
from tests.bench.flicker import flicker_figures
from tests.bench.live import live_figures, recovery_frames, rung_costs
from tests.bench.machine import as_rows, machine
from tests.bench.network import network_figures
from tests.bench.shots import peak_of_4k, shot_figures
from tests.bench.startup import startup_figures
from tests.bench.training import PLATE_SIDE, busy_figure, first_preview_s, step_figures, teacher_figures
from tests.bench.transport import latency, overhead, round_trips

STYLES = ("wheatfield-draft", "wheatfield")
RESULT = Path("build/bench.json")


def main() -> None:
    """Measure; `quick` leaves the slow ones out; a name (`server`, `live`, `pages`, …) measures that part alone."""
    console = Console()
    facts = machine()
    console.print(_table("machine", ("fact", "value"), as_rows(facts)))
    if "server" in sys.argv[1:]:
        _server_figures(console)
        return
    if "blender" in sys.argv[1:]:
        _blender_figures(console)
        return
    if "live" in sys.argv[1:]:
        _live_figures(console)
        return
    if "startup" in sys.argv[1:]:
        _startup_figures(console)
        return
    if "vr" in sys.argv[1:]:
        _vr_figures(console)
        return
    if "cache" in sys.argv[1:]:
        _cache_figures(console)
        return
    if "pages" in sys.argv[1:]:
        _page_figures(console)
        return
    if "training" in sys.argv[1:]:
        _training_figures(console)
        return
    _gpu_figures(console)
    peaks, networks = network_figures()
    rows = [
        (
            n.generator,
            n.size,
            n.precision,
            n.frame,
            f"{n.milliseconds:.1f}",
            f"{n.frames_per_second:.1f}",
            f"{n.gmac:.2f}",
            f"{n.of_peak:.0%}",
            f"{n.of_peer:.1f}",
            n.verdict,
        )
        for n in networks
    ]
    found = ", ".join(f"{peak:.0f} in {precision}" for precision, peak in peaks.items())
    title = f"network alone, CPU, best of 11; convolution peaks in GMAC/s: {found}"
    columns = ("generator", "size", "precision", "frame", "ms", "fps", "GMAC", "of peak", "times the peer", "bar")
    console.print(_table(title, columns, rows))
    report = {"machine": asdict(facts), "peak_gmac_per_s": peaks, "networks": [asdict(n) for n in networks]}
    if "quick" not in sys.argv[1:]:
        shots = shot_figures(STYLES)
        rows = [
            (
                s.style,
                s.name,
                f"{s.frames_per_second:.2f}",
                f"{s.network_share:.0%}",
                f"{s.reading_share:.0%}",
                f"{s.writing_share:.0%}",
                f"{s.reading_cpu_ms:.1f}",
                f"{s.writing_cpu_ms:.1f}",
                f"{s.all_cpu_ms:.0f}",
                s.verdict,
            )
            for s in shots
        ]
        columns = (
            "style", "shot", "fps", "network", "wait to read", "wait to write", "reading CPU ms", "writing CPU ms",
            "all CPU ms", "bar (AMX)",
        )  # fmt: skip
        console.print(_table("whole shots, CPU; CPU ms for a frame", columns, rows))
        flicker = flicker_figures(STYLES)
        rows = [(f.style, f"{f.plate:.2f}", f"{f.result:.2f}", f"{f.sharpness_ratio:.2f}") for f in flicker]
        columns = ("style", "plate", "result", "sharpness over the plate's")
        console.print(_table("warp error in 1/255, sample clip, 16 frames", columns, rows))
        peaks = {style: peak_of_4k(style) for style in STYLES}
        rows = [(style, f"{ratio:.1f}", PEAK_OF_4K.verdict(ratio)) for style, ratio in peaks.items()]
        columns = ("style", "peak above the loaded engine, over the frame's size", "bar")
        console.print(_table("one 3840x2160 half RGBA frame", columns, rows))
        report |= {"shots": [asdict(s) for s in shots], "flicker": [asdict(f) for f in flicker], "peak_4k": peaks}
        report |= _training_figures(console)
        report |= _blender_figures(console)
        report |= _live_figures(console)
    report |= _server_figures(console) | _startup_figures(console)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(report, indent=2))
    console.print(f"kept in {RESULT}")


def _gpu_figures(console: Console) -> None:
    """Say that no GPU was measured: nothing here has run on one."""
    rows = [(what, bar, "not measured") for what, bar in ON_A_GPU.items()]
    console.print(_table("GPU, float16, CUDA graphs", ("figure", "bar", "value"), rows))


def _blender_figures(console: Console) -> dict[str, object]:
    found = [figure for style in STYLES for figure in blender_figures(style)]
    rows = [
        (
            f"{each.blender}, {each.style}",
            f"{each.engine_ms:.0f}",
            f"{each.plain_ms:.0f}",
            f"{each.bake_ms - each.engine_ms:+.0f}",
            f"{each.bake_rendered_ms - each.engine_ms:+.0f}",
            "-" if each.live_ms is None else f"{each.live_ms - each.engine_ms:+.0f}",
        )
        for each in found
    ]
    columns = ("Blender", "engine ms", "plain render ms", "bake, over the engine", "rendered first", "live")
    console.print(_table("a 1080p half EXR frame inside Blender, ms", columns, rows))
    return {"blender": [asdict(each) for each in found]}


def _live_figures(console: Console) -> dict[str, object]:
    found = live_figures()
    rows = [
        (
            f"{each.style}, {each.quality}",
            each.frame,
            each.page,
            f"{each.fps:.1f}",
            f"{each.cpu_ms:.1f}",
            f"{each.painting_ms:.1f}",
            f"{each.age_p50_ms:.1f}",
            f"{each.age_p95_ms:.1f}",
            each.rung,
            each.verdict,
        )
        for each in found
    ]
    columns = (
        "style, quality",
        "camera",
        "page",
        "painted/s",
        "CPU ms",
        "painting ms",
        "age p50",
        "p95",
        "rung",
        "bar",
    )
    title = "a camera on the Live page, age in ms; the bar is painting + 25 ms at p50, + 60 ms at p95"
    console.print(_table(title, columns, rows))
    costs = rung_costs()
    rows = [(name, f"{ratio:.2f}") for name, ratio in costs.items()]
    console.print(_table("a draft of 640x360 on lower rungs", ("what is painted", "cost over the whole"), rows))
    frames = recovery_frames()
    row = ("paintings until the age is below 150 ms again", f"{frames}", "2", "met" if frames <= 2 else "missed")
    console.print(_table("after ten seconds of a ten times slower painter", ("figure", "value", "bar", ""), [row]))
    return {"live": [asdict(each) for each in found], "live_rungs": costs, "live_recovery_frames": frames}


def _training_figures(console: Console) -> dict[str, object]:
    steps = step_figures()
    rows = [(s.generator, s.size, s.device, f"{s.steps_per_second:.2f}", f"{s.crops_per_second:.1f}") for s in steps]
    columns = ("generator", "size", "device", "steps/s", "crops/s")
    title = f"training on pairs, batch {steps[0].batch} of {steps[0].crop} pixels, critic heard"
    console.print(_table(title, columns, rows))
    busy = busy_figure()
    verdict = "met" if busy.ratio >= 2.5 else "missed"
    rows = [
        ("bfloat16, a thread for every core (before)", f"{busy.before:.2f}", "1", ""),
        (f"minutes: {busy.threads} threads", f"{busy.now:.2f}", f"{busy.ratio:.1f}", f"2.5 {verdict}"),
        ("steps: threads stay", f"{busy.steps_alone:.2f}", f"{busy.steps_alone / busy.before:.1f}", ""),
    ]
    title = "training resunet standard on pairs, CPU, beside one busy program"
    console.print(_table(title, ("how", "steps/s", "times", "bar"), rows))
    teachers = teacher_figures()
    rows = [(t.manner, f"{t.seconds:.2f}", f"{t.peak_mib:.0f}") for t in teachers]
    title = f"a teacher's frame of the sample clip, {PLATE_SIDE} pixels across"
    console.print(_table(title, ("manner", "s", "peak of the process, MiB"), rows))
    preview_s = first_preview_s()
    row = ("seconds from the command to its first contact sheet", f"{preview_s:.1f}")
    console.print(_table("training from one key of the sample clip", ("figure", "value"), [row]))
    return {
        "training_steps": [asdict(s) for s in steps],
        "training_beside_a_busy_program": asdict(busy),
        "teachers": [asdict(t) for t in teachers],
        "first_preview_s": preview_s,
    }


def _page_figures(console: Console) -> None:
    from tests.bench.pages import page_figures

    rows = [
        (f.name, f"{f.value:.3g} {f.unit}", "" if f.bar is None else f"{f.bar:g}", f.verdict) for f in page_figures()
    ]
    console.print(_table("pages of the render server", ("figure", "found", "at most", "bar"), rows))


def _vr_figures(console: Console) -> None:
    from tests.bench.bars import POLES, SEAM, SHARED
    from tests.bench.vr import EYE, GRAIN, HEIGHT, VR_STYLES, sphere_figures, stereo_figures

    rows = [
        (
            s.style,
            s.projection,
            f"{s.seam:.2f}",
            SEAM.verdict(s.seam),
            f"{s.poles:.2f}",
            POLES.verdict(abs(s.poles - 1)),
        )
        for s in sphere_figures(VR_STYLES)
    ]
    columns = ("style", "painted", "seam", "bar", "poles over equator", "bar")
    console.print(_table(f"the sample sphere, {2 * HEIGHT}x{HEIGHT}, float32", columns, rows))
    found = [(s.style, f"{s.own:.2f}", f"{s.shared:.2f}", SHARED.verdict(s.shared)) for s in stereo_figures(VR_STYLES)]
    title = f"difference between the eyes over the plates', {EYE[1]}x{EYE[0]} each, grain {GRAIN:g}"
    console.print(_table(title, ("style", "each by itself", "shared", "bar"), found))


def _cache_figures(console: Console) -> None:
    from tests.bench.bars import FOUND, MISSED
    from tests.bench.frame_cache import kept_figures

    for style in STYLES:
        rows = [
            (
                k.frame,
                f"{k.painted_ms:.0f}",
                f"{k.missed:.3f} ({MISSED.verdict(k.missed)})",
                f"{k.found:.3f} ({FOUND.verdict(k.found)})",
            )
            for k in kept_figures(style)
        ]
        columns = ("frame", "painted, ms", "painted and kept", "found")
        console.print(_table(f"painted frames that are kept, {style}, processor time", columns, rows))


def _startup_figures(console: Console) -> dict[str, object]:
    found = startup_figures()
    rows = [
        (
            each.name,
            f"{each.milliseconds:.0f}",
            f"{each.cpu_ms:.0f}",
            f"{each.ratio:.2f}",
            "-" if each.bar is None else f"{each.bar:.2f}",
            each.verdict,
        )
        for each in found
    ]
    columns = ("command", "ms", "CPU ms", "to numpy", "bar", "verdict")
    console.print(_table("start-up, wall time; of the client: beyond numpy", columns, rows))
    return {"startup": [asdict(each) for each in found]}


def _server_figures(console: Console) -> dict[str, object]:
    trips, waits = round_trips(), latency()
    rows = [
        (
            t.frame,
            f"{t.memcpy_ms:.2f}",
            f"{t.copied:.1f} ({COPIED.verdict(t.copied)})",
            f"{t.viewed:.1f} ({VIEWED[t.frame.split()[0]].verdict(t.viewed)})",
            f"{t.inline:.1f} ({INLINE[t.frame.split()[0]].verdict(t.inline)})",
            f"{t.client_faults:.0f} / {t.worker_faults:.0f} ({FAULTS.verdict(t.client_faults)})",
        )
        for t in trips
    ]
    columns = ("frame", "memcpy ms", "copied in and out", "views", "in the message", "page faults, client / worker")
    console.print(_table("there and back through the server, in memcpys of the frame, best of 11", columns, rows))
    rows = [(name, f"{value:.2f}", LATENCY[name].verdict(value)) for name, value in asdict(waits).items()]
    console.print(_table("what does not depend on the size", ("figure", "value", "bar"), rows))
    served = [overhead(style) for style in STYLES]
    rows = []
    for o in served:
        ratio = o.served_ms / o.engine_ms
        rows.append((o.style, f"{o.engine_ms:.0f}", f"{o.served_ms:.0f}", f"{ratio:.3f}", SERVED.verdict(ratio)))
    columns = ("style", "ms", "ms", "ratio", "bar")
    console.print(_table("1080p half RGBA, engine alone and through a warm server", columns, rows))
    return {
        "round_trips": [asdict(t) for t in trips],
        "latency": asdict(waits),
        "overhead": [asdict(o) for o in served],
    }


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    return table


if __name__ == "__main__":
    main()
