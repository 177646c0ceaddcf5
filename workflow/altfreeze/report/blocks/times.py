"""What the page on statistics says of the time to a target, with censored runs."""

import math

import pandas as pd

from altfreeze.report.blocks.cells import heading
from altfreeze.report.words import count, interval, number, percent
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.vocabulary import CLOCKS


def _times_of_primary(study: Study, times: pd.DataFrame) -> pd.DataFrame:
    return times[
        (times["depth"] == study.primary_depth)
        & (times["recipe"] == PRIMARY_RECIPE)
        & (times["strategy"] == study.primary_strategy)
    ]


def shown_level(study: Study, times: pd.DataFrame) -> tuple[float | None, str]:
    """Return the level of the target that is shown, None without a target, and which of all it is."""
    rows = _times_of_primary(study, times)
    success = rows[rows["clock"] == "epoch"].groupby("level")["reference_success_rate"].mean()
    common = success.index[success >= 0.5]
    if success.empty:
        return None, ""
    if len(common):
        return common.max(), "the highest that half of the runs of standard training reach by the common horizon"
    return success.index.min(), "the lowest"


def how_long(study: Study, times: pd.DataFrame) -> str:
    """Return which strategy and target the tables of restricted means are about."""
    level, which = shown_level(study, times)
    if level is None:
        return "The study has no target."
    return (
        f"`{study.primary_strategy}` against standard training at depth {study.primary_depth}, target at "
        f"{100 * level:g} % of the way ({which})."
    )


def _on_clock(study: Study, times: pd.DataFrame, clock: str) -> pd.DataFrame:
    """Return the rows of the shown level on one clock, one per data set in the order of the study."""
    level, _ = shown_level(study, times)
    rows = _times_of_primary(study, times)
    rows = rows[(rows["level"] == level) & (rows["clock"] == clock)]
    return rows.set_index("dataset").reindex(study.datasets).reset_index() if len(rows) else rows


def sooner_or_later(study: Study, times: pd.DataFrame, clock: str) -> str:
    """Return on how many data sets alternating training is sooner at the target, on one of `CLOCKS`."""
    rows = _on_clock(study, times, clock)
    if rows.empty:
        return ""
    before, after = (rows["high"] < 0).sum(), (rows["low"] > 0).sum()
    return (
        f"In {CLOCKS[clock].words}: `{study.primary_strategy}` is sooner on {before}, later on {after} and undecided "
        f"on {len(rows) - before - after} of {count(len(rows), 'data set')} (95 % interval of the difference of "
        "restricted means); in each cell standard training comes first:"
    )


def sooner_or_later_table(study: Study, times: pd.DataFrame, clock: str) -> pd.DataFrame:
    """Return restricted means, their difference, success and expected runtime on each data set, on one of `CLOCKS`."""
    rows = _on_clock(study, times, clock)
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


def _scores(study: Study, times: pd.DataFrame, profiles: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a column of the table profiles at the shown level, strategies by clocks."""
    level, _ = shown_level(study, times)
    rows = profiles[(profiles["depth"] == study.primary_depth) & (profiles["recipe"] == PRIMARY_RECIPE)]
    table = rows[rows["level"] == level].pivot(index="strategy", columns="clock", values=column)
    return table.reindex(index=list(study.strategies), columns=list(CLOCKS)) if len(table) else table


def profile(study: Study, times: pd.DataFrame, profiles: pd.DataFrame) -> str:
    """Return what a profile score is, and which strategies have the highest on each clock."""
    scores = _scores(study, times, profiles, "score")
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
        "AlgoPerf's profile score is 1 where a strategy's median time is the shortest on every data set and 0 where it "
        "always takes over four times the shortest or fails; "
        "in brackets, on how many data sets it is the shortest (a control that only ends earlier is as fast as "
        "standard training until then). The score depends on which strategies are compared. "
        f"Highest: {'; '.join(leaders)}."
    )


def profile_table(study: Study, times: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """Return each strategy's profile score on every clock, and on how many data sets it is the fastest."""
    scores, fastest = (_scores(study, times, profiles, column) for column in ("score", "fastest"))
    rows = [
        [label, *(f"{scores.loc[label, name]:.2f} ({fastest.loc[label, name]})" for name in CLOCKS)]
        for label in (study.strategies if len(scores) else ())
    ]
    return pd.DataFrame(rows, columns=["Strategy", *(heading(clock.words) for clock in CLOCKS.values())])
