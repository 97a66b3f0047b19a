"""Exact 32-bit integers in an EXR part that mixes types.

OpenImageIO takes one type a call for such a part and passes it through float, which rounds
integers above 2^24 (identifiers, hashes). The OpenEXR library takes each channel as it is; it is used here to put
exact samples into a file whose headers OpenImageIO has written.
"""

from __future__ import annotations

import contextlib
import os

import numpy as np
import OpenEXR  # type: ignore[import-not-found]

from impasto.core.errors import OutputError
from impasto.core.frame import Part
from impasto.core.media.commit import refuse_if_full, temporary_beside
from impasto.core.media.held_folder import name_to_open

_DTYPES = {"half": np.float16, "float": np.float32, "uint": np.uint32}


def restore_exact_samples(path: str, final: str, parts: list[Part]) -> None:
    """Replace the samples of the EXR at `path` by those of the parts, every channel in its stored type.

    Raises OutputError and NoSpace, in the name of `final`.
    """
    exact = temporary_beside(path)
    try:
        with (
            name_to_open(path) as source,
            name_to_open(exact, write=True) as target,
            OpenEXR.File(source, separate_channels=True) as file,
        ):
            if len(file.parts) != len(parts):
                raise OutputError(f"expected {len(parts)} parts in '{final}', found {len(file.parts)}; write it again")
            for stored, part in zip(file.parts, parts, strict=True):
                for position, name in enumerate(part.channels):
                    samples = part.pixels[..., position].astype(_DTYPES[part.formats[position]])
                    stored.channels[name].pixels = np.ascontiguousarray(samples)
            file.write(target)
        os.replace(exact, path)
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        if os.path.exists(exact):
            refuse_if_full(exact, final)
        raise OutputError(f"expected to write '{final}', got '{error}'; store its integer channels apart") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(exact)
