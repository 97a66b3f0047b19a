"""What needs no Resolve: colours, timecodes, the files of a render job, requests and the dialog's fields."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.core import colour
from impasto.core.media.timecode import advance_timecode
from impasto.hosts.bridge.catalogue import Catalogue
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.jobs import HostJob
from impasto.hosts.bridge.ranges import FrameSpan
from impasto.hosts.events import ParameterFound, StyleFound
from impasto.hosts.resolve.colour import SPACES, TRANSFORMS, picture_colour
from impasto.hosts.resolve.dialog_request import job_words, request_of, values_of
from impasto.hosts.resolve.rendered_files import ImageSequence, rendered_sequence
from impasto.hosts.resolve.request import Request, remember, remembered, request_from
from impasto.hosts.resolve.timecode import advanced, same_rate

UNMANAGED, ACES = {"colorScienceMode": "davinciYRGB"}, {"colorScienceMode": "acescct"}
MANAGED = {"colorScienceMode": "davinciYRGBColorManagedv2", "separateColorSpaceAndGamma": "1"}


@pytest.mark.parametrize("name", sorted({*SPACES.values(), *TRANSFORMS.values()}))
def test_the_server_knows_every_colour_space_of_the_tables(name: str) -> None:
    assert name in colour.spaces()


@pytest.mark.parametrize(
    ("settings", "space", "clip"),
    [
        ({**UNMANAGED, "colorSpaceTimeline": "Rec.709 Gamma 2.4"}, "Gamma 2.4 Encoded Rec.709", {}),
        ({**UNMANAGED, "colorSpaceTimeline": "Rec.709 (Scene)"}, "Camera Rec.709", {}),
        (
            {**MANAGED, "colorSpaceOutput": "Rec.709", "colorSpaceOutputGamma": "Linear"},
            "lin_rec709",
            {"Input Color Space": "Rec.709", "Input Gamma": "Linear"},
        ),
        (
            {**MANAGED, "separateColorSpaceAndGamma": "0", "colorSpaceOutput": "Rec.2020 ST2084"},
            "Rec.2100-PQ - Display",
            {"Input Color Space": "Rec.2020 ST2084"},
        ),
        (
            {
                **MANAGED, "colorSpaceOutput": "Same as Timeline",
                "colorSpaceTimeline": "DaVinci WG", "colorSpaceTimelineGamma": "DaVinci Intermediate",
            },
            "DaVinci Intermediate WideGamut",
            {"Input Color Space": "DaVinci WG", "Input Gamma": "DaVinci Intermediate"},
        ),
        ({**ACES, "colorAcesODT": "No Output Transform"}, "ACES2065-1", {"IDT": "No Input Transform"}),
        ({**ACES, "colorAcesODT": "Rec.2020 ST2084 (1000 nits)"}, "Rec.2100-PQ - Display", {}),
    ],
)  # fmt: skip
def test_settings_say_which_colours_a_render_has(settings: dict[str, str], space: str, clip: dict[str, str]) -> None:
    found = picture_colour(lambda key: settings.get(key, ""))
    assert (found.space, dict(found.clip_properties)) == (space, clip)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"colorScienceMode": "somethingNew"},
        {"colorScienceMode": "davinciYRGB", "colorSpaceTimeline": "Rec.709-A"},
        {**MANAGED, "colorSpaceOutput": "Rec.709"},
        {"colorScienceMode": "acescct", "colorAcesODT": "DCDM"},
    ],
)
def test_unknown_colours_are_asked_for_and_never_guessed(settings: dict[str, str]) -> None:
    with pytest.raises(BridgeError, match="--input-space"):
        picture_colour(lambda key: settings.get(key, ""))
    assert picture_colour(lambda key: settings.get(key, ""), "ACEScg").space == "ACEScg"


@pytest.mark.parametrize(
    ("begin", "frames", "rate", "end"),
    [
        ("01:00:00:00", 25, "24", "01:00:01:01"),
        ("01:00:00:00", -1, "23.976", "00:59:59:23"),
        ("00:00:59;29", 1, "29.97 DF", "00:01:00;02"),
        ("00:09:59;29", 1, "29.97", "00:10:00;00"),
        ("23:59:59:24", 1, "25", "00:00:00:00"),
    ],
)
def test_a_timecode_goes_on(begin: str, frames: int, rate: str, end: str) -> None:
    assert advanced(begin, frames, rate) == end
    assert advanced(end, -frames, rate) == begin


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("24", "24.0", True), ("29.97", "29.97 DF", True), ("24", "23.976", False), ("30.0", "24", False)],
)
def test_rates_are_compared_as_numbers(one: str, other: str, same: bool) -> None:
    assert same_rate(one, other) is same


@given(
    st.integers(0, 200_000),
    st.sampled_from([("00:00:00;00", "29.97"), ("00:00:00;00", "59.94"), ("01:00:00:00", "24")]),
)
def test_timecodes_agree_with_those_of_movies(frames: int, begin: tuple[str, str]) -> None:
    from fractions import Fraction

    exact = {"29.97": Fraction(30000, 1001), "59.94": Fraction(60000, 1001), "24": Fraction(24)}[begin[1]]
    assert advanced(begin[0], frames, begin[1]) == advance_timecode(begin[0], frames, exact)


@pytest.mark.parametrize(("code", "rate"), [("soon", "24"), ("01:00:00:00", "fast")])
def test_what_is_no_timecode_is_a_sentence(code: str, rate: str) -> None:
    with pytest.raises(BridgeError, match="; check"):
        advanced(code, 1, rate)


def files(folder: Path, *names: str, empty: str = "") -> str:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"" if name == empty else b"x")
    return str(folder)


@pytest.mark.parametrize(
    ("names", "pattern", "first"),
    [
        (["plate_00086400.exr", "plate_00086401.exr"], "plate_########.exr", 86400),
        (["plate_0000.exr", "plate_0001.exr"], "plate_####.exr", 0),
        (["plate_9.exr", "plate_10.exr"], "plate_#.exr", 9),
        (["Reel 1_0007.EXR", "Reel 1_0008.EXR", "._Reel 1_0007.EXR", "notes.txt"], "Reel 1_####.EXR", 7),
        (["plate_0001.exr", "plate_0002.exr", "plate_0003.exr"], "plate_####.exr", 1),
    ],
)
def test_files_of_a_render_job_are_found_however_they_are_called(
    names: list[str], pattern: str, first: int, tmp_path: Path
) -> None:
    folder = files(tmp_path / "r", *names)
    assert rendered_sequence(folder, 2) == ImageSequence(f"{folder}/{pattern}", FrameSpan(first, first + 1))


@pytest.mark.parametrize(
    ("names", "empty", "said"),
    [
        ([], "", "wrote none"),
        (["a_1.exr", "a_3.exr", "a_4.exr"], "", "missing 2"),
        (["a_1.exr", "a_2.exr"], "", "missing 3"),
        (["a_1.exr", "a_2.exr", "a_3.exr"], "a_2.exr", "missing 2"),
        (["a_1.exr", "a_2.exr", "a_3.exr", "a_4.exr", "a_5.exr"], "", "found 5"),
        (["a_1.exr", "b_1.exr"], "", "found several"),
    ],
)
def test_an_incomplete_render_is_an_error_with_its_frames(
    names: list[str], empty: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(BridgeError, match=said):
        rendered_sequence(files(tmp_path / "r", *names, empty=empty), 3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": "all"},
        {"place": "above"},
        {"handles": -1},
        {"scope": "timeline", "handles": 2},
        {"scope": "timeline", "place": "take"},
    ],
)
def test_a_request_that_cannot_work_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BridgeError, match="expected"):
        request_from(wrong)


def test_a_request_is_remembered(tmp_path: Path) -> None:
    request = Request("wheatfield", "marks", "take", 8, 2, {"strength": 0.5}, "ACEScg")
    assert remembered(tmp_path) is None
    remember(request, tmp_path / "new")
    assert remembered(tmp_path / "new") == request
    (tmp_path / "new" / "impasto_resolve.json").write_text('{"scope": "gone", "later": 1}')
    assert remembered(tmp_path / "new") is None


CATALOGUE = Catalogue(
    (StyleFound("identity"), StyleFound("wheatfield")),
    (ParameterFound("strength", 0.0, 1.0, 1.0), ParameterFound("stroke", 0.25, 4.0, 1.0)),
)


def test_a_request_survives_the_fields_of_the_dialog() -> None:
    request = Request("wheatfield", "marks", "take", 8, 3, {"strength": 0.5, "stroke": 1.0}, "ACEScg", "/somewhere")
    assert request_of(values_of(request, CATALOGUE), CATALOGUE, request) == request
    assert values_of(Request("gone"), CATALOGUE)["style"] == "wheatfield"


@pytest.mark.parametrize(
    ("field", "typed"), [("strength", "2"), ("strength", "much"), ("handles", "x"), ("style", "gone")]
)
def test_a_wrong_field_is_an_error(field: str, typed: str) -> None:
    values = {**values_of(Request("wheatfield"), CATALOGUE), field: typed}
    with pytest.raises(BridgeError, match="expected"):
        request_of(values, CATALOGUE, Request())


def test_jobs_are_offered_by_name_and_reason() -> None:
    (word,) = job_words((HostJob("7", "resolve", "painting", "Reel 1"),))
    assert word == "7: Reel 1 (the host was closed)"
