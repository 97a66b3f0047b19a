"""`impasto submit`: the bundle that it writes, checked and run by OpenJD's own command, and run here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from impasto.core.errors import OutOfMemory, ServerUnreachable, StyleError, UsageError
from impasto.hosts.farm.local import as_range
from impasto.hosts.terminal.exit_codes import ELSEWHERE, INPUT, OUTPUT, STYLE, USAGE, exit_code_of
from tests.hosts.terminal.conftest import Impasto, names

LOOK = ("--style", "identity", "--strength", 0.5, "--device", "cpu")
FRAMES = [f"o.{number}.exr" for number in range(1001, 1007)]


@pytest.fixture(autouse=True)
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`impasto` by its name, as a farm calls it; sessions of OpenJD in a short folder of their own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = f"#!{sys.executable}\nfrom impasto.hosts.terminal.app import main\nmain()\n"
    (folder / "impasto").write_text(script)
    (folder / "impasto").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def openjd(*arguments: object) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", "from openjd.cli import main; main()", *map(str, arguments)],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def template(folder: str = "out.job") -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(Path(folder, "template.yaml").read_text())
    return loaded


class TestBundle:
    def test_a_preset_and_every_option_of_the_look_reach_the_task(self, sequence: str, impasto: Impasto) -> None:
        Path("warm.toml").write_text('style = "ink-draft"\n\n[parameters]\nstrength = 0.25\ncolour = 0.5\n')
        options = ("--preset", "warm.toml", "--colour", 0.75, "--keys-quality", "best", "--keys-map")
        assert impasto("submit", sequence, "out/o.####.exr", *options, "--job", "job").code == 0
        defaults = {each["name"]: each.get("default") for each in template("job")["parameterDefinitions"]}
        assert (defaults["Strength"], defaults["Colour"], defaults["KeysQuality"]) == ("0.25", "0.75", "best")
        command = Path("job/template.yaml").read_text()
        assert "--keys-map" in command
        assert "--preset" not in command
        assert impasto("render", sequence, "out/o.####.exr", *options, "--local", "--device", "cpu").code == 0
        against = ("--against", sequence, *options)
        assert impasto("verify", "out/o.####.exr", *against).code == 0
        assert impasto("verify", "out/o.####.exr", *against[:-1]).code == OUTPUT, "another layer was asked for"

    def test_it_is_sound_and_names_whatever_the_look_needs(
        self, sequence: str, impasto: Impasto, tmp_path: Path
    ) -> None:
        Path("keys.json").write_text('{"colour": {"1001": 0.2, "1006": 1.0}}')
        matte = sequence.replace("/in/", "/mattes/")
        Path("in").rename("mattes")
        assert impasto("render", matte, sequence, "--style", "identity", "--device", "cpu").code == 0
        done = impasto(
            "submit", sequence, "out/o.####.exr", *LOOK, "--matte", matte, "--animate", "keys.json",
            "--frames", "1001-1003,1005", "--chunk", 2, "--movie", "m/o.mov", "--json",
        )  # fmt: skip
        assert done.code == 0, done.err
        written = done.events[0]
        assert (written["event"], written["frames"], written["chunk"]) == ("written", 4, 2)
        assert names(Path("out.job")) == [
            "animation.json", "asset_references.yaml", "job.json", "parameter_values.yaml", "style.safetensors",
            "template.yaml",
        ]  # fmt: skip
        assert openjd("check", "out.job/template.yaml")[0] == 0
        found = {each["name"]: each for each in template()["parameterDefinitions"]}
        paths = {
            name: (each["dataFlow"], each.get("default")) for name, each in found.items() if each["type"] == "PATH"
        }
        assert paths == {
            "Plates": ("IN", None), "Matte": ("IN", None), "Out": ("OUT", None), "Movie": ("OUT", None),
            "Style": ("IN", "style.safetensors"), "JobFile": ("IN", "job.json"), "Animation": ("IN", "animation.json"),
        }  # fmt: skip
        assert {name: found[name]["default"] for name in ("Frames", "Strength", "Precision")} == {
            "Frames": "1001-1003,1005", "Strength": "0.5", "Precision": "float32",
        }  # fmt: skip
        assert [step["name"] for step in template()["steps"]] == ["Paint", "Verify", "Movie"]
        references = yaml.safe_load(Path("out.job/asset_references.yaml").read_text())["assetReferences"]
        assert references["inputs"]["directories"] == [str(tmp_path / "in"), str(tmp_path / "mattes")]

    def test_a_gpu_is_asked_for_unless_the_processor_paints(self, sequence: str, impasto: Impasto) -> None:
        assert impasto("submit", sequence, "out/", "--style", "identity").code == 0
        assert template()["steps"][0]["hostRequirements"]["amounts"] == [{"name": "amount.worker.gpu", "min": 1}]
        assert impasto("submit", sequence, "out/", *LOOK).code == 0
        assert "hostRequirements" not in template()["steps"][0]

    def test_a_dry_run_writes_nothing(self, sequence: str, impasto: Impasto) -> None:
        done = impasto("submit", sequence, "out/", *LOOK, "--dry-run")
        assert (done.code, "jobtemplate-2023-09" in done.out) == (0, True)
        assert not Path("out.job").exists()
        assert not Path("out").exists()

    def test_many_shots_come_from_a_list(self, sequence: str, impasto: Impasto) -> None:
        Path("shots.csv").write_text(f"plates,out,strength\n{sequence},a/o.####.exr,0.25\n{sequence},b/o.####.exr,\n")
        assert impasto("submit", "--shots", "shots.csv", *LOOK).code == 0
        strengths = [
            {each["name"]: each.get("default") for each in template(name)["parameterDefinitions"]}["Strength"]
            for name in ("a.job", "b.job")
        ]
        assert strengths == ["0.25", "0.5"]
        Path("shots.json").write_text(json.dumps([{"plates": sequence, "out": "a/", "stregth": 1}]))
        done = impasto("submit", "--shots", "shots.json", *LOOK)
        assert (done.code, "'stregth'" in done.err) == (USAGE, True)

    def test_what_a_farm_cannot_do_is_refused_before_anything_is_written(self, sequence: str, impasto: Impasto) -> None:
        assert impasto("submit", sequence, "o.mov", *LOOK).code == USAGE
        assert impasto("submit", "camera:0", "out/o.####.exr", *LOOK).code == USAGE
        assert impasto("submit", sequence, "out/", *LOOK, "--chunk", "0").code == USAGE
        assert impasto("submit", sequence, "out/", "--style", "wheatfeld").code == USAGE
        Path(sequence.replace("####", "1003")).unlink()
        done = impasto("submit", sequence, "out/", *LOOK)
        assert (done.code, "missing 1003" in done.err) == (INPUT, True)
        assert "out.job" not in names(Path())


class TestTask:
    """One task, as a farm of any kind runs it."""

    @pytest.fixture
    def job(self, sequence: str, impasto: Impasto) -> Path:
        assert impasto("submit", sequence, "out/o.####.exr", *LOOK).code == 0
        return Path("out.job/job.json")

    def task(self, impasto: Impasto, sequence: str, job: Path, **other: object) -> Any:
        style = other.get("style", "out.job/style.safetensors")
        return impasto(
            "render", sequence, "out/o.####.exr", *LOOK[2:], "--style", style, "--frames", "1001-1002", "--resume",
            "--job", job,
        )  # fmt: skip

    def test_it_tells_a_farm_how_far_it_is_and_may_run_again(self, sequence: str, impasto: Impasto, job: Path) -> None:
        done = self.task(impasto, sequence, job)
        assert done.code == 0, done.err
        assert [line for line in done.out.splitlines() if "progress" in line] == [
            "openjd_progress: 50.0",
            "openjd_progress: 100.0",
        ]
        again = self.task(impasto, sequence, job)
        assert (again.code, "2 are there" in again.out) == (0, True)

    def test_another_version_is_refused_with_both_and_may_be_tried_elsewhere(
        self, sequence: str, impasto: Impasto, job: Path
    ) -> None:
        job.write_text(job.read_text().replace('"impasto": "', '"impasto": "9.'))
        done = self.task(impasto, sequence, job)
        assert (done.code, "expected impasto 9." in done.err, "openjd_fail" in done.out) == (ELSEWHERE, True, True)
        assert not Path("out/o.1001.exr").exists()

    def test_a_style_that_was_changed_since_fails_everywhere(self, sequence: str, impasto: Impasto, job: Path) -> None:
        done = self.task(impasto, sequence, job, style="wheatfield-draft")
        assert (done.code, "wheatfield-draft" in done.err) == (STYLE, True)

    def test_a_folder_that_is_not_mounted_is_not_made(self, sequence: str, impasto: Impasto, job: Path) -> None:
        for plates, out in ((sequence.replace("/in/", "/gone/"), "out/"), (sequence, "gone/deep/")):
            done = impasto("render", plates, out, "--style", "out.job/style.safetensors", "--resume", "--job", job)
            assert (done.code, "mount it" in done.err) == (ELSEWHERE, True)
        assert not Path("gone").exists()

    def test_failures_of_the_machine_alone_are_tried_elsewhere(self) -> None:
        codes = [
            exit_code_of(each("x"), on_farm=True) for each in (OutOfMemory, ServerUnreachable, UsageError, StyleError)
        ]
        assert codes == [ELSEWHERE, ELSEWHERE, USAGE, STYLE]
        assert ELSEWHERE not in (exit_code_of(OutOfMemory("x")), exit_code_of(ServerUnreachable("x")))


def test_openjd_runs_the_bundle_in_chunks_with_mapped_paths_and_ends_the_server(
    sequence: str, impasto: Impasto, tmp_path: Path
) -> None:
    assert impasto("submit", sequence, "out/o.####.exr", *LOOK, "--chunk", 4).code == 0
    (tmp_path / "in").rename(tmp_path / "mounted")
    rules = {
        "version": "pathmapping-1.0",
        "path_mapping_rules": [
            {
                "source_path_format": "POSIX",
                "source_path": str(tmp_path / "in"),
                "destination_path": str(tmp_path / "mounted"),
            }
        ],
    }
    code, said = openjd(
        "run", "out.job/template.yaml", "--step", "Verify", "--run-dependencies", "-p", f"Plates={tmp_path / 'in'}",
        "-p", f"Out={tmp_path / 'out'}", "--path-mapping-rules", json.dumps(rules),
    )  # fmt: skip
    assert code == 0, said
    assert names(Path("out")) == FRAMES
    assert said.count("openjd_progress: 100.0") == 2, "two chunks"
    assert "the server has ended" in said
    assert "all 6 frames are there, whole and as asked" in said


def test_a_task_that_fails_says_why_and_the_server_ends(sequence: str, impasto: Impasto, tmp_path: Path) -> None:
    assert impasto("submit", sequence, "out/o.####.exr", *LOOK, "--chunk", 6).code == 0
    plate = Path(sequence.replace("####", "1004"))
    plate.write_bytes(plate.read_bytes()[:-20])
    given = ("-p", f"Plates={tmp_path / 'in'}", "-p", f"Out={tmp_path / 'out'}")
    code, said = openjd("run", "out.job/template.yaml", "--step", "Paint", *given)
    assert code != 0
    assert "openjd_fail: expected sound pixels in" in said
    assert "exited with code: 3" in said
    assert "the server has ended" in said
    assert names(Path("out")) == FRAMES[:3], "what was painted before is kept"


def test_local_seats_paint_the_rest_and_name_the_chunk_that_cannot_be_painted(sequence: str, impasto: Impasto) -> None:
    plate = Path(sequence.replace("####", "1004"))
    whole = plate.read_bytes()
    plate.write_bytes(whole[:-20])
    submit = ("submit", sequence, "out/o.####.exr", *LOOK, "--chunk", 2, "--to", "local", "--json")
    done = impasto(*submit)
    assert done.code == OUTPUT
    chunks = [(event["first"], event["last"], event["state"]) for event in done.events if event["event"] == "chunk"]
    assert chunks == [(1001, 1002, "done"), (1003, 1004, "failed"), (1005, 1006, "done")], "3 is never tried again"
    assert "1003-1004 were given up: expected sound pixels" in done.events[-1]["message"]
    assert set(names(Path("out"))) == set(FRAMES) - {"o.1004.exr"}
    plate.write_bytes(whole)
    again = impasto(*submit)
    assert again.code == 0, again.out
    assert (again.events[-1]["frames"], names(Path("out"))) == (1, FRAMES)


def test_frames_are_written_as_openjd_reads_them() -> None:
    assert as_range([1001, 1002, 1003, 1005, 1010, 1011]) == "1001-1003,1005,1010-1011"
