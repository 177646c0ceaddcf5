"""Train seeds in as few stacks as the memory holds: a stack for which it runs out is trained in halves."""

import contextlib
import gc
import itertools
import math
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from altfreeze.freezing.adaptive import deciding_flops, is_adaptive, written_down
from altfreeze.freezing.flow import GradientFlow, NormObserver
from altfreeze.freezing.plan import Epoch, Workload
from altfreeze.freezing.strategy import Position, factors
from altfreeze.study.cell import Cell
from altfreeze.study.grid import FIRST_CALIBRATION_SEED
from altfreeze.support.errors import InputError
from altfreeze.training.batches import workload_of
from altfreeze.training.checkpoints import Checkpoint
from altfreeze.training.log import join_flow, join_records
from altfreeze.training.trainer import train_pack

# who decides for an adaptive strategy: seeds that no comparison sees, the same for every pack of a cell
DECIDERS = range(FIRST_CALIBRATION_SEED, FIRST_CALIBRATION_SEED + 3)
# what `train_pack` calls after each epoch
Progress = Callable[[list[dict[str, Any]], int, int], None]


class TrainedSeeds(NamedTuple):
    """What `train_seeds` returns."""

    rows: list[dict[str, Any]]
    diverged: dict[int, float]
    seconds: float
    workload: Workload
    stacks: list[Sequence[int]]
    too_large: list[int]
    resumed_at: list[int]
    decided: dict[str, Any] | None


class Decided(NamedTuple):
    """What an adaptive strategy decided, and what it took one network to observe it, after each epoch."""

    strategy: dict[str, Any]
    flops: list[int]
    seconds: list[float]


def decide(X: np.ndarray, y: np.ndarray, cell: Cell, device: str = "cpu", part: np.ndarray | None = None) -> Decided:
    """Train the deciders of a cell under its adaptive strategy, and return what they decided, together, epoch by epoch.

    They are calibration's seeds, and the same whatever seeds and packs the study has. So all runs of a cell have one
    plan, which none of them has chosen, and a run's numbers do not depend on its pack. Before the last epoch nothing is
    decided.

    Parameters
    ----------
    X, y, cell, device, part
        See `altfreeze.training.trainer.train_pack`; the strategy is adaptive.

    Returns
    -------
    Decided
        The strategy is `altfreeze.freezing.written.phases`.
    """
    workload, observer = workload_of(X, y, cell, part), NormObserver()
    batches = len(workload.batches)
    active = [cell.plan(workload)[0].steps[0].active]

    def plan_on(epoch: int) -> list[Epoch]:
        position = Position(epoch, 0, batches, cell.epochs * batches)
        found = tuple(factor > 0 for factor in factors(cell.strategy, position, cell.depth, observer.history))
        # for one epoch, a freeze is not worth its cache
        active.append(found if epoch < cell.epochs - 1 else active[-1])
        return cell.following(written_down(active)).plan(workload)

    train_pack(X, y, cell, DECIDERS, device, flow=observer, part=part, decide=plan_on)
    flops = itertools.accumulate(deciding_flops(workload.layers, layers) for layers in active)
    seconds = itertools.accumulate(each / len(DECIDERS) for each in observer.seconds)
    return Decided(written_down(active), list(flops), list(seconds))


def peak_memory() -> int:
    """Return the most bytes of the host's memory that this process has taken."""
    # Linux counts ru_maxrss in KiB, macOS in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 2**10)


