"""The Nuke script that builds a .cat of an exported style and runs it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

CHANNELS = "rgba.red, rgba.green, rgba.blue"

NOTE = """\
{title}, painted live by NukeX. {licence}.

1  Press 'Create .cat file' in the CatFileCreator (NukeX 14 or newer; older ones do not know the network's operators).
2  In the Inference node press 'Reload', connect a scene-linear Rec.709 plate, and view it.

Input and output: {colour}. The network alone: strength 1, stroke 1, no alpha, no matte.
A plate in another working space goes through an OCIOColorSpace to Linear Rec.709 before, and back behind."""

SCRIPT = """\
#! impasto live style
version 14.0
Root {{
 inputs 0
}}
StickyNote {{
 inputs 0
 name Read_this
 label {note}
 xpos 240
 ypos -160
}}
CatFileCreator {{
 inputs 0
 torchScriptFile {network}
 catFile {cat}
 channelsIn "{channels}"
 channelsOut "{channels}"
 modelId {name}
 name Make_cat
 label "press Create .cat file"
 xpos 240
 ypos 40
}}
Dot {{
 inputs 0
 name Plate
 label "scene-linear Rec.709 plate"
 xpos 34
 ypos -120
}}
Inference {{
 modelFile {cat}
 name {node}
 label {title}
 xpos 0
 ypos 40
}}
"""


def live_script(network: Path, facts: Mapping[str, str]) -> str:
    """A script for the TorchScript file at `network` with its `facts`; the .cat goes beside it."""
    cat = network.with_suffix(".cat")
    note = NOTE.format(**{name: facts[f"impasto.{name}"] for name in ("title", "licence", "colour")})
    return SCRIPT.format(
        note=quoted(note),
        network=quoted(network.as_posix()),
        cat=quoted(cat.as_posix()),
        channels=CHANNELS,
        name=quoted(network.stem),
        node="Live_" + re.sub(r"[^A-Za-z0-9]+", "_", network.stem),
        title=quoted(facts["impasto.title"]),
    )


def quoted(text: str) -> str:
    """A text as one word of a script, without TCL evaluation.

    It is escaped twice: a script is TCL, and Nuke evaluates the values of labels and files as TCL once more.
    """
    evaluated = re.sub(r"([\\\[\]$])", r"\\\1", text)
    escaped = re.sub(r'([\\"\[\]$])', r"\\\1", evaluated)
    return '"' + escaped.replace("\n", "\\n") + '"'
