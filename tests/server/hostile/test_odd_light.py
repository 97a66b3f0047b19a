"""Samples that are no light at all, through the worker that paints.

A pixel with a channel that is not finite comes back as it was and is counted; every other result is finite.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from impasto.server.protocol.messages import Done, Failed
from impasto.server.settings import WORKER_COMMAND
from tests.server.hostile.checks import answer_to, assert_discreet, healthy_server
from tests.server.running_server import Sandbox
from tests.server.wire_client import WireClient

READY_S = 60.0
SIDE = 40


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with healthy_server(("hollow",), worker_command=list(WORKER_COMMAND), ready_s=READY_S) as found:
        yield found


def plates() -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    values = {
        "NaN": np.nan,
        "infinity": np.inf,
        "minus infinity": -np.inf,
        "the largest half": 65504.0,
        "minus the largest half": -65504.0,
        "a denormal half": 6e-8,
        "a denormal": 1e-42,
        "1e38": 1e38,
        "-1e38": -1e38,
        "the largest float": float(np.finfo(np.float32).max),
        "-0": -0.0,
    }
    for name, value in values.items():
        for dtype in ("float16", "float32"):
            if dtype == "float16" and abs(value) > 65504 and np.isfinite(value):
                continue
            for channels in (1, 3, 4):
                yield f"{name} {dtype} {channels}", np.full((SIDE, SIDE, channels), value, dtype)
    mixed = np.random.default_rng(1).random((SIDE, SIDE, 4), np.float32)
    mixed[::3, ::3, 0], mixed[1::3, ::3, 3], mixed[::5, :, 1] = np.nan, np.inf, -np.inf
    yield "a mixture", mixed


@pytest.mark.parametrize("style", ["identity", "wheatfield-draft"])
def test_whatever_the_samples_are_the_worker_lives_and_adds_nothing_infinite(shared: Sandbox, style: str) -> None:
    with WireClient(shared.run, hello=True) as client:
        client.open_ring(1 << 16)
        ordinary = np.random.default_rng(2).random((SIDE, SIDE, 4), np.float32)
        before = painted(client, style, ordinary)[1]
        for name, pixels in plates():
            done, result = painted(client, style, pixels)
            invalid = ~np.isfinite(pixels).all(axis=-1)
            # What an alpha does not cover is not looked at, and counts only where it can be seen all the same.
            assert done.invalid_pixels == invalid.sum() or (
                pixels.shape[2] == 4 and done.invalid_pixels < invalid.sum()
            )
            np.testing.assert_array_equal(result[invalid], pixels[invalid], err_msg=name)
            assert np.isfinite(result[~invalid]).all(), name
        # Nothing of it stays in the worker: the same frame comes out as it did before.
        np.testing.assert_array_equal(painted(client, style, ordinary)[1], before)
        assert [each.restarts for each in client.status().devices] == [0]
        assert shared.server.alive


def painted(client: WireClient, style: str, pixels: np.ndarray[Any, Any]) -> tuple[Done, np.ndarray[Any, Any]]:
    client.write(0, pixels)
    done, _ = answer_to(client, client.submit(style, pixels=pixels, slot=client.slot(0)))
    assert isinstance(done, Done), done
    return done, client.read(0, pixels).copy()


def test_a_style_that_is_broken_is_told_by_its_name(shared: Sandbox) -> None:
    """A card without weights, which the worker alone can tell; where it lies is the server's own affair."""
    with WireClient(shared.run, hello=True) as client:
        failed = client.frame("hollow")
        assert isinstance(failed, Failed)
        assert failed.error.code == "style"
        assert "'hollow'" in failed.error.message
        assert_discreet(failed.error, [])
        path = str(shared.root / "styles" / "hollow.safetensors")
        assert path in client.frame(path).error.message
        client.open_ring(1 << 16)
        painted(client, "identity", np.zeros((SIDE, SIDE, 3), np.float16))
