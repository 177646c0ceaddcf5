"""The two endpoints, and whether they could have come out otherwise; with effects that are planted."""

import math

import numpy as np
import pandas as pd
import pytest
from altfreeze.comparison.endpoints import Spent, endpoints, sensitive_places, sensitivity, variations
from altfreeze.comparison.readings import RUN_COLUMNS, CellRuns
from altfreeze.statistics import signed_rank_p_value
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.vocabulary import CLOCKS
from builders import make_study
from scipy import stats

EPOCHS = 20
DEPTH = 6
STRATEGY = "alternating-0.5"
CONTROL = "standard_matched_flops-0.5"
HALF = "standard_half_updates"


def make_panel(datasets, seeds=5, **keys):
    """Return a study of some data sets, all made alike, with what its comparison trains."""
    names = [f"set{number}" for number in range(datasets)]
    keys = {"strategies": ["alternating", HALF, "standard_matched_flops"], "depths": [DEPTH]} | keys
    keys |= {"datasets": names, "sources": {name: {"kind": "iris"} for name in names}, "freeze_ratios": [0.5]}
    return make_study(seeds=seeds, **keys)


def make_runs(ends, curve=None):
    """Return the runs of a cell that end at some accuracies, on a curve that rises by `curve` over the epochs."""
    seeds = len(ends)
    runs = dict.fromkeys(RUN_COLUMNS, np.ones(seeds))
    runs |= {"seed": np.arange(seeds), "status": np.array(["ok"] * seeds), "final_test_accuracy": ends}
    rise = np.zeros(EPOCHS) if curve is None else np.asarray(curve)
    clocks = {name: np.arange(1.0, EPOCHS + 1) for name in CLOCKS}
    return CellRuns(runs, clocks, ends[:, None] + rise - rise[-1])


def make_spent(times, end=EPOCHS):
    """Return what cells had spent at a target, of times that they would take: those after the end are censored."""

    def observed(wanted):
        clocks = dict.fromkeys(CLOCKS, np.minimum(wanted, end))
        return {"seed": np.arange(len(wanted)), "reached": (wanted <= end).astype(int), **clocks}

    ends = {cell: dict.fromkeys(CLOCKS, float(end)) for cell in times}
    return Spent({cell: observed(wanted) for cell, wanted in times.items()}, ends)


def simulate(study, generator, loss=0.0, slower=1.0, half=0.03, noise=1.0):
    """Return cells and times of a study with planted effects, its seeds paired as splits pair them."""
    cells, times = {}, {}
    for number, name in enumerate(study.datasets):
        shared = 0.8 + 0.02 * generator.normal(size=study.seeds)
        spread = noise * (0.005 + 0.01 * (number % 3))
        ends = {"standard": 0.0, CONTROL: 0.0, STRATEGY: -loss, HALF: -half}
        for label, effect in ends.items():
            drawn = shared + effect + spread * generator.normal(size=study.seeds)
            cells[name, DEPTH, label, PRIMARY_RECIPE] = make_runs(drawn)
        base = 6 * generator.gamma(25, 1 / 25, size=study.seeds)
        for label, factor in (("standard", 1.0), (STRATEGY, slower)):
            own = generator.gamma(60, 1 / 60, size=study.seeds)
            times[name, DEPTH, label, PRIMARY_RECIPE] = factor * base * own
    return cells, make_spent(times)


def answered(study, cells, spent, by_chance=()):
    """Return the tables endpoints and sensitivity."""
    chance = {(DEPTH, PRIMARY_RECIPE): list(by_chance)}
    sensitivities = sensitivity(study, cells, spent, chance)
    return endpoints(study, cells, spent, chance, sensitivities), pd.DataFrame(sensitivities)


def primary(table, dataset="all"):
    """Return the two primary rows by endpoint."""
    rows = table[(table["family"] == "primary") & (table["dataset"] == dataset)]
    assert sorted(rows["endpoint"]) == ["end", "time"]
    return rows.set_index("endpoint")


STUDIES = 25


