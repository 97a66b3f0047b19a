"""Several processes that train one network, each on its share of every batch.

All processes draw the same batch from the same random numbers and end each step with the same weights. Only the first
(rank 0) reports and writes. Where the batch can be shared evenly, the weights equal those of one process but for
rounding. Messages go through `torch.distributed`, which also knows whether there is more than one process;
`process_group` asks it. Every wait has a time limit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, distributed, nn

from impasto.core.errors import TrainingError

LIMIT_S = 600.0
"""How long a process waits for the others: longer than the first takes for a contact sheet and a checkpoint."""


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """The processes that train together, and the rank of this one. With one process, no method changes anything.

    Every method that waits for the others raises TrainingError where they do not answer within the limit.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process reports, draws sheets, and writes checkpoints and styles."""
        return self.rank == 0

    def require_even(self, batch: int) -> None:
        """TrainingError for a batch that cannot be shared evenly."""
        if batch % self.size:
            raise TrainingError(
                f"expected a batch that {self.size} processes can share evenly, got {batch}; "
                f"give for example --batch {self.size * max(1, round(batch / self.size))}"
            )

    def require_same(self, digest: str) -> None:
        """TrainingError where the processes have read different data; takes the SHA-256 of the data in hexadecimal."""
        mine = torch.tensor(list(hashlib.sha256(digest.encode()).digest()[:8]), dtype=torch.int64)
        least, most = mine.clone(), mine.clone()
        if self.size > 1:
            with _waiting():
                distributed.all_reduce(least, distributed.ReduceOp.MIN)
                distributed.all_reduce(most, distributed.ReduceOp.MAX)
        if not torch.equal(least, most):
            raise TrainingError(
                "expected the same pictures in every process, they differ; give all machines the same folder"
            )

    def shard(self, whole: Tensor) -> Tensor:
        """This process's share of a tensor of the whole batch (N, …): every `size`-th picture from its rank on."""
        return whole if self.size == 1 else whole[self.rank :: self.size].clone()

    def gather(self, share: Tensor) -> Tensor:
        """The whole batch (N, …) from the shares of all processes, in the order in which it was drawn.

        For losses that are not a mean over pictures: each process computes the same loss, and its gradient reaches
        its own share, scaled for `average_gradients`.
        """
        if self.size == 1:
            return share
        mine = share.detach().contiguous()
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        with _waiting():
            distributed.all_gather(parts, mine)
        parts[self.rank] = mine + self.size * (share - share.detach())
        return torch.stack(parts, dim=1).flatten(0, 1)

    def average_gradients(self, net: nn.Module) -> None:
        """Replace the gradients of a network by their mean over all processes."""
        gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
        if self.size == 1 or not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        with _waiting():
            distributed.all_reduce(flat)
        flat /= self.size
        for gradient, mean in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def sums(self, *values: float) -> tuple[float, ...]:
        """Each value summed over all processes."""
        if self.size == 1:
            return values
        summed = torch.tensor(values, dtype=torch.float64)
        with _waiting():
            distributed.all_reduce(summed)
        return tuple(summed.tolist())

    def mean_figures(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Each figure as the mean over all processes, which must have the same ones."""
        names = sorted(figures)
        return {
            name: sum_ / self.size
            for name, sum_ in zip(names, self.sums(*(figures[name] for name in names)), strict=True)
        }

    def broadcast_figures(self, figures: Mapping[str, float]) -> dict[str, float]:
        """The figures of the first process; all must have the same ones."""
        return {name: self.broadcast(value) for name, value in sorted(figures.items())}

    def broadcast(self, value: float) -> float:
        """The value of the first process; the values that the others pass do not matter."""
        return self.sums(value if self.is_main else 0.0)[0] if self.size > 1 else value

    @contextmanager
    def main_file(self, path: Path, *, wanted: bool) -> Iterator[Path | None]:
        """A file of the first process, there by its path, elsewhere as a copy; None where it is missing or not wanted.

        This lets machines without a shared folder resume from the same checkpoint.
        """
        size = int(self.broadcast(path.stat().st_size if self.is_main and wanted and path.exists() else -1))
        if size < 0:
            yield None
            return
        if self.size == 1:
            yield path
            return
        read = bytearray(path.read_bytes() if self.is_main else size)
        stored = torch.frombuffer(read, dtype=torch.uint8)
        with _waiting():
            distributed.broadcast(stored, 0)
        if self.is_main:
            yield path
            return
        with TemporaryDirectory(prefix="impasto-fetched-") as folder:
            copy = Path(folder) / path.name
            copy.write_bytes(read)
            yield copy


ONE_PROCESS = ProcessGroup()


def process_group() -> ProcessGroup:
    """The group that this process trains in, as `torch.distributed` knows it."""
    if distributed.is_available() and distributed.is_initialized():
        return ProcessGroup(distributed.get_rank(), distributed.get_world_size())
    return ONE_PROCESS


@contextmanager
def joined(rank: int, size: int, device: str, *, start: int = 0, limit_s: float = LIMIT_S) -> Iterator[ProcessGroup]:
    """Meet the other processes at the address in the environment, and leave the group at the end of the block.

    `start` counts the restarts, so that a process never waits for those of an earlier start: torchrun may keep one
    store for all starts. Gradients travel through NCCL on CUDA devices and through gloo on the CPU. TrainingError where
    the others do not come, or where torch was built without either.
    """
    if size == 1:
        yield ONE_PROCESS
        return
    if not distributed.is_available():
        raise TrainingError("expected a torch that can train in several processes, this build cannot; start one alone")
    on_cuda = device.startswith("cuda")
    if on_cuda:
        torch.cuda.set_device(device)
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    with _waiting():
        # Start-up times differ between machines; `limit_s` holds only after it.
        store, rank, size = next(rendezvous("env://", rank, size, timeout=timedelta(seconds=LIMIT_S)))
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if on_cuda else "gloo",
            store=PrefixStore(f"start {start}", store),
            rank=rank, world_size=size, timeout=timedelta(seconds=limit_s),
        )  # fmt: skip
    try:
        yield ProcessGroup(rank, size)
    finally:
        distributed.destroy_process_group()


@contextmanager
def _waiting() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:  # the second where the address to meet at is missing
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TrainingError(
            f"expected an answer of the other training processes, got none ({reason}); "
            "look at what they said, and go on with --resume"
        ) from error
