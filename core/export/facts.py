"""Metadata of an exported file: its origin and licence, and its inputs and outputs."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import version

from impasto.core.card import Card

LINEAR_CONTRACT = "scene-linear Rec.709, any value"
"""Input and output space of a network exported as linear; otherwise it is that of the card."""


def facts_of(card: Card, *, linear: bool, example: str) -> dict[str, str]:
    """Name -> text, for a file's metadata: style, licence, credit, colour, layout, axes and stride, and the card.

    `example` is how such a file is loaded and run, in Python. The card is without its preview. Names begin with
    'impasto.', to tell them from a host's own.
    """
    channels = ("R", "G", "B", *(guide.channel for guide in card.guides))
    facts = {
        "style": card.name,
        "title": card.title,
        "description": card.description,
        "licence": card.licence,
        "credits": "\n".join(card.credits),
        "colour": LINEAR_CONTRACT if linear else card.colour,
        "input": f"1 x {len(channels)} x height x width: {', '.join(channels)}",
        "output": "1 x 3 x height x width: R, G, B; not clamped",
        "axes": "height and width are dynamic, from 1 pixel; the batch is 1",
        "stride": f"{card.stride}: the picture is padded to it inside, by repeating its right and lower edge",
        "halo": f"{card.halo}: what a tile needs around it, with tiles starting on the stride"
        if card.tileable
        else "none: the network sees the whole picture and cannot be tiled",
        "controls": "strength 1, stroke 1, no other; the network alone, without alpha and matte",
        "keys": f"none: the {len(card.keys.frames)} painted keys of the style stay behind, the network paints alone"
        if card.keys is not None
        else "none",
        "guides": "; ".join(f"{each.channel}, in float as rendered, read as {each.reading}" for each in card.guides)
        or "none",
        "example": example,
        "weights_sha256": card.weights_sha256,
        "card": replace(card, preview="").to_json(),
        "version": version("impasto"),
    }
    return {f"impasto.{name}": text for name, text in facts.items()}


def facts_json(facts: dict[str, str]) -> str:
    """The facts as one JSON object, for formats that take a file instead of a table."""
    return json.dumps(facts, ensure_ascii=False, indent=1)
