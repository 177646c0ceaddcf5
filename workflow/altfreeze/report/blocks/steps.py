"""What the page on budgets says of the speed of a step."""

import pandas as pd

from altfreeze.report.blocks.cells import whole_trainings
from altfreeze.report.words import count
from altfreeze.study.grid import Study

# a strategy whose steps are those of standard training is as fast up to rounding
_ROUNDING = 1e-9


def timed_steps(study: Study, speedups: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the table speedups of strategies that do not only end earlier."""
    return speedups[speedups["strategy"].isin(whole_trainings(study))]


def _at_depth(study: Study, speedups: pd.DataFrame) -> pd.DataFrame:
    """Return the rows at the primary depth, with whether the interval lies ``below`` or ``above`` the closed form."""
    rows = timed_steps(study, speedups)
    rows = rows[rows["depth"] == study.primary_depth]
    return rows.assign(
        above=rows["closed_form"] < rows["low"] * (1 - _ROUNDING),
        below=rows["closed_form"] > rows["high"] * (1 + _ROUNDING),
    )


def as_fast_as_counted(study: Study, speedups: pd.DataFrame) -> str:
    """Return in how many cells the measured speed-up of a step is that of its operations."""
    rows = _at_depth(study, speedups)
    holds = ~(rows["above"] | rows["below"])
    return (
        f"Of {count(len(rows), 'cell')} at depth {study.primary_depth} (data set × strategy), the 95 % interval of the "
        f"measured speed-up holds the closed form in {holds.sum()}; it lies below it in {rows['below'].sum()}, above "
        f"it in {rows['above'].sum()}."
    )


def as_fast_as_counted_table(study: Study, speedups: pd.DataFrame) -> pd.DataFrame:
    """Return the measured and the closed-form speed-up of each strategy, over data sets."""
    rows = []
    for label, of_label in _at_depth(study, speedups).groupby("strategy", sort=False):
        measured, holds = of_label["measured"], ~(of_label["above"] | of_label["below"])
        rows.append(
            [
                label,
                f"{measured.median():.2f}",
                f"{measured.min():.2f} to {measured.max():.2f}",
                f"{of_label['closed_form'].median():.2f}",
                f"{holds.sum()} of {len(of_label)}",
            ]
        )
    columns = ["Measured, median", "Data sets", "Closed form, median", "Interval holds the closed form"]
    return pd.DataFrame(rows, columns=["Strategy", *columns])
