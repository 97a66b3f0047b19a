"""Material and names that cannot work: one sentence, the documented code, nothing half-written."""

from __future__ import annotations

import os
import resource
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest

from impasto.core.frame import Frame
from impasto.core.media import ShotInfo, open_writer
from impasto.hosts.terminal.exit_codes import DEVICE, INPUT, OUTPUT, STYLE, USAGE
from tests.hosts.terminal.conftest import HEIGHT, IMPASTO, WIDTH, Impasto, Outcome, names, picture

OUT = "out/painted.exr"


def refused(done: Outcome, code: int, *said: str) -> None:
    """One sentence with these words in it, this code, nothing on standard output, nothing written."""
    assert done.code == code, done.err
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith("impasto: ")
    for words in said:
        assert words in done.err
    assert done.out == ""
    assert names(Path("out")) == []


def still(path: Path, frame: Frame) -> Path:
    height, width = frame.height, frame.width
    with open_writer(str(path), ShotInfo("", "still", 1, 1, width, height)) as writer:
        writer.write(frame)
    return path


def truncated(folder: Path) -> Path:
    path = still(folder / "plate.exr", picture(1))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def truncated_movie(folder: Path) -> Path:
    path = folder / "plate.mp4"
    with open_writer(str(path), ShotInfo("", "movie", 1, 6, WIDTH, HEIGHT)) as writer:
        for number in range(1, 7):
            writer.write(picture(number, np.uint8))
    path.write_bytes(path.read_bytes()[:400])
    return path


def empty(folder: Path) -> Path:
    path = folder / "plate.exr"
    path.touch()
    return path


def empty_movie(folder: Path) -> Path:
    path = folder / "plate.mov"
    path.touch()
    return path


def misnamed(folder: Path) -> Path:
    return still(folder / "plate.png", picture(1, np.uint8)).rename(folder / "plate.exr")


def unknown_kind(folder: Path) -> Path:
    path = folder / "plate.txt"
    path.write_text("a letter")
    return path


def missing(folder: Path) -> Path:
    return folder / "nowhere.exr"


def zero_size(folder: Path) -> Path:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 0, 0, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path = folder / "plate.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


def deep(folder: Path) -> Path:
    spec = oiio.ImageSpec(4, 4, 5, "float")
    spec.channelnames = ("R", "G", "B", "A", "Z")
    spec.deep = True
    data = oiio.DeepData()
    data.init(spec)
    for pixel in range(16):
        data.set_samples(pixel, 1)
    path = folder / "plate.exr"
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec)
    assert output.write_deep_image(data)
    output.close()
    return path


def a_folder(folder: Path) -> Path:
    path = folder / "nothing_in_it"
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (truncated, "plate.exr"),
        (truncated_movie, "plate.mp4"),
        (empty, "empty"),
        (empty_movie, "empty"),
        (misnamed, "got png"),
        (unknown_kind, "plate.txt"),
        (missing, "no such file"),
        (zero_size, "plate.png"),
        (deep, "deep"),
        (a_folder, "found none"),
    ],
)
def test_material_that_cannot_be_read(
    make: Callable[[Path], Path], said: str, impasto: Impasto, tmp_path: Path
) -> None:
    refused(impasto("render", make(tmp_path), OUT, "--style", "identity"), INPUT, said, "; ")


def test_subsampled_chroma_is_refused(impasto: Impasto, shared_media: Path) -> None:
    plate = shared_media / "exr" / "LuminanceChroma" / "Flowers.exr"
    refused(impasto("render", plate, OUT, "--style", "identity"), INPUT, "Flowers.exr")


def test_damaged_files_are_refused(impasto: Impasto, shared_media: Path) -> None:
    for plate in sorted((shared_media / "exr" / "Damaged").iterdir()):
        refused(impasto("render", plate, OUT, "--style", "identity"), INPUT, plate.name)


def test_a_gap_is_named(impasto: Impasto, sequence: str) -> None:
    Path(sequence.replace("####", "1003")).unlink()
    refused(impasto("render", sequence, "out/o.####.exr", "--style", "identity"), INPUT, "missing 1003", "--frames")


def test_frames_of_differing_size_are_named(impasto: Impasto, sequence: str) -> None:
    odd = Path(sequence.replace("####", "1001"))
    odd.unlink()
    still(odd, Frame.from_pixels(np.zeros((8, 8, 3), np.float16)))
    done = impasto("render", sequence, "out/o.####.exr", "--style", "identity")
    assert done.code == INPUT
    assert "expected frames of 8x8, got 48x32" in done.err
    assert names(Path("out")) == ["o.1001.exr"]


@pytest.mark.parametrize("size", [(1, 1), (1, 32768)])
def test_the_smallest_and_the_longest_picture_are_painted(
    size: tuple[int, int], impasto: Impasto, tmp_path: Path
) -> None:
    plate = still(tmp_path / "plate.exr", Frame.from_pixels(np.full((*size, 3), 0.5, np.float16)))
    done = impasto("render", plate, OUT, "--style", "identity")
    assert done.code == 0, done.err


