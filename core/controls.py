"""Settings by name and value, as a request has them, turned into the engine's parameters and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from impasto.core.errors import UnknownName
from impasto.core.grade_settings import AFTER_CONTROLS, BEFORE_CONTROLS, After, Before
from impasto.core.params import PARAMETERS, Parameter, Params


def params_of(settings: Mapping[str, float] | None, defaults: Params) -> Params | None:
    """The settings over a style's defaults, or None for None. UnknownName for a name, UsageError for a value."""
    if settings is None:
        return None
    return Params(**{**defaults.as_dict(), **_checked("parameter", settings, PARAMETERS)})


def before_of(settings: Mapping[str, float]) -> Before:
    """The adjustments of the plate. Raises as `params_of` does."""
    return Before(**_checked("control before the network", settings, BEFORE_CONTROLS))


def after_of(settings: Mapping[str, float]) -> After:
    """The adjustments of the painting. Raises as `params_of` does."""
    return After(**_checked("control after the network", settings, AFTER_CONTROLS))


def _checked(kind: str, settings: Mapping[str, float], controls: Iterable[Parameter]) -> dict[str, Any]:
    known = [control.name for control in controls]
    for name in settings:
        if name not in known:
            raise UnknownName(kind, name, known)
    # 1 and 1.0 are the same setting, and the same text in the result's header.
    return {name: float(value) for name, value in settings.items()}
