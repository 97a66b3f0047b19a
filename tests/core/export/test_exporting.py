"""Exported files paint as the engine does, at any size, and say whose they are and what they take."""

from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import impasto.core.export
from impasto.core.card import COLOUR_CONTRACT, Card, card_from_json
from impasto.core.engine import Engine
from impasto.core.errors import OutputError, OutputExists, UnknownName, UsageError
from impasto.core.export import exporting, parity
from impasto.core.export.exporting import FORMATS, Exported, export_to
from impasto.core.export.facts import LINEAR_CONTRACT, facts_of
from impasto.core.export.srgb import decode, encode
from impasto.core.frame import Frame, Samples
from impasto.core.generators.unet import UNet, UNetConfig
from impasto.core.guides import Guide
from impasto.core.style_file import Style, find_style, load_style, style_files

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.load:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[3]
ENDINGS = {"onnx": ".onnx", "torchscript": ".pt"}
PAINTED = sorted(set(style_files()) - {"identity"})
SMALL = UNetConfig(shuffle=4, widths=(8, 8), blocks=(1, 1))
IN_TORCH_1_12 = {
    "aten::__getitem__.t", "aten::_convolution", "aten::abs", "aten::add.Scalar", "aten::add.Tensor", "aten::all.dim",
    "aten::amax", "aten::cat", "aten::chunk", "aten::clamp", "aten::div.Scalar", "aten::div.Tensor", "aten::isfinite",
    "aten::le.Scalar", "aten::mul.Scalar", "aten::mul.Tensor", "aten::neg.int", "aten::pad", "aten::pixel_shuffle",
    "aten::pixel_unshuffle", "aten::pow.Tensor_Scalar", "aten::relu_", "aten::remainder.int", "aten::sign",
    "aten::size", "aten::slice.Tensor", "aten::sub.Scalar", "aten::sub.Tensor", "aten::where.self", "aten::zeros_like",
    "prim::TupleUnpack",
}  # fmt: skip
"""Operators as torch 1.12's native_functions.yaml has them; a file of others does not load into Nuke 14."""


def small_style(guides: tuple[Guide, ...] = ()) -> Style:
    """A style of chance weights that paints something."""
    torch.manual_seed(3)
    config = UNetConfig(SMALL.shuffle, SMALL.widths, SMALL.blocks, guides=len(guides))
    net = UNet(config).eval()
    with torch.no_grad():
        net.head.kernel.normal_(std=0.05)
    card = Card(
        "small", "Small", "Paints by chance.", "unet", config.as_dict(), "draft", config.halo, config.stride,
        "CC0-1.0", "0" * 64, (0.0, 0.0), credits=("A. Painter", "ü: B. Painter"), guides=guides, preview="cG5n",
    )  # fmt: skip
    return Style(card, net)


def run(to: str, path: Path, picture: Samples) -> Samples:
    """(H, W, C) through a file, (H, W, 3)."""
    net = FORMATS[to].backend().open_net(path)
    return net(np.ascontiguousarray(picture.transpose(2, 0, 1))[None])[0].transpose(1, 2, 0)


@pytest.fixture(scope="module", params=list(ENDINGS))
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Exported, Style]:
    style = small_style()
    path = tmp_path_factory.mktemp("export") / f"small{ENDINGS[request.param]}"
    return request.param, export_to(request.param, style, path), style


@pytest.mark.slow
@pytest.mark.parametrize("name", PAINTED)
@pytest.mark.parametrize("to", list(ENDINGS))
def test_a_built_in_style_leaves_as_it_paints_here(name: str, to: str, tmp_path: Path) -> None:
    """A size that nobody chose, off the stride, beside those that the export itself looks at."""
    style = load_style(find_style(name))
    exported = export_to(to, style, tmp_path / f"style{ENDINGS[to]}")
    assert exported.largest_difference < 1e-4
    chance = np.random.default_rng(20)
    height, width = (int(8 * chance.integers(5, 20) + chance.integers(1, 8)) for _ in range(2))
    picture = parity.sample_picture((height, width), 0, linear=False)
    wanted = Engine(style, device="cpu")(Frame.from_pixels(picture, colour_space="srgb")).colour
    difference = float(np.abs(run(to, exported.path, picture) - wanted).max())
    print(f"{name} as {to} at {width}x{height}: {difference:.2g}")
    assert difference < 1e-4


