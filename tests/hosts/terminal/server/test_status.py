"""The page of `impasto status`: what a person asks first stands first, and nothing of a client is read as markup."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from impasto.hosts.terminal.server.status import event_of, megabytes, page
from impasto.server.protocol.messages import ClientFacts, DeviceFacts, PastError, Status

STATUS = Status(
    id=b"i" * 16,
    server="impasto 0.2.0",
    pid=4711,
    boot=b"b" * 16,
    uptime_s=3725.0,
    health="degraded",
    problems=("a worker was lost",),
    devices=(
        DeviceFacts("cuda:0", "H200", "busy", 4712, "float16", 1, ("wheatfield",), 2 << 30, 1 << 30, 139 << 30),
        DeviceFacts("cpu", "EPYC", "lost", 0, "float32", 3, (), 0, 0, 0, "bfloat16"),
    ),
    clients=(ClientFacts("blender [5.0]", "desk", "anna", 99, "interactive", "ring", 2, 1, 7),),
    styles=3,
    queued=2,
    running=1,
    jobs=1,
    frames=480,
    fps=23.98,
    rss_bytes=70 << 20,
    endpoints=("ipc:///run/user/1000/impasto/control.sock",),
    errors=(PastError(12.0, "style", "expected [bold]a style[/bold]", "7f"),),
    counters={"frames": 480},
)


def shown(status: Status, width: int = 160) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(page(status))
    return captured.get()


def test_the_first_line_shows_the_health_and_the_second_the_problem() -> None:
    first, second, *_ = shown(STATUS).splitlines()
    assert first == "impasto 0.2.0, process 4711, up for 1:02:05: degraded"
    assert second == "  a worker was lost"


@pytest.mark.parametrize(
    "words",
    [
        "1 request running, 2 waiting, 1 shot; 23.98 frames per second",
        "cuda:0 H200",
        "2.0 GiB, device 1.0 GiB of 139.0 GiB",
        "float32, of 8 bits bfloat16",
        "lost",
        "blender [5.0]",
        "anna",
        "12.0 s ago  style: expected [bold]a style[/bold]",
    ],
)
def test_everything_is_on_the_page(words: str) -> None:
    assert words in shown(STATUS)


def test_a_narrow_terminal_loses_nothing() -> None:
    assert "".join(["blender", "[5.0]"]) in "".join(shown(replace(STATUS, devices=()), 80).split())


def test_programs_get_every_field_but_the_ids() -> None:
    facts = event_of(STATUS)
    assert (facts.fps, facts.devices[0]["device"], facts.errors[0]["code"]) == (23.98, "cuda:0", "style")


@pytest.mark.parametrize(("count", "text"), [(0, "0 MiB"), (350 << 20, "350 MiB"), (2 << 30, "2.0 GiB")])
def test_memory_for_a_person(count: int, text: str) -> None:
    assert megabytes(count) == text
