"""The command as a whole: help, version, misuse, missing packages, faults."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from impasto.hosts.terminal import exit_codes
from impasto.hosts.terminal.commands import COMMANDS, CommandEntry, application
from tests.hosts.terminal.conftest import IMPASTO, Impasto


def test_help_lists_commands_and_exit_codes(impasto: Impasto) -> None:
    done = impasto("--help")
    assert done.code == 0
    for entry in COMMANDS:
        assert f"{entry.name} " in done.out
    for code in exit_codes.EXIT_CODES:
        assert f"{code.number:>5}  {code.meaning}" in done.out


def test_no_arguments_show_the_help(impasto: Impasto) -> None:
    assert impasto().out == impasto("--help").out


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_a_command_is_summed_up_as_it_sums_itself_up(entry: CommandEntry) -> None:
    app = application([entry.name])
    loaded = [each.help or "" for each in app.registered_commands if each.name == entry.name]
    groups = [each.typer_instance.info.help for each in app.registered_groups if each.name == entry.name]
    (text,) = loaded + [str(each) for each in groups]
    assert text.split("\n\n")[0] == entry.summary


def test_version(impasto: Impasto) -> None:
    done = impasto("--version")
    assert done.code == 0
    assert done.out.startswith("impasto ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rendr"], "rendr"),
        (["render"], "Missing argument"),
        (["render", "a", "b", "--stile", "x"], "--stile"),
        (["render", "a", "b", "--strength", "much"], "--strength"),
        (["train"], "Missing command"),
    ],
)
def test_misuse_is_one_sentence(arguments: list[str], said: str, impasto: Impasto) -> None:
    done = impasto(*arguments)
    assert done.code == exit_codes.USAGE
    assert said in done.err
    assert "--help` shows" in done.err
    assert len(done.err.splitlines()) == 1
    assert done.out == ""


def test_misuse_is_an_event_for_programs(impasto: Impasto) -> None:
    done = impasto("render", "a", "--json")
    assert done.code == exit_codes.USAGE
    (event,) = done.events
    assert (event["event"], event["code"], event["exit_code"]) == ("failed", "usage", exit_codes.USAGE)
    assert done.err == ""


def test_a_fault_of_the_program_is_one_sentence_and_a_log(
    impasto: Impasto, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fault() -> None:
        raise ZeroDivisionError("this is a bug")

    monkeypatch.setattr("impasto.hosts.terminal.style.listing.style_files", fault)
    done = impasto("styles")
    assert done.code == exit_codes.INTERNAL
    assert len(done.err.splitlines()) == 1
    assert "impasto itself is at fault (ZeroDivisionError: this is a bug)" in done.err
    (log,) = (tmp_path / "state" / "impasto").iterdir()
    assert str(log) in done.err
    assert "Traceback" in log.read_text()
    (event,) = impasto("styles", "--json").events
    assert (event["event"], event["code"], event["exit_code"]) == ("failed", "internal", exit_codes.INTERNAL)
    assert Path(event["log"]).exists()


def without(package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # None in sys.modules makes an import fail as if the package were not installed.
    program = f"import sys; sys.modules[{package!r}] = None; from impasto.hosts.terminal.app import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_a_base_installation_names_what_to_install(package: str) -> None:
    done = without(package, "--help")
    assert done.returncode == exit_codes.INTERNAL
    assert done.stderr == (
        f"impasto: expected the package '{package}', which is not installed; pip install 'impasto[server]'\n"
    )


def test_a_missing_package_is_named_when_it_is_needed(sequence: str) -> None:
    done = without("torch", "render", sequence, "o.####.exr", "--style", "identity", "--local")
    assert done.returncode == exit_codes.INTERNAL
    assert (
        done.stderr == "impasto: expected the package 'torch', which is not installed; pip install 'impasto[server]'\n"
    )


def test_help_loads_neither_network_nor_media() -> None:
    heavy = ("torch", "numpy", "cv2", "av", "OpenImageIO", "PyOpenColorIO")
    program = (
        "import sys; from impasto.hosts.terminal.app import run; code = run(['--help']);"
        f"print([name for name in {heavy} if name in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == "[] 0\n"


def test_a_closed_pipe_is_no_error() -> None:
    shell = f"{' '.join(repr(part) for part in IMPASTO)} styles --json | head -n 0"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
