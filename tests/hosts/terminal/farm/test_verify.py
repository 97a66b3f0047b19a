"""`impasto verify` and `impasto join` on small sequences that were rendered in this process."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.hosts.terminal.exit_codes import INPUT, OUTPUT, USAGE
from tests.hosts.terminal.conftest import HEIGHT, WIDTH, Impasto, picture

STYLE = ("--style", "identity", "--device", "cpu")
LOOK = STYLE[:2]
MEDIA = Path(__file__).parents[3] / "media"
OUT = "out/o.####.exr"


def kinds(event: dict[str, list[int]]) -> dict[str, list[int]]:
    return {kind: event[kind] for kind in ("missing", "torn", "stale", "other_look") if event[kind]}


class TestVerify:
    @pytest.fixture(autouse=True)
    def rendered(self, sequence: str, impasto: Impasto) -> None:
        assert impasto("render", sequence, OUT, *STYLE, "--strength", 0.5).code == 0

    def test_a_result_as_asked_ends_with_0(self, sequence: str, impasto: Impasto) -> None:
        done = impasto("verify", OUT, "--against", sequence, *LOOK, "--strength", 0.5)
        assert (done.code, "all 6 frames are there, whole and as asked" in done.out) == (0, True)

    def test_every_fault_has_its_kind_and_the_frame_its_number(self, sequence: str, impasto: Impasto) -> None:
        Path("out/o.1001.exr").unlink()
        torn = Path("out/o.1002.exr")
        torn.write_bytes(torn.read_bytes()[:-9])
        with open_writer(sequence, ShotInfo("", "sequence", 1003, 1, WIDTH, HEIGHT), overwrite=True) as writer:
            writer.write(picture(1003))
        assert impasto("render", sequence, OUT, *STYLE, "--frames", 1004, "--overwrite").code == 0
        done = impasto("verify", OUT, "--against", sequence, *LOOK, "--strength", 0.5, "--json")
        verified, failed = done.events
        assert kinds(verified) == {"missing": [1001], "torn": [1002], "stale": [1003], "other_look": [1004]}
        assert (failed["event"], failed["exit_code"], done.code) == ("failed", OUTPUT, OUTPUT)
        assert impasto("render", sequence, OUT, *STYLE, "--strength", 0.5, "--resume").code == 0
        assert impasto("verify", OUT, "--against", sequence, *LOOK, "--strength", 0.5).code == 0, "--resume mends it"

    def test_the_same_plates_in_another_folder_are_the_same(self, sequence: str, impasto: Impasto) -> None:
        Path("in").rename("mounted")
        moved = sequence.replace("/in/", "/mounted/")
        assert impasto("verify", OUT, "--against", moved, *LOOK, "--strength", 0.5).code == 0
        done = impasto("render", moved, OUT, *STYLE, "--strength", 0.5, "--resume", "--json")
        assert done.events[-1]["skipped"] == 6

    def test_a_gap_in_the_plates_is_an_error_of_the_input(self, sequence: str, impasto: Impasto) -> None:
        Path(sequence.replace("####", "1003")).unlink()
        done = impasto("verify", OUT, "--against", sequence, *LOOK)
        assert (done.code, "missing 1003" in done.err) == (INPUT, True)

    def test_a_movie_cannot_be_verified(self, sequence: str, impasto: Impasto) -> None:
        assert impasto("verify", "o.mov", "--against", sequence, *LOOK).code == USAGE


def sound_of(path: str) -> np.ndarray:
    with av.open(path) as container:
        return np.concatenate([frame.to_ndarray().mean(0) for frame in container.decode(audio=0)])


def write_sound(path: Path, seconds: float) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(48000)
        file.writeframes((np.sin(np.arange(round(48000 * seconds)) / 20) * 16000).astype("<i2").tobytes())


def test_joined_frames_get_the_sound_of_a_file_as_long_as_they_last(
    sequence: str, impasto: Impasto, tmp_path: Path
) -> None:
    write_sound(tmp_path / "music.wav", 2.0)
    done = impasto("join", sequence, "joined.mov", "--sound", "music.wav", "--rate", 24, "--local")
    assert done.code == 0, done.err
    with open_reader("joined.mov") as reader:
        assert (reader.info.frame_count, reader.info.rate) == (6, 24)
    sound = sound_of("joined.mov")
    assert len(sound) / 48000 == pytest.approx(6 / 24, abs=0.03)
    assert np.abs(sound).max() > 0.3


def test_frames_painted_from_a_movie_get_its_rate_and_sound_where_it_was(impasto: Impasto) -> None:
    plates = MEDIA / "harbour.mp4"
    assert impasto("render", plates, "out/o.####.png", *STYLE, "--frames", "25-30").code == 0
    done = impasto("join", "out/o.####.png", "joined.mov", "--against", plates, "--local")
    assert done.code == 0, done.err
    whole, part = sound_of(str(plates)), sound_of("joined.mov")
    assert len(part) / 48000 == pytest.approx(0.25, abs=0.05)
    best = min(np.abs(whole[at : at + 6000] - part[2000:8000]).mean() for at in range(49000, 52000, 8))
    assert best < 0.01, "the sound of frame 25 and after, not that of the beginning"


def test_join_says_what_it_cannot_take(sequence: str, impasto: Impasto) -> None:
    assert impasto("join", sequence, "joined.exr", "--local").code == USAGE
    assert impasto("join", sequence, "joined.mov", "--sound", sequence.replace("####", "1001"), "--local").code == INPUT
    assert not Path("joined.mov").exists()
