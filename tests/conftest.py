"""What every test shares: few threads, reproducible examples, and the larger media beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# Read by the numerical libraries when they are first loaded, which is after this file. Tests paint small pictures;
# on a shared machine more threads than that make them slower.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# Painted frames of one run must not be found by the next, nor fill the user's own cache.
os.environ["IMPASTO_CACHE"] = "off"

# No deadline: how long an example takes says something about the machine, nothing about the code.
hypothesis.settings.register_profile("impasto", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("impasto")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds pyproject.toml and the four packages."""
    return ROOT


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """The folder of larger test media, `../shared/media`; skips where it is not there."""
    folder = ROOT.parent / "shared" / "media"
    if not folder.is_dir():
        pytest.skip("the larger media are not there: no folder ../shared/media beside the repository")
    return folder
