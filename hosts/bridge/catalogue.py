"""The styles, and the parameters from which a host builds its controls."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from impasto.hosts.bridge.command import Command, installed_folder
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.runner import Run, follow
from impasto.hosts.events import Event, ParameterFound, RunFailed, StyleFound

CATALOGUE_FILE = "impasto_catalogue.json"
"""Written at the installation beside the folder `impasto`, so that a new node needs no process."""
LISTING_S = 60.0


@dataclass(frozen=True)
class Catalogue:
    """Styles and parameters, in the order in which they are offered."""

    styles: tuple[StyleFound, ...] = ()
    parameters: tuple[ParameterFound, ...] = ()

    def style_names(self) -> list[str]:
        """Names for a list of choices; the style that changes nothing comes last."""
        return sorted((each.name for each in self.styles), key=lambda name: (name == "identity", name))

    def digest_of_style(self, name: str) -> str:
        """The fingerprint of a style's weights, '' for a style that is not in the catalogue."""
        return next((each.sha256 for each in self.styles if each.name == name), "")


def read_catalogue(command: Command | None = None, timeout_s: float = LISTING_S) -> Catalogue:
    """Ask the command. Raises BridgeError with the command's own message where it fails."""
    styles: list[StyleFound] = []
    parameters: list[ParameterFound] = []

    def on_event(event: Event) -> None:
        if isinstance(event, StyleFound):
            styles.append(event)
        elif isinstance(event, ParameterFound):
            parameters.append(event)

    with Run(["styles"], command=command, silence_s=timeout_s) as run:
        end = follow(run, on_event, lambda: False)
    if isinstance(end, RunFailed):
        raise BridgeError(end.message)
    return Catalogue(tuple(styles), tuple(parameters))


def store_catalogue(catalogue: Catalogue, path: Path | None = None) -> None:
    """Write a catalogue where `load_catalogue` finds it."""
    path = installed_folder() / CATALOGUE_FILE if path is None else path
    path.write_text(catalogue_text(catalogue), encoding="utf-8")


def catalogue_text(catalogue: Catalogue) -> str:
    """A catalogue as JSON."""
    return json.dumps(asdict(catalogue), ensure_ascii=False, indent=1) + "\n"


def load_catalogue(path: Path | None = None) -> Catalogue:
    """The catalogue of the installation; an empty one where there is none or it cannot be read."""
    path = installed_folder() / CATALOGUE_FILE if path is None else path
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        styles = tuple(StyleFound(**{**each, "credits": tuple(each.get("credits", ()))}) for each in facts["styles"])
        return Catalogue(styles, tuple(ParameterFound(**each) for each in facts["parameters"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Catalogue()
