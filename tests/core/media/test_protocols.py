"""Streams by a protocol that the installed FFmpeg lacks."""

from __future__ import annotations

import pytest

from impasto.core.errors import UnsupportedMedia
from impasto.core.media import open_reader
from impasto.core.media.protocols import has_protocol


def test_what_ffmpeg_lacks_is_known_without_a_network() -> None:
    assert has_protocol("tcp")
    assert not has_protocol("gopherhole")


@pytest.mark.skipif(has_protocol("srt"), reason="this PyAV was built with SRT")
def test_srt_without_srt_is_a_sentence_on_what_to_do() -> None:
    with pytest.raises(UnsupportedMedia, match="built without srt; send it as rtsp, rtmp or udp"):
        open_reader("srt://127.0.0.1:9")
