"""Host memory and a device, with a CUDA runtime of our own making and the processor as the device."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import numpy as np
import pytest

from impasto.core.device.transfer import Registered, direct_target, download, register, registered_bytes, upload
from impasto.core.errors import DeviceError
from impasto.core.frame import Pixels

BYTES = 1 << 16


class Runtime:
    """What `torch.cuda.cudart()` answers, as far as registration asks it."""

    def __init__(self, *, register: int = 0, unregister: int = 0) -> None:
        self.codes = {"register": register, "unregister": unregister}
        self.calls: list[tuple[str, int]] = []

    def cudaHostRegister(self, start: int, count: int, flags: int) -> int:
        assert (start % mmap.PAGESIZE, count, flags) == (0, BYTES, 1)
        self.calls.append(("register", start))
        return self.codes["register"]

    def cudaHostUnregister(self, start: int) -> int:
        self.calls.append(("unregister", start))
        return self.codes["unregister"]


@pytest.fixture
def segment() -> Iterator[mmap.mmap]:
    with mmap.mmap(-1, BYTES) as memory:
        yield memory


def slot(segment: mmap.mmap, offset: int = 4096, *, row_samples: int = 60, dtype: str = "float16") -> Pixels:
    """A picture of 8x16x3 in a segment, with gaps between its rows."""
    rows = np.frombuffer(segment, dtype, 8 * row_samples, offset).reshape(8, row_samples)
    return rows[:, :48].reshape(8, 16, 3) if row_samples == 48 else np.lib.stride_tricks.as_strided(
        rows, (8, 16, 3), (rows.strides[0], 3 * rows.itemsize, rows.itemsize)
    )  # fmt: skip


def test_a_registered_segment_is_known_by_its_addresses_and_forgotten_when_closed(segment: mmap.mmap) -> None:
    runtime = Runtime()
    pixels = slot(segment)
    start = pixels.__array_interface__["data"][0]
    with Registered(segment, device="cpu", runtime=runtime) as registered:
        assert registered.pinned
        assert not registered.refusal
        found = registered_bytes(start, 100)
        assert found is not None
        assert found.data_ptr() == start
        assert registered_bytes(start, BYTES) is None
        assert registered_bytes(start - 8192, 16) is None
        del found
    assert registered_bytes(start, 100) is None
    assert [name for name, _ in runtime.calls] == ["register", "unregister"]
    registered.close()
    assert len(runtime.calls) == 2


def test_a_segment_can_be_unmapped_once_it_was_closed(segment: mmap.mmap) -> None:
    with Registered(segment, device="cpu", runtime=Runtime()), pytest.raises(BufferError):
        segment.close()
    segment.close()


def test_where_cuda_refuses_the_way_is_one_copy_longer_and_the_same(segment: mmap.mmap) -> None:
    runtime = Runtime(register=2)
    pixels = slot(segment)
    pixels[...] = np.arange(8 * 16 * 3).reshape(8, 16, 3)
    with Registered(segment, device="cpu", runtime=runtime) as registered:
        assert not registered.pinned
        assert registered.refusal.endswith("answered 2")
        np.testing.assert_array_equal(upload(pixels, "cpu").numpy(), pixels)
    assert len(runtime.calls) == 1


def test_a_read_only_mapping_is_not_offered_to_cuda(segment: mmap.mmap) -> None:
    runtime = Runtime()
    assert "written" in Registered(memoryview(segment).toreadonly(), device="cpu", runtime=runtime).refusal
    assert not runtime.calls


def test_a_device_that_will_not_let_go_is_an_error(segment: mmap.mmap) -> None:
    registered = Registered(segment, device="cpu", runtime=Runtime(unregister=4))
    with pytest.raises(DeviceError, match="answered 4"):
        registered.close()


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_off_cuda_registering_does_nothing(segment: mmap.mmap, device: str) -> None:
    with register(segment, device=device) as registered:
        assert (registered.pinned, registered.refusal) == (False, "")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("bottom_up", [False, True])
@pytest.mark.parametrize("row_samples", [48, 50, 400])
def test_samples_arrive_whatever_their_memory_is(
    segment: mmap.mmap, dtype: str, known: bool, bottom_up: bool, row_samples: int
) -> None:
    pixels = slot(segment, row_samples=row_samples, dtype=dtype)
    pixels[...] = np.random.default_rng(1).integers(0, 200, pixels.shape)
    view = pixels[::-1] if bottom_up else pixels
    view.flags.writeable = False
    with Registered(segment, device="cpu", runtime=Runtime() if known else None):
        raw = upload(view, "cpu")
    np.testing.assert_array_equal(raw.numpy(), view)
    assert raw.numpy().dtype == view.dtype


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("bottom_up", [False, True])
@pytest.mark.parametrize("row_samples", [48, 50])
def test_samples_come_back_to_where_they_are_wanted(
    segment: mmap.mmap, dtype: str, known: bool, bottom_up: bool, row_samples: int
) -> None:
    result = np.random.default_rng(1).integers(0, 200, (8, 16, 3)).astype(dtype)
    raw = upload(result, "cpu")
    into = slot(segment, row_samples=row_samples, dtype=dtype)
    into = into[::-1] if bottom_up else into
    with Registered(segment, device="cpu", runtime=Runtime() if known else None):
        assert (direct_target(into) is not None) == (known and row_samples == 48)
        assert download(raw, into)() is into
    np.testing.assert_array_equal(into, result)
    np.testing.assert_array_equal(download(raw, None)(), result)


def test_the_plate_is_copied_and_not_shared(segment: mmap.mmap) -> None:
    pixels = slot(segment, row_samples=48)
    with Registered(segment, device="cpu", runtime=Runtime()):
        raw = upload(pixels, "cpu")
        pixels[...] = 7
        assert not (raw == 7).any()
