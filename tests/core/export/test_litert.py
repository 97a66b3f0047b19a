"""An exported ONNX file becomes a TensorFlow Lite (LiteRT) file that paints as the engine does.

The converter wants older versions of numpy and onnx than the rest of the tests, so it lives in an environment of its
own, 2.6 GB, whose interpreter the test is told:

    python3.11 -m venv tflite
    tflite/bin/pip install onnx2tf==1.29.24 onnxsim==0.4.36 ai-edge-litert==2.1.0 tensorflow-cpu==2.19.1
    IMPASTO_TFLITE_PYTHON=$PWD/tflite/bin/python pytest tests/core/export/test_litert.py
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from impasto.core.engine import Engine
from impasto.core.export import parity
from impasto.core.export.exporting import export_to
from impasto.core.frame import Frame
from impasto.core.style_file import find_style, load_style

PYTHON = os.environ.get("IMPASTO_TFLITE_PYTHON", "")
HEIGHT, WIDTH = 64, 96
RUN = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
net = Interpreter(sys.argv[1])
net.allocate_tensors()
(taken,), (given,) = net.get_input_details(), net.get_output_details()
net.set_tensor(taken["index"], np.load("picture.npy")[None])
net.invoke()
np.save("painted.npy", net.get_tensor(given["index"])[0].transpose(1, 2, 0))
"""


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON, reason="IMPASTO_TFLITE_PYTHON names no Python with onnx2tf and ai-edge-litert")
@pytest.mark.parametrize(("kind", "tolerance"), [("float32", 1e-5), ("float16", 1e-3)])
def test_a_converted_file_paints_as_the_engine_does(kind: str, tolerance: float, tmp_path: Path) -> None:
    style = load_style(find_style("wheatfield-draft"))
    picture = parity.sample_picture((HEIGHT, WIDTH), 0, linear=False)
    np.save(tmp_path / "picture.npy", picture)
    # The converter compares on pictures of its own, which it would fetch from the network.
    own = np.random.default_rng(1).random((20, 128, 128, 3), np.float32)
    np.save(tmp_path / "calibration_image_sample_data_20x128x128x3_float32.npy", own)
    export_to("onnx", style, tmp_path / "style.onnx")
    programs = Path(PYTHON).parent  # onnx2tf calls onnxsim by its name
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": ""}
    for command in (
        [programs / "onnx2tf", "-i", "style.onnx", "-o", "tf", "-ois", f"picture:1,3,{HEIGHT},{WIDTH}", "-n"],
        [PYTHON, "-c", RUN, f"tf/style_{kind}.tflite"],
    ):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr[-2000:]
    wanted = Engine(style, device="cpu", precision="float32")(Frame.from_pixels(picture, colour_space="srgb")).colour
    difference = float(np.abs(np.load(tmp_path / "painted.npy") - wanted).max())
    print(f"{kind}: {difference:.2g} from the engine")
    assert difference < tolerance
