"""Cycles materials: all read the corner colours of their surface, and all fade into the evening haze."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy

COLOUR = "colour"
FOAM = "foam"
SWELL = "swell"


class Graph:
    """A material's node tree under construction: `add` makes a node and links or sets its inputs by name."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self._tree = self.material.node_tree
        self._tree.nodes.clear()

    def add(self, kind: str, settings: dict[str, Any] | None = None, **inputs: Any) -> Any:
        """A node of `kind`; inputs are named by identifier with `_` for spaces, or `i0`, `i1` by position."""
        node = self._tree.nodes.new(kind)
        for key, value in (settings or {}).items():
            setattr(node, key, value)
        for key, value in inputs.items():
            at = int(key[1:]) if key[0] == "i" and key[1:].isdigit() else key.replace("_", " ")
            if isinstance(value, bpy.types.NodeSocket):
                self._tree.links.new(value, node.inputs[at])
            else:
                node.inputs[at].default_value = value
        return node

    def maths(self, operation: str, *values: Any) -> Any:
        """The result socket of one Math node."""
        inputs = {f"i{k}": v for k, v in enumerate(values)}
        return self.add("ShaderNodeMath", {"operation": operation}, **inputs).outputs[0]

    def ramp(self, low: float, high: float, value: Any) -> Any:
        """0..1 as `value` goes from `low` to `high`, eased."""
        node = self.add("ShaderNodeMapRange", {"interpolation_type": "SMOOTHSTEP"}, Value=value)
        node.inputs["From Min"].default_value, node.inputs["From Max"].default_value = low, high
        return node.outputs[0]

    def mix(self, share: Any, a: Any, b: Any) -> Any:
        """The colour between `a` and `b`."""
        node = self.add("ShaderNodeMix", {"data_type": "RGBA"}, i0=share, i6=a, i7=b)
        return node.outputs[2]

    def colour(self) -> Any:
        """The corner colours of the surface."""
        return self.add("ShaderNodeAttribute", {"attribute_name": COLOUR}).outputs["Color"]

    def noise(self, scale: float, detail: float = 3, time: bool = False) -> tuple[Any, Any]:
        """A noise value from object coordinates, and its W input when it moves with time."""
        where = self.add("ShaderNodeNewGeometry").outputs["Position"]
        kind = {"noise_dimensions": "4D" if time else "3D"}
        node = self.add("ShaderNodeTexNoise", kind, Vector=where, Scale=scale, Detail=detail)
        return node.outputs[0], node.inputs["W"] if time else None

    def finish(self, shader: Any, haze: float = 1.0) -> bpy.types.Material:
        """Fade `shader` into haze by distance (metres over 2600, times `haze`), warmer towards the sun."""
        if haze > 0:
            away = self.add("ShaderNodeCameraData").outputs["View Distance"]
            share = self.maths("SUBTRACT", 1.0, self.maths("EXPONENT", self.maths("MULTIPLY", away, -haze / 1500)))
            seen = self.add("ShaderNodeLightPath").outputs["Is Camera Ray"]
            vector = self.add("ShaderNodeCameraData").outputs["View Vector"]
            side = self.add("ShaderNodeSeparateXYZ", Vector=vector).outputs[0]
            tint = self.mix(self.ramp(-0.5, 0.45, side), (1.0, 0.66, 0.40, 1), (0.52, 0.52, 0.68, 1))
            veil = self.add("ShaderNodeEmission", Color=tint, Strength=0.9)
            mixed = self.add(
                "ShaderNodeMixShader", i0=self.maths("MULTIPLY", share, seen), i1=shader, i2=veil.outputs[0]
            )
            shader = mixed.outputs[0]
        self.add("ShaderNodeOutputMaterial", Surface=shader)
        # Haze makes every material emit; as light sources they would cost time and only add noise.
        self.material.cycles.emission_sampling = "NONE"
        return self.material


