"""Workers are started, heard, buried and replaced; the children here are scripts of a few lines, without torch."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from impasto.server.front.supervised_device import Timeouts
from impasto.server.front.workers import LATE_S, WorkerDied, WorkerEvent, WorkerMessage, Workers
from impasto.server.protocol import worker_messages
from impasto.server.protocol.limits import Limits
from tests.server import fake_worker
from tests.waiting import until

LIMIT_S = 20.0
WORKER = textwrap.dedent(
    """
    import os, signal, sys, time
    from impasto.server.protocol import worker_messages as link
    from impasto.server.protocol.messages import DeviceFacts
    from impasto.server.worker_pipe import LinkClosed, worker_end
    import select

    way, rest = sys.argv[1], sys.argv[2:]
    assert rest[0] == "--fd" and rest[2] == "--device", rest
    end, device = worker_end(int(rest[1])), rest[3]

    def facts(rss=1000):
        name = "cpu" if device == "auto" else device
        return DeviceFacts(name, "A scripted device", "ready", os.getpid(), "float32", 0, (), rss, 0, 0)

    def messages():
        while True:
            select.select([end], [], [], 30)
            try:
                yield from (message for message, _ in end.receive())
            except LinkClosed:
                os._exit(0)

    print("hello from", device, flush=True)
    if way == "dies at once":
        os._exit(3)
    if way == "never ready":
        time.sleep(60)
    if way == "speaks rubbish":
        os.write(int(rest[1]), b"\\x05\\x00\\x00\\x00rubbish")
        time.sleep(60)
    end.send(link.Ready(facts(), others=("cuda:1", "cpu") if device == "auto" else ()))
    if way == "closes its link":
        end.close()
        time.sleep(60)
    if way == "device error":
        end.send(link.WorkerNote("error", "last words"))
        end.flush(5)
        os._exit(86)
    if way == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    if way == "grows":
        end.send(link.Beat(facts(rss=1 << 40)))
    for message in messages():
        if isinstance(message, link.Quit):
            os._exit(0)
        end.send(link.WorkerNote("info", type(message).__name__))
    """
)


SHORT = Timeouts(linger_s=0.2, quit_s=0.3)
USUAL = Limits()
FRONT = textwrap.dedent(
    """
    import select, sys
    from impasto.server.front.workers import Workers
    from time import monotonic

    supervised = Workers(("cpu", "cuda:7"), command=sys.argv[1:], log=None)
    supervised.start()
    told = False
    while True:
        select.select(supervised.filenos(), [], [], 1)
        supervised.tick(monotonic())
        supervised.receive()
        workers = supervised.facts()
        if not told and all(facts.state == "ready" for facts in workers):
            print(*(facts.pid for facts in workers), flush=True)
            told = True
    """
)


class Clock:
    """Real time and what was added to it: a minute passes at once."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


class Front:
    """What the front does with a supervised, in few lines: poll, tick, receive."""

    def __init__(self, supervised: Workers, clock: Clock) -> None:
        self.supervised, self.clock = supervised, clock
        self.events: list[WorkerEvent] = []

    def until(self, done: Callable[[], bool]) -> None:
        limit = time.monotonic() + LIMIT_S
        while not done():
            assert time.monotonic() < limit, f"still waiting; so far {self.events}, {self.supervised.facts()}"
            wake = self.supervised.next_wake()
            wait_s = 0.5 if wake is None else min(0.5, max(0.0, wake - self.clock()))
            select.select(self.supervised.filenos(), [], [], wait_s)
            self.supervised.tick(self.clock())
            self.events += self.supervised.receive()

    def ready(self, count: int = 1) -> None:
        self.until(lambda: len(self.heard(worker_messages.Ready)) >= count)

    def heard(self, kind: type) -> list[int]:
        return [
            event.worker
            for event in self.events
            if isinstance(event, WorkerMessage) and isinstance(event.message, kind)
        ]

    def lost(self) -> list[WorkerDied]:
        return [event for event in self.events if isinstance(event, WorkerDied)]

    def pid(self, place: int = 0) -> int:
        return self.supervised.facts()[place].pid


