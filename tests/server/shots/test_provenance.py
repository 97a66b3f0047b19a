"""What a finished frame says of itself, which may have been written by anybody."""

from __future__ import annotations

import pytest

from impasto.server.shots.provenance import agrees

SOUND = {"style_sha256": "s", "settings": "{}", "source": "/nowhere/p.exr", "source_stamp": "", "precision": "float32"}


def agreed(**more: str) -> bool:
    return agrees(
        SOUND | more, settings="{}", style_sha256="s", precision=lambda: "float32", source="/nowhere/p.exr"
    )  # fmt: skip


def test_a_frame_of_the_same_facts_agrees() -> None:
    assert agreed()
    assert agreed(guides='["/nowhere/n.exr"]', guide_stamps="")


@pytest.mark.parametrize("guides", ["no JSON", "5", "[" * 100_000, "null"])
def test_a_frame_that_names_no_guides_where_it_says_so_does_not_agree(guides: str) -> None:
    assert not agreed(guides=guides)


def test_a_path_that_no_file_can_have_is_a_file_that_is_gone() -> None:
    assert not agreed(matte="/a\0b", matte_stamp="12-34")
    assert not agreed(guides='["/a\\u0000b"]', guide_stamps="12-34")
