"""A result is there whole under its name, or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from impasto.core.errors import NoSpace, OutputError, OutputExists
from impasto.core.media import ShotInfo, commit, open_writer
from impasto.core.media.commit import committed, make_folder, output_error, remove_abandoned, temporary_beside
from tests.core.media.builders import leftovers


def test_the_final_name_appears_with_the_whole_content(tmp_path: Path) -> None:
    final = tmp_path / "a.exr"
    with committed(str(final), replace=False) as temporary:
        Path(temporary).write_bytes(b"whole")
        assert not final.exists()
    assert final.read_bytes() == b"whole"
    assert leftovers(tmp_path) == []


def test_the_temporary_file_is_hidden_and_keeps_the_extension(tmp_path: Path) -> None:
    with committed(str(tmp_path / "a.exr"), replace=False) as temporary:
        Path(temporary).touch()
        assert Path(temporary).name.startswith(".")
        assert temporary.endswith(".exr")
        assert Path(temporary).parent == tmp_path


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), committed(str(tmp_path / "a.exr"), replace=False) as temporary:  # noqa: PT012
        Path(temporary).write_bytes(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_earlier_file_alone(tmp_path: Path) -> None:
    final = tmp_path / "a.exr"
    final.write_bytes(b"earlier")
    with pytest.raises(RuntimeError), committed(str(final), replace=True) as temporary:  # noqa: PT012
        Path(temporary).write_bytes(b"half")
        raise RuntimeError
    assert final.read_bytes() == b"earlier"


def test_a_file_that_appeared_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    final = tmp_path / "a.exr"
    with pytest.raises(OutputExists, match="--overwrite"), committed(str(final), replace=False) as temporary:  # noqa: PT012
        Path(temporary).write_bytes(b"late")
        final.write_bytes(b"first")
    assert final.read_bytes() == b"first"
    assert leftovers(tmp_path) == []


def test_missing_folders_are_made(tmp_path: Path) -> None:
    make_folder(str(tmp_path / "a" / "b" / "c.exr"))
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="choose another folder"):
        make_folder(str(tmp_path / "file" / "a.exr"))


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_is_an_output_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="not permitted"):
        make_folder(str(tmp_path / "a.exr"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disks_and_quotas_are_no_space(code: int) -> None:
    assert isinstance(output_error("a.exr", OSError(code, "full")), NoSpace)


def dead_process() -> int:
    """The number of a process that has just ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(60)
    return ended.pid


def left_by(pid: int, final: Path, host: str | None = None, begun: str = "") -> Path:
    """A temporary file for a result, as another process would have left it; `begun` with its hyphen."""
    name = Path(temporary_beside(str(final))).name
    since = commit._begun(os.getpid())
    own = f"-{os.getpid()}-{since}-" if since else f"-{os.getpid()}-"
    name = name.replace(own, f"-{pid}{begun}-").replace(commit._host(), host or commit._host())
    path = final.parent / name
    path.write_bytes(b"half")
    return path


posix = pytest.mark.skipif(os.name != "posix", reason="no process can be looked for here")


@posix
def test_what_a_dead_process_left_is_removed(tmp_path: Path) -> None:
    final = tmp_path / "a.0001.exr"
    left = left_by(dead_process(), final)
    nested = left_by(dead_process(), left)
    assert sorted(remove_abandoned(str(tmp_path), lambda name: name == final.name)) == sorted([str(left), str(nested)])
    assert list(tmp_path.iterdir()) == []


@posix
def test_what_is_still_written_stays(tmp_path: Path) -> None:
    final = tmp_path / "a.0001.exr"
    own = left_by(os.getpid(), final)
    of_init = left_by(1, final)
    assert remove_abandoned(str(tmp_path), lambda name: True) == []
    assert own.exists()
    assert of_init.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="when a process began is asked of Linux alone")
def test_what_an_earlier_process_of_a_number_left_is_removed(tmp_path: Path) -> None:
    """After a restart, or in a container, where the first process always has the same number."""
    final = tmp_path / "a.0001.exr"
    earlier = left_by(os.getpid(), final, begun="-00000000")
    nested = left_by(os.getpid(), earlier, begun="-00000000")
    own = Path(temporary_beside(str(final)))
    own.touch()
    assert set(remove_abandoned(str(tmp_path), lambda name: name == final.name)) == {str(earlier), str(nested)}
    assert list(tmp_path.iterdir()) == [own]


@posix
def test_what_another_machine_left_stays(tmp_path: Path) -> None:
    left = left_by(dead_process(), tmp_path / "a.0001.exr", host="00000000")
    assert remove_abandoned(str(tmp_path), lambda name: True) == []
    assert left.exists()


@posix
def test_what_belongs_to_another_result_stays(tmp_path: Path) -> None:
    pid = dead_process()
    other = left_by(pid, tmp_path / "b.0001.exr")
    alike = [tmp_path / ".hidden.part.exr", tmp_path / "a.0001.exr", tmp_path / f".a.0001.{pid}-00000000.part.exr"]
    for path in alike:
        path.touch()
    assert remove_abandoned(str(tmp_path), lambda name: name.startswith("a.")) == []
    assert sorted(tmp_path.iterdir()) == sorted([other, *alike])


def test_a_folder_that_is_not_there_holds_nothing_abandoned(tmp_path: Path) -> None:
    assert remove_abandoned(str(tmp_path / "nowhere"), lambda name: True) == []


@posix
@pytest.mark.parametrize(("output", "left"), [("a.####.exr", "a.0007.exr"), ("a.exr", "a.exr"), ("a.mp4", "a.mp4")])
def test_a_writer_begins_with_a_clean_folder(tmp_path: Path, output: str, left: str) -> None:
    abandoned = left_by(dead_process(), tmp_path / left)
    other = left_by(dead_process(), tmp_path / "other.exr")
    frames = 1 if output == "a.exr" else 8
    open_writer(str(tmp_path / output), ShotInfo("", "sequence", 1, frames, 16, 16))
    assert not abandoned.exists()
    assert other.exists()


FULL_DISK = """
    import resource, sys
    import numpy as np
    from impasto.core.errors import NoSpace
    from impasto.core.frame import Frame
    from impasto.core.media import open_writer
    from impasto.core.media.shot import ShotInfo

    path, limit = sys.argv[1], int(sys.argv[2])
    # Python ignores SIGXFSZ, so a write beyond the limit fails with EFBIG, as one on a full disk fails with ENOSPC.
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    pixels = np.random.default_rng(1).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    shot = ShotInfo(path="", kind="sequence", first=1, frame_count=8, width=256, height=256)
    try:
        with open_writer(path, shot) as writer:
            for number in range(1, 9):
                frame = Frame.from_pixels(np.roll(pixels, number * 37), number=number)
                writer.write(frame)
    except NoSpace as error:
        print("NoSpace:", error)
    else:
        print("finished")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limits here")
@pytest.mark.parametrize(
    "name", ["a.####.exr", "a.####.png", "a.####.tif", "a.####.dpx", "a.####.jpg", "a.mp4", "a.mkv", "a.mov", "a.avi"]
)
@pytest.mark.parametrize("limit", [0, 1000, 100_000])
def test_a_full_disk_is_said_and_leaves_nothing_that_looks_finished(tmp_path: Path, name: str, limit: int) -> None:
    script = textwrap.dedent(FULL_DISK)
    command = [sys.executable, "-c", script, str(tmp_path / name), str(limit)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout.startswith("NoSpace: expected room for"), result.stdout + result.stderr
    assert [path.name for path in tmp_path.iterdir() if ".partial" not in path.name] == []