def open_files() -> list[str]:
    """What the file numbers of this process lead to, without those of the threads of ZeroMQ, which may come late."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the number of the listing itself
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return sorted(each for each in found if not each.startswith("anon_inode:[event"))


@pytest.fixture
def front() -> Iterator[Callable[..., Front]]:
    """Starts the supervision of scripted workers; afterwards no child and no open file is left of it."""
    me = psutil.Process()
    children, files = me.children(recursive=True), open_files()
    fronts: list[Front] = []

    def start(
        way: str = "works",
        devices: tuple[str, ...] = ("cpu",),
        timeouts: Timeouts = SHORT,
        limits: Limits = USUAL,
        command: tuple[str, ...] = (sys.executable, "-c", WORKER),
        log: Path = Path(os.devnull),
    ) -> Front:
        clock = Clock()
        with log.open("ab") as file:
            supervised = Workers(
                devices, command=(*command, way), log=os.fdopen(os.dup(file.fileno()), "ab"), clock=clock,
                timeouts=timeouts, limits=limits,
            )  # fmt: skip
        fronts.append(Front(supervised, clock))
        supervised.start()
        return fronts[-1]

    yield start
    for each in fronts:
        each.supervised.stop(5.0)
        log = each.supervised._log
        assert log is not None
        log.close()
        assert each.supervised.filenos() == []
        assert each.supervised.next_wake() is None
    assert me.children(recursive=True) == children
    assert open_files() == files


def test_a_worker_is_starting_until_it_says_that_it_is_ready(front: Callable[..., Front]) -> None:
    workers = front()
    assert [facts.state for facts in workers.supervised.facts()] == ["starting"]
    workers.ready()
    (facts,) = workers.supervised.facts()
    assert (facts.device, facts.name, facts.state, facts.restarts) == ("cpu", "A scripted device", "ready", 0)
    assert psutil.pid_exists(facts.pid)
    assert workers.supervised.problems() == ()


def test_a_message_reaches_its_worker_and_no_other(front: Callable[..., Front]) -> None:
    workers = front(devices=("cpu", "cuda:0"))
    workers.ready(2)
    second = next(number for number in (1, 2) if workers.supervised.device_of(number) == "cuda:0")
    assert workers.supervised.send(second, worker_messages.StopWork(b"0" * 16))
    workers.until(lambda: bool(workers.heard(worker_messages.WorkerNote)))
    assert workers.heard(worker_messages.WorkerNote) == [second]


def test_what_a_worker_prints_is_in_the_log(front: Callable[..., Front], tmp_path: Path) -> None:
    workers = front(log=tmp_path / "server.log")
    workers.ready()
    assert (tmp_path / "server.log").read_text() == "hello from cpu\n"


def test_asked_for_auto_the_other_devices_get_workers_too(front: Callable[..., Front]) -> None:
    workers = front(devices=("auto",))
    assert workers.supervised.every_device() is None
    workers.ready(2)
    assert [facts.device for facts in workers.supervised.facts()] == ["cpu", "cuda:1"]
    assert workers.supervised.every_device() == ("cpu", "cuda:1")


def test_a_worker_that_is_killed_is_lost_and_replaced_under_a_new_number(front: Callable[..., Front]) -> None:
    workers = front()
    workers.ready()
    first = workers.pid()
    os.kill(first, signal.SIGKILL)
    workers.until(lambda: bool(workers.lost()))
    assert workers.lost() == [WorkerDied(1, "killed by SIGKILL, as a system short of memory does")]
    assert not psutil.pid_exists(first)
    assert workers.supervised.facts()[0].state == "lost"
    assert "SIGKILL" in workers.supervised.problems()[0]
    workers.ready(2)
    assert workers.heard(worker_messages.Ready) == [1, 2]
    assert workers.supervised.facts()[0].restarts == 1
    assert workers.supervised.problems() == ()


def test_a_message_to_a_lost_worker_is_dropped(front: Callable[..., Front]) -> None:
    workers = front()
    workers.ready()
    os.kill(workers.pid(), signal.SIGKILL)
    while workers.supervised.send(1, worker_messages.StopWork(b"0" * 16)):
        workers.until(lambda: True)
        workers.events += workers.supervised.receive()
    workers.until(lambda: bool(workers.lost()))
    assert not workers.supervised.send(1, worker_messages.StopWork(b"0" * 16))
    assert not workers.supervised.send(99, worker_messages.Quit())


def test_the_last_words_of_a_worker_are_heard_before_it_is_lost(front: Callable[..., Front]) -> None:
    workers = front("device error")
    workers.until(lambda: bool(workers.lost()))
    assert [type(event.message) if isinstance(event, WorkerMessage) else WorkerDied for event in workers.events] == [
        worker_messages.Ready,
        worker_messages.WorkerNote,
        WorkerDied,
    ]
    assert workers.lost()[0].why == "device error (exit code 86)"


def test_a_worker_that_closes_its_link_but_lingers_is_killed_before_it_is_lost(front: Callable[..., Front]) -> None:
    workers = front("closes its link")
    workers.ready()
    pid = workers.pid()
    workers.until(lambda: bool(workers.lost()))
    assert "link ended" in workers.lost()[0].why
    assert "did not end: killed" in workers.lost()[0].why
    assert not psutil.pid_exists(pid)


def test_a_worker_that_speaks_rubbish_is_replaced(front: Callable[..., Front]) -> None:
    workers = front("speaks rubbish")
    workers.until(lambda: bool(workers.lost()))
    assert "link ended" in workers.lost()[0].why


def test_a_worker_that_is_never_ready_is_killed(front: Callable[..., Front]) -> None:
    workers = front("never ready", timeouts=Timeouts(ready_s=0.5))
    workers.until(lambda: bool(workers.lost()))
    assert workers.lost() == [WorkerDied(1, "killed: not ready after 0.5 s")]


def test_a_worker_that_falls_silent_is_killed(front: Callable[..., Front]) -> None:
    workers = front(timeouts=Timeouts(silent_s=0.5))
    workers.until(lambda: bool(workers.lost()))
    assert workers.lost() == [WorkerDied(1, "killed: silent for 0.5 s")]


def test_after_the_server_itself_was_asleep_no_worker_is_blamed(front: Callable[..., Front]) -> None:
    workers = front()
    workers.ready()
    workers.clock.ahead_s += 60 + LATE_S + 1
    workers.supervised.tick(workers.clock())
    assert workers.supervised.receive() == []
    assert workers.supervised.facts()[0].state == "ready"


def test_a_worker_that_hung_is_killed_when_told(front: Callable[..., Front]) -> None:
    workers = front("deaf")
    workers.ready()
    workers.supervised.kill(1)
    workers.until(lambda: bool(workers.lost()))
    assert workers.lost() == [WorkerDied(1, "killed: hung")]


def test_workers_that_die_at_once_are_started_ever_more_rarely(front: Callable[..., Front]) -> None:
    workers = front("dies at once")
    waits: list[float] = []
    for losses in range(1, 9):
        workers.until(lambda losses=losses: len(workers.lost()) == losses)  # type: ignore[misc]
        wake = workers.supervised.next_wake()
        assert wake is not None
        waits.append(wake - workers.clock())
        workers.clock.ahead_s += waits[-1]
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 32, 32], abs=0.5)
    assert [event.worker for event in workers.lost()] == list(range(1, 9))
    assert "8 times in a row" in workers.supervised.problems()[0]
    assert "exit code 3" in workers.supervised.problems()[0]


def test_a_worker_that_lived_long_is_replaced_at_once(front: Callable[..., Front]) -> None:
    workers = front(timeouts=Timeouts(silent_s=1000))
    workers.ready()
    workers.clock.ahead_s += 61
    os.kill(workers.pid(), signal.SIGSEGV)
    workers.until(lambda: bool(workers.lost()))
    assert workers.lost() == [WorkerDied(1, "killed by SIGSEGV")]
    wake = workers.supervised.next_wake()
    assert wake is not None
    assert wake <= workers.clock()


def test_a_command_that_does_not_exist_is_a_problem_and_no_crash(front: Callable[..., Front]) -> None:
    workers = front(command=("/nowhere/python",))
    assert workers.supervised.facts()[0].state == "lost"
    assert "could not be started" in workers.supervised.problems()[0]
    assert workers.supervised.receive() == []
    wake = workers.supervised.next_wake()
    assert wake is not None
    assert wake - workers.clock() == pytest.approx(1, abs=0.5)


def test_a_worker_that_takes_too_much_memory_is_named_and_replaced_on_demand(front: Callable[..., Front]) -> None:
    workers = front("grows", limits=Limits(worker_rss_bytes=1 << 30))
    workers.until(lambda: workers.supervised.overgrown() == (1,))
    assert "1024.0 GiB of memory, the limit is 1.0" in workers.supervised.problems()[0]
    workers.supervised.replace(1)
    workers.until(lambda: bool(workers.lost()))
    assert workers.lost() == [WorkerDied(1, "replaced: it took too much memory")]
    assert workers.supervised.overgrown() == ()


def test_a_worker_that_does_not_follow_quit_is_killed(front: Callable[..., Front]) -> None:
    workers = front("deaf")
    workers.ready()
    workers.supervised.replace(1, "replaced: tired")
    workers.until(lambda: bool(workers.lost()))
    assert workers.lost() == [WorkerDied(1, "replaced: tired")]


def test_stopping_asks_first(front: Callable[..., Front]) -> None:
    workers = front()
    workers.ready()
    process = psutil.Process(workers.pid())
    started = time.monotonic()
    workers.supervised.stop(10)
    assert time.monotonic() - started < 5
    assert not process.is_running()


def test_stopping_ends_a_worker_that_neither_hears_nor_takes_sigterm(front: Callable[..., Front]) -> None:
    workers = front("deaf", devices=("cpu", "cuda:0"))
    workers.ready(2)
    pids = [facts.pid for facts in workers.supervised.facts()]
    workers.supervised.stop(0.2)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_worker_stopped_by_a_signal_is_ended_all_the_same(front: Callable[..., Front]) -> None:
    workers = front()
    workers.ready()
    pid = workers.pid()
    os.kill(pid, signal.SIGSTOP)
    workers.supervised.stop(0.2)
    assert not psutil.pid_exists(pid)


def test_without_a_watch_on_processes_losses_are_seen_all_the_same(
    front: Callable[..., Front], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    workers = front()
    workers.ready()
    os.kill(workers.pid(), signal.SIGKILL)
    workers.until(lambda: bool(workers.lost()))
    assert workers.lost()[0].worker == 1


def lives(process: psutil.Process) -> bool:
    """Whether it runs still; one that nobody has reaped does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_no_worker_outlives_a_server_that_is_killed() -> None:
    with subprocess.Popen(
        (sys.executable, "-c", FRONT, *fake_worker.COMMAND), stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            assert select.select([server.stdout], [], [], LIMIT_S)[0], "the workers did not become ready"
            workers = [psutil.Process(int(pid)) for pid in server.stdout.readline().split()]
        finally:
            server.kill()
    assert len(workers) == 2
    until(lambda: not any(lives(worker) for worker in workers), 5.0, "for workers without a server to end")
