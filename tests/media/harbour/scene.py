"""The harbour at golden hour as a Blender scene, and the function that poses it at a time."""

from __future__ import annotations

from collections.abc import Callable
from math import radians
from typing import Any

import afloat
import bpy
import land
import materials
import numpy as np
import plants
import sky
import village
from mathutils import Matrix, Vector
from numpy.typing import NDArray
from surface import Surface, grid, join

Pose = Callable[[float], None]
SECONDS = 3.0


def build() -> Pose:
    """Fill an empty Blender file with the harbour; the returned function sets everything to a time in seconds."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    light()
    _ground()
    movers = [_trees(), _sea(), _meadow(), _boats(), _gulls(), _pennants(), _clouds(), _camera()]

    def pose(seconds: float) -> None:
        for move in movers:
            move(seconds)

    return pose


def to_object(name: str, shape: Surface, material: bpy.types.Material, smooth: bool = False) -> bpy.types.Object:
    """A surface as a Blender object, linked into the scene."""
    mesh = bpy.data.meshes.new(name)
    count = len(shape.triangles)
    mesh.vertices.add(len(shape.points))
    mesh.loops.add(3 * count)
    mesh.polygons.add(count)
    mesh.vertices.foreach_set("co", shape.points.astype(np.float32).ravel())
    mesh.loops.foreach_set("vertex_index", shape.triangles.astype(np.int32).ravel())
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * count, 3, dtype=np.int32))
    colour = mesh.attributes.new(materials.COLOUR, "FLOAT_COLOR", "POINT")
    rgba = np.concatenate([np.clip(shape.colours, 0, 1), np.ones((len(shape.points), 1))], 1)
    colour.data.foreach_set("color", rgba.astype(np.float32).ravel())
    mesh.materials.append(material)
    mesh.update(calc_edges=True)
    if not smooth:
        mesh.shade_flat()
    return _link(bpy.data.objects.new(name, mesh))


def _link(thing: bpy.types.Object) -> bpy.types.Object:
    bpy.context.scene.collection.objects.link(thing)
    return thing


def _set_points(thing: bpy.types.Object, points: NDArray[np.float64]) -> None:
    thing.data.vertices.foreach_set("co", points.astype(np.float32).ravel())
    thing.data.update()


def light() -> None:
    """A low warm sun, and the painted sky as a dome."""
    sun = bpy.data.lights.new("sun", "SUN")
    sun.energy, sun.color, sun.angle = 5.2, (1.0, 0.68, 0.38), radians(1.2)
    lamp = _link(bpy.data.objects.new("sun", sun))
    lamp.rotation_euler = Vector(sky.sun_direction()).to_track_quat("Z", "Y").to_euler()
    world = bpy.data.worlds.new("sky")
    bpy.context.scene.world = world
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    dome = nodes.new("ShaderNodeTexEnvironment")
    dome.image = _image("dome", sky.gradient())
    links.new(dome.outputs[0], nodes["Background"].inputs["Color"])
    nodes["Background"].inputs["Strength"].default_value = 0.82


def _image(name: str, picture: sky.Picture) -> bpy.types.Image:
    rows, columns = picture.shape[:2]
    image = bpy.data.images.new(name, columns, rows, alpha=True, float_buffer=True)
    image.colorspace_settings.name = "Linear Rec.709"
    image.alpha_mode = "CHANNEL_PACKED"
    image.pixels.foreach_set(np.ascontiguousarray(picture).ravel())
    image.pack()
    return image


def _ground() -> None:
    """Everything that stands still."""
    stone = materials.matte("stone", 1.1, 0.7, 0.55)
    turf = materials.matte("turf", 3.0, 0.6, 0.5)
    plaster = materials.matte("plaster", 1.6, 0.34, 0.12)
    lamps = materials.glowing("lamps", 1.15)
    to_object("headland", land.headland(), turf, smooth=True)
    to_object("hill", land.village_hill(), turf, smooth=True)
    to_object("point", land.lighthouse_point(), stone, smooth=True)
    far = materials.matte("far", 0.05, 0.3, 0.0)
    for k, ridge in enumerate(land.far_hills()):
        to_object(f"ridge {k}", ridge, far, smooth=True)
    rocks = [
        land.boulders(land.headland_inland, (-40, 26, 4, 52), 90, (0.35, 1.9), (-3.4, 1.6), 1),
        land.boulders(land.point_inland, (-110, -14, 136, 180), 110, (0.7, 3.0), (-4.0, 2.0), 2),
        land.boulders(land.headland_inland, (-16, 12, 6, 30), 16, (0.25, 0.8), (2.0, 9.0), 3),
    ]
    to_object("rocks", join(rocks), stone, smooth=True)
    houses, windows = village.village()
    tower, lamp = village.lighthouse()
    to_object("houses", join([houses, village.jetty(), land.quay()]), plaster)
    to_object("windows", windows, lamps)
    to_object("lighthouse", tower, plaster, smooth=True)
    to_object("lamp", lamp, materials.glowing("lantern", 2.2))
    to_object("fence", village.fence(), materials.matte("wood", 4.0, 0.7, 0.3), smooth=True)


def _trees() -> Pose:
    """Pines, cypresses and bushes between the houses and on the point, leaning a little with the wind."""
    leaf = materials.leafy("leaf", 0.3)
    rng = np.random.default_rng(77)
    kinds = [
        plants.umbrella_pine(1),
        plants.umbrella_pine(2),
        plants.cypress(3),
        plants.cypress(4, 7.0),
        plants.bush(5),
        plants.bush(6, 1.3),
    ]
    models = [to_object(f"tree {k}", kind, leaf) for k, kind in enumerate(kinds)]
    for model in models:
        model.location = (0, -300, -50)
    standing: list[tuple[bpy.types.Object, float]] = []

    def plant(kind: int, x: float, y: float, z: float, scale: float) -> None:
        tree = _link(bpy.data.objects.new("tree", models[kind].data))
        tree.location, tree.rotation_euler = (x, y, z), (0, 0, rng.uniform(0, 6.3))
        tree.scale = (scale * rng.uniform(0.85, 1.15), scale * rng.uniform(0.85, 1.15), scale)
        standing.append((tree, rng.uniform(0, 6.3)))

    for share, count in ((0.735, 20), (0.60, 26), (0.47, 22), (0.35, 18), (0.2, 14)):
        for angle in np.radians(rng.uniform(150, 300, count)):
            x = land.VILLAGE_AT[0] + land.VILLAGE_REACH[0] * share * np.cos(angle)
            y = land.VILLAGE_AT[1] + land.VILLAGE_REACH[1] * share * np.sin(angle)
            kind = int(rng.choice([0, 1, 2, 2, 2, 3, 3, 4]))
            plant(kind, x, y, float(land.village_height(x, y)) - 0.2, rng.uniform(0.85, 1.3))
    for x, y, kind, scale in (
        (-56, 172, 0, 1.0),
        (-61, 178, 1, 1.35),
        (-72, 176, 0, 1.2),
        (-75, 183, 1, 1.0),
        (-80, 180, 2, 1.1),
        (-94, 186, 0, 1.3),
        (-52, 169, 4, 1.4),
        (-67, 176, 4, 1.3),
    ):
        plant(kind, x, y, float(land.point_height(x, y)) - 0.3, scale)
    for x, y in rng.uniform((-105, 150), (-30, 190), (60, 2)):
        if land.point_inland(x, y) > 6 and abs(x + 39) > 10:
            plant(int(rng.choice([4, 5])), x, y, float(land.point_height(x, y)) - 0.2, rng.uniform(0.5, 1.1))
    for x, y, scale in ((-9.5, 13.5, 0.55), (-12.5, 19.0, 0.8), (-7.2, 20.5, 0.5), (-17, 26, 1.0), (6.8, 12.4, 0.4)):
        plant(4, x, y, float(land.headland_height(x, y)) - 0.1, scale)
    for model in models:
        bpy.data.objects.remove(model)

    def move(seconds: float) -> None:
        for tree, phase in standing:
            tree.rotation_euler[0] = 0.012 * np.sin(2.1 * seconds + phase)
            tree.rotation_euler[1] = 0.02 + 0.016 * np.sin(1.7 * seconds + 1.3 * phase)

    return move


def _sea() -> Pose:
    net = afloat.sea()
    water, clocks = materials.water()
    surface = to_object("sea", net.rest, water, smooth=True)
    foam = surface.data.attributes.new(materials.FOAM, "FLOAT", "POINT")
    foam_name = foam.name
    calm = surface.data.attributes.new(materials.SWELL, "FLOAT", "POINT")
    calm.data.foreach_set("value", net.calm.astype(np.float32))

    def move(seconds: float) -> None:
        points, share = net.at(seconds)
        _set_points(surface, points)
        surface.data.attributes[foam_name].data.foreach_set("value", share.astype(np.float32))
        for clock, pace in zip(clocks, (0.45, 0.9, 0.35), strict=True):
            clock.default_value = pace * seconds

    return move


def _meadow() -> Pose:
    field = plants.meadow()
    grass = to_object("meadow", field.surface, materials.leafy("grass", 0.42), smooth=True)
    return lambda seconds: _set_points(grass, field.points_at(seconds))


def _boats() -> Pose:
    hulls = materials.matte("hulls", 2.0, 0.2, 0.05)
    cutter = to_object("cutter", afloat.sailing_boat(), materials.leafy("canvas", 0.28), smooth=True)
    riders: list[tuple[bpy.types.Object, float]] = []
    for k, (shape, place, heading) in enumerate(afloat.moored_boats()):
        boat = to_object(f"boat {k}", shape, hulls, smooth=True)
        boat.location, boat.rotation_euler = (*place, 0), (0, 0, heading)
        riders.append((boat, heading))
    distant = []
    for k, (x, y, scale, pace) in enumerate(((-95, 420, 1.3, 3.0), (-20, 640, 1.5, -2.5), (38, 380, 1.2, -3.0))):
        sail = _link(bpy.data.objects.new(f"far sail {k}", cutter.data))
        sail.scale = (scale if pace > 0 else -scale, scale, scale)
        distant.append((sail, x, y, pace))

    def move(seconds: float) -> None:
        x, y = afloat.boat_place(seconds)
        cutter.location = (x, y, 0.10 * np.sin(2.3 * seconds))
        cutter.rotation_euler = (0.05 * np.sin(1.9 * seconds), 0.035 * np.sin(2.3 * seconds + 1.2), afloat.BOAT_HEADING)
        for k, (boat, heading) in enumerate(riders):
            boat.location[2] = 0.06 * np.sin(2.0 * seconds + 1.7 * k)
            boat.rotation_euler = (
                0.06 * np.sin(1.8 * seconds + k),
                0.03 * np.sin(1.5 * seconds + 2 * k),
                heading + 0.02 * np.sin(seconds + k),
            )
        for sail, far_x, far_y, pace in distant:
            sail.location = (far_x + pace * seconds, far_y, 0)

    return move


def _gulls() -> Pose:
    feather = materials.leafy("feather", 0.25)
    flock = []
    starts = [
        (-13.0, 44.0, 15.0, 0.25, 1.0),
        (-10.5, 47.0, 16.4, 0.20, 1.0),
        (-15.5, 50.0, 14.2, 0.30, 1.0),
        (6.0, 70.0, 22.5, 2.90, 1.1),
        (9.0, 74.0, 21.0, 2.95, 1.1),
    ]
    for k, (x, y, z, heading, scale) in enumerate(starts):
        bird = to_object(f"gull {k}", afloat.gull(0.0), feather, smooth=True)
        bird.rotation_euler, bird.scale = (0, 0, heading), (scale, scale, scale)
        flock.append((bird, np.array([x, y, z]), heading, 2.0 * k))

    def move(seconds: float) -> None:
        for bird, start, heading, phase in flock:
            beat = 0.75 * np.sin(11 * seconds + phase) * (0.55 + 0.45 * np.sin(1.3 * seconds + phase)) + 0.2
            _set_points(bird, afloat.gull(float(beat)).points)
            ahead = np.array([np.cos(heading), np.sin(heading), 0]) * 4.2 * seconds
            bird.location = start + ahead + [0, 0, 0.35 * np.sin(1.6 * seconds + phase)]

    return move


def _pennants() -> Pose:
    cloth = materials.leafy("cloth", 0.35)
    x, y = land.LIGHTHOUSE_AT
    tops = [(x, y, float(land.point_height(x, y)) + 24.6, 0.1), (1.5, 127.5, 8.4, 0.0)]
    flags = []
    for k, (*top, turn) in enumerate(tops):
        flag = to_object(f"pennant {k}", afloat.pennant(0), cloth, smooth=True)
        flag.location, flag.rotation_euler = top, (0, 0, turn)
        flags.append(flag)

    def move(seconds: float) -> None:
        for k, flag in enumerate(flags):
            _set_points(flag, afloat.pennant(seconds + 0.7 * k).points)

    return move


def _clouds() -> Pose:
    """Two cards: heaped clouds, and high wisps behind them; they drift at different speeds."""
    heaps = [
        sky.Cloud(x=0.355, base=0.052, width=0.20, height=0.060, seed=3),
        sky.Cloud(x=0.60, base=0.085, width=0.30, height=0.115, seed=8),
        sky.Cloud(x=0.46, base=0.030, width=0.16, height=0.030, seed=12),
        sky.Cloud(x=0.22, base=0.09, width=0.17, height=0.055, seed=15),
        sky.Cloud(x=0.80, base=0.06, width=0.20, height=0.07, seed=18),
    ]
    cards = [
        (sky.wisps(2048, 640), 2600.0, 4600.0, 40.0, -9.0),
        (sky.cloud_card(heaps, 3072, 900), 2200.0, 3800.0, -20.0, 7.0),
    ]
    movers = []
    for k, (picture, distance, width, lift, pace) in enumerate(cards):
        tall = width * picture.shape[0] / picture.shape[1]
        x, z = np.meshgrid([-width / 2, width / 2], [lift, lift + tall])
        plane = grid(np.stack([x, np.full_like(x, distance), z], -1), (1, 1, 1))
        sheet = to_object(f"clouds {k}", plane, materials.card(f"clouds {k}", _image(f"clouds {k}", picture), 1.0))
        sheet.visible_shadow = sheet.visible_diffuse = False
        uv = sheet.data.uv_layers.new(name="uv")
        corner = np.array([v.vertex_index for v in sheet.data.loops])
        uv.data.foreach_set("uv", np.stack([corner % 2, corner // 2], -1).astype(np.float32).ravel())
        movers.append((sheet, pace))

    def move(seconds: float) -> None:
        for sheet, pace in movers:
            sheet.location = (pace * (seconds - SECONDS / 2), 0, 0)

    return move


def _camera() -> Pose:
    """A crane: up out of the flowers, a little forward and to the right, eased at both ends."""
    lens = bpy.data.cameras.new("camera")
    lens.lens, lens.sensor_width, lens.clip_end = 33.0, 36.0, 20000.0
    eye = _link(bpy.data.objects.new("camera", lens))
    bpy.context.scene.camera = eye

    def move(seconds: float) -> None:
        t = seconds / SECONDS
        t = t * t * (3 - 2 * t) * 0.6 + t * 0.4
        place = Vector((-1.0 + 1.9 * t, -0.8 + 1.9 * t, 7.95 + 1.55 * t))
        target = Vector((2.0 + 1.0 * t, 100.0, 8.9 + 0.3 * t))
        turn = (target - place).to_track_quat("-Z", "Y").to_matrix().to_4x4()
        eye.matrix_world = Matrix.Translation(place) @ turn

    return move


def settings(width: int, height: int, samples: int) -> Any:
    """Cycles on the processor with denoising, 24 frames a second; returns the Blender scene."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.fps = width, height, 24
    scene.render.use_persistent_data = True
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.use_denoising = "CPU", samples, True
    cycles.denoiser, cycles.denoising_prefilter = "OPENIMAGEDENOISE", "FAST"
    cycles.use_adaptive_sampling, cycles.adaptive_threshold, cycles.adaptive_min_samples = (
        True,
        0.05,
        max(4, samples // 3),
    )
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 1, 1
    cycles.transmission_bounces, cycles.transparent_max_bounces = 1, 6
    cycles.sample_clamp_direct, cycles.sample_clamp_indirect = 5.0, 3.0
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.debug_bvh_type, cycles.use_light_tree = "DYNAMIC_BVH", False
    cycles.seed, cycles.use_animated_seed = 1, True
    scene.view_settings.view_transform, scene.view_settings.exposure = "Standard", 0.12
    return scene