@pytest.mark.parametrize(
    ("loss", "slower", "found", "alternative", "share"),
    [
        (0.01, 1.1, {"end": {"worse"}, "time": {"higher"}}, "less", 0.9),
        (0.0, 1.0, {"end": {"worse", "better"}, "time": {"higher", "lower"}}, "greater", 0.05),
    ],
    ids=["a point lost and a tenth slower", "no effect"],
)
def test_planted_effects_are_found_and_nothing_is_seldom_taken_for_one(loss, slower, found, alternative, share):
    study, generator = make_panel(24), np.random.default_rng(12)
    tables = [primary(answered(study, *simulate(study, generator, loss, slower))[0]) for _ in range(STUDIES)]
    for endpoint, verdicts in found.items():
        count = sum(table.loc[endpoint, "verdict"] in verdicts for table in tables)
        # so many studies do not refute that the share is at least 90 %, at most 5 %
        assert stats.binomtest(count, STUDIES, share, alternative).pvalue > 0.01


def test_endpoints_by_hand():
    study = make_panel(2)
    cells, times = {}, {}
    for name, reference, strategy in (("set0", 0.9, 0.88), ("set1", 0.7, 0.71)):
        for label, end in (("standard", 0.95), (CONTROL, reference), (STRATEGY, strategy), (HALF, 0.8)):
            cells[name, DEPTH, label, PRIMARY_RECIPE] = make_runs(np.full(5, end))
    for name, factor in (("set0", 2.0), ("set1", 1.5)):
        times[name, DEPTH, "standard", PRIMARY_RECIPE] = np.array([2.0, 4, 6, 8, 10])
        times[name, DEPTH, STRATEGY, PRIMARY_RECIPE] = factor * np.array([2.0, 4, 6, 8, 10])
    table, _ = answered(study, cells, make_spent(times))
    rows = primary(table)
    assert rows.loc["end", "reference"] == CONTROL
    assert rows.loc["end", "effect"] == pytest.approx((-0.02 + 0.01) / 2)
    assert rows.loc["end", ["above", "below"]].tolist() == [1, 1]
    assert rows.loc["time", "effect"] == pytest.approx(math.sqrt(2 * 1.5))
    assert rows.loc["time", ["above", "below"]].tolist() == [2, 0]
    assert primary(table, "set1").loc["time", "effect"] == pytest.approx(1.5)
    # an interval without width says nothing of how far another would lie
    assert rows.loc["end", "verdict"] == "undecided"


def test_with_the_data_set_as_the_unit_the_oracles_are_scipy_and_the_sign_test():
    study = make_panel(12)
    table, _ = answered(study, *simulate(study, np.random.default_rng(3), 0.02, 1.3))
    rows, single = primary(table), table[(table["family"] == "primary") & (table["dataset"] != "all")]
    logs = np.log(single.loc[single["endpoint"] == "time", "effect"].to_numpy())
    interval = stats.t.interval(0.95, 11, logs.mean(), stats.sem(logs))
    assert np.log(rows.loc["time", ["across_low", "across_high"]].astype(float)).tolist() == pytest.approx(
        interval, abs=1e-6
    )
    ends = single.loc[single["endpoint"] == "end", "effect"].to_numpy()
    assert rows.loc["end", "sign_p"] == pytest.approx(stats.binomtest(int((ends > 0).sum()), 12).pvalue)
    assert rows.loc["end", "wilcoxon_p"] == pytest.approx(signed_rank_p_value(ends))
    small, large = sorted(rows["wilcoxon_p"])
    assert sorted(rows["adjusted_p"]) == pytest.approx(sorted([min(1, 2 * small), max(2 * small, large)]))
    assert table.loc[table["family"] != "primary", "adjusted_p"].isna().all()


def test_an_end_that_half_a_training_reaches_too_cannot_tell():
    study = make_panel(8)
    table, rows = answered(study, *simulate(study, np.random.default_rng(4), half=0.0, noise=0.1))
    assert set(rows.loc[(rows["endpoint"] == "end") & (rows["lost"] == 0.5), "sensitive"]) == {"no"}
    # of these data sets and of data sets like these
    assert primary(table).loc["end", ["verdict", "across_verdict"]].tolist() == ["saturated", "saturated"]
    assert primary(table).loc["end", "sensitive"] == 0
    # the same runs where half a training ends lower
    noticed, _ = answered(study, *simulate(study, np.random.default_rng(4), half=0.1, noise=0.1))
    assert primary(noticed).loc["end", ["verdict", "across_verdict"]].tolist() == ["equivalent", "equivalent"]
    assert primary(noticed).loc["end", "sensitive"] == 8


