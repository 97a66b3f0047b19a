"""Several processes that train one network, each on its share of every batch.

All of them draw the same batch from the same chance and end each step with the same weights; the first of them
(rank 0) alone is heard and writes. With a batch that they can share evenly, the weights are those of one process but
for rounding. What they say to each other goes through `torch.distributed`, which also knows whether there is more than
one: `team` asks it. No wait is without a limit.
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
class Team:
    """The processes that train together, and which of them this is; alone, everything here changes nothing.

    Every method that waits for the others raises TrainingError where they do not answer within the limit.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that reports, draws sheets, and writes checkpoints and styles."""
        return self.rank == 0

    def require_even(self, batch: int) -> None:
        """TrainingError for a batch that cannot be shared evenly."""
        if batch % self.size:
            raise TrainingError(
                f"expected a batch that {self.size} processes can share evenly, got {batch}; "
                f"give for example --batch {self.size * max(1, round(batch / self.size))}"
            )

    def require_same(self, digest: str) -> None:
        """TrainingError where not all have read the same pictures; takes their SHA-256 in hexadecimal."""
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

    def share(self, whole: Tensor) -> Tensor:
        """Of something of the whole batch (N, …), the part of this process: every `size`-th from its rank on."""
        return whole if self.size == 1 else whole[self.rank :: self.size].clone()

    def whole(self, share: Tensor) -> Tensor:
        """The whole batch (N, …) from everybody's share, in the order in which it was drawn.

        For losses that are no mean over pictures: each process works the same loss out, and its gradient reaches
        its own share, as large as `average` needs it.
        """
        if self.size == 1:
            return share
        mine = share.detach().contiguous()
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        with _waiting():
            distributed.all_gather(parts, mine)
        parts[self.rank] = mine + self.size * (share - share.detach())
        return torch.stack(parts, dim=1).flatten(0, 1)

    def average(self, net: nn.Module) -> None:
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

    def mean(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Each figure as the mean over all processes, which must have the same ones."""
        names = sorted(figures)
        return {
            name: sum_ / self.size
            for name, sum_ in zip(names, self.sums(*(figures[name] for name in names)), strict=True)
        }

    def heard(self, figures: Mapping[str, float]) -> dict[str, float]:
        """The figures of the first process; all must have the same ones."""
        return {name: self.told(value) for name, value in sorted(figures.items())}

    def told(self, value: float) -> float:
        """What the first process says; the value that the others give does not matter."""
        return self.sums(value if self.leads else 0.0)[0] if self.size > 1 else value

    @contextmanager
    def fetched(self, path: Path, *, wanted: bool) -> Iterator[Path | None]:
        """A file of the first process, as it is there, or as a copy; None where that has none or does not want it.

        So that machines without a shared folder go on from the same checkpoint.
        """
        size = int(self.told(path.stat().st_size if self.leads and wanted and path.exists() else -1))
        if size < 0:
            yield None
            return
        if self.size == 1:
            yield path
            return
        read = bytearray(path.read_bytes() if self.leads else size)
        stored = torch.frombuffer(read, dtype=torch.uint8)
        with _waiting():
            distributed.broadcast(stored, 0)
        if self.leads:
            yield path
            return
        with TemporaryDirectory(prefix="impasto-fetched-") as folder:
            copy = Path(folder) / path.name
            copy.write_bytes(read)
            yield copy


ALONE = Team()


def team() -> Team:
    """The processes that this one trains with, as `torch.distributed` knows them."""
    if distributed.is_available() and distributed.is_initialized():
        return Team(distributed.get_rank(), distributed.get_world_size())
    return ALONE


@contextmanager
def joined(rank: int, size: int, device: str, *, start: int = 0, limit_s: float = LIMIT_S) -> Iterator[Team]:
    """Meet the other processes at the address in the environment, and part from them at the end of the block.

    `start` counts how often all were started anew, so that nobody looks for those of the time before: torchrun may keep
    one store for all of them.
    Gradients travel through NCCL on CUDA devices and through gloo on the CPU. TrainingError where the others do not
    come, or where torch was built without either.
    """
    if size == 1:
        yield ALONE
        return
    if not distributed.is_available():
        raise TrainingError("expected a torch that can train in several processes, this build cannot; start one alone")
    on_cuda = device.startswith("cuda")
    if on_cuda:
        torch.cuda.set_device(device)
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    with _waiting():
        # To start takes its time, and not everywhere the same; only what comes after is held to the limit.
        store, rank, size = next(rendezvous("env://", rank, size, timeout=timedelta(seconds=LIMIT_S)))
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if on_cuda else "gloo",
            store=PrefixStore(f"start {start}", store),
            rank=rank, world_size=size, timeout=timedelta(seconds=limit_s),
        )  # fmt: skip
    try:
        yield Team(rank, size)
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
