"""What doctor says of live sinks."""

from __future__ import annotations

from pathlib import Path

import pytest

from impasto.hosts.terminal.doctor.live import check_live_sinks


def test_sinks_that_work_and_why_others_do_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = {done.name: done for done in check_live_sinks()}
    assert "browser, movies, udp://" in found["live sinks"].found
    assert "no ffmpeg program" in found["live sink srt"].found
    assert found["live sink srt"].hint == "install ffmpeg"
