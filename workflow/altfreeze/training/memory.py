"""Memory: what a stack needs, what is free, and how many seeds fit."""

import itertools
import math
import resource
import sys
from pathlib import Path
from typing import NamedTuple

import torch

# of what is free, the share that a stack may be planned to take: allocators round up and fragment
USABLE_SHARE = 0.9
_FLOAT_BYTES, _INTEGER_BYTES = 4, 8
# copies of the parameters that an optimizer keeps
_STATES = {"sgd": 1, "adam": 2, "adamw": 2}


class Memory(NamedTuple):
    """Bytes of one seed: ``host``, for preparing and keeping it, and ``device``, for training it."""

    host: int
    device: int


def needed(cell, workload, rows, observed=False):
    """Return the memory that each seed of a stack takes, from the sizes of all that is kept at a time.

    Parameters
    ----------
    cell : altfreeze.study.cell.Cell
    workload : altfreeze.freezing.plan.Workload
    rows : int
        Rows of the data set.
    observed : bool
        Whether the gradient flow is observed.

    Returns
    -------
    Memory
    """
    sizes, train = workload.sizes, workload.rows
    parameters = sum((fan_in + 1) * fan_out for fan_in, fan_out in itertools.pairwise(sizes))
    states = _STATES[cell.optimizer]
    cached = max((sizes[epoch.cached] for epoch in cell.plan(workload) if epoch.cached), default=0)
    data = rows * (sizes[0] * _FLOAT_BYTES + _INTEGER_BYTES)
    device = data
    # an epoch's rows in its order, and the order
    device += train * (max(sizes[0], cached) * _FLOAT_BYTES + 2 * _INTEGER_BYTES)
    # the cache, and its parts before they are one
    device += 2 * train * cached * _FLOAT_BYTES
    # weights, gradients, optimizer state; what is frozen for a moment again, when it is checked
    device += parameters * (2 + states + 1 + states) * _FLOAT_BYTES
    # the weights before an epoch, the change in the last one and in this one
    device += 3 * parameters * _FLOAT_BYTES * observed
    # the inputs of all layers, and a gradient, the one after it and its product
    step = sum(sizes) + 3 * max(sizes)
    step += 2 * (workload.depth - 1) * cell.width if cell.dropout else 0
    device += workload.batch_size * step * _FLOAT_BYTES
    # the logits of a part that is evaluated, their probabilities and losses
    device += 3 * (rows - train) * sizes[-1] * _FLOAT_BYTES
    # the standardised data, and stacked before they go to the device
    return Memory(2 * data, device)


def peak_memory():
    """Return the most bytes of the host's memory that this process has taken."""
    # Linux counts ru_maxrss in KiB, macOS in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 2**10)


def resident_memory():
    """Return the bytes of the host's memory that this process takes now; where that is not told, the most it took."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak_memory()
    return pages * resource.getpagesize()


def largest_stack(seed, device, limit=None):
    """Return how many seeds a stack may have so that it fits into the memory.

    Parameters
    ----------
    seed : Memory
        What one seed takes.
    device : str
        ``cpu``, or ``cuda`` with as much memory as is free on it.
    limit : int, optional
        Bytes of the host's memory that this process may take in all; without it, any.

    Returns
    -------
    int
        At least 1; very many where nothing limits it.
    """
    counts = [sys.maxsize]
    if limit is not None:
        on_host = seed.host + (seed.device if device == "cpu" else 0)
        counts.append((limit - resident_memory()) * USABLE_SHARE / on_host)
    if device == "cuda":
        counts.append(torch.cuda.mem_get_info()[0] * USABLE_SHARE / seed.device)
    return max(1, math.floor(min(counts)))


def split(seeds, largest):
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


def is_out_of_memory(error):
    """Return whether an exception says that memory ran out, of the device or of the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)
