"""Files of others end in a sentence on the file, never in a fault of impasto."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from impasto.core.errors import TrainingError, UsageError
from impasto.core.media.picture_reader import read_header
from impasto.hosts.terminal.exit_codes import INPUT, STYLE, USAGE
from impasto.hosts.terminal.watch.record import NAME, read_record
from impasto.training.checkpoint import load_checkpoint, read_facts
from tests.altered_style import card_of, write_altered
from tests.hosts.terminal.conftest import Impasto

DEEP = "[" * 9000 + "]" * 9000
TRAINING = {"data_sha256": "a", "pictures": 1, "steps": 1, "seconds": 1.0, "date": "2026", "recipe": {}, "metrics": {}}
CARDS: dict[str, str] = {
    "deep_recipe": json.dumps(card_of() | {"training": TRAINING | {"recipe": {"a": "DEEP"}}}).replace('"DEEP"', DEEP),
    "recipe_is_a_text": json.dumps(card_of() | {"training": TRAINING | {"recipe": "fast"}}),
    "figure_is_a_text": json.dumps(card_of() | {"training": TRAINING | {"metrics": {"loss": "low"}}}),
    "config_is_a_list": json.dumps(card_of() | {"config": [1, 2]}),
    "surrogate": json.dumps(card_of() | {"title": "half \ud800"}),
    "endless_test_picture": json.dumps(card_of() | {"canary": [float("inf")] * 2}),
}


@pytest.mark.parametrize("name", CARDS)
def test_a_hostile_card_is_a_sentence_on_the_style(impasto: Impasto, tmp_path: Path, name: str) -> None:
    path = write_altered(tmp_path / "odd.safetensors", CARDS[name])
    for command in (
        ("style", "show", path),
        ("style", "show", path, "--json"),
        ("render", "a.exr", "b.exr", "--style", path),
    ):
        done = impasto(*command)
        assert done.code in ((STYLE,) if command[0] == "style" else (STYLE, INPUT)), done.err
        assert "at fault" not in done.err


@pytest.mark.parametrize("text", [f"a = {DEEP}", "crop = \xff", f"steps = {'9' * 5000}"], ids=["deep", "bytes", "long"])
def test_a_hostile_recipe_is_a_sentence(impasto: Impasto, tmp_path: Path, text: str) -> None:
    (tmp_path / "before").mkdir()
    (tmp_path / "recipe.toml").write_bytes(text.encode("latin-1"))
    done = impasto(
        "train", "pairs", "--before", "before", "--after", "before", "--recipe", "recipe.toml", "-o", "a.safetensors"
    )
    assert done.code not in (0, 1), done.err
    assert "recipe.toml" in done.err


FACTS = {
    "deep": DEEP,
    "list": "[]",
    "empty": "{}",
    "cut recipe": json.dumps({"recipe": "{"}),
    "list for a recipe": json.dumps({"recipe": "[]"}),
    "deep recipe": json.dumps({"recipe": DEEP}),
    "number": "9" * 5000,
}


@pytest.mark.parametrize("facts", FACTS.values(), ids=FACTS)
def test_hostile_facts_of_a_checkpoint_are_a_training_error(tmp_path: Path, facts: str) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_file({"random.global": torch.get_rng_state()}, path, metadata={"version": "2", "facts": facts})
    with pytest.raises(TrainingError, match="expected a checkpoint"):
        read_facts(path)
    if not facts.startswith("{"):
        with pytest.raises(TrainingError, match="expected a checkpoint"):
            load_checkpoint(path, {}, {}, {})


@pytest.mark.parametrize(
    "record",
    [
        '{"shots": ' + DEEP + "}",
        '{"shots": {"a": {"digest": 1, "settings": "b", "output": "c", "state": "finished"}}}',
        '{"shots": {"a": {"digest": "1", "settings": "b", "output": ["c"], "state": "finished"}}}',
    ],
    ids=["deep", "number", "list"],
)
def test_a_hostile_record_of_a_watched_folder_is_a_sentence(tmp_path: Path, record: str) -> None:
    (tmp_path / NAME).write_text(record)
    with pytest.raises(UsageError, match="expected the record of this folder"):
        read_record(str(tmp_path), str(tmp_path.parent))


def test_a_nested_record_ends_a_watch_with_a_sentence(impasto: Impasto, tmp_path: Path) -> None:
    (tmp_path / "in" / "painted").mkdir(parents=True)
    (tmp_path / "in" / "painted" / NAME).write_text('{"shots": ' + DEEP + "}")
    done = impasto("watch", "in", "--style", "identity", "--once")
    assert done.code == USAGE
    assert "expected the record of this folder" in done.err


def test_the_software_of_a_tiff_may_say_anything(tmp_path: Path) -> None:
    import numpy as np
    import OpenImageIO as oiio

    path = str(tmp_path / "a.tif")
    for text in ('impasto {"a":' + DEEP + "}", 'impasto {"a": ' + "9" * 5000 + "}", "impasto {]"):
        spec = oiio.ImageSpec(8, 8, 3, "uint8")
        spec.attribute("Software", text)
        out: Any = oiio.ImageOutput.create(path)
        assert out.open(path, spec)
        assert out.write_image(np.zeros((8, 8, 3), np.uint8))
        out.close()
        assert read_header(path).provenance == {}
