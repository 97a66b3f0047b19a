"""Every painter keeps what all painters promise: the engine, the worker's, the scheduled, the late, the fake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from impasto.core.engine import Engine
from impasto.core.style_file import BUILT_IN, find_style, load_style
from impasto.hosts.terminal.render.local import LazyEngine
from impasto.server.protocol.messages import RenderSettings
from impasto.server.protocol.worker_messages import TurnAsked, TurnOver
from impasto.server.worker.memory_budget import MemoryBudget
from impasto.server.worker.scheduled_painter import ScheduledPainter
from impasto.server.worker.style_cache import StyleCache
from impasto.server.worker.style_painter import StylePainter
from tests.server.fake_worker import FakeDevice
from tests.server.worker.painter_conformance import PainterConformance

NAME = "wheatfield-draft"
PATH = str(BUILT_IN / f"{NAME}.safetensors")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(NAME, device="cpu")


@pytest.fixture(scope="module")
def styles() -> StyleCache:
    return StyleCache(1 << 30, load_style, lambda style, precision, tile: Engine(style, device="cpu", tile=tile))


class TestEngine(PainterConformance):
    @pytest.fixture
    def painter(self, engine: Engine) -> Engine:
        return engine


class TestStylePainter(PainterConformance):
    @pytest.fixture
    def painter(self, styles: StyleCache) -> StylePainter:
        return StylePainter(styles, styles.style(PATH), "cpu", "float32", "auto", MemoryBudget())


class TestScheduledPainter(PainterConformance):
    @pytest.fixture
    def painter(self, engine: Engine) -> ScheduledPainter:
        asked: list[Any] = []

        def send(message: Any) -> None:
            asked.append(message)
            if isinstance(message, TurnAsked):
                scheduled.grant(message.turn)

        scheduled = ScheduledPainter(engine, b"job" * 5 + b"!", send, lambda: None)
        return scheduled

    def test_every_turn_is_given_back(self, engine: Engine) -> None:
        said: list[Any] = []

        def send(message: Any) -> None:
            said.append(message)
            if isinstance(message, TurnAsked):
                scheduled.grant(message.turn)

        scheduled = ScheduledPainter(engine, b"job" * 5 + b"!", send, lambda: None)
        self.test_what_a_check_raises_leaves_the_work_and_the_next_frame_is_painted(scheduled)
        turns = [message.turn for message in said if isinstance(message, TurnAsked)]
        assert [message.turn for message in said if isinstance(message, TurnOver)] == turns == [0, 1]


class TestLateEngine(PainterConformance):
    @pytest.fixture
    def painter(self, engine: Engine) -> LazyEngine:
        return LazyEngine(engine.style.card, lambda: engine, lambda eight_bit: "float32")

    def test_it_is_built_for_the_first_frame(self, engine: Engine) -> None:
        built: list[Path] = []
        load: Callable[[], Engine] = lambda: (built.append(find_style(NAME)), engine)[1]  # noqa: E731
        late = LazyEngine(engine.style.card, load, lambda eight_bit: "float32")
        self.test_it_names_its_style_and_precision(late)
        assert built == []
        self.test_two_threads_get_each_their_own(late)
        assert len(built) == 1


class TestFakePainter(PainterConformance):
    @pytest.fixture
    def painter(self) -> Any:
        return FakeDevice("cpu", -1).painter(RenderSettings("invert"), "")
