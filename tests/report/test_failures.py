"""Failures: every run that did not end well, by cell and by strategy."""

import numpy as np
import pandas as pd
import pytest
from altfreeze.report import failures
from builders import make_calibration, make_comparisons, make_epochs, make_packs, make_runs, make_small_study

LOG = "logs/train/{}.log"


@pytest.fixture
def study():
    return make_small_study(seeds=6)


@pytest.fixture
def found(study):
    """Return a function that gives the failures of tables in which the statuses of some runs are changed."""

    def look(*changes, calibration=(), epochs=None, **packs):
        runs, calibrated = make_runs(study), make_calibration(study)
        for dataset, strategy, seeds, status in changes:
            rows = (runs["dataset"] == dataset) & (runs["strategy"] == strategy) & runs["seed"].isin(seeds)
            runs.loc[rows, "status"] = status
        calibrated.loc[list(calibration), "status"] = "diverged"
        comparisons = make_comparisons(study)
        epochs = make_epochs(study, comparisons) if epochs is None else epochs
        return failures.failures(runs, calibrated, epochs, make_packs(study, comparisons).assign(**packs))

    return look


def test_a_study_whose_runs_all_ended_has_none(study, found):
    assert found().empty
    assert list(failures.by_strategy(make_runs(study))) == ["runs"]


def test_failed_runs_of_a_cell_are_one_row(study, found):
    epochs = make_epochs(study, make_comparisons(study))
    for seed, first in ((0, 3), (1, 2), (5, 4)):
        of_run = (epochs["dataset"] == "iris") & (epochs["strategy"] == "standard") & (epochs["seed"] == seed)
        epochs.loc[of_run & (epochs["epoch"] >= first), "status"] = "diverged"
    table = found(("iris", "standard", [0, 1, 5], "diverged"), epochs=epochs)
    assert table.to_dict("records") == [
        {"dataset": "iris", "depth": 6, "strategy": "standard", "recipe": "primary", "status": "diverged"}
        | {"reason": "the loss was not finite after epoch 2 to 4", "seeds": "0-1 5", "count": 3, "runs": 6}
        | {"logs": [LOG.format("standard")]}
    ]


def test_every_status_but_ok_is_listed_with_its_reason(found):
    table = found(
        ("wine", "alternating-0.5", [2], "missing"), ("wine", "alternating-0.5", [4], "diverged"), reason="killed"
    )
    assert list(table["status"]) == ["missing", "diverged"]
    # why a pack is missing says nothing of a run that diverged, and epochs knows none here
    assert list(table["reason"]) == ["killed", ""]
    assert list(table["seeds"]) == ["2", "4"]


def test_only_the_jobs_that_had_the_seeds_are_named(study):
    packs = pd.concat(
        [make_packs(study, make_comparisons(study)).assign(seeds=seeds, log=seeds) for seeds in ("0-2", "3-5")]
    )
    runs = make_runs(study)
    runs.loc[(runs["dataset"] == "iris") & (runs["seed"] == 3), "status"] = "diverged"
    table = failures.failures(runs, make_calibration(study), make_epochs(study, make_comparisons(study)), packs)
    assert list(table["logs"]) == [["3-5"], ["3-5"]]


def test_calibration_has_cells_of_its_own(found):
    table = found(("iris", "standard", [0], "diverged"), calibration=[0, 1])
    assert list(table["seeds"]) == ["0", "1000000-1000001"]
    assert list(table["runs"]) == [6, make_small_study().calibration_seeds]


def test_thousands_of_failed_runs_are_few_rows():
    study = make_small_study(seeds=1000)
    runs = make_runs(study).assign(status="diverged")
    comparisons = make_comparisons(study)
    epochs = make_epochs(make_small_study(), comparisons)
    table = failures.failures(runs, make_calibration(study), epochs, make_packs(study, comparisons))
    assert list(table["seeds"]) == ["0-999"] * 4
    assert table["count"].sum() == 4000


def test_runs_are_counted_by_strategy(study):
    runs = make_runs(study)
    runs.loc[(runs["strategy"] == "standard") & (runs["seed"] < 2), "status"] = "diverged"
    runs.loc[(runs["dataset"] == "iris") & (runs["seed"] == 5), "status"] = "missing"
    table = failures.by_strategy(runs)
    assert table.loc["standard"].to_dict() == {"runs": 12, "diverged": 4, "missing": 1}
    assert table.loc["alternating-0.5"].to_dict() == {"runs": 12, "diverged": 0, "missing": 1}
    assert list(table.index) == [label for label in study.strategies if label in set(runs["strategy"])]


@pytest.mark.parametrize(
    ("seeds", "text"), [([], ""), ([3], "3"), ([0, 1], "0-1"), ([0, 2, 3, 4, 9], "0 2-4 9"), (np.arange(50), "0-49")]
)
def test_seeds_in_words(seeds, text):
    assert failures.seed_ranges(seeds) == text
