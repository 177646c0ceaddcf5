"""Whether two trainings of one pack have the same numbers, and who has to have the same bits."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from altfreeze.vocabulary import METRICS

# what a manifest says of the place where numbers were made: they are the same bits where all of it is the same
PLATFORM = ("code", "versions", "device", "device_name", "threads", "cpu_capability", "mkl_cbwr", "stacks")
# elsewhere, by how much the mean of so many runs' accuracies may differ, over the root of their number: where the
# learning rate does not decay, the last bit of the data moves a single run's by as much
TOLERANCE = 0.1
# of a log, the column that is measured
_MEASURED = "seconds"
_SHARES = [name for each in METRICS.values() if each.scale == 100 for name in (each.validation, each.test)]
# decided by the plan of a training, whatever its numbers are
_PLANNED = ("seed", "epoch", "active", "learning_rate", "flops", "updates", "updates_mean", "updates_minimum")


def is_same_platform(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two manifests say that their numbers were made alike, so that they have to be the same bits."""
    return all(one.get(name) == other.get(name) for name in PLATFORM)


def tolerance(runs: int) -> float:
    """Return by how much the mean of an accuracy over some runs may differ where they were made elsewhere."""
    return TOLERANCE / math.sqrt(runs)


def difference(recorded: pa.Table, made: pa.Table, exact: bool) -> str | None:
    """Return where two logs of one pack differ first, or None.

    Parameters
    ----------
    recorded, made : pyarrow.Table
        As `altfreeze.tables.logs.read_pack` returns them: by seed and epoch.
    exact : bool
        Whether every value but the seconds has to be the same. Else this holds for what the plan decides, and the
        means of the accuracies over the runs may differ by `tolerance` after each epoch.
    """
    if len(recorded) != len(made):
        return f"{len(recorded)} rows were recorded, {len(made)} are made"
    names = [name for name in recorded.column_names if name != _MEASURED] if exact else _PLANNED
    for name in names:
        values = recorded[name].to_pandas().to_numpy(), made[name].to_pandas().to_numpy()
        same = np.asarray(values[0] == values[1]) | np.asarray([value != value for value in values]).all(axis=0)
        if not same.all():
            row = int((~same).argmax())
            where = f"seed {recorded['seed'][row]}, epoch {recorded['epoch'][row].as_py():g}"
            return f"{name} of {where} was recorded as {_text(values[0][row])} and is {_text(values[1][row])}"
    return None if exact else _difference_of_means(recorded, made)


def _text(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _difference_of_means(recorded: pa.Table, made: pa.Table) -> str | None:
    """Return where the means of the accuracies differ first by more than is allowed, or None."""
    runs = len(set(recorded["seed"].to_pylist()))
    allowed = tolerance(runs)
    for name in _SHARES:
        means = [rows[name].to_numpy().reshape(runs, -1).mean(axis=0) for rows in (recorded, made)]
        # where a run diverged there is no mean
        far = np.abs(means[0] - means[1]) > allowed
        if far.any():
            epoch = int(far.argmax())
            after = f"after epoch {recorded['epoch'][epoch].as_py():g}"
            return (
                f"the mean {name} of {runs} runs {after} was recorded as {means[0][epoch]:.4f} and is "
                f"{means[1][epoch]:.4f}; allowed elsewhere: {allowed:.4f}"
            )
    return None
