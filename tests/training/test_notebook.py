"""The notebook runs from top to bottom, and what comes out of it is painted."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from impasto.core.colour import to_float
from impasto.core.frame import Samples
from impasto.core.media import open_reader

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the kernel's own libraries
WIDTH, HEIGHT, FRAMES = 256, 144, 13
NOTEBOOK = "training/notebooks/painted_shot.ipynb"


def notebook_of(repository: Path) -> nbformat.NotebookNode:
    return nbformat.read(repository / NOTEBOOK, as_version=4)


def test_the_notebook_is_stored_without_outputs(repository: Path) -> None:
    notebook = notebook_of(repository)
    nbformat.validate(notebook)
    assert [
        cell.id for cell in notebook.cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)
    ] == []


@pytest.mark.slow
def test_two_keys_become_a_painted_shot(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"MINUTES": "0.1", "WIDTH": f"{WIDTH}", "FRAMES": f"{FRAMES}", "CHECKOUT": f"{repository}"}
    for name, value in small.items():
        monkeypatch.setenv(name, value)
    notebook = notebook_of(repository)
    here = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=here).execute()

    plates, paintings = (frames_of(tmp_path / "painted_shot" / name) for name in ("plate.mp4", "painted.mp4"))
    assert len(plates) == len(paintings) == FRAMES
    for plate, painting in zip(plates, paintings, strict=True):
        assert painting.shape == plate.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(painting - plate).mean() > 0.02, "a frame was left as it was"
        assert seen_in(plate, painting) > 0.8, "a frame no longer shows its plate"
    keys = sorted((tmp_path / "painted_shot/keys").glob("*.png"))
    assert len(keys) == 2
    for key in keys:
        number = int(key.stem.rpartition(".")[2])
        paint = to_float(np.ascontiguousarray(cv2.imread(str(key))[..., ::-1]))
        to_key, to_plate = (np.abs(each[number - 1] - paint).mean() for each in (paintings, plates))
        assert to_key < 0.5 * to_plate, "a keyed frame does not show its key's own paint"
    said = "".join(output.text for output in outputs_of(notebook) if output.output_type == "stream")
    assert "13 frames in" in said
    assert "\x1b" not in said, "a terminal's bars and colours are noise below a cell"
    assert len(said.splitlines()) < 100
    shown = list(pictures_in(notebook))
    assert len(shown) == 6, "painting, two keys, the strip of shares, the sheet and what was turned"
    assert all(picture.std() > 10 for picture in shown)
    assert shown[-1].shape == (HEIGHT, WIDTH, 3)


def frames_of(path: Path) -> list[Samples]:
    with open_reader(str(path)) as reader:
        return [to_float(frame.colour) for frame in reader]


def seen_in(plate: Samples, painting: Samples) -> float:
    """Correlation of the two in grey, blurred beyond the strokes."""
    flat = [cv2.GaussianBlur(each.mean(axis=2), (0, 0), 4).ravel() for each in (plate, painting)]
    return float(np.corrcoef(*flat)[0, 1])


def pictures_in(notebook: nbformat.NotebookNode) -> Iterator[np.ndarray]:
    """The pictures that cells show, in order."""
    for output in outputs_of(notebook):
        if stored := output.get("data", {}).get("image/png"):
            picture = cv2.imdecode(np.frombuffer(base64.b64decode(stored), np.uint8), cv2.IMREAD_COLOR)
            assert picture is not None
            yield picture


def outputs_of(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]
