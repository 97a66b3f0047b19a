"""What a person typed or chose in the dialog, as a request. No window is needed to read it."""

from __future__ import annotations

from dataclasses import replace
from typing import Mapping, Optional, Tuple

from impasto.hosts.bridge.catalogue import Catalogue
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.jobs import HostJob
from impasto.hosts.resolve.request import Request

Answer = Optional[Tuple[Request, Optional[HostJob]]]
"""What a person chose, with the job to go on with; None for nothing at all."""
SCOPE_WORDS: Mapping[str, str] = {
    "the clip under the playhead": "clip",
    "clips between the marks": "marks",
    "the whole timeline": "timeline",
}
PLACE_WORDS: Mapping[str, str] = {"a track above": "track", "a take of the clip": "take"}


def request_of(values: Mapping[str, str], catalogue: Catalogue, before: Request) -> Request:
    """The request that the fields say; what the dialog has no field for stays. BridgeError for what is none."""
    params: dict[str, float] = {}
    for each in catalogue.parameters:
        value = _number(each.name, values[each.name])
        if not each.minimum <= value <= each.maximum:
            raise BridgeError(f"expected {each.name} between {each.minimum:g} and {each.maximum:g}, got {value:g}")
        params[each.name] = value  # also where it is the default: a style's own may differ from what is shown
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
    """What the fields show at first."""
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
    """Jobs that can be continued, by what a person reads of them."""
    return {"{}: {} ({})".format(job.id, job.what, job.message or "the host was closed"): job for job in jobs}


def _word(words: Mapping[str, str], meaning: str) -> str:
    return next(word for word, each in words.items() if each == meaning)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise BridgeError(f"expected a number for {name}, got '{text}'") from error
