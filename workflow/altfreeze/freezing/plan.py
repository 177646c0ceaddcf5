"""The plan of a whole training: what each step does, how long it lasts and what it costs.

Pure and without numbers of the data: training, timing and the tables walk the same plan.
"""

import functools
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from altfreeze.freezing.cost import Layer, dense_layers, fill_flops, orthogonalise_flops, step_flops
from altfreeze.freezing.strategy import MASKED, STRATEGIES, Position, factors, learning_rate_position

# a run whose cache would be larger trains without
CACHE_BYTES = 2**26
_FLOAT_BYTES = 4


class Workload(NamedTuple):
    """What a run's steps work on.

    Attributes
    ----------
    sizes : tuple of int, length depth + 1
        Numbers of a row that go into each layer, and out of the last.
    rows, batch_size : int
        Rows of the train part and of a batch.
    counted : tuple of altfreeze.freezing.cost.Layer, length depth
        Layers whose operations were counted; empty of an MLP, which `sizes` say all of.
    orthogonalises : bool
        Whether the optimizer orthogonalises updates, which costs operations of its own.
    buffered : bool
        Whether layers have buffers, as the statistics of batches, which a frozen one may move.
    """

    sizes: tuple[int, ...]
    rows: int
    batch_size: int
    counted: tuple[Layer, ...] = ()
    orthogonalises: bool = False
    buffered: bool = False

    @property
    def depth(self) -> int:
        """Number of weight layers."""
        return len(self.sizes) - 1

    @property
    def layers(self) -> Sequence[Layer]:
        """What each layer has and costs."""
        return self.counted or dense_layers(self.sizes)

    @property
    def batches(self) -> list[int]:
        """Rows of each batch of an epoch; the last may have fewer."""
        whole, rest = divmod(self.rows, self.batch_size)
        return [self.batch_size] * whole + [rest] * (rest > 0)

    def step_flops(self, rows: int, active: Sequence[bool], cached: int = 0) -> int:
        """Return the operations of one step and its update; see `altfreeze.freezing.cost`."""
        update = orthogonalise_flops(self.sizes, active) if self.orthogonalises else 0
        return step_flops(self.layers, rows, active, cached) + update


class Step(NamedTuple):
    """One optimizer step.

    ``factors`` of the learning rate, one per layer, 0 where it is frozen and
    `altfreeze.freezing.strategy.MASKED` where its update is dropped; ``progress`` is
    the share of the training after which the learning-rate schedule is read; ``rows`` in
    the batch.
    """

    factors: tuple[float, ...]
    progress: float
    rows: int

    @property
    def active(self) -> tuple[bool, ...]:
        """Which layers have a gradient, bottom first."""
        return _active(self.factors)


# of a training's steps nearly all are alike
@functools.lru_cache(maxsize=1024)
def _active(factors: tuple[float, ...]) -> tuple[bool, ...]:
    return tuple(factor > 0 for factor in factors)


def are_alike(steps: Sequence[Step]) -> bool:
    """Return whether the same layers learn in all steps: training may make them at once."""
    return all(step.active == steps[0].active for step in steps)


class Work(NamedTuple):
    """What a step, a fill or the start of an epoch computes, as far as its duration depends on it.

    Steps in which the same number of inner layers learn above the same lowest layer do
    the same work, whichever these layers are, if inner layers are alike: those of the
    networks that are built in are.

    Attributes
    ----------
    kind : {'step', 'single', 'fill', 'epoch', 'observe'}
        A step of an epoch whose steps are all alike (`are_alike`), or of another; the output of
        frozen layers for the train part; drawing and gathering the batches of an epoch;
        observing what an adaptive strategy decides by, at an epoch's end.
    lowest : int
        Lowest layer that learns, or is computed by the fill, counted from 1; else 0.
    first, inner, last : int
        How many of the first layer, the layers between, and the last layer learn.
    cached : int
        Layers whose output is read from the cache, or is in it after the fill.
    rows : int
        Rows of the batch, or of the train part.
    by_layer : int
        1 where layers have learning rates of their own.
    """

    kind: str
    lowest: int
    first: int
    inner: int
    last: int
    cached: int
    rows: int
    by_layer: int = 0


OBSERVE = Work("observe", 0, 0, 0, 0, 0, 0)


class Epoch(NamedTuple):
    """The steps of one epoch, whose order of batches is drawn at its start.

    The output of the lowest ``cached`` layers is read from the cache. If ``fill`` is not
    None, the layers ``fill[0]`` to ``fill[1] - 1`` are computed for the whole train part
    before the first step, from the features or from what the cache held. ``by_layer`` is
    whether layers have learning rates of their own, in any step of the training.
    """

    steps: list[Step]
    cached: int
    fill: tuple[int, int] | None
    by_layer: bool

    def flops(self, workload: Workload) -> int:
        """Return the epoch's operations; see `altfreeze.freezing.cost`."""
        filled = fill_flops(workload.layers, workload.rows, *self.fill) if self.fill else 0
        return filled + sum(
            count * workload.step_flops(rows, active, self.cached) for (active, rows), count in self._counted().items()
        )

    def _counted(self) -> Counter[tuple[tuple[bool, ...], int]]:
        """Return how many steps have the same active layers and rows."""
        return Counter((step.active, step.rows) for step in self.steps)

    def work(self, workload: Workload) -> Counter[Work]:
        """Return how often each kind of work is done: Counter of Work."""
        counts = Counter({Work("epoch", 0, 0, 0, 0, self.cached, workload.rows): 1})
        if self.fill:
            counts[Work("fill", self.fill[0] + 1, 0, 0, 0, self.fill[1], workload.rows)] = 1
        kind = "step" if are_alike(self.steps) else "single"
        for (active, rows), count in self._counted().items():
            first, *inner, last = map(int, active)
            lowest = active.index(True) + 1
            counts[Work(kind, lowest, first, sum(inner), last, self.cached, rows, int(self.by_layer))] += count
        return counts

    def updates(self) -> list[int]:
        """Return how many of the steps update each layer: list of int, length depth."""
        layers = zip(*(step.factors for step in self.steps), strict=True)
        return [sum(factor > MASKED for factor in of_layer) for of_layer in layers]


