"""Several processes that train together, as real processes; each has a hard limit of time."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from impasto.core.errors import DeviceError, TrainingError, UsageError
from impasto.hosts.terminal.train.torchrun import ProcessRank, device_of, process_rank
from impasto.training.distributed import ONE_PROCESS, ProcessGroup, process_group

ROOT = Path(__file__).parents[2]
LIMIT_S = 150
ONE = ("-m", "tests.training.one_process")


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | more


def together(folder: Path, case: str, count: int) -> list[tuple[int, str]]:
    """Run so many processes to their end: exit code and what each said; one that hangs is killed with the last."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    running = [
        subprocess.Popen(
            [sys.executable, *ONE, str(folder), case],
            env=environment(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, RANK=str(rank), WORLD_SIZE=str(count)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        if case == "hung":
            said = running[0].communicate(timeout=LIMIT_S)[0]
            return [(running[0].returncode, said)]
        told = [process.communicate(timeout=LIMIT_S)[0] for process in running]
        return [(process.returncode, said) for process, said in zip(running, told, strict=True)]
    finally:
        for process in running:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize(("case", "count"), [("hinge", 3), ("wgan-gp", 2), ("domains", 2)])
def test_several_processes_learn_what_one_learns(case: str, count: int, tmp_path: Path) -> None:
    assert together(tmp_path / "one", case, 1) == [(0, "0: 20 steps after 0 restarts, 0 told\n")]
    for rank, (code, said) in enumerate(together(tmp_path / "more", case, count)):
        assert (code, said) == (0, f"{rank}: 20 steps after 0 restarts, 0 told\n")
    one, more = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("one", "more"))
    # A critic's last bias has no true gradient in some forms: Adam makes steps of what rounding leaves of it.
    for part, most in (("net", 1e-4), ("averaged", 1e-4), ("critic", 1e-3)):
        names = [name for name in one if name.startswith(f"{part}.")]
        assert max(float((one[name] - more[name]).abs().max()) for name in names) < most, part
    moved = (one["net.first.weight"] - one["averaged.first.weight"]).abs().max()
    assert moved > 1e-4, "a run that learns nothing would agree with any other"


@pytest.mark.slow
def test_a_stop_that_one_process_hears_ends_all_at_the_same_step(tmp_path: Path) -> None:
    assert [said for _, said in together(tmp_path, "stopped", 2)] == [
        f"{rank}: 7 steps after 0 restarts, 0 told\n" for rank in range(2)
    ]
    assert (tmp_path / "checkpoint.safetensors").exists()


@pytest.mark.slow
def test_a_process_that_hangs_is_waited_for_no_longer_than_the_limit(tmp_path: Path) -> None:
    ((code, said),) = together(tmp_path, "hung", 2)
    assert "expected an answer of the other training processes" in said
    assert code == 7


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_evenly_is_refused_by_all(tmp_path: Path) -> None:
    for code, said in together(tmp_path, "uneven", 2):
        assert code == 7
        assert "2 processes can share evenly, got 5; give for example --batch 4" in said


@pytest.mark.slow
def test_torchrun_starts_all_anew_from_the_checkpoint_when_one_is_killed(tmp_path: Path) -> None:
    run = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1")
    done = subprocess.run(
        [sys.executable, *run, *ONE, str(tmp_path), "killed"],
        env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # The one that was left says first that nobody answers it any more.
    said = sorted(line for line in done.stdout.splitlines() if "steps after" in line)
    assert said == [f"{rank}: 20 steps after 1 restarts, 0 told" for rank in range(2)]


def test_alone_nothing_is_shared_averaged_or_awaited() -> None:
    assert process_group() == ONE_PROCESS
    batch = torch.rand(4, 2)
    assert ONE_PROCESS.shard(batch) is batch
    assert ONE_PROCESS.gather(batch) is batch
    assert ONE_PROCESS.sums(1.5, 2.0) == (1.5, 2.0)
    assert ONE_PROCESS.mean_figures({"loss": 3.0}) == {"loss": 3.0}
    ONE_PROCESS.require_even(5)


def test_the_shares_of_all_are_the_batch() -> None:
    batch = torch.arange(12).view(6, 2)
    shares = [ProcessGroup(rank, 3).shard(batch) for rank in range(3)]
    assert torch.equal(torch.stack(shares, dim=1).flatten(0, 1), batch)
    with pytest.raises(TrainingError, match="3 processes can share evenly, got 7; give for example --batch 6"):
        ProcessGroup(0, 3).require_even(7)


def test_a_place_is_read_from_the_environment_and_alone_there_is_none() -> None:
    assert process_rank({}) == ProcessRank()
    told = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "TORCHELASTIC_RESTART_COUNT": "2"}
    assert dataclasses.replace(process_rank(told), started_by="") == ProcessRank(3, 4, 1, 2)
    assert process_rank(told) == process_rank(told), "the same torchrun is known again"
    assert not process_rank(told).leads
    for wrong in ({"RANK": "x"}, {"RANK": "4"}, {"LOCAL_RANK": "-1"}):
        with pytest.raises(UsageError, match="expected a RANK below the WORLD_SIZE"):
            process_rank(told | wrong)


def test_every_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of(ProcessRank(3, 4, 1), "auto") == "cuda:1"
    assert device_of(ProcessRank(3, 4, 1), "cpu") == "cpu"
    with pytest.raises(DeviceError, match="process 3 on this machine, it has 2"):
        device_of(ProcessRank(2, 4, 2), "auto")
    with pytest.raises(UsageError, match="--device auto or cpu for 4 processes"):
        device_of(ProcessRank(3, 4, 1), "cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert device_of(ProcessRank(3, 4, 1), "auto") == "cpu"


def test_a_process_of_several_leaves_at_once_and_one_alone_in_good_order() -> None:
    end = (
        "import atexit, impasto.training.distributed; from impasto.hosts.terminal.train.torchrun import exit_process; "
        "atexit.register(print, 'ended'); exit_process(9)"
    )
    for count, said in (("1", "ended\n"), ("2", "")):
        done = subprocess.run(
            [sys.executable, "-c", end], env=environment(WORLD_SIZE=count), capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (9, said)
