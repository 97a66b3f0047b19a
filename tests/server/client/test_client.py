"""The client against a scripted server, without a socket: frames, slots, results, styles."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.core.errors import (
    DeadlineExpired,
    RequestCancelled,
    ServerBusy,
    ServerError,
    ServerUnreachable,
    StyleError,
    UnknownName,
    UsageError,
)
from impasto.core.params import Params
from impasto.server.protocol import messages
from impasto.server.protocol.colour_configuration import named_here
from tests.plates import noise
from tests.server.scripted_server import LIMIT_S
from tests.server.scripted_transport import Stage
from tests.waiting import until

PLATE = noise(6, 10, 4)
PLATE.flags.writeable = False


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_frame_comes_back_as_the_server_painted_it(stage: Stage, dtype: str, channels: int) -> None:
    pixels = noise(5, 7, channels, dtype=dtype)
    painted = stage.client.submit(pixels, style="echo").result(LIMIT_S)
    assert painted.pixels.dtype == pixels.dtype
    assert np.array_equal(painted.pixels, pixels)
    assert stage.client.transport == "ring"


@pytest.mark.parametrize(
    "cut",
    [np.s_[::-1], np.s_[:, ::-1], np.s_[1:, 2:], np.s_[::2, ::3], np.s_[..., ::-1]],
    ids=["flipped", "mirrored", "cropped", "thinned", "swapped"],
)
def test_any_strides_are_copied_as_they_are_seen(stage: Stage, cut: Any) -> None:
    pixels = PLATE[cut]
    assert np.array_equal(stage.client.submit(pixels, style="echo").result(LIMIT_S).pixels, pixels)


def test_a_picture_of_two_dimensions_is_grey(stage: Stage) -> None:
    pixels = noise(4, 6, 1)[:, :, 0]
    assert np.array_equal(stage.client.submit(pixels, style="echo").result(LIMIT_S).pixels[:, :, 0], pixels)


def test_rows_from_the_bottom_are_declared_and_come_back_in_the_same_order(stage: Stage) -> None:
    pixels = PLATE
    painted = stage.client.submit(pixels, style="echo", bottom_up=True).result(LIMIT_S)
    assert np.array_equal(painted.pixels, pixels)
    assert stage.script.seen_of(messages.Submit)[0].picture.bottom_up


def test_pixels_may_be_changed_as_soon_as_they_are_submitted(stage: Stage) -> None:
    pixels = PLATE.copy()
    future = stage.client.submit(pixels, style="hold")
    pixels[:] = 0
    stage.release()
    assert np.array_equal(future.result(LIMIT_S).pixels, PLATE)


def test_what_an_artist_turned_is_told_as_it_stands(stage: Stage) -> None:
    stage.client.submit(
        PLATE,
        style=Path("/styles/mine.safetensors"),
        params=Params(strength=0.5),
        before={"gamma": np.float32(2)},
        after={"sharpen": 1},
        precision="float16",
        tile=-1,
        device="cpu",
        frame=7,
        viewer="left",
        lane="batch",
        deadline_s=3.0,
        colour_space="ACEScg",
        alpha="unassociated",
    ).exception(LIMIT_S)
    told = stage.script.seen_of(messages.Submit)[0]
    assert told.look.style == "/styles/mine.safetensors"
    assert told.look.params == Params(strength=0.5).as_dict()
    assert (told.look.before, told.look.after) == ({"gamma": 2.0}, {"sharpen": 1.0})
    assert (told.look.precision, told.look.tile, told.look.device) == ("float16", -1, "cpu")
    assert (told.frame, told.viewer, told.lane, told.deadline_s) == (7, "left", "batch", 3.0)
    assert (told.picture.colour_space, told.picture.alpha) == ("ACEScg", "unassociated")


@pytest.mark.parametrize("space", ["ACEScg", ""])
def test_frames_that_name_a_space_say_in_which_configuration(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: str
) -> None:
    (tmp_path / "a.ocio").write_text("a configuration")
    for named, said in (
        ("", ("built-in", "")),
        (str(tmp_path / "a.ocio"), named_here({"OCIO": str(tmp_path / "a.ocio")})),
    ):
        monkeypatch.setenv("OCIO", named)
        stage.client.submit(PLATE, style="echo", colour_space=space).result(LIMIT_S)
        told = stage.script.seen_of(messages.Submit)[-1]
        assert (told.ocio, told.ocio_sha256) == (said if space else ("", ""))


def test_a_matte_lies_behind_its_plate(stage: Stage) -> None:
    pixels, matte = PLATE, noise(6, 10, 1, dtype="uint8")[:, :, 0]
    stage.client.submit(pixels, style="hold", matte=matte)
    until(lambda: stage.script.held)
    told = stage.script.held[0]
    assert told.matte is not None
    assert told.slot is not None
    assert stage.script.segment is not None
    begin = stage.script.segment.in_offset(told.slot.pair) + told.matte.offset
    assert stage.script.mapped[begin : begin + 60] == matte.tobytes()


@pytest.mark.parametrize(
    ("pixels", "says"),
    [
        (np.zeros((4, 4, 5), np.float32), "1 to 4 channels"),
        (np.zeros((4, 4, 3), np.float64), "float64"),
        (np.zeros((0, 4, 3), np.float32), "pixels"),
        (np.zeros((4,), np.float32), "pixels"),
    ],
)
def test_pixels_that_no_server_takes_are_refused_here(stage: Stage, pixels: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        stage.client.submit(pixels, style="echo")
    assert not stage.script.seen_of(messages.Submit)


def test_a_matte_of_another_size_is_refused_here(stage: Stage) -> None:
    with pytest.raises(UsageError, match="matte"):
        stage.client.submit(PLATE, style="echo", matte=np.zeros((3, 3), np.uint8))


def test_a_request_that_no_header_can_carry_is_refused_and_costs_nothing(stage: Stage) -> None:
    for _ in range(5):
        with pytest.raises(ServerError):
            stage.client.submit(PLATE, style="echo", viewer="\ud800", timeout_s=1.0)
    assert np.array_equal(stage.client.submit(PLATE, style="echo").result(LIMIT_S).pixels, PLATE)


def test_two_frames_are_under_way_from_one_thread(stage: Stage) -> None:
    futures = [stage.client.submit(PLATE + step, style="hold") for step in range(2)]
    until(lambda: len(stage.script.held) == 2)
    assert {submit.slot.pair for submit in stage.script.held if submit.slot} == {0, 1}
    stage.release()
    for step, future in enumerate(futures):
        assert np.array_equal(future.result(LIMIT_S).pixels, PLATE + step)


def test_generations_of_a_pair_only_rise(stage: Stage) -> None:
    for _ in range(9):
        stage.client.submit(PLATE, style="echo").result(LIMIT_S).release()
    used: dict[int, list[int]] = {}
    for submit in stage.script.seen_of(messages.Submit):
        used.setdefault(submit.slot.pair, []).append(submit.slot.generation)
    assert all(generations == sorted(set(generations)) for generations in used.values())


def test_results_that_nobody_releases_make_the_next_frame_wait_and_say_so(stage: Stage) -> None:
    held = [stage.client.submit(PLATE, style="echo").result(LIMIT_S) for _ in range(3)]
    with pytest.raises(ServerBusy, match="release"):
        stage.client.submit(PLATE, style="echo", timeout_s=0.05)
    held[0].release()
    assert stage.client.submit(PLATE, style="echo", timeout_s=1.0).result(LIMIT_S)
    with pytest.raises(ServerError, match="copy"):
        _ = held[0].pixels


def test_a_frame_that_waits_for_a_pair_goes_on_when_one_is_free(stage: Stage) -> None:
    held = [stage.client.submit(PLATE, style="echo").result(LIMIT_S) for _ in range(3)]
    timer = threading.Timer(0.1, held.pop().release)
    timer.start()
    assert stage.client.submit(PLATE, style="echo", timeout_s=LIMIT_S).result(LIMIT_S)
    timer.join()


def test_a_result_is_good_until_its_last_array_is_gone(stage: Stage) -> None:
    first = stage.client.submit(PLATE, style="echo").result(LIMIT_S).pixels[1:3, ::2]
    others = [stage.client.submit(PLATE + 1, style="echo").result(LIMIT_S) for _ in range(2)]
    with pytest.raises(ServerBusy):
        stage.client.submit(PLATE + 2, style="echo", timeout_s=0.0)
    assert np.array_equal(first, PLATE[1:3, ::2])
    del first
    gc.collect()
    assert stage.client.submit(PLATE, style="echo", timeout_s=1.0).result(LIMIT_S)
    assert others


def test_a_copy_of_a_result_is_the_callers_own(stage: Stage) -> None:
    with stage.client.submit(PLATE, style="echo").result(LIMIT_S) as painted:
        kept = painted.copy()
    for _ in range(4):
        stage.client.submit(PLATE * 0, style="echo").result(LIMIT_S).release()
    assert np.array_equal(kept, PLATE)


def test_results_stay_good_after_the_client_is_closed(stage: Stage) -> None:
    painted = stage.client.submit(PLATE, style="echo").result(LIMIT_S)
    stage.client.close()
    stage.script.close()
    assert np.array_equal(painted.pixels, PLATE)


def test_a_slot_is_written_without_a_copy(stage: Stage) -> None:
    with stage.client.slot(10, 6, 4, "float32", matte="uint8") as slot:
        assert slot.pixels.shape == (6, 10, 4)
        slot.pixels[:] = PLATE
        assert slot.matte is not None
        slot.matte[:] = 9
        future = slot.submit("echo", params={"strength": 1})
        with pytest.raises(UsageError, match="another slot"):
            _ = slot.pixels
    assert np.array_equal(future.result(LIMIT_S).pixels, PLATE)


def test_slots_that_are_not_submitted_come_back(stage: Stage) -> None:
    for _ in range(7):
        with stage.client.slot(10, 6, 4, "float32", timeout_s=0.5):
            pass
    with pytest.raises(ZeroDivisionError), stage.client.slot(10, 6, 4, "float32", timeout_s=0.5):
        raise ZeroDivisionError
    assert stage.client.submit(PLATE, style="echo", timeout_s=0.5).result(LIMIT_S)


def test_a_larger_picture_gets_a_larger_ring_and_old_results_stay(stage: Stage) -> None:
    small = stage.client.submit(PLATE, style="echo").result(LIMIT_S)
    large = noise(64, 64, 4)
    painted = stage.client.submit(large, style="echo").result(LIMIT_S)
    assert np.array_equal(painted.pixels, large)
    assert np.array_equal(small.pixels, PLATE)
    assert len(stage.script.opened) == 2
    stage.client.submit(PLATE, style="echo").result(LIMIT_S)
    assert len(stage.script.opened) == 2


def test_a_larger_picture_goes_inline_while_the_ring_is_in_use(stage: Stage) -> None:
    future = stage.client.submit(PLATE, style="hold")
    large = noise(64, 64, 4)
    assert np.array_equal(stage.client.submit(large, style="echo").result(LIMIT_S).pixels, large)
    assert len(stage.script.opened) == 1
    stage.release()
    assert np.array_equal(future.result(LIMIT_S).pixels, PLATE)


def test_a_larger_ring_whose_proof_is_not_answered_in_time_is_opened_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server may have put it in the place of the smaller one.
    stage.client.submit(PLATE, style="echo").result(LIMIT_S).release()
    large = noise(200, 300, 4)
    answer = stage.script._answer

    def without_proof(channel: Any, message: Any, parts: Any) -> None:
        if not isinstance(message, messages.AttachRing):
            answer(channel, message, parts)

    with monkeypatch.context() as patch:
        patch.setattr(stage.script, "_answer", without_proof)
        with pytest.raises(ServerUnreachable):
            stage.client.submit(large, style="echo", timeout_s=0.2)
    assert np.array_equal(stage.client.submit(PLATE, style="echo").result(LIMIT_S).pixels, PLATE)
    assert stage.script.seen_of(messages.Submit)[-1].slot.ring == stage.script.ring == 3


@pytest.mark.parametrize(
    "script", [{"memory": False}, {"nonce": False}, {"rings": False}], ids=["no memory", "no proof", "not offered"]
)
def test_without_a_ring_pixels_travel_in_the_message(script: dict[str, bool]) -> None:
    stage = Stage(**script)  # type: ignore[arg-type]
    pixels, matte = PLATE[::-1], noise(6, 10, 1, dtype="uint8")[:, :, 0]
    for _ in range(3):
        painted = stage.client.submit(pixels, style="echo", matte=matte).result(LIMIT_S)
        assert np.array_equal(painted.pixels, pixels)
    assert stage.client.transport == "inline"
    assert stage.client.transport_problem
    assert len(stage.script.seen_of(messages.OpenRing)) <= 1
    stage.close()


def test_credit_is_kept_to_inline() -> None:
    stage = Stage(rings=False, credit=2)
    futures = [stage.client.submit(PLATE, style="hold") for _ in range(2)]
    with pytest.raises(ServerBusy, match="2 of 2"):
        stage.client.submit(PLATE, style="echo", timeout_s=0.05)
    stage.release()
    assert all(future.result(LIMIT_S) for future in futures)
    assert stage.client.submit(PLATE, style="echo", timeout_s=1.0).result(LIMIT_S)
    stage.close()


def test_pixels_to_another_machine_are_packed_and_those_to_this_one_are_not() -> None:
    pytest.importorskip("blosc2")
    pixels = np.zeros((64, 64, 4), np.float32)
    for far, encoding in ((True, "blosc2"), (False, "raw")):
        stage = Stage(rings=False, local=False, far=far)
        assert np.array_equal(stage.client.submit(pixels, style="echo").result(LIMIT_S).pixels, pixels)
        assert stage.script.sent_encodings == [encoding]
        stage.close()


@pytest.mark.parametrize(
    ("style", "error", "says"),
    [
        ("fail", StyleError, "train it again"),
        ("ecko", UnknownName, "did you mean 'echo'"),
        ("late", DeadlineExpired, "0.25 s"),
    ],
)
def test_an_error_of_the_server_comes_back_as_its_own_class(
    stage: Stage, style: str, error: type[Exception], says: str
) -> None:
    for _ in range(4):  # more than there are pairs: an error gives its pair back
        with pytest.raises(error, match=says):
            stage.client.submit(PLATE, style=style, timeout_s=1.0).result(LIMIT_S)


def test_a_result_of_the_wrong_size_is_an_error() -> None:
    stage = Stage(rings=False)
    with pytest.raises(ServerError, match="960 bytes"):
        stage.client.submit(PLATE, style="garbage").result(LIMIT_S)
    stage.close()


def test_a_cancelled_frame_raises_and_gives_its_pair_back(stage: Stage) -> None:
    for _ in range(4):
        future = stage.client.submit(PLATE, style="hold", timeout_s=1.0)
        until(lambda: stage.script.held)
        assert future.cancel()
        with pytest.raises(RequestCancelled, match="it was cancelled"):
            future.result(LIMIT_S)
        assert not future.cancel()


def test_the_whole_library_is_listed_over_its_pages(stage: Stage) -> None:
    assert [style.name for style in stage.client.styles()] == [f"style-{number:03}" for number in range(100)]


def test_a_library_that_changes_meanwhile_is_read_again(stage: Stage) -> None:
    pages = 0

    def turn(asked: messages.ListStyles) -> None:
        nonlocal pages
        pages += 1
        if pages == 2:
            stage.script.revision += 1
        original(asked)

    original = stage.script._styles
    stage.script._styles = turn  # type: ignore[method-assign]
    assert len(stage.client.styles()) == 100
    assert pages == 4


def test_news_of_the_library_may_be_followed_up_at_once(stage: Stage) -> None:
    heard: list[int] = []
    listed = threading.Event()

    def changed(revision: int) -> None:
        heard.append(len(stage.client.styles()) + revision)
        listed.set()

    stage.client.on_styles_changed(changed)
    stage.transports[-1].push(lambda: stage.script.say("control", messages.StylesChanged(5), ()))
    assert listed.wait(LIMIT_S)
    assert heard == [105]


def test_preview_status_ping_and_shutdown_are_answered(stage: Stage) -> None:
    assert stage.client.preview("style-001").startswith(b"\x89PNG")
    assert stage.client.status().health == "ok"
    assert 0 < stage.client.ping() < LIMIT_S
    assert stage.client.shut_down() == 30.0


def test_waiting_for_the_server_in_its_own_callback_is_refused_instead_of_hanging(stage: Stage) -> None:
    caught: list[BaseException] = []
    future = stage.client.submit(PLATE, style="hold")

    def back(_: Any) -> None:
        try:
            stage.client.styles()
        except UsageError as error:
            caught.append(error)

    future.add_done_callback(back)
    stage.release()
    future.result(LIMIT_S)
    until(lambda: caught)


def test_waiting_for_another_frame_in_a_callback_is_refused_instead_of_hanging(stage: Stage) -> None:
    caught: list[BaseException] = []
    first, second = (stage.client.submit(PLATE, style="hold") for _ in range(2))

    def back(_: Any) -> None:
        try:
            second.result()
        except UsageError as error:
            caught.append(error)

    first.add_done_callback(back)
    stage.release()
    first.result(LIMIT_S)
    second.result(LIMIT_S)
    until(lambda: caught)


def test_the_next_frame_may_be_submitted_from_the_callback_of_the_last(stage: Stage) -> None:
    second: list[Any] = []
    future = stage.client.submit(PLATE, style="hold")
    future.add_done_callback(lambda _: second.append(stage.client.submit(PLATE + 1, style="echo")))
    stage.release()
    until(lambda: second)
    assert np.array_equal(second[0].result(LIMIT_S).pixels, PLATE + 1)


def test_a_server_that_does_not_answer_is_given_up_in_time(stage: Stage) -> None:
    stage.script.silent = True
    begun = time.monotonic()
    with pytest.raises(ServerUnreachable, match=r"'ask_status' within 0\.2 s"):
        stage.client.status(timeout_s=0.2)
    assert time.monotonic() - begun < 2


def test_a_closed_client_says_so_and_its_futures_end(stage: Stage) -> None:
    future = stage.client.submit(PLATE, style="hold")
    stage.client.close()
    stage.client.close()
    with pytest.raises(ServerError, match="closed"):
        future.result(LIMIT_S)
    with pytest.raises(UsageError, match="connect again"):
        stage.client.submit(PLATE, style="echo")
    assert any(isinstance(message, messages.Goodbye) for message in stage.script.seen)


def test_a_client_that_nobody_holds_leaves_the_server() -> None:
    stage = Stage()
    transport = stage.transports[0]
    del stage.client
    gc.collect()
    assert transport.closed.wait(LIMIT_S)
    stage.script.close()


def test_a_busy_server_is_asked_again_within_the_time_limit() -> None:
    script: dict[str, Any] = {}
    stage = Stage(**script)
    stage.transports[-1].lose()
    stage.script.busy_hellos = 2
    until(lambda: stage.client._requests._session is not None and stage.client._requests._session.error is not None)
    assert stage.client.ping(timeout_s=LIMIT_S)
    stage.close()


def test_a_style_by_a_path_that_no_message_carries_is_refused_before_it_is_sent(stage: Stage) -> None:
    with pytest.raises(UsageError, match=r"as style, got '/a.nb.safetensors'.*rename it"):
        stage.client.submit(np.zeros((4, 4, 3), np.uint8), style="/a\nb.safetensors")
    shot = messages.ShotJob(messages.RenderSettings("identity"), "/in\n.exr", "/out.exr")
    with pytest.raises(UsageError, match="as input"):
        stage.client.submit_shot(shot)
    with stage.client.submit(np.zeros((4, 4, 3), np.uint8), style="echo").result(5) as painted:
        assert painted.pixels.shape == (4, 4, 3)
    assert [each.look.style for each in stage.script.seen_of(messages.Submit)] == ["echo"]
