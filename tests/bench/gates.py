"""Whether a universal style is good enough to ship: against the teacher that it learned from, on plates it never saw.

    python -m tests.bench.gates --media DIR --plates DIR STYLE.safetensors MANNER [PAINTING]

`--media` is the folder with the larger test media (photos/kodim*.png, clips/), `--plates` the pictures that the palette
was fitted on. What is asked for: sharpness at least 0.7 of the teacher's, distance to the style's texture at most
1.15 of the teacher's, warp error at most 1.8 of the plate's own, edge cosine at least 0.8 or the teacher's own. Below
stands how steady it is under a disturbed plate: see `tests.bench.disturbances`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path

import numpy as np

from impasto.core.colour import to_float
from impasto.core.engine import Engine
from impasto.core.flicker import warp_error
from impasto.core.media import open_reader
from impasto.core.metrics import edge_cosine, lap_swd, lattice, psnr, sharpness
from impasto.training.data.pictures import picture_files
from impasto.training.data.teacher_plates import load_picture
from impasto.training.teachers.painted_pairs import Teacher, TeacherSettings, fit_teacher
from tests.bench.disturbances import PICTURES, SIDE, painted_by, steadiness

CLIPS = ("bbb_meadow_360p24.mp4", "person_juggle_720p24.mp4", "crystal_handheld_480p30.mp4")
FRAMES = 12


@dataclass(frozen=True, slots=True)
class Gates:
    """Means over the pictures, and over the clips for the warp error."""

    psnr_db: float
    """Against the teacher's picture; past 25 dB the eye decides."""
    sharpness: float
    """Over the teacher's. At least 0.7."""
    texture: float
    """Distance to the painting's texture over the teacher's distance (lap-SWD); without a painting, to the teacher's
    pictures of other plates. At most 1.15."""
    edge_cosine: float
    """To the plate. At least 0.8, or what the teacher has."""
    teachers_edge_cosine: float
    warp_error: float
    """Over the plate's own. At most 1.8."""
    teachers_warp_error: float
    lattice: float
    """Near the teacher's where the network leaves no pattern."""
    teachers_lattice: float


def gates(style: Path, teacher: Teacher, media: Path, painting: Path | None) -> Gates:
    """The figures of a style beside its teacher's."""
    engine = Engine(style, device="cpu")
    plates = [load_picture(media / "photos" / f"{name}.png", SIDE) for name in PICTURES]
    taught = [teacher.paint(plate) for plate in plates]
    painted = [painted_by(engine, plate) for plate in plates]
    others = taught[1:] + taught[:1]
    wanted = others if painting is None else [load_picture(painting, SIDE)] * len(plates)
    near = [lap_swd(result, reference) for result, reference in zip(painted, wanted, strict=True)]
    near_taught = [lap_swd(result, reference) for result, reference in zip(taught, wanted, strict=True)]
    moves = [_movement(engine, teacher, media / "clips" / clip) for clip in CLIPS]
    return Gates(
        _mean([psnr(result, target) for result, target in zip(painted, taught, strict=True)]),
        _mean([sharpness(result) / sharpness(target) for result, target in zip(painted, taught, strict=True)]),
        _mean(near) / _mean(near_taught),
        _mean([edge_cosine(result, plate) for result, plate in zip(painted, plates, strict=True)]),
        _mean([edge_cosine(target, plate) for target, plate in zip(taught, plates, strict=True)]),
        _mean([result / plate for plate, result, _ in moves]),
        _mean([target / plate for plate, _, target in moves]),
        _mean([lattice(result, 2) for result in painted]),
        _mean([lattice(target, 2) for target in taught]),
    )


def _movement(engine: Engine, teacher: Teacher, clip: Path) -> tuple[float, float, float]:
    """Warp errors of the plate, the style and the teacher on the first frames of a clip."""
    with open_reader(str(clip)) as reader:
        frames = list(islice(reader, FRAMES))
    plates = [to_float(frame.colour) for frame in frames]
    results = [to_float(engine(frame).colour) for frame in frames]
    taught = [teacher.paint(plate) for plate in plates]
    return warp_error(plates, plates), warp_error(plates, results), warp_error(plates, taught)


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def main() -> None:
    """Print the figures of one style."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("style", type=Path)
    arguments.add_argument("manner")
    arguments.add_argument("painting", type=Path, nargs="?")
    arguments.add_argument("--media", type=Path, required=True)
    arguments.add_argument("--plates", type=Path, required=True)
    given = arguments.parse_args()
    paintings = [given.painting] if given.painting else []
    settings = TeacherSettings(given.manner, paint_share=0.0)
    teacher = fit_teacher(settings, paintings, list(picture_files(given.plates).values()))
    found = gates(given.style, teacher, given.media, given.painting)
    for field in fields(found):
        print(f"{field.name:22} {getattr(found, field.name):.3f}")
    plates = [load_picture(given.media / "photos" / f"{name}.png", SIDE) for name in PICTURES]
    for name, (result, plate) in steadiness(Engine(given.style, device="cpu"), plates).items():
        print(f"{name:22} {result:.2f} dB to the result on the clean plate; the plate itself {plate:.2f} dB")


if __name__ == "__main__":
    main()