def limit_memory(limit: int) -> None:
    """Let an allocation beyond a limit fail, so that it is an error here and not a kill from outside.

    Parameters
    ----------
    limit : int
        Bytes of the host's memory that this process may take in all. Where the system
        does not say what it takes, as only Linux does, none is set.
    """
    # the system limits what is reserved, not what is taken: that may grow by as much as there is left
    with contextlib.suppress(OSError, ValueError):
        _, resident, _, _, _, reserved, _ = map(int, Path("/proc/self/statm").read_text().split())
        limit = max(0, limit + (reserved - resident) * resource.getpagesize())
        resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception says that memory ran out, of the device or of the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def split(seeds: Sequence[int], largest: int) -> list[list[int]]:
    """Return seeds in as few stacks as may hold them, as equal in size as can be.

    Parameters
    ----------
    seeds : sequence of int
    largest : int
        Seeds that a stack may have.

    Returns
    -------
    list of list of int
    """
    count = math.ceil(len(seeds) / largest)
    ends = [len(seeds) * number // count for number in range(count + 1)]
    return [list(seeds[start:end]) for start, end in itertools.pairwise(ends)]


def train_seeds(
    X: np.ndarray,
    y: np.ndarray,
    cell: Cell,
    seeds: Sequence[int],
    device: str = "cpu",
    progress: Callable[[Sequence[int]], Progress] | None = None,
    flow: GradientFlow | None = None,
    checkpoint: Checkpoint | None = None,
    part: np.ndarray | None = None,
    only_last: bool = False,
) -> TrainedSeeds:
    """Train the seeds of one cell as one stack or, where memory runs out, in as few as it holds, one after the other.

    Parameters
    ----------
    X, y, cell, seeds, device
        See `altfreeze.training.trainer.train_pack`.
    progress : callable, optional
        ``progress(seeds)`` to what `train_pack` calls for a stack of these seeds.
    flow : altfreeze.freezing.flow.GradientFlow, optional
        Gets the rows of all stacks.
    checkpoint : altfreeze.training.checkpoints.Checkpoint, optional
        Where the training goes on from and its state is kept.
    part : ndarray of int8, shape (rows,), optional
    only_last : bool
        See `altfreeze.training.trainer.train_pack`.

    Returns
    -------
    TrainedSeeds
        ``rows``, ``diverged``, ``seconds`` and ``workload`` as of one pack of all seeds;
        the seconds are those of all stacks. ``stacks``: the seeds of each, in order.
        ``too_large``: the number of seeds of each stack that did not fit. ``resumed_at``:
        the epochs after which the training of a stack went on from a checkpoint. ``decided``: of
        an adaptive strategy what it decided, as phases that were trained; what it takes a run to
        observe what decides is in its operations and seconds.

    Raises
    ------
    InputError
        If the memory does not hold a single seed.
    """
    checkpoint = checkpoint or Checkpoint()
    decided = decide(X, y, cell, device, part) if is_adaptive(cell.strategy) else None
    followed = cell.following(decided.strategy) if decided else cell
    job = _resume(checkpoint, seeds)
    while job["pending"]:
        # one stack, from where a checkpoint left it, whose state is kept as often as was asked for
        stack, observed = job["pending"][0], None if flow is None else GradientFlow()
        show = progress and progress(stack)

        def save(epoch: int, state_dict: Callable[[], dict[str, Any]]) -> None:
            if checkpoint.is_due():
                checkpoint.save(job | {"running": state_dict()})

        try:
            trained = train_pack(
                X, y, followed, stack, device, show, observed, job["running"], save, part, only_last=only_last
            )
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            trained, reason = None, " ".join(str(error).split())[:200]
        job["running"] = None

        # if memory ran out, this stack and those after it are trained in halves
        if trained is None:
            # what the stack took is free again only after its exception is gone
            gc.collect()
            torch.cuda.empty_cache()
            job["too_large"].append(len(stack))
            _say_too_large(cell, stack, device, reason)
            job["pending"] = split(list(itertools.chain(*job["pending"])), (len(stack) + 1) // 2)
            continue

        # what the stack gave is kept, and the network is not
        flow_rows = [] if observed is None else observed.rows
        job["trained"].append((stack, trained.rows, trained.diverged, trained.seconds, flow_rows))
        del trained
        job["pending"] = job["pending"][1:]
        if job["pending"] and checkpoint.is_due():
            checkpoint.save(job)

    # all stacks as one pack
    stacks, records, diverged, seconds, flows = zip(*job["trained"], strict=True)
    if flow is not None:
        flow.rows = join_flow(seeds, flows)
    all_diverged = {seed: epoch for of_stack in diverged for seed, epoch in of_stack.items()}
    rows = join_records(seeds, stacks, records)
    workload = workload_of(X, y, cell, part)
    total = sum(seconds)
    if decided is not None:
        total += decided.seconds[-1] * len(seeds)
        for row in rows:
            row["flops"] += decided.flops[round(row["epoch"]) - 1]
            row["seconds"] += decided.seconds[round(row["epoch"]) - 1] * len(seeds)
    how = (list(stacks), job["too_large"], job["resumed_at"], None if decided is None else decided.strategy)
    return TrainedSeeds(rows, all_diverged, total, workload, *how)


def _resume(checkpoint: Checkpoint, seeds: Sequence[int]) -> dict[str, Any]:
    """Return what is to be trained and what was already, as a checkpoint says where there is one that can be used.

    The state ``running`` is that of a stack's training, ``pending`` are the stacks from that one on.
    """
    job = checkpoint.load()
    if job is None:
        return {"pending": [list(seeds)], "trained": [], "too_large": [], "resumed_at": [], "running": None}
    job["resumed_at"].append(job["running"]["epochs"] if job["running"] else 0)
    stack = job["pending"][0]
    where = f"after epoch {job['resumed_at'][-1]} of seeds {stack[0]}-{stack[-1]}"
    print(f"checkpoint {checkpoint.path} found; training goes on {where}", file=sys.stderr)
    return job


def _say_too_large(cell: Cell, stack: Sequence[int], device: str, reason: str) -> None:
    """Say that a stack does not fit into the memory, and refuse a single seed that does not."""
    where = f"{cell.dataset}, depth {cell.depth}, {cell.strategy['name']}"
    memory = "the host's memory" if device == "cpu" else "the GPU's memory"
    if len(stack) == 1:
        raise InputError(
            f"{where}: seed {stack[0]} alone does not fit into {memory}; "
            f"allowed: a smaller width, batch_size or data set, or more memory ({reason})"
        )
    print(f"{where}: {len(stack)} seeds do not fit into {memory}; trains halves ({reason})", file=sys.stderr)
