"""What the pages say of the two endpoints: what each could have shown, and what it shows."""

import pandas as pd

from altfreeze.report.blocks.statistics import named
from altfreeze.report.words import count, interval, number, points
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.vocabulary import PANELS


def _here(study: Study, table: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    """Return the rows of an endpoint under the primary recipe at the primary depth."""
    here = (table["depth"] == study.primary_depth) & (table["recipe"] == PRIMARY_RECIPE)
    return table[here & (table["endpoint"] == endpoint)]


def _primary_effects(study: Study, endpoints: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    """Return the effects of the primary strategy at an endpoint, counted in operations, by data set."""
    rows = _here(study, endpoints, endpoint)
    rows = rows[(rows["strategy"] == study.primary_strategy) & (rows["clock"] == "flops")]
    return rows.set_index("dataset")


def _lost(study: Study, sensitivity: pd.DataFrame, endpoint: str, share: float) -> pd.DataFrame:
    """Return what the loss of a share of the budget changes at an endpoint, by data set."""
    rows = _here(study, sensitivity, endpoint)
    return rows[rows["lost"] == share].set_index("dataset")


def effects_and_gains(study: Study, endpoints: pd.DataFrame, sensitivity: pd.DataFrame) -> pd.DataFrame:
    """Return what alternation changes at the end, and what standard training gains in the last half of its budget.

    Returns
    -------
    pandas.DataFrame
        One row per data set on which both are known: ``dataset``, ``effect`` with ``low`` and ``high``, ``gain`` with
        ``gain_low`` and ``gain_high``, ``sensitive``. All are shares, better above 0.
    """
    effects = _primary_effects(study, endpoints, "end")
    half = _lost(study, sensitivity, "end", 0.5)
    gains = pd.DataFrame({"gain": -half["effect"], "gain_low": -half["high"], "gain_high": -half["low"]})
    table = (
        effects[["effect", "low", "high"]].join(gains).join(half["sensitive"]).drop(index=list(PANELS), errors="ignore")
    )
    return table.dropna(subset=["effect", "gain"]).reset_index()


def what_could_be_noticed(study: Study, sensitivity: pd.DataFrame) -> str:
    """Return on how many data sets each endpoint notices that standard training lost a part of its budget."""
    sentences = []
    for share, words in ((0.5, "half"), (0.75, "three quarters")):
        noticed = []
        for endpoint, place in (("end", "at the end"), ("time", "on the way to the target")):
            rows = _lost(study, sensitivity, endpoint, share).drop(index=list(PANELS), errors="ignore")
            noticed.append(f"{(rows['sensitive'] == 'yes').sum()} of {count(len(rows), 'data set')} {place}")
        sentences.append(f"That {words} of standard training was lost is noticed on {' and on '.join(noticed)}.")
    return " ".join(sentences)


def sensitivity_table(study: Study, endpoints: pd.DataFrame, sensitivity: pd.DataFrame) -> pd.DataFrame:
    """Return, data set by data set, what lost budget and what alternation change at both endpoints."""
    half, quarters = (_lost(study, sensitivity, "end", share) for share in (0.5, 0.75))
    slower = _lost(study, sensitivity, "time", 0.5)
    end, time = (_primary_effects(study, endpoints, endpoint) for endpoint in ("end", "time"))

    def shares(row: pd.Series) -> str:
        return f"{points(row['effect'])}\n{interval(row['low'], row['high'])}" if row.notna()["effect"] else ""

    def ratios(row: pd.Series) -> str:
        ends = interval(row["low"], row["high"], lambda value: number(value, ".2f"))
        return f"×{number(row['effect'], '.2f')}\n{ends}" if row.notna()["effect"] else ""

    rows = [
        [
            named(name),
            shares(half.loc[name]),
            shares(quarters.loc[name]),
            half.loc[name, "sensitive"],
            *((shares(end.loc[name]), end.loc[name, "verdict"]) if name in end.index else ("", "")),
            slower.loc[name, "sensitive"],
            *((ratios(time.loc[name]), time.loc[name, "verdict"]) if name in time.index else ("", "")),
        ]
        for name in half.index
    ]
    units = study.metric.points
    columns = ["Data set", f"Half is lost ({units})", "Three quarters", "End sensitive", f"Alternation, end ({units})"]
    columns += ["Verdict, end", "Time sensitive", "Alternation, time", "Verdict, time"]
    return pd.DataFrame(rows, columns=columns)