@pytest.mark.slow
def test_a_linear_file_takes_light_of_any_value_and_keeps_what_is_not_finite(tmp_path: Path) -> None:
    style = small_style()
    for to, ending in ENDINGS.items():
        exported = export_to(to, style, tmp_path / f"linear{ending}", linear=True)
        assert exported.largest_difference < 1e-4
        assert exported.facts["impasto.colour"] == LINEAR_CONTRACT
        picture = parity.sample_picture((21, 30), 0, linear=True)
        picture[4, 5, 1], picture[9, 9, 0] = np.nan, np.inf
        painted = run(to, exported.path, picture)
        assert np.isnan(painted[4, 5, 1])
        assert np.isinf(painted[9, 9, 0])
        assert np.isfinite(np.delete(painted.reshape(-1), np.flatnonzero(~np.isfinite(picture)))).all()


def test_guides_are_further_channels_as_they_were_rendered(tmp_path: Path) -> None:
    """`export_to` compares the file with the engine, on samples that each reading has to bend."""
    guides = (
        Guide("normal.X", "normal"), Guide("depth.Z", "depth", 3.0), Guide("albedo.R", "colour"),
        Guide("occlusion.A", "mask"), Guide("position.X", "vector", 0.5),
    )  # fmt: skip
    style = small_style(guides)
    for to, ending in ENDINGS.items():
        exported = export_to(to, style, tmp_path / f"guided{ending}")
        assert exported.largest_difference < 1e-4
        names = ", ".join(guide.channel for guide in guides)
        assert exported.facts["impasto.input"] == f"1 x 8 x height x width: R, G, B, {names}"
        assert "depth.Z, in float as rendered, read as depth" in exported.facts["impasto.guides"]
        picture = parity.sample_picture((9, 13), 5, linear=False)
        picture[2, 3, 3:] = np.nan
        picture[4, 5, 3:] = np.inf
        assert np.isfinite(run(to, exported.path, picture)).all()


def test_identifiers_cannot_leave_and_the_refusal_says_so(tmp_path: Path) -> None:
    style = small_style()
    style = Style(replace(style.card, guides=(Guide("object.ID", "id"),)), style.generator)
    with pytest.raises(UsageError, match=r"the identifiers 'object\.ID'"):
        export_to("onnx", style, tmp_path / "s.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 8), (33, 64)])
def test_any_size_comes_back_as_large_as_it_went(size: tuple[int, int], small: tuple[str, Exported, Style]) -> None:
    to, exported, _ = small
    assert run(to, exported.path, parity.sample_picture(size, 0, linear=False)).shape == (*size, 3)


def test_a_file_says_whose_it_is_and_what_it_takes(small: tuple[str, Exported, Style]) -> None:
    to, exported, style = small
    facts = exported.facts
    assert facts == facts_of(style.card, linear=False, example=FORMATS[to].backend().EXAMPLE)
    assert facts["impasto.licence"] == "CC0-1.0"
    assert facts["impasto.credits"] == "A. Painter\nü: B. Painter"
    assert facts["impasto.colour"] == COLOUR_CONTRACT
    assert facts["impasto.stride"].startswith("8: ")
    assert "dynamic" in facts["impasto.axes"]
    card = card_from_json(facts["impasto.card"], "the file")
    assert (card.name, card.preview) == ("small", "")


def test_the_example_in_a_file_runs_as_it_stands(small: tuple[str, Exported, Style]) -> None:
    to, exported, _ = small
    picture = parity.sample_picture((21, 30), 0, linear=False)
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))[None]
    names = {"path": str(exported.path), "picture": planes if to == "onnx" else torch.from_numpy(planes)}
    with torch.inference_mode():
        exec(exported.facts["impasto.example"], names)
    np.testing.assert_allclose(np.asarray(names["painted"])[0].transpose(1, 2, 0), run(to, exported.path, picture))


def test_onnx_names_its_axes_and_shows_its_facts_to_the_runtime(tmp_path: Path) -> None:
    import onnxruntime

    path = export_to("onnx", small_style(), tmp_path / "s.onnx").path
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.shape) == ("picture", [1, 3, "height", "width"])
    assert (given.name, given.shape) == ("painted", [1, 3, "height", "width"])
    facts = session.get_modelmeta()
    assert facts.producer_name == "impasto"
    assert facts.custom_metadata_map["impasto.licence"] == "CC0-1.0"


