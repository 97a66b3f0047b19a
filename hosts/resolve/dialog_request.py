"""The fields of the dialog as a request, without a window."""

from __future__ import annotations

from dataclasses import replace
from typing import Mapping, Optional, Tuple

from impasto.hosts.bridge.catalogue import Catalogue
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.jobs import HostJob
from impasto.hosts.resolve.request import Request

Answer = Optional[Tuple[Request, Optional[HostJob]]]
"""The request, with the job to continue if any; None where the user closed the dialog."""
SCOPE_WORDS: Mapping[str, str] = {
    "the clip under the playhead": "clip",
    "clips between the marks": "marks",
    "the whole timeline": "timeline",
}
PLACE_WORDS: Mapping[str, str] = {"a track above": "track", "a take of the clip": "take"}


def request_of(values: Mapping[str, str], catalogue: Catalogue, before: Request) -> Request:
    """The request of the fields; settings without a field stay as before. BridgeError for values that cannot work."""
    params: dict[str, float] = {}
    for each in catalogue.parameters:
        value = _number(each.name, values[each.name])
        if not each.minimum <= value <= each.maximum:
            raise BridgeError(f"expected {each.name} between {each.minimum:g} and {each.maximum:g}, got {value:g}")
        params[each.name] = value  # also a default: the default of the style may be another one
    if values["style"] not in catalogue.style_names():
        raise BridgeError("expected a style of the list, got '{}'; choose one".format(values["style"]))
    return replace(
        before,
        style=values["style"],
        scope=SCOPE_WORDS[values["scope"]],
        place=PLACE_WORDS[values["place"]],
        handles=int(_number("handles", values["handles"])),
        input_space=values["input_space"].strip(),
        params=params,
    )


def values_of(request: Request, catalogue: Catalogue) -> dict[str, str]:
    """The first values of the fields."""
    names = catalogue.style_names()
    values = {
        "style": request.style if request.style in names else (names[0] if names else ""),
        "scope": _word(SCOPE_WORDS, request.scope),
        "place": _word(PLACE_WORDS, request.place),
        "handles": str(request.handles),
        "input_space": request.input_space,
    }
    for each in catalogue.parameters:
        values[each.name] = f"{request.params.get(each.name, each.default):g}"
    return values


def job_words(jobs: tuple[HostJob, ...]) -> dict[str, HostJob]:
    """Jobs that can be continued, by their text in the list."""
    return {"{}: {} ({})".format(job.id, job.what, job.message or "the host was closed"): job for job in jobs}


def _word(words: Mapping[str, str], meaning: str) -> str:
    return next(word for word, each in words.items() if each == meaning)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise BridgeError(f"expected a number for {name}, got '{text}'") from error
