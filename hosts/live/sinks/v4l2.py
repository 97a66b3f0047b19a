"""A virtual camera of Linux: pictures written into a device of v4l2loopback.

Two calls of <linux/videodev2.h> are made here by hand, as kernel and field order are the same on every Linux of 64
bits. The driver may give another size than was asked for; it is taken.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import struct
from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from impasto.core.errors import OutputError, UsageError
from impasto.hosts.live.display import letterboxed
from impasto.hosts.live.pictures import ShownPicture, SoundChunk

_FORMAT: Final = struct.Struct("=I4x12I152x")
"""struct v4l2_format of 64-bit Linux, 208 bytes: the type, padding, then struct v4l2_pix_format (width, height,
pixelformat, field, bytesperline, sizeimage, colorspace, priv, flags, ycbcr_enc, quantization, xfer_func)."""
_CAPABILITY: Final = struct.Struct("=16s32s32s3I12x")
"""struct v4l2_capability: driver, card, bus_info, version, capabilities, device_caps."""
VIDIOC_QUERYCAP: Final = 0x80685600
VIDIOC_S_FMT: Final = 0xC0D05605
VIDEO_OUTPUT: Final = 2
"""V4L2_BUF_TYPE_VIDEO_OUTPUT, and V4L2_CAP_VIDEO_OUTPUT."""
HAS_DEVICE_CAPS: Final = 0x80000000
FIELD_NONE, COLORSPACE_SRGB = 1, 8
YUYV: Final = int.from_bytes(b"YUYV", "little")
LOOPBACKS: Final = "/sys/devices/virtual"
"""Where Linux lists devices that no hardware is behind."""
_ADDRESS = re.compile(r"^v4l2:(?P<path>/dev/video\d+)$")

Ioctl = Callable[[int, int, bytearray], object]


def _ioctl(file: int, request: int, argument: bytearray) -> object:
    return fcntl.ioctl(file, request, argument, True)


class VirtualCamera:
    """A device of v4l2loopback, which other programs see as a camera. The first picture decides the size."""

    def __init__(self, address: str, *, open_file: Callable[[str, int], int] = os.open, ioctl: Ioctl = _ioctl) -> None:
        """Open 'v4l2:/dev/videoN'. Raises UsageError for another address, OutputError for a device that takes none."""
        found = _ADDRESS.match(address)
        if found is None:
            raise UsageError(f"expected a virtual camera as v4l2:/dev/videoN, got '{address}'; give its number")
        self.name, self._path, self._ioctl = address, found["path"], ioctl
        try:
            self._file = open_file(self._path, os.O_RDWR)
        except OSError as error:
            raise self._failure(error) from error
        try:
            self._require_output()
        except BaseException:
            os.close(self._file)
            raise
        self._size: tuple[int, int] | None = None
        self._row_bytes = 0

    def send(self, shown: ShownPicture) -> None:
        """See `Sink`."""
        try:
            if self._size is None:
                self._size = self._agreed_size(shown.plate.size)
            os.write(self._file, self._yuyv(letterboxed(shown.pixels, shown.plate.size, self._size)))
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise self._failure(error) from error

    def hear(self, chunk: SoundChunk) -> None:
        """A camera has no sound."""

    def wait(self, now: float) -> None:
        """The device keeps its last picture."""

    def close(self, error: BaseException | None = None) -> None:
        """Give the device back."""
        os.close(self._file)

    def _require_output(self) -> None:
        facts = bytearray(_CAPABILITY.size)
        try:
            self._ioctl(self._file, VIDIOC_QUERYCAP, facts)
        except OSError as error:
            raise self._failure(error) from error
        *_, capabilities, of_device = _CAPABILITY.unpack(facts)
        if not (of_device if capabilities & HAS_DEVICE_CAPS else capabilities) & VIDEO_OUTPUT:
            raise OutputError(
                f"expected a virtual camera at '{self._path}', found a device that gives pictures and takes none; load "
                "v4l2loopback and name its device"
            )

    def _agreed_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size that the driver takes; a pair of pixels shares its colour, so the width is even."""
        width, height = max(2, size[0] - size[0] % 2), max(1, size[1])
        asked = (width, height, YUYV, FIELD_NONE, 2 * width, 2 * width * height, COLORSPACE_SRGB, 0, 0, 0, 0, 0)
        argument = bytearray(_FORMAT.pack(VIDEO_OUTPUT, *asked))
        self._ioctl(self._file, VIDIOC_S_FMT, argument)
        _, width, height, kind, _, self._row_bytes, *_ = _FORMAT.unpack(argument)
        if kind != YUYV:
            raise OutputError(f"expected '{self._path}' to take YUYV, it does not; reload v4l2loopback")
        return width, height

    def _yuyv(self, pixels: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]) -> bytes:
        """The picture as the device has its rows: YUYV of BT.601, limited range."""
        packed = cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_YUYV)
        height, width = packed.shape[:2]
        rows = packed.reshape(height, 2 * width)
        if self._row_bytes > 2 * width:
            rows = np.pad(rows, ((0, 0), (0, self._row_bytes - 2 * width)))
        return np.ascontiguousarray(rows).tobytes()

    def _failure(self, error: OSError) -> OutputError:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            todo = "load it with: modprobe v4l2loopback"
        elif error.errno == errno.EBUSY:
            todo = "close the program that writes into it"
        else:
            todo = "check its permissions"
        return OutputError(f"expected a virtual camera at '{self._path}', got '{error.strerror}'; {todo}")


def virtual_camera_problem() -> str:
    """Why no virtual camera can be written to; empty where there is a device of v4l2loopback."""
    if os.path.isdir(f"{LOOPBACKS}/video4linux"):
        return ""
    return "no device of v4l2loopback; install v4l2loopback-dkms and load it with: modprobe v4l2loopback"
