"""ONNX files: a network written, and a file run by ONNX Runtime. Needs the extra `export`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import onnxruntime  # type: ignore[import-untyped]
import onnxscript  # noqa: F401  # torch's exporter needs it, and fails late without it
import torch

from impasto.core.frame import Samples

if TYPE_CHECKING:
    from impasto.core.export.picture_net import PictureNet

OPSET = 18
"""The oldest that torch's exporter writes, so that as many runtimes as possible read it (ONNX 1.13, 2022)."""
INPUT, OUTPUT = "picture", "painted"
EXAMPLE = """\
import onnxruntime
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
(painted,) = session.run(["painted"], {"picture": picture})  # numpy float32, laid out as input and output say"""


def write(net: PictureNet, channels: int, facts: dict[str, str], path: Path) -> None:
    """Store a network and its facts as one ONNX file, weights included; height and width are dynamic."""
    example = torch.rand(1, channels, 61, 93)
    free = torch.export.Dim.DYNAMIC
    with _quiet():
        program = torch.onnx.export(
            net,
            (example,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={"picture": {2: free, 3: free}},
        )
    assert program is not None
    model = program.model_proto
    _drop_sources(model)
    _name_axes(model.graph.input[0])
    _name_axes(model.graph.output[0])
    model.producer_name, model.producer_version = "impasto", facts["impasto.version"]
    model.doc_string = facts["impasto.description"]
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model)
    onnx.save_model(model, path)


def open_net(path: Path) -> Callable[[Samples], Samples]:
    """An ONNX file on the CPU, as a function from (1, C, H, W) to (1, 3, H, W)."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: no notes on its own optimisations
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(picture: Samples) -> Samples:
        (painted,) = session.run([OUTPUT], {INPUT: picture})
        return painted  # type: ignore[no-any-return]

    return run


def facts_in(path: Path) -> dict[str, str]:
    """The facts in an ONNX file."""
    model = onnx.load(path, load_external_data=False)
    return {each.key: each.value for each in model.metadata_props}


def _name_axes(value: onnx.ValueInfoProto) -> None:
    """Name the dynamic axes; the exporter derives the output's from the input's by arithmetic."""
    for axis, name in ((2, "height"), (3, "width")):
        value.type.tensor_type.shape.dim[axis].dim_param = name


def _drop_sources(model: onnx.ModelProto) -> None:
    """Drop the exporter's debugging records: source lines, with the paths of this machine."""
    graph = model.graph
    del graph.value_info[:]
    graph.name = "impasto"
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer, graph):
        del item.metadata_props[:]
        item.doc_string = ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's notes about packages that it does not need here, and about its own future."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
