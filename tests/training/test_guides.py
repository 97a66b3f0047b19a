"""Guide layers in training: which are meant, how they are read, and that they stay in register with their plate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from impasto.core.errors import InconsistentShot, TrainingError, UnknownName, UnreadableMedia, UsageError
from impasto.core.frame import Attribute, Part, Samples, Window
from impasto.core.generators.resunet import ResUNet, ResUNetConfig
from impasto.core.guides import Guide, Reading
from impasto.core.media.guide_files import find_guides
from impasto.core.style_file import load_style
from impasto.training.data.guides import GuideSpec, channels_of, guides_in, reading_of, scale_of
from impasto.training.data.keyframes import digest, load_keyframes
from impasto.training.data.pictures import as_float
from impasto.training.export import Label
from impasto.training.loop import run
from impasto.training.losses.reconstruction import multi_scale_l1
from impasto.training.objectives.keyframes import draw_crops, hold_out, task_for
from impasto.training.objectives.pairs import Conditions, shift_loss
from impasto.training.preview import stylize
from impasto.training.task import Schedule
from tests.core.media.builders import write_layers
from tests.training.pictures import HEIGHT, WIDTH, plate, save, stored, write_shot
from tests.training.test_keyframes import QUICK


def aov(number: int) -> Mapping[str, Samples]:
    """Layers that are functions of place and frame, so that a shift of one pixel is seen."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    return {
        "normal.X": columns / WIDTH * 2 - 1,
        "normal.Y": rows / HEIGHT * 2 - 1,
        "depth.Z": 2.0 + number + (rows * WIDTH + columns) / 1000,
    }


@pytest.fixture
def shot(tmp_path: Path) -> str:
    for number in range(1, 9):
        write_layers(tmp_path / "aov" / f"a.{number:04}.exr", aov(number))
    return write_shot(tmp_path)


def wishes(tmp_path: Path, layers: str = "normal,depth") -> list[GuideSpec]:
    return [GuideSpec.parse(f"{tmp_path}/aov/a.%04d.exr:{layers}")]


def part(channels: str, name: str = "") -> Part:
    names = tuple(channels.split())
    window = Window(0, 0, 2, 2)
    attributes = {"name": Attribute("string", name)} if name else {}
    return Part(np.zeros((2, 2, len(names)), np.float32), names, ("float",) * len(names), window, window,
                attributes=attributes)  # fmt: skip


@pytest.mark.parametrize(
    ("channels", "layer", "found"),
    [
        ("R G B normal.Z normal.X normal.Y", "normal", ["normal.X", "normal.Y", "normal.Z"]),
        ("R G B normal.Z normal.X normal.Y", "Normal.x", ["normal.X"]),
        ("albedo.A albedo.B albedo.G albedo.R", "albedo", ["albedo.R", "albedo.G", "albedo.B"]),
        ("ViewLayer.Normal.X ViewLayer.Normal.Y ViewLayer.Depth.Z", "normal",
         ["ViewLayer.Normal.X", "ViewLayer.Normal.Y"]),
        ("forward.left.u left.Z", "left", ["left.Z"]),
        ("R G B Z", "Z", ["Z"]),
    ],
)  # fmt: skip
def test_a_layer_is_found_by_its_name(channels: str, layer: str, found: list[str]) -> None:
    assert channels_of([part(channels)], layer) == found


def test_a_layer_that_is_a_part_is_found_by_the_name_of_the_part() -> None:
    parts = [part("R G B", "beauty"), part("Z", "depth_left"), part("Z", "depth_right"), part("X Y", "normals")]
    assert channels_of(parts, "depth_left") == ["Z"]
    assert channels_of(parts, "depth_right") == ["depth_right.Z"]
    assert channels_of(parts, "normals") == ["X", "Y"]


def test_a_layer_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="no guide layer is called 'normals'; did you mean 'normal'"):
        channels_of([part("R G B normal.X normal.Y")], "normals")


@pytest.mark.parametrize(
    ("channel", "reading"),
    [
        ("normal.X", "normal"), ("ViewLayer.Normal.X", "normal"), ("N.X", "normal"), ("depth.Z", "depth"),
        ("Z", "depth"), ("ViewLayer.Depth.Z", "depth"), ("depth_right.Z", "depth"), ("albedo.R", "colour"),
        ("DiffCol.R", "colour"), ("object_id.R", "id"), ("IndexOB.X", "id"), ("ObjectID", "id"),
        ("CryptoObject00.R", "id"), ("P.X", "vector"), ("Position.X", "vector"), ("Vector.W", "vector"),
        ("forward.u", "vector"), ("AO.R", "mask"), ("occlusion.R", "mask"), ("left.R", "colour"),
        ("left.Z", "depth"), ("P.Z", "vector"), ("disparityL.x", "vector"),
    ],
)  # fmt: skip
def test_a_name_says_how_its_channel_is_read(channel: str, reading: Reading) -> None:
    assert reading_of(channel) == reading


