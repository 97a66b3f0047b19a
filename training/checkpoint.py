"""Checkpoints: all that a run needs to resume as if it had never stopped, in one safetensors file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from impasto.core.errors import OutputError, TrainingError

VERSION = 2
"""2 adds the last good weights and the facts of guard and monitor. Where a file is of version 1, the averaged weights
stand for the good ones."""


def save_checkpoint(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
    generators: Mapping[str, torch.Generator],
    facts: dict[str, Any],
    device: str = "cpu",
) -> None:
    """Write all states; a reader sees the old file or the new one, never half of either.

    OutputError where they cannot be written, for example on a full disk; the old file stays.
    """
    tensors: dict[str, Tensor] = {"random.global": torch.get_rng_state()}
    if device.startswith("cuda"):
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    for name, generator in generators.items():
        tensors[f"random.{name}"] = generator.get_state()
    for name, module in modules.items():
        tensors.update({f"{name}.{key}": value.contiguous() for key, value in module.state_dict().items()})
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors.update(
                {f"{name}.{index}.{key}": torch.as_tensor(value).contiguous() for key, value in state.items()}
            )
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, partial, metadata={"version": str(VERSION), "facts": json.dumps(facts)})
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"could not write the checkpoint '{path}': {error}; free space in its folder") from error


def load_checkpoint(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
    generators: Mapping[str, torch.Generator],
    device: str = "cpu",
) -> dict[str, Any]:
    """Put all states back and return the facts; TrainingError where the file does not fit the run."""
    try:
        with safe_open(path, "pt") as stored:
            metadata = stored.metadata() or {}
            if metadata.get("version") not in ("1", str(VERSION)):
                raise TrainingError(
                    f"expected a checkpoint of version {VERSION}, got {metadata.get('version')!r} in '{path}'; "
                    "start anew without --resume"
                )
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        facts = _facts_in(metadata)
        if metadata["version"] == "1":
            tensors, facts = _from_first(tensors, facts)
        for name, module in modules.items():
            module.load_state_dict(_below(tensors, name))
        for name, optimizer in optimizers.items():
            states: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(tensors, name).items():
                index, field = key.split(".", 1)
                states.setdefault(int(index), {})[field] = value
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": states, "param_groups": groups})
        for name, generator in generators.items():
            generator.set_state(tensors[f"random.{name}"])
        torch.set_rng_state(tensors["random.global"])
        if device.startswith("cuda") and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], device)
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(f"expected a checkpoint of this run in '{path}', could not use it: {error}") from error
    return facts


def read_facts(path: Path) -> dict[str, Any]:
    """The facts alone, with the recipe as JSON; TrainingError where there are none to read."""
    try:
        with safe_open(path, "pt") as stored:
            facts = _facts_in(stored.metadata() or {})
        if not isinstance(json.loads(facts["recipe"]), dict):
            raise TypeError("its recipe is none")
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise TrainingError(f"expected a checkpoint in '{path}', could not use it: {error}") from error
    return facts


def _facts_in(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The facts of a checkpoint; KeyError, TypeError, ValueError or RuntimeError where there are none."""
    facts: Any = json.loads(metadata["facts"])
    if not isinstance(facts, dict):
        raise TypeError("its facts are none")
    return facts


def _from_first(tensors: dict[str, Tensor], facts: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A checkpoint of version 1, as version 2."""
    good = {f"good.{name}": value for name, value in _below(tensors, "averaged").items()}
    critic = {f"good_critic.{name}": value for name, value in _below(tensors, "critic").items()}
    guard = {
        "mean_norm": facts["mean_norm"],
        "taken": facts["step"],
        "skipped": facts["skipped"],
        "rollbacks": facts["rollbacks"],
        "rate_factor": facts["rate_factor"],
    }
    return tensors | good | critic, facts | {"guard": guard, "monitor": {}, "means": {}}


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}