def plan(strategy: dict[str, Any], epochs: int, workload: Workload, seed: int = 0, cache: bool = False) -> list[Epoch]:
    """Return the plan of a training.

    Parameters
    ----------
    strategy : dict
        ``name``, a key of `altfreeze.freezing.strategy.STRATEGIES`, and that schedule's own parameters.
    epochs : int
        Epochs that the strategy trains for, unless its budget ends earlier; see `horizon`.
    workload : Workload
    seed : int
        Of the schedule's own random stream.
    cache : bool
        Whether the output of frozen lowest layers may be computed once and read.

    Returns
    -------
    list of Epoch
        The last one may have fewer steps than the others, where the strategy's budget
        (`horizon`) ends within an epoch.
    """
    return list(_plan(json.dumps(strategy, sort_keys=True), epochs, workload, seed, cache))


def horizon(strategy: dict[str, Any], epochs: int, workload: Workload, seed: int = 0, cache: bool = False) -> int:
    """Return the number of steps of a training.

    That of its epochs; for ``half_updates`` half of them; for ``matched_flops`` as many
    steps with every layer active as fit into the operations that `alternating` with the
    same parameters and epochs takes, its activation cache included. At least one.

    Parameters
    ----------
    strategy, epochs, workload, seed, cache
        See `plan`.

    Returns
    -------
    int
    """
    steps = epochs * len(workload.batches)
    budget = STRATEGIES[strategy["name"]].budget
    if budget == "epochs":
        return steps
    if budget == "half_updates":
        return max(1, steps // 2)
    matched = plan(strategy | {"name": "alternating"}, epochs, workload, seed, cache)
    available = sum(epoch.flops(workload) for epoch in matched)
    costs = [workload.step_flops(rows, (True,) * workload.depth) for rows in workload.batches]
    whole, rest = divmod(available, sum(costs))
    return max(1, whole * len(costs) + sum(cost <= rest for cost in itertools.accumulate(costs)))


def is_cached(layers: int, workload: Workload) -> bool:
    """Return whether the output of the lowest layers is small enough to be cached, and there is one."""
    return layers > 0 and workload.rows * workload.sizes[layers] * _FLOAT_BYTES <= CACHE_BYTES


def plan_work(epochs: list[Epoch], workload: Workload) -> Counter[Work]:
    """Return how often a plan does each kind of work.

    Parameters
    ----------
    epochs : list of Epoch
        See `plan`.
    workload : Workload

    Returns
    -------
    Counter of Work
    """
    return sum((epoch.work(workload) for epoch in epochs), Counter())


def layer_ranges(active: Sequence[int]) -> str:
    """Return the numbers of the active layers as text, counted from 1.

    Parameters
    ----------
    active : sequence of bool, length depth

    Returns
    -------
    str
        For example ``1-3 5`` of five layers of which the fourth is frozen.
    """
    numbers = [index for index, learns in enumerate(active, 1) if learns]
    starts = [number for number in numbers if number - 1 not in numbers]
    stops = [number for number in numbers if number + 1 not in numbers]
    return " ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in zip(starts, stops, strict=True))


@functools.lru_cache(maxsize=256)
def _plan(named: str, duration: int, workload: Workload, seed: int, cache: bool) -> list[Epoch]:
    strategy, depth, batches = json.loads(named), workload.depth, workload.batches
    end = horizon(strategy, duration, workload, seed, cache)
    epochs = []
    for first in range(0, end, len(batches)):
        steps = []
        for step, rows in enumerate(batches[: end - first]):
            position = Position(first // len(batches), step, len(batches), end, seed)
            # the configured learning-rate schedule advances at the start of an epoch
            epoch = learning_rate_position(strategy, position, depth).epoch
            steps.append(Step(factors(strategy, position, depth), epoch * len(batches) / end, rows))
        epochs.append(steps)
    caches = _caches(epochs, workload) if cache else [(0, None)] * len(epochs)
    by_layer = any(factor not in (0, 1) for steps in epochs for step in steps for factor in step.factors)
    return [Epoch(steps, *cached, by_layer) for steps, cached in zip(epochs, caches, strict=True)]


def _caches(epochs: list[list[Step]], workload: Workload) -> list[tuple[int, tuple[int, int] | None]]:
    """Decide for each epoch how many of its frozen lowest layers are cached, and which of them are filled in.

    A fill costs a forward pass over the train part, as much as it saves in one epoch, so
    a cache is made or deepened only where the following epoch uses it too.
    """
    frozen = [min(step.active.index(True) for step in steps) for steps in epochs]
    decided: list[tuple[int, tuple[int, int] | None]] = []
    held = 0
    for here, following in zip(frozen, [*frozen[1:], 0], strict=True):
        # a layer that learns ends the cache of its output and of all above it
        held = held if held <= here else 0
        wanted = min(here, following)
        wanted = wanted if is_cached(wanted, workload) else 0
        fill = (held, wanted) if wanted > held else None
        held = max(held, wanted)
        decided.append((held, fill))
    return decided
