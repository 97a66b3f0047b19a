"""What every `Painter` keeps, whatever it paints with. Each implementation's test derives from `PainterConformance`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests import plates

SIZE = (24, 40)


class Left(Exception):
    """Raised by a check that leaves the work."""


plate = partial(plates.plate, *SIZE, opaque=True, channels=4)


class PainterConformance:
    """Claims about a painter; `painter` is the fixture that a test of an implementation gives."""

    @pytest.fixture
    def painter(self) -> Any:
        raise NotImplementedError("a test of a painter gives the painter")

    def test_it_names_its_style_and_precision(self, painter: Any) -> None:
        assert painter.style.card.name
        assert painter.precision_for(eight_bit=False) in ("float32", "float16")
        assert painter.precision_for(eight_bit=True) in ("float32", "float16", "bfloat16")

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_a_result_has_the_number_size_channels_and_depth_of_its_plate(
        self, painter: Any, dtype: str, channels: int
    ) -> None:
        frame = plate(dtype=dtype, channels=channels, number=7)
        painted = painter.render(frame).frame
        assert painted.number == frame.number
        assert painted.part.pixels.shape == frame.part.pixels.shape
        assert painted.part.pixels.dtype == frame.part.pixels.dtype

    def test_a_plate_is_left_as_it_was(self, painter: Any) -> None:
        frame = plate()
        before = frame.part.pixels.copy()
        painter.render(frame)
        assert np.array_equal(frame.part.pixels, before)

    def test_the_same_plate_gives_the_same_pixels_whatever_was_painted_before(self, painter: Any) -> None:
        first = painter.render(plate()).frame.part.pixels.copy()
        painter.render(plate(seed=2))
        assert np.array_equal(painter.render(plate()).frame.part.pixels, first)

    def test_two_threads_get_each_their_own(self, painter: Any) -> None:
        alone = [painter.render(plate(seed=seed)).frame.part.pixels.copy() for seed in range(4)]
        with ThreadPoolExecutor(2) as pool:
            for seed, painted in enumerate(pool.map(painter.render, [plate(seed=seed) for seed in range(4)])):
                assert np.array_equal(painted.frame.part.pixels, alone[seed])

    def test_a_result_says_what_it_cost_and_where_it_comes_from(self, painter: Any) -> None:
        rendered = painter.render(plate())
        assert rendered.report.invalid_pixels == 0
        assert set(rendered.report.seconds) >= {"before", "network", "after"}
        assert all(seconds >= 0 for seconds in rendered.report.seconds.values())
        assert rendered.frame.provenance["style"]

    def test_what_a_check_raises_leaves_the_work_and_the_next_frame_is_painted(self, painter: Any) -> None:
        def check() -> None:
            raise Left

        with pytest.raises(Left):
            painter.render(plate(), cancelled=check)
        assert painter.render(plate()).frame.part.pixels.shape == (*SIZE, 4)
