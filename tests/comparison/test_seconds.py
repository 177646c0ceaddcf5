"""How well seconds are known, and the intervals that carry it."""

import math

import numpy as np
import pandas as pd
import pytest
from altfreeze.comparison import seconds
from altfreeze.comparison.readings import RUN_COLUMNS, CellRuns
from altfreeze.statistics import Interval
from altfreeze.tables.schema import read_table, write_table
from altfreeze.vocabulary import CLOCKS
from builders import RESULTS_CONFIG, compare_results, compare_tables, make_speedups, make_study

SMALL = {"datasets": ["iris", "wine"], "depths": [4], "primary_depth": 4, "freeze_ratios": [0.5], "seeds": 6}


def test_the_error_is_the_longer_half_of_the_interval_over_rounds():
    study = make_study(**SMALL)
    table = make_speedups(study, low=1.2 / 1.1, high=1.2 * 1.05)
    errors = seconds.timing_errors(table)
    assert errors == pytest.approx({(name, 4, "alternating-0.5"): math.log(1.1) for name in study.datasets})
    assert set(seconds.timing_errors(make_speedups(study, low=math.nan, high=math.nan)).values()) == {math.inf}
    assert seconds.timing_errors(table.iloc[:0]) == {}


def test_independent_normal_errors_add_in_quadrature():
    sds = np.array([0.3, 0.4])
    interval = Interval(1.0, 1 - 1.96 * sds[0], 1 + 1.96 * sds[0])
    assert seconds.widened(interval, [1.96 * sds[1]]) == pytest.approx((1, 1 - 1.96 * 0.5, 1 + 1.96 * 0.5))
    # the mean of four values, each with an error of its own, has half of it
    mean = seconds.widened(Interval(1.0, 1.0, 1.0), [1.96 * 0.4] * 4)
    assert mean == pytest.approx((1, 1 - 1.96 * 0.2, 1 + 1.96 * 0.2))
    assert seconds.widened(interval, [0.0, 0.0]) == pytest.approx(interval)
    assert seconds.widened(interval, []) == pytest.approx(interval)
    assert np.isnan(seconds.widened(interval, [0.1, math.inf])[1:]).all()
    # what is known no better than to a fifth is not known; a mean is known better than each
    assert np.isfinite(seconds.widened_log_ratio(interval, [math.log(1.199)])).all()
    assert np.isnan(seconds.widened_log_ratio(interval, [math.log(1.201)])[1:]).all()
    assert np.isfinite(seconds.widened_log_ratio(interval, [math.log(1.201), 0.0])).all()
    # a ratio that is computed has the error of its seconds alone
    assert seconds.widened_ratio(Interval(0.5, 0.5, 0.5), [0.1]) == pytest.approx(
        (0.5, 1.5 * math.exp(-0.1) - 1, 1.5 * math.exp(0.1) - 1)
    )


def test_what_is_read_at_equal_seconds_moves_with_them():
    def cell(slower):
        clocks = dict.fromkeys(CLOCKS, np.arange(1.0, 11)) | {"seconds": slower * np.arange(1.0, 11)}
        runs = dict.fromkeys(RUN_COLUMNS, np.ones(3)) | {"seed": np.arange(3), "status": np.array(["ok"] * 3)}
        return CellRuns(runs, clocks, np.tile(0.01 * np.arange(1, 11), (3, 1)))

    # at ten seconds the strategy has made five epochs of two; of 1.8, five, too, and of 2.2 four
    cells = cell(1.0), cell(2.0)
    read = ("seconds", "final_test_accuracy")
    assert seconds.error_of_reading(cells, *read, math.log(1.1)) == pytest.approx(0.01)
    assert seconds.error_of_reading(cells, *read, 0.0) == 0
    assert seconds.error_of_reading(cells, *read, math.inf) == math.inf
    assert seconds.error_of_reading(cells, "flops", "final_test_accuracy", 0.1) == 0
    assert seconds.error_of_reading(cells, "own", "seconds_ratio", 0.1) == 0.1


def test_intervals_on_the_clock_of_seconds_carry_the_error_and_no_others(tmp_path):
    study = make_study(**RESULTS_CONFIG | {"strategies": ["alternating", "standard_matched_flops"]})
    exact = compare_results(tmp_path, study)
    folder = tmp_path / "results"
    path = folder / "tables" / "speedups.csv"
    table = read_table(path, "speedups")
    # the seals of tables that are changed here
    path.with_name("study.json").unlink()
    write_table(table.assign(low=table["measured"] / 1.1, high=table["measured"] * 1.1), path)
    known = compare_tables(folder, study)
    write_table(table.assign(low=table["measured"] / 1.3), path)
    unknown = compare_tables(folder, study)
    comparisons = exact["comparisons"]
    on_clock = {"endpoints": exact["endpoints"]["clock"] == "seconds"}
    on_clock["comparisons"] = (comparisons["budget"] == "seconds") | (comparisons["metric"] == "seconds_ratio")
    for name, rows in on_clock.items():
        for found in (known, unknown):
            pd.testing.assert_frame_equal(found[name][~rows], exact[name][~rows])
    single = on_clock["endpoints"] & (exact["endpoints"]["dataset"] != "all")
    assert unknown["endpoints"].loc[single, ["low", "high"]].isna().all(axis=None)
    costs = exact["comparisons"]["metric"] == "seconds_ratio"
    costs &= (exact["comparisons"]["dataset"] == "iris") & (exact["comparisons"]["reference"] == "standard")
    before, after = (1 + found["comparisons"].loc[costs, ["low", "high"]] for found in (exact, known))
    np.testing.assert_allclose(after["high"] / before["high"], 1.1, rtol=1e-6)
    np.testing.assert_allclose(after["low"] / before["low"], 1 / 1.1, rtol=1e-6)
    assert (unknown["comparisons"].loc[costs, "verdict"] == "undecided").all()
