"""What the page on schedules says of the plans of trainings, in numbers and words."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from altfreeze.data.sources import load_dataset
from altfreeze.freezing.plan import Epoch, Workload, layer_ranges
from altfreeze.freezing.strategy import STRATEGIES
from altfreeze.freezing.strategy import in_words as parameters_in_words
from altfreeze.report.blocks.cells import heading
from altfreeze.study.grid import Study
from altfreeze.training.batches import workload_of

# how long a strategy trains, by its budget
LENGTHS = {
    "epochs": "for the epochs of the configuration",
    "half_updates": "for half of the steps",
    "matched_flops": "until the operations of alternating are spent",
}
# more groups of layers than these are told as a range
_MOST_GROUPS = 8
_WHILE_TRAINING = (
    "It is decided while they train, by seeds of calibration, which layers learn: see `decided` in the manifests of "
    "their packs, an entry of the key strategies that trains the same again."
)
# of a picture of characters
_MOST_COLUMNS = 60


def first_sentence(documented: Callable[..., Any]) -> str:
    """Return the first line of a docstring, which says what the documented does."""
    return (inspect.getdoc(documented) or "").partition("\n")[0]


class Totals(NamedTuple):
    """What a training makes: steps, updates of each layer and their mean over parameters, operations."""

    steps: int
    updates: tuple[int, ...]
    updates_mean: float
    flops: int


def totals(epochs: Sequence[Epoch], workload: Workload) -> Totals:
    """Return the totals of a plan.

    Parameters
    ----------
    epochs : list of altfreeze.freezing.plan.Epoch
    workload : altfreeze.freezing.plan.Workload

    Returns
    -------
    Totals
    """
    updates = tuple(map(sum, zip(*(epoch.updates() for epoch in epochs), strict=True)))
    parameters = [layer.parameters for layer in workload.layers]
    return Totals(
        sum(len(epoch.steps) for epoch in epochs),
        updates,
        float(np.average(updates, weights=parameters)),
        sum(epoch.flops(workload) for epoch in epochs),
    )


def in_words(epochs: Sequence[Epoch]) -> str:
    """Return which layers of a plan learn in how many steps, and in which epochs.

    Parameters
    ----------
    epochs : list of altfreeze.freezing.plan.Epoch

    Returns
    -------
    str
        For example ``of 150 steps, layers 1-3 learn in 75 (in 25 of the epochs 2 to 50)``.
    """
    by_epoch = np.array([epoch.updates() for epoch in epochs])
    steps = sum(len(epoch.steps) for epoch in epochs)
    groups: dict[tuple[int, ...], list[int]] = {}
    for layer, counts in enumerate(by_epoch.T):
        groups.setdefault((*np.flatnonzero(counts) + 1, int(counts.sum())), []).append(layer)
    start = f"of {steps:,} steps, "
    if len(groups) > _MOST_GROUPS:
        totals_of_layers = by_epoch.sum(axis=0)
        return f"{start}each layer learns in {totals_of_layers.min():,} to {totals_of_layers.max():,}"
    parts = []
    for (*learned, updates), layers in groups.items():
        of_group = [layer in layers for layer in range(by_epoch.shape[1])]
        who = f"layer{'s' * (len(layers) > 1)} {layer_ranges(of_group).replace(' ', ', ')}"
        verb = "learn" if len(layers) > 1 else "learns"
        parts.append(f"{who} {verb} in {updates:,} ({_epochs_in_words(learned)})" if learned else f"{who} never {verb}")
    return start + "; ".join(parts)


def _epochs_in_words(numbers: Sequence[int]) -> str:
    first, last = int(numbers[0]), int(numbers[-1])
    if first == last:
        return f"in epoch {first}"
    whole = len(numbers) == last - first + 1
    return f"in {'' if whole else f'{len(numbers)} of '}{'the ' * (not whole)}epochs {first} to {last}"


class Planned(NamedTuple):
    """Plans of the strategies of a study, at the depth of its primary comparison; see `plan_all`.

    Attributes
    ----------
    shown : str
        The data set whose plans are drawn: phases that are counted in steps are seen best where an epoch has the most.
    workload : altfreeze.freezing.plan.Workload
        Of the data set that is shown.
    plans : dict of str to list of altfreeze.freezing.plan.Epoch
        By label, on the data set that is shown.
    totals : dict of str to dict of str to Totals
        By label and data set.
    """

    shown: str
    workload: Workload
    plans: dict[str, list[Epoch]]
    totals: dict[str, dict[str, Totals]]

    @property
    def until(self) -> int:
        """The epochs of the longest training."""
        return max(map(len, self.plans.values()))

    def operations(self, label: str, dataset: str) -> float:
        """Return the operations of a strategy's whole training as a share of standard training's."""
        return self.totals[label][dataset].flops / self.totals["standard"][dataset].flops


def plan_all(study: Study, workloads: Mapping[tuple[str, int], Workload]) -> Planned:
    """Plan every strategy of a study but those that decide while they train.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    workloads : dict of (str, int) to altfreeze.freezing.plan.Workload
        By data set and depth, for example of `altfreeze.training.timing.read_workloads`.

    Returns
    -------
    Planned
    """
    depth = study.primary_depth
    shown = max(study.datasets, key=lambda dataset: len(workloads[dataset, depth].batches))

    def plan_of(label: str, dataset: str) -> list[Epoch]:
        return study.cell(dataset, depth, label).plan(workloads[dataset, depth])

    return Planned(
        shown,
        workloads[shown, depth],
        {label: plan_of(label, shown) for label in study.planned},
        {
            label: {dataset: totals(plan_of(label, dataset), workloads[dataset, depth]) for dataset in study.datasets}
            for label in study.planned
        },
    )


def plan_before(study: Study, dataset: str, depth: int) -> tuple[Study, Planned]:
    """Plan the strategies of a study at a depth, for the rows of a data set, before either is made or stored.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    dataset : str
    depth : int

    Returns
    -------
    altfreeze.study.grid.Study
        Of that data set and depth alone.
    Planned
    """
    data = load_dataset(dataset, study.sources[dataset], study.seed)
    shown = Study(study.config | {"datasets": [dataset], "primary_depth": depth})
    workload = workload_of(data.X, data.y, shown.cell(dataset, depth, "standard"), data.part)
    return shown, plan_all(shown, {(dataset, depth): workload})


def _span(*shares: float) -> str:
    """Return shares as a percentage, or as the range of percentages that they span."""
    low, high = (f"{100 * share:.1f}" for share in (min(shares), max(shares)))
    return f"{low} %" if low == high else f"{low} to {high} %"


def what_is_drawn(study: Study, planned: Planned) -> str:
    """Return what the pictures show, and in which colours."""
    adaptive = [label for label in study.strategies if label not in planned.plans]
    undrawn = f" Not drawn: {', '.join(adaptive)}. {_WHILE_TRAINING}" if adaptive else ""
    return (
        f"Drawn are networks of {planned.workload.depth} layers, the depth of the primary comparison, on "
        f"*{planned.shown}*, whose epochs have the most steps, {len(planned.workload.batches):,}. Layers are counted "
        "from the bottom, where the data come in. Dark blue: a layer learns in every step of the epoch, at the full "
        "learning rate. Lighter: in some of its steps, or at a lower rate, as the bar says. Grey: it is frozen. "
        "Hatched: it is, and its output is read from a cache. White: the training has ended. Where layers change more "
        f"than once in an epoch, the first steps are drawn one by one.{undrawn}"
    )


def schedules_table(planned: Planned) -> pd.DataFrame:
    """Return steps, updates and operations of every strategy."""
    rows = []
    for label, by_dataset in planned.totals.items():
        made = by_dataset[planned.shown]
        rows.append(
            {
                "Strategy": label,
                "Steps": f"{made.steps:,}",
                "Updates per parameter": f"{made.updates_mean:,.0f}",
                "Fewest updates of a layer": f"{min(made.updates):,}",
                f"Operations on {planned.shown}, of standard training's": _span(
                    planned.operations(label, planned.shown)
                ),
                "On all data sets": _span(*(planned.operations(label, dataset) for dataset in by_dataset)),
                "Data sets where a layer never learns": sum(min(one.updates) == 0 for one in by_dataset.values()),
            }
        )
    return pd.DataFrame(rows)


def rule_in_words(study: Study, planned: Planned, label: str) -> str:
    """Return a heading and what the rule of a strategy is: its schedule, parameters and length."""
    named = study.strategies[label]
    strategy = STRATEGIES[named["name"]]
    parameters = parameters_in_words(named)
    sentences = [first_sentence(strategy.schedule)]
    sentences += [f"With {parameters}."] if parameters else []
    sentences.append(f"It trains {LENGTHS[strategy.budget]}.")
    if strategy.adaptive:
        return f"## {label}\n\n{' '.join([*sentences, _WHILE_TRAINING])}"
    learns = np.array([step.active for epoch in planned.plans[label] for step in epoch.steps])
    if (learns[1:] > learns[:-1]).any():
        state = study.cell(planned.shown, study.primary_depth, label).state_on_thaw
        sentences.append(f"State of the optimizer when a layer thaws: {state}.")
    return f"## {label}\n\n{' '.join(sentences)}"


def _spent(planned: Planned, label: str) -> str:
    return f"{_span(planned.operations(label, planned.shown))} of the operations of standard training"


def picture_in_words(planned: Planned, label: str) -> str:
    """Return what the picture of a strategy shows, for readers who do not see it."""
    epochs = planned.plans[label]
    return (
        f"Layers that learn under {label} on {planned.shown}, {planned.workload.depth} layers by {len(epochs)} epochs: "
        f"{in_words(epochs)}; {_spent(planned, label)}"
    )


def plan_in_words(planned: Planned, label: str) -> str:
    """Return which layers of a strategy learn when, and what it spends."""
    updates = planned.totals[label][planned.shown].updates_mean
    words = heading(in_words(planned.plans[label]))
    return f"{words}: {updates:,.0f} updates per parameter, {_spent(planned, label)}."


def picture_in_text(planned: Planned, label: str) -> str:
    """Return the picture of a strategy in characters, the last layer on top.

    █: a layer learns at the full learning rate, ▒: in some of the steps or at another rate, a dot: it is frozen.
    Each epoch has as many columns as there is room for, or several of them share one.
    """
    epochs = planned.plans[label]
    by_epoch = [np.array([step.factors for step in epoch.steps]) for epoch in epochs]
    per_epoch = _MOST_COLUMNS // planned.until
    if per_epoch:
        parts = [part for steps in by_epoch for part in np.array_split(steps, min(per_epoch, len(steps)))]
    else:
        columns = max(1, _MOST_COLUMNS * len(epochs) // planned.until)
        numbers = np.array_split(range(len(epochs)), columns)
        parts = [np.concatenate(by_epoch[group[0] : group[-1] + 1]) for group in numbers]
    rows = np.array([part.mean(axis=0) for part in parts]).T
    lines = [
        f"layer {layer:>3} "
        + "".join("·" if factor == 0 else "█" if factor == 1 else "▒" for factor in rows[layer - 1])
        for layer in range(len(rows), 0, -1)
    ]
    return "\n".join([*lines, f"    epoch 1{len(epochs):>{len(parts) - 1}}"])


def schedule_in_text(study: Study, planned: Planned, label: str) -> str:
    """Return rule, picture and numbers of a strategy for a terminal."""
    rule = rule_in_words(study, planned, label).removeprefix("## ").partition("\n\n")
    drawn = [picture_in_text(planned, label), plan_in_words(planned, label)] if label in planned.plans else []
    return "\n".join([rule[0], rule[2], *drawn])