def test_how_to_read_a_channel_is_asked_where_its_name_does_not_say_it() -> None:
    with pytest.raises(UsageError, match=r"got 'grid\.X'; say how to read it, .*: for example grid\.X=mask"):
        guides_in([part("grid.X")], GuideSpec.parse("a.exr:grid"))
    assert guides_in([part("grid.X")], GuideSpec.parse("a.exr:grid=vector")) == [Guide("grid.X", "vector")]
    with pytest.raises(UnknownName, match="did you mean 'depth'"):
        guides_in([part("grid.X")], GuideSpec.parse("a.exr:grid=deepth"))


@pytest.mark.parametrize("text", ["aov.%04d.exr", "aov.exr:", "aov.exr:normal,", "C:/aov.exr", ""])
def test_guides_that_name_no_layer_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected guides as PATH:LAYER,LAYER"):
        GuideSpec.parse(text)


def test_the_scale_of_depths_is_their_median_and_the_sky_does_not_count() -> None:
    depths = np.array([[2, 4, 6, np.inf, np.nan, 1e10, 1e10, 1e10, 0]], np.float32)
    assert scale_of("depth", [depths]) == 4
    assert scale_of("normal", [depths]) == 1
    assert scale_of("depth", [np.full((2, 2), np.inf)]) == 1
    assert scale_of("depth", [np.array([[0, 51, 255]], np.uint8)]) == 0.6


def test_guides_come_with_keys_and_unpainted_frames_by_number(shot: str, tmp_path: Path) -> None:
    found = load_keyframes(shot, tmp_path / "keys", guides=wishes(tmp_path))
    scale = float(f"{np.median(aov(3)['depth.Z']):.3g}")
    assert found.guides == (Guide("normal.X", "normal"), Guide("normal.Y", "normal"), Guide("depth.Z", "depth", scale))
    for each in (*found.keys, *found.unpainted):
        assert each.guides is not None
        assert each.guides.shape == (3, HEIGHT, WIDTH)
        there = aov(each.number)
        np.testing.assert_allclose(each.guides[0], (there["normal.X"] + 1) / 2, atol=1e-3)
        np.testing.assert_allclose(each.guides[2], 1 / (1 + there["depth.Z"] / scale), atol=1e-3)


def test_other_guides_are_other_data(shot: str, tmp_path: Path) -> None:
    """What a resumed run goes by."""
    with_them, without = (load_keyframes(shot, tmp_path / "keys", guides=each) for each in (wishes(tmp_path), []))
    assert without.guides == ()
    assert without.keys[0].guides is None
    assert digest(with_them.keys, with_them.unpainted) != digest(without.keys, without.unpainted)


def test_layers_of_the_plate_itself_need_no_path(tmp_path: Path) -> None:
    for number in (1, 2):
        colour = dict(zip("RGB", plate(number).transpose(2, 0, 1), strict=True))
        write_layers(tmp_path / "plates" / f"p.{number:04}.exr", {**colour, **aov(number)})
    write_layers(tmp_path / "keys" / "k.0001.exr", dict(zip("RGB", plate(1).transpose(2, 0, 1), strict=True)))
    found = load_keyframes(
        str(tmp_path / "plates" / "p.####.exr"), tmp_path / "keys", guides=[GuideSpec.parse(":normal")]
    )
    assert [guide.channel for guide in found.guides] == ["normal.X", "normal.Y"]
    assert found.keys[0].guides is not None