def test_torchscript_hands_out_its_facts_and_has_a_switch_for_linear_light(tmp_path: Path) -> None:
    path = export_to("torchscript", small_style(), tmp_path / "s.pt").path
    files = {"impasto.json": ""}
    net = torch.jit.load(path, _extra_files=files)
    assert json.loads(files["impasto.json"])["impasto.licence"] == "CC0-1.0"
    picture = torch.rand(1, 3, 17, 22)
    assert net.linear is False
    net.linear = True
    np.testing.assert_allclose(net(picture), decode(_encoded_result(path, encode(picture))), atol=1e-5)


def _encoded_result(path: Path, picture: torch.Tensor) -> torch.Tensor:
    net = torch.jit.load(path)
    painted: torch.Tensor = net(picture)
    return painted


@pytest.mark.parametrize("linear", [False, True])
def test_torchscript_works_in_half_floats_and_takes_one_tensor(linear: bool, tmp_path: Path) -> None:
    path = export_to("torchscript", small_style(), tmp_path / "s.pt", linear=linear).path
    net = torch.jit.load(path)
    assert len(net.forward.schema.arguments) == 2  # itself and the picture
    assert [str(each.type) for each in net.forward.schema.returns] == ["Tensor"]
    picture = torch.rand(1, 3, 21, 27)
    wanted = net(picture)
    painted = net.half()(picture.half())
    assert painted.dtype == torch.float16
    assert ((painted.float() - wanted).abs() / wanted.abs().clamp(min=1)).max() < 0.02


def test_torchscript_asks_for_no_operator_that_older_hosts_lack(tmp_path: Path) -> None:
    path = export_to("torchscript", small_style(), tmp_path / "s.pt", linear=True).path
    assert set(torch.jit.export_opnames(torch.jit.load(path))) <= IN_TORCH_1_12
    with zipfile.ZipFile(path) as archive:
        assert int(archive.read("impasto/version")) <= 10  # the newest that torch 1.12 reads
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_a_file_does_not_tell_where_it_was_made(small: tuple[str, Exported, Style]) -> None:
    _, exported, _ = small
    content = exported.path.read_bytes()
    for sign in (str(ROOT), sys.prefix, "site-packages", "debug_pkl", "stack_trace"):
        assert sign.encode() not in content


def test_a_file_that_paints_otherwise_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for answer in (0.01, float("nan")):
        monkeypatch.setattr(exporting, "largest_difference", lambda *_, **__: answer)  # noqa: B023
        with pytest.raises(OutputError, match="paint as the engine does"):
            export_to("torchscript", small_style(), tmp_path / "s.pt")
    assert list(tmp_path.iterdir()) == []


def test_the_check_sees_another_network(small: tuple[str, Exported, Style]) -> None:
    to, exported, style = small
    other = small_style()
    with torch.no_grad():
        other.generator.head.bias.add_(0.01)
    run_file = FORMATS[to].backend().open_net(exported.path)
    assert parity.largest_difference(style, run_file, linear=False) < parity.TOLERANCE
    assert parity.largest_difference(other, run_file, linear=False) > parity.TOLERANCE


def test_names_that_cannot_be_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    style = small_style()
    with pytest.raises(UnknownName, match="did you mean 'onnx'"):
        export_to("onyx", style, tmp_path / "s.onnx")
    with pytest.raises(UsageError, match=r"ends in \.onnx"):
        export_to("onnx", style, tmp_path / "s.pt")
    (tmp_path / "s.pt").write_bytes(b"mine")
    with pytest.raises(OutputExists):
        export_to("torchscript", style, tmp_path / "s.pt")
    assert (tmp_path / "s.pt").read_bytes() == b"mine"
    assert export_to("torchscript", style, tmp_path / "s.pt", overwrite=True).largest_difference < 1e-4


def test_without_the_extra_onnx_is_missing_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "impasto.core.export.onnx_file", raising=False)
    monkeypatch.delattr(impasto.core.export, "onnx_file", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        export_to("onnx", small_style(), tmp_path / "s.onnx")
    assert caught.value.name == "onnxruntime"
    assert list(tmp_path.iterdir()) == []