class TestNames:
    @pytest.fixture
    def plate(self, tmp_path: Path) -> Path:
        return still(tmp_path / "plate.exr", picture(1))

    def test_a_style(self, plate: Path, impasto: Impasto) -> None:
        refused(impasto("render", plate, OUT, "--style", "identiti"), USAGE, "no style", "did you mean 'identity'?")

    def test_a_style_file(self, plate: Path, impasto: Impasto) -> None:
        refused(impasto("render", plate, OUT, "--style", "no.safetensors"), STYLE, "no.safetensors")

    def test_pickled_weights(self, plate: Path, impasto: Impasto) -> None:
        Path("net.pth").write_bytes(b"\x80\x02")
        refused(impasto("render", plate, OUT, "--style", "net.pth"), STYLE, "never read")

    def test_a_colour_space(self, plate: Path, impasto: Impasto) -> None:
        done = impasto("render", plate, OUT, "--style", "identity", "--input-space", "ACESgc")
        refused(done, USAGE, "no colour space", "did you mean 'ACEScg'?")

    def test_an_output_space(self, plate: Path, impasto: Impasto) -> None:
        done = impasto("render", plate, OUT, "--style", "identity", "--output-space", "ACESgc")
        refused(done, USAGE, "no colour space")

    def test_a_layer(self, plate: Path, impasto: Impasto) -> None:
        refused(impasto("render", plate, OUT, "--style", "identity", "--layer", "rgba"), USAGE, "no layer", "'rgb'")

    def test_a_device(self, plate: Path, impasto: Impasto) -> None:
        refused(impasto("render", plate, OUT, "--style", "identity", "--device", "cuda:99"), DEVICE, "cuda:99")

    @pytest.mark.parametrize(
        ("option", "value", "said"),
        [
            ("--strength", "1.5", "between 0 and 1, got 1.5"),
            ("--before-gamma", "0", "between 0.1 and 10"),
            ("--after-resize", "big", "1280x720"),
            ("--tile", "some", "got 'some'"),
            ("--tile", "8", "at least 64"),
            ("--precision", "float8", "float8"),
            ("--frames", "9-1", "write 1-9"),
            ("--frames", "5-9", "expected frame 1"),
        ],
    )
    def test_a_value(self, option: str, value: str, said: str, plate: Path, impasto: Impasto) -> None:
        refused(impasto("render", plate, OUT, "--style", "identity", option, value), USAGE, said)


class TestOutputs:
    def test_the_input_itself(self, sequence: str, impasto: Impasto) -> None:
        before = Path(sequence.replace("####", "1001")).read_bytes()
        refused(impasto("render", sequence, sequence, "--style", "identity", "--overwrite"), USAGE, "never overwritten")
        assert Path(sequence.replace("####", "1001")).read_bytes() == before

    def test_what_is_there_already(self, movie: str, impasto: Impasto) -> None:
        Path("there.mp4").write_text("mine")
        refused(impasto("render", movie, "there.mp4", "--style", "identity"), USAGE, "--overwrite")
        assert Path("there.mp4").read_text() == "mine"

    def test_an_unknown_kind(self, movie: str, impasto: Impasto) -> None:
        refused(impasto("render", movie, "out.xyz", "--style", "identity"), USAGE, "out.xyz", ".mp4")

    def test_many_frames_in_one_still(self, movie: str, impasto: Impasto) -> None:
        refused(impasto("render", movie, OUT, "--style", "identity"), USAGE, "####")

    def test_a_folder_that_cannot_be(self, movie: str, impasto: Impasto) -> None:
        Path("file").touch()
        refused(impasto("render", movie, "file/o.mp4", "--style", "identity"), OUTPUT, "file")

    @pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
    def test_a_folder_that_is_closed(self, movie: str, impasto: Impasto, tmp_path: Path) -> None:
        (tmp_path / "closed").mkdir(mode=0o500)
        refused(impasto("render", movie, "closed/o.mp4", "--style", "identity"), OUTPUT, "permitted")

    def test_resume_into_a_movie(self, movie: str, impasto: Impasto) -> None:
        refused(impasto("render", movie, "o.mp4", "--style", "identity", "--resume"), USAGE, "sequence")

    @pytest.mark.parametrize("output", ["out/o.####.exr", "out/o.avi"])
    def test_a_full_disk(self, output: str, sequence: str) -> None:
        """No file may grow beyond a few hundred bytes: the kernel says so as it does for a full disk."""

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))

        done = subprocess.run(
            [*IMPASTO, "render", sequence, output, "--style", "identity", "--local"],
            capture_output=True, text=True, timeout=120, check=False, preexec_fn=limit,
        )  # fmt: skip
        assert done.returncode == OUTPUT, done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert "full" in done.stderr
        assert names(Path("out")) == []


@pytest.mark.parametrize("command", ["render", "sheet"])
def test_a_wildcard_that_the_shell_wrote_out_is_answered_with_the_name_of_the_sequence(
    command: str, sequence: str, impasto: Impasto
) -> None:
    files = sorted(map(str, Path(sequence).parent.glob("plate.*.exr")))
    refused(impasto(command, *files, "out/"), USAGE, "as a shell writes '*'", f"write '{sequence}'")
    refused(impasto(command, "a", "b", "c", "d"), USAGE, "unexpected extra argument")
