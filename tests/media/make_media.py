"""Make the sample media beside this script: a painted harbour as a movie, and a lantern as an EXR sequence.

    python -m venv bpy-env && bpy-env/bin/pip install bpy==5.0.1        # once; Python 3.11
    python tests/media/make_media.py --blender-python bpy-env/bin/python

Stage one (`render.py`, Blender's Python) draws frames into the work folder; stage two, here, adds
the sound and writes the results. This interpreter needs numpy, av and OpenImageIO. A stopped run
goes on where it was; `--work` names the folder to look in.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "harbour"))

from sound import RATE as SOUND_RATE  # noqa: E402
from sound import harbour_sound  # noqa: E402

FRAME_RATE = 24
LAYERS = {"Combined": "", "Depth": "depth.", "Normal": "normal.", "Vector": "vector."}
CHANNELS = ("R", "G", "B", "A", "depth.Z", "normal.X", "normal.Y", "normal.Z", *(f"vector.{a}" for a in "XYZW"))
BT709, LIMITED = 1, 1


def write_movie(frames: list[Path], result: Path) -> None:
    """PNG frames and the harbour's sound as H.264 and AAC in MP4, BT.709 limited range, playable while it loads."""
    with av.open(str(result), "w", options={"movflags": "+faststart"}) as movie:
        picture = movie.add_stream("libx264", rate=FRAME_RATE)
        first = _read_png(frames[0])
        picture.height, picture.width, picture.pix_fmt = first.shape[0], first.shape[1], "yuv420p"
        picture.options = {"crf": "16", "preset": "slow"}
        context = picture.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range, context.time_base = LIMITED, Fraction(1, FRAME_RATE)
        sound = movie.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        sound.bit_rate = 160_000
        for number, path in enumerate(frames):
            rgb = av.VideoFrame.from_ndarray(_read_png(path), format="rgb24")
            frame = rgb.reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation="LANCZOS"
            )
            frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = BT709, LIMITED, BT709, BT709
            frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
            movie.mux(picture.encode(frame))
        movie.mux(picture.encode(None))
        samples = harbour_sound(len(frames) / FRAME_RATE)
        for start in range(0, samples.shape[1], 1024):
            block = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, start : start + 1024]), "fltp", "stereo")
            block.sample_rate, block.pts, block.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
            movie.mux(sound.encode(block))
        movie.mux(sound.encode(None))


def write_layers(rendered: Path, number: int, result: Path) -> None:
    """One rendered frame as half-float RGBA, float32 depth.Z, normal and vector layers, cropped to what is there."""
    source = oiio.ImageBuf(str(rendered))
    spec, pixels = source.spec(), _pixels(source, "float")
    chosen = {_channel(name): k for k, name in enumerate(spec.channelnames)}
    layers = pixels[..., [chosen[n] for n in CHANNELS]]
    x, y, width, height = _window(layers[..., 3], margin=3)
    out = oiio.ImageSpec(width, height, len(CHANNELS), "half")
    out.x, out.y, out.full_width, out.full_height = x, y, spec.width, spec.height
    out.channelnames = CHANNELS
    out.channelformats = [oiio.TypeDesc("float" if n == "depth.Z" else "half") for n in CHANNELS]
    out.attribute("compression", "zip")
    out.attribute("oiio:ColorSpace", "lin_rec709")
    out.attribute("chromaticities", oiio.TypeDesc("float[8]"), (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290))
    out.attribute("smpte:TimeCode", oiio.TypeTimeCode, (_timecode(number), 0))
    out.attribute("FramesPerSecond", oiio.TypeRational, (FRAME_RATE, 1))
    out.attribute("Copyright", "The impasto authors, Apache-2.0")
    target = oiio.ImageOutput.create(str(result))
    window = np.ascontiguousarray(layers[y : y + height, x : x + width])
    if target is None or not target.open(str(result), out) or not target.write_image(window):
        raise OSError(f"cannot write '{result}': {oiio.geterror() if target is None else target.geterror()}")
    target.close()


def _read_png(path: Path) -> NDArray[np.uint8]:
    return np.ascontiguousarray(_pixels(oiio.ImageBuf(str(path)), "uint8")[..., :3])


def _pixels(picture: oiio.ImageBuf, kind: str) -> NDArray[Any]:
    pixels = picture.get_pixels(kind)
    if pixels is None:
        raise OSError(f"cannot read '{picture.name}': {picture.geterror()}")
    return pixels


def _channel(blender_name: str) -> str:
    """'ViewLayer.Normal.X' as 'normal.X', 'ViewLayer.Combined.R' as 'R'; other layers stay as they are."""
    *_, layer, axis = blender_name.split(".")
    return f"{LAYERS.get(layer, layer + '.')}{axis}"


def _window(alpha: NDArray[np.float32], margin: int) -> tuple[int, int, int, int]:
    """(x, y, width, height) of the smallest window around everything that covers, grown by `margin` pixels."""
    rows, columns = np.flatnonzero(alpha.max(1) > 0), np.flatnonzero(alpha.max(0) > 0)
    top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    bottom, right = min(rows[-1] + margin + 1, alpha.shape[0]), min(columns[-1] + margin + 1, alpha.shape[1])
    return int(left), int(top), int(right - left), int(bottom - top)


def _timecode(number: int) -> int:
    """Frame 1001 as 01:00:00:00, in the binary-coded decimal word of SMPTE 12M."""
    elapsed = number - 1001 + 3600 * FRAME_RATE
    hours, rest = divmod(elapsed, 3600 * FRAME_RATE)
    minutes, rest = divmod(rest, 60 * FRAME_RATE)
    seconds, frames = divmod(rest, FRAME_RATE)
    digits = f"{hours:02d}{minutes:02d}{seconds:02d}{frames:02d}"
    return int(digits, 16)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--blender-python", required=True, help="a Python 3.11 that has bpy==5.0.1")
    asked.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "impasto-media")
    options = asked.parse_args()
    subprocess.run([options.blender_python, str(HERE / "render.py"), str(options.work)], check=True)
    write_movie(sorted(options.work.glob("harbour.*.png")), HERE / "harbour.mp4")
    for rendered in sorted(options.work.glob("lantern.*.exr")):
        write_layers(rendered, int(rendered.suffixes[0][1:]), HERE / rendered.name)


if __name__ == "__main__":
    main()