def test_guides_follow_a_data_window_that_moves_from_frame_to_frame(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        colour = dict(zip("RGB", plate(number).transpose(2, 0, 1), strict=True))
        window = Window(4 * number, 2, WIDTH - 8 * number, HEIGHT - 2)
        write_layers(tmp_path / "plates" / f"p.{number:04}.exr", colour, window=window, display=(WIDTH + 8, HEIGHT + 8))
        write_layers(tmp_path / "aov" / f"a.{number:04}.exr", aov(number), display=(WIDTH + 8, HEIGHT + 8))
    write_layers(
        tmp_path / "keys" / "k.0002.exr", dict(zip("RGB", plate(2).transpose(2, 0, 1), strict=True)),
        window=Window(8, 2, WIDTH - 16, HEIGHT - 2), display=(WIDTH + 8, HEIGHT + 8),
    )  # fmt: skip
    found = load_keyframes(str(tmp_path / "plates/p.####.exr"), tmp_path / "keys", guides=wishes(tmp_path, "normal"))
    for each in (*found.keys, *found.unpainted):
        assert each.guides is not None
        assert each.guides.shape == (2, HEIGHT - 2, WIDTH - 8 * each.number)
        left = round(float(each.guides[0, 0, 0]) * WIDTH)
        top = round(float(each.guides[1, 0, 0]) * HEIGHT)
        assert (left, top) == (4 * each.number, 2)


def test_what_is_missing_is_named(shot: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    with pytest.raises(UnknownName, match="'albedo'"):
        load_keyframes(shot, keys, guides=wishes(tmp_path, "albedo"))
    with pytest.raises(UnreadableMedia, match=r"nowhere\.####\.exr"):
        load_keyframes(shot, keys, guides=[GuideSpec.parse(f"{tmp_path}/nowhere.####.exr:normal")])
    with pytest.raises(UsageError, match="in pictures, EXR for example"):
        load_keyframes(shot, keys, guides=[GuideSpec.parse(f"{tmp_path}/a.mov:normal")])
    write_layers(tmp_path / "aov" / "a.0008.exr", {"normal.X": aov(8)["normal.X"]})
    with pytest.raises(UsageError, match=r"'normal\.Y' .* frame 8"):
        load_keyframes(shot, keys, guides=wishes(tmp_path))
    (tmp_path / "aov" / "a.0003.exr").unlink()
    with pytest.raises(InconsistentShot, match=r"guide layers of frame 3 at '.*a\.0003\.exr'"):
        load_keyframes(shot, keys, guides=wishes(tmp_path))


def test_a_still_serves_every_frame(tmp_path: Path) -> None:
    write_layers(tmp_path / "still.exr", aov(1))
    files = find_guides(str(tmp_path / "still.exr"))
    files.require(1, 100)
    assert files.parts_of(1)[0].channels == files.parts_of(70)[0].channels == tuple(sorted(aov(1)))


def test_crops_keep_plate_paint_and_guides_in_register(shot: str, tmp_path: Path) -> None:
    """The guides of each crop say where it lies: there plate and paint must be those of the frame."""
    split = hold_out(load_keyframes(shot, tmp_path / "keys", guides=wishes(tmp_path)), 1)
    crops = draw_crops(split, QUICK, torch.Generator().manual_seed(3))
    assert crops.guides is not None
    (key,) = split.keys
    for index in range(QUICK.batch):
        left, top = (round(float(crops.guides[index, axis, 0, 0]) * side)
                     for axis, side in ((0, WIDTH), (1, HEIGHT)))  # fmt: skip
        there = np.s_[:, top : top + QUICK.crop, left : left + QUICK.crop]
        assert torch.equal(crops.before[index], as_float(key.plate[there]))
        assert torch.equal(crops.after[index], as_float(key.paint[there]))


class Told(ResUNet):
    """Remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__(ResUNetConfig(widths=(8, 8, 8), blocks=(0, 0, 0), guides=1))
        self.shown: list[torch.Tensor] = []

    def forward(self, picture: torch.Tensor, code: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        self.shown.append(picture.detach())
        return super().forward(picture, code)


def test_guides_are_shifted_with_their_plate() -> None:
    net, recipe = Told(), dataclasses.replace(QUICK, noise=0.0)
    torch.manual_seed(1)
    picture = torch.rand(2, 3, 48, 48)
    shift_loss(net, picture, picture, recipe, Conditions(guides=picture[:, :1].clone()))
    (shown,) = net.shown
    assert not torch.equal(shown[:, :1], picture[:1, :1]), "or nothing was moved"
    assert torch.allclose(shown[:, 3:], shown[:, :1], atol=1e-5)


@pytest.mark.usefixtures("small_networks")
def test_a_run_leaves_a_style_that_knows_its_guides_and_goes_on_only_with_them(shot: str, tmp_path: Path) -> None:
    output = tmp_path / "hero.safetensors"
    split = hold_out(load_keyframes(shot, tmp_path / "keys", guides=wishes(tmp_path)), 1)
    run(task_for(split, QUICK, output, Label("hero")), QUICK, Schedule(tmp_path / "run"))
    style = load_style(output)
    assert style.card.guides == split.guides
    assert style.generator.config.guides == 3
    assert style.keys is not None
    assert style.keys.guides is not None
    np.testing.assert_array_equal(style.keys.guides[0], split.keys[0].guides)
    without = hold_out(load_keyframes(shot, tmp_path / "keys"), 1)
    with pytest.raises(TrainingError, match="checkpoint"):
        run(task_for(without, QUICK, output, Label("hero")), QUICK, Schedule(tmp_path / "run", resume=True))


@pytest.mark.usefixtures("small_networks")
def test_what_only_the_guides_show_is_learned(shot: str, tmp_path: Path) -> None:
    """The paint is a layer of the renderer, of which the plate shows nothing."""
    hidden = np.repeat(((aov(3)["normal.X"] + 1) / 2)[..., None], 3, axis=2)
    save(tmp_path / "keys" / "k.0003.png", hidden)
    recipe = dataclasses.replace(QUICK, steps=80, average=0.9, warm_up=5, learning_rate=5e-3, adversarial=0.0)
    errors = []
    for each in (wishes(tmp_path), []):
        split = hold_out(load_keyframes(shot, tmp_path / "keys", guides=each), 1)
        task = task_for(split, recipe, tmp_path / "hero.safetensors", Label("hero"))
        trained = run(task, recipe, Schedule(tmp_path / f"run{len(errors)}"))
        unseen = stored(plate(7), torch.float32)
        if each:
            frame = next(plate for plate in split.unpainted if plate.number != 3)
            assert frame.guides is not None
            unseen = torch.cat((unseen, frame.guides.float()))  # of normals, which are those of every frame
        wanted = torch.from_numpy(hidden.astype(np.float32)).permute(2, 0, 1)
        errors.append(float(multi_scale_l1(stylize(trained.net, unseen)[None], wanted[None])))
    assert errors[0] < 0.6 * errors[1]
