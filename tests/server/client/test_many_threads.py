"""One client and many threads that do everything with it at once: all of them get what is theirs, and none waits on."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.core.errors import RequestCancelled, ServerError
from impasto.server.client import Client
from tests.server.scripted_server import LIMIT_S, Script, serving

THREADS, ROUNDS = 8, 40


def grey(number: int) -> np.ndarray[Any, Any]:
    return np.full((16, 16, 4), number, np.float32)


def assert_painted(future: Any, number: int) -> None:
    with future.result(LIMIT_S) as painted:
        assert np.array_equal(painted.pixels, grey(number))


def frame(client: Client, number: int) -> None:
    assert_painted(client.submit(grey(number), style="echo"), number)


def frame_of_the_message(client: Client, number: int) -> None:
    """A size for which there is no ring while others use theirs."""
    pixels = np.full((32, 32, 4), number, np.float32)
    with client.submit(pixels, style="echo").result(LIMIT_S) as painted:
        assert np.array_equal(painted.pixels, pixels)


def frame_without_patience(client: Client, number: int) -> None:
    future = client.submit(grey(number), style="echo")
    while True:
        try:
            future.result(0.0002)
            break
        except TimeoutError:
            continue
    assert_painted(future, number)


def frame_that_others_carry(client: Client, number: int) -> None:
    """Waited for as hosts do that know only the futures of the standard library."""
    future: Future[Any] = client.submit(grey(number), style="echo")
    assert wait([future], LIMIT_S).done
    assert_painted(future, number)


def frame_in_an_event_loop(client: Client, number: int) -> None:
    async def painted() -> None:
        future = client.submit(grey(number), style="echo")
        with await asyncio.wait_for(asyncio.wrap_future(future), LIMIT_S) as result:
            assert np.array_equal(result.pixels, grey(number))

    asyncio.run(painted())


def frame_that_others_cancel(client: Client, number: int) -> None:
    future = client.submit(grey(number), style="echo")
    future.add_done_callback(lambda ended: ended.cancel())
    threading.Thread(target=future.cancel).start()
    with contextlib.suppress(RequestCancelled):
        future.result(LIMIT_S).release()


def frame_that_the_collector_gives_back(client: Client, number: int) -> None:
    kept: list[Any] = [client.submit(grey(number), style="echo").result(LIMIT_S)]
    kept.append(kept)
    del kept
    gc.collect()


def ping(client: Client, number: int) -> None:
    assert client.ping() < LIMIT_S


def library(client: Client, number: int) -> None:
    assert len(client.styles()) == 100


ACTIONS: tuple[Callable[[Client, int], None], ...] = (
    frame,
    frame_of_the_message,
    frame_without_patience,
    frame_that_others_carry,
    frame_in_an_event_loop,
    frame_that_others_cancel,
    frame_that_the_collector_gives_back,
    ping,
    library,
)


def many_threads(client: Client, *, threads: int = THREADS, rounds: int = ROUNDS, seed: int = 0) -> list[Exception]:
    """What went wrong while so many threads each did so many things."""
    wrong: list[Exception] = []

    def work(number: int) -> None:
        chosen = random.Random(seed * 1000 + number)
        try:
            for step in range(rounds):
                chosen.choice(ACTIONS)(client, number * rounds + step)
        except Exception as error:  # noqa: BLE001  # whatever it is, the test shows it
            wrong.append(error)

    workers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(threads)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(6 * LIMIT_S)
    assert not any(each.is_alive() for each in workers)
    return wrong


@pytest.mark.slow
def test_each_of_many_threads_gets_its_own(tmp_path: Path) -> None:
    with serving(tmp_path / "run", Script(credit=8)), Client.connect(tmp_path / "run", start=False, pairs=6) as client:
        assert many_threads(client) == []
        assert client.ping() < LIMIT_S


def test_closing_ends_every_wait_in_another_thread(tmp_path: Path) -> None:
    with serving(tmp_path / "run", Script(credit=8)), Client.connect(tmp_path / "run", start=False, pairs=6) as client:
        futures = [client.submit(grey(0), style="hold") for _ in range(4)]
        ended: list[Any] = []

        def linger(future: Any) -> None:
            with pytest.raises(ServerError, match="closed"):
                future.result(LIMIT_S)
            ended.append(future)

        threads = [threading.Thread(target=linger, args=(each,), daemon=True) for each in futures]
        for thread in threads:
            thread.start()
        begun = time.monotonic()
        client.close()
        for thread in threads:
            thread.join(LIMIT_S)
        assert time.monotonic() - begun < 1
    assert len(ended) == 4