def matte(name: str, scale: float, contrast: float, bump: float, haze: float = 1.0) -> bpy.types.Material:
    """Painted stone, plaster or wood: the corner colour with mottling of `scale` per metre, and a rough relief."""
    g = Graph(name)
    spots, _ = g.noise(scale, 3)
    shade = g.maths("ADD", 1 - contrast / 2, g.maths("MULTIPLY", spots, contrast))
    colour = g.add("ShaderNodeVectorMath", {"operation": "SCALE"}, i0=g.colour(), Scale=shade).outputs[0]
    relief = g.add("ShaderNodeBump", Strength=bump, Distance=0.25 / scale, Height=spots)
    return g.finish(g.add("ShaderNodeBsdfDiffuse", Color=colour, Normal=relief.outputs[0]).outputs[0], haze)


def leafy(name: str, through: float = 0.4) -> bpy.types.Material:
    """Leaves and petals and sailcloth: part of the light comes through from behind."""
    g = Graph(name)
    colour = g.colour()
    front = g.add("ShaderNodeBsdfDiffuse", Color=colour).outputs[0]
    behind = g.add("ShaderNodeBsdfTranslucent", Color=colour).outputs[0]
    return g.finish(g.add("ShaderNodeMixShader", i0=through, i1=front, i2=behind).outputs[0])


def glowing(name: str, strength: float) -> bpy.types.Material:
    """A lamp or lit window."""
    g = Graph(name)
    return g.finish(g.add("ShaderNodeEmission", Color=g.colour(), Strength=strength).outputs[0], 0.0)


def water() -> tuple[bpy.types.Material, Sequence[Any]]:
    """Sea water under the evening sky with drawn foam; also the inputs that take the time in seconds."""
    g = Graph("water")
    chop, slow = g.noise(0.55, 3, time=True)
    fine, quick = g.noise(2.4, 1, time=True)
    lace, drift = g.noise(1.5, 3, time=True)
    away = g.add("ShaderNodeCameraData").outputs["View Distance"]
    near = g.maths("DIVIDE", 42.0, g.maths("ADD", 42.0, away))
    height = g.maths("ADD", g.maths("MULTIPLY", chop, 0.5), g.maths("MULTIPLY", fine, g.maths("MULTIPLY", near, 0.16)))
    swell = g.ramp(0.0, 1.0, g.add("ShaderNodeAttribute", {"attribute_name": SWELL}).outputs["Fac"])
    swell = g.maths("MULTIPLY_ADD", swell, 0.75, 0.25)
    relief = g.add(
        "ShaderNodeBump",
        Strength=g.maths("MULTIPLY", swell, g.maths("MULTIPLY_ADD", near, 0.6, 0.12)),
        Distance=0.9,
        Height=height,
    )
    rough = g.maths("SUBTRACT", 0.34, g.maths("MULTIPLY", near, 0.22))
    body = g.add(
        "ShaderNodeBsdfPrincipled",
        Base_Color=g.colour(),
        Roughness=rough,
        IOR=1.33,
        Specular_IOR_Level=0.42,
        Normal=relief.outputs[0],
    )
    foam = g.add("ShaderNodeAttribute", {"attribute_name": FOAM}).outputs["Fac"]
    threshold = g.maths("SUBTRACT", 1.02, foam)
    shown = g.ramp(0.0, 0.16, g.maths("SUBTRACT", lace, g.maths("MULTIPLY_ADD", threshold, 0.62, 0.13)))
    shown = g.maths("MULTIPLY", shown, g.ramp(0.02, 0.12, foam))
    froth = g.add("ShaderNodeBsdfDiffuse", Color=(0.86, 0.86, 0.82, 1)).outputs[0]
    return g.finish(g.add("ShaderNodeMixShader", i0=shown, i1=body.outputs[0], i2=froth).outputs[0], 0.7), (
        slow,
        quick,
        drift,
    )


def card(name: str, picture: bpy.types.Image, strength: float = 1.0) -> bpy.types.Material:
    """A self-lit picture with straight alpha: clouds."""
    g = Graph(name)
    image = g.add("ShaderNodeTexImage", {"image": picture, "extension": "CLIP"})
    bright = g.add("ShaderNodeEmission", Color=image.outputs["Color"], Strength=strength).outputs[0]
    clear = g.add("ShaderNodeBsdfTransparent").outputs[0]
    return g.finish(g.add("ShaderNodeMixShader", i0=image.outputs["Alpha"], i1=clear, i2=bright).outputs[0], 0.0)