def test_without_the_control_of_half_the_updates_the_curve_says_what_was_lost():
    study = make_panel(2)
    cells, spent = simulate(study, np.random.default_rng(5))
    rise = np.linspace(0, 0.19, EPOCHS)
    for name in study.datasets:
        del cells[name, DEPTH, HALF, PRIMARY_RECIPE]
        ends = cells[name, DEPTH, "standard", PRIMARY_RECIPE].runs["final_test_accuracy"]
        cells[name, DEPTH, "standard", PRIMARY_RECIPE] = make_runs(ends, rise)
    rows = pd.DataFrame(sensitivity(study, cells, spent, {(DEPTH, PRIMARY_RECIPE): []}))
    here = rows[(rows["endpoint"] == "end") & (rows["dataset"] == "set0")].set_index("lost")
    assert here["read"].tolist() == ["curve", "curve"]
    assert here["effect"].tolist() == pytest.approx([-0.1, -0.15])


def test_a_training_twice_as_slow_takes_twice_the_time_up_to_the_end():
    study = make_panel(2)
    cells, _ = simulate(study, np.random.default_rng(6))
    times = {cell: np.array([4.0, 6, 8, 5, 7]) for cell in cells if cell[2] in ("standard", STRATEGY)}
    times["set1", DEPTH, "standard", PRIMARY_RECIPE] = np.array([16.0, 20, 30, 18, 12])
    rows = sensitivity(study, cells, make_spent(times), {(DEPTH, PRIMARY_RECIPE): []})
    here = {row["dataset"]: row for row in rows if row["endpoint"] == "time" and row["lost"] == 0.5}
    assert here["set0"]["effect"] == pytest.approx(2)
    # each of the second is at the end, once slower
    assert here["set1"]["effect"] == pytest.approx(20 / np.mean([16, 20, 20, 18, 12]))
    assert ("set0", DEPTH, PRIMARY_RECIPE) in sensitive_places(rows, "time")


def test_a_target_that_no_run_reaches_says_nothing_of_times():
    study = make_panel(3)
    cells, spent = simulate(study, np.random.default_rng(7), slower=1.2)
    for label in ("standard", STRATEGY):
        cell = ("set0", DEPTH, label, PRIMARY_RECIPE)
        spent.times[cell] |= {"reached": np.zeros(5), **dict.fromkeys(CLOCKS, np.full(5, float(EPOCHS)))}
    rows = primary(answered(study, cells, spent)[0])
    assert rows.loc["time", ["datasets", "missing"]].tolist() == [2, 1]
    assert 1.1 < rows.loc["time", "effect"] < 1.3
    assert rows.loc["end", ["datasets", "missing"]].tolist() == [3, 0]


def test_where_standard_training_is_not_above_chance_no_endpoint_has_a_verdict():
    study = make_panel(3)
    cells, spent = simulate(study, np.random.default_rng(8))
    table, _ = answered(study, cells, spent, ["set1"])
    assert set(primary(table, "set1")["verdict"]) == {"not above chance"}
    assert set(primary(table)["datasets"]) == {2}
    table, _ = answered(study, cells, spent, study.datasets)
    assert set(table["verdict"]) == {"not above chance"}


def test_variations_tell_a_recipe_that_cripples_standard_training(monkeypatch):
    study = make_panel(3)
    monkeypatch.setattr(type(study), "recipes", (PRIMARY_RECIPE, "learning_rate=0.1"))
    cells, spent = simulate(study, np.random.default_rng(9))
    other, _ = simulate(study, np.random.default_rng(9))
    for (name, depth, label, _), runs in other.items():
        ends = runs.runs["final_test_accuracy"] - 0.05
        cells[name, depth, label, "learning_rate=0.1"] = make_runs(ends)
    times = {(*cell[:3], "learning_rate=0.1"): table for cell, table in spent.times.items()}
    spent = Spent(spent.times | times, {cell: dict.fromkeys(CLOCKS, float(EPOCHS)) for cell in [*spent.times, *times]})
    chance = {(DEPTH, recipe): [] for recipe in study.recipes}
    table = endpoints(study, cells, spent, chance, sensitivity(study, cells, spent, chance))
    rows = variations(study, cells, table)
    assert [row["recipe"] for row in rows] == list(study.recipes)
    assert [row["cripples"] for row in rows] == ["no", "yes"]
    # what is compared is paired within a recipe, so the differences are the same
    assert rows[0]["end_effect"] == pytest.approx(rows[1]["end_effect"])
