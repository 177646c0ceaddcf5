"""What the page on statistics says of the time to a target, with censored runs."""

import math

import pandas as pd

from altfreeze.report.blocks.cells import heading
from altfreeze.report.words import count, interval, listed, number, percent
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.vocabulary import CLOCKS


def _times_of_primary(study: Study, times: pd.DataFrame) -> pd.DataFrame:
    return times[
        (times["depth"] == study.primary_depth)
        & (times["recipe"] == PRIMARY_RECIPE)
        & (times["strategy"] == study.primary_strategy)
    ]


def shown_levels(study: Study, times: pd.DataFrame) -> dict[float, str]:
    """Return the levels of the target that are shown, that of the answer first, and which each is; none without one."""
    rows = _times_of_primary(study, times)
    success = rows[rows["clock"] == "epoch"].groupby("level")["reference_success_rate"].mean()
    if success.empty:
        return {}
    highest = success.index[success >= 0.5].max()
    levels = {study.primary_level: "that of the answer"}
    if highest > study.primary_level:
        levels[highest] = "the highest that half of the runs of standard training reach by the common horizon"
    return levels


def how_long(study: Study, times: pd.DataFrame) -> str:
    """Return which strategy and targets the tables of restricted means are about."""
    levels = [f"{100 * level:g} % of the way ({which})" for level, which in shown_levels(study, times).items()]
    if not levels:
        return "The study has no target."
    return (
        f"`{study.primary_strategy}` against standard training at depth {study.primary_depth}, "
        f"{'targets' if levels[1:] else 'target'} at {listed(levels)}."
    )


def _on_clock(study: Study, times: pd.DataFrame, level: float, clock: str) -> pd.DataFrame:
    """Return the rows of a level on one clock, one per data set in the order of the study."""
    rows = _times_of_primary(study, times)
    rows = rows[(rows["level"] == level) & (rows["clock"] == clock)]
    return rows.sort_values("dataset", key=lambda names: names.map(study.datasets.index))


def sooner_or_later(study: Study, times: pd.DataFrame, level: float, clock: str) -> str:
    """Return on how many data sets alternating training is sooner at a level of the target, on one of `CLOCKS`."""
    rows = _on_clock(study, times, level, clock)
    if rows.empty:
        return ""
    before, after = (rows["high"] < 0).sum(), (rows["low"] > 0).sum()
    return (
        f"To {100 * level:g} % of the way, in {CLOCKS[clock].words}: `{study.primary_strategy}` is sooner on {before}, "
        f"later on {after} and undecided on {len(rows) - before - after} of {count(len(rows), 'data set')} "
        "(95 % interval of the difference of restricted means)."
    )


def sooner_or_later_table(study: Study, times: pd.DataFrame, level: float, clock: str) -> pd.DataFrame:
    """Return restricted means, their difference, success and expected runtime on each data set, on one of `CLOCKS`."""
    rows = _on_clock(study, times, level, clock)
    # three digits of the shortest training
    shortest = rows["horizon"].min()
    form = ".3g" if math.isnan(shortest) else f".{max(2 - math.floor(math.log10(shortest)), 0)}f"

    def signed(value: float) -> str:
        return number(value, f"+{form}")

    cells = [
        [
            row.dataset,
            number(row.horizon, form),
            f"{number(row.reference_restricted_mean, form)} / {number(row.strategy_restricted_mean, form)}",
            f"{signed(row.difference)}\n{interval(row.low, row.high, signed)}",
            f"{percent(row.reference_success_rate)} / {percent(row.strategy_success_rate)}",
            " / ".join(
                number(runtime, form) or "none"
                for runtime in (row.reference_expected_runtime, row.strategy_expected_runtime)
            ),
        ]
        for row in rows.itertuples()
    ]
    columns = ["Data set", "Horizon", "Restricted means", "Difference", "Success", "Expected runtime"]
    return pd.DataFrame(cells, columns=columns)


def _scores(study: Study, profiles: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a column of the table profiles at the level of the answer, strategies by clocks."""
    rows = profiles[(profiles["depth"] == study.primary_depth) & (profiles["recipe"] == PRIMARY_RECIPE)]
    table = rows[rows["level"] == study.primary_level].pivot(index="strategy", columns="clock", values=column)
    return table.reindex(index=list(study.strategies), columns=list(CLOCKS)) if len(table) else table


def profile(study: Study, profiles: pd.DataFrame) -> str:
    """Return what a profile score is, and which strategies have the highest on each clock."""
    scores = _scores(study, profiles, "score")
    if scores.empty:
        return ""
    if not scores.max(axis=None) > 0:
        return "No strategy's median run reached the target on any data set."
    leaders = []
    for name, clock in CLOCKS.items():
        # equal scores lead together
        ahead = scores.index[scores[name] >= scores[name].max() - 1e-9]
        leaders.append(f"{', '.join(f'`{label}`' for label in ahead)} in {clock.words} ({scores[name].max():.2f})")
    return (
        f"AlgoPerf's profile score, to {100 * study.primary_level:g} % of the way, is 1 where a strategy's median time "
        "is the shortest on every data set and 0 where it always takes over four times the shortest or fails; "
        "in brackets, on how many data sets it is the shortest (a control that only ends earlier is as fast as "
        "standard training until then). The score depends on which strategies are compared. "
        f"Highest: {'; '.join(leaders)}."
    )


def profile_table(study: Study, profiles: pd.DataFrame) -> pd.DataFrame:
    """Return each strategy's profile score on every clock, and on how many data sets it is the fastest."""
    scores, fastest = (_scores(study, profiles, column) for column in ("score", "fastest"))
    rows = [
        [label, *(f"{scores.loc[label, name]:.2f} ({fastest.loc[label, name]})" for name in CLOCKS)]
        for label in (study.strategies if len(scores) else ())
    ]
    return pd.DataFrame(rows, columns=["Strategy", *(heading(clock.words) for clock in CLOCKS.values())])
