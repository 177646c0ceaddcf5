"""Two cells are read at what both have spent; their runs are paired by seed."""

import numpy as np
import pandas as pd
import pytest
from altfreeze import vocabulary
from altfreeze.comparison.readings import CellRuns, read_pair, rows_at_common_end
from altfreeze.tables.schema import ROUNDING
from altfreeze.vocabulary import Budget, Clock
from builders import compare_results, read_tables, results_accuracies
from hypothesis import given
from hypothesis import strategies as st

PAIRED = ["dataset", "depth", "recipe", "strategy", "reference", "budget", "metric"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Tables of a study that nothing is wrong with."""
    return compare_results(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def diverged(tmp_path_factory):
    """Tables of a study of which one run diverged."""
    folder = tmp_path_factory.mktemp("diverged")
    compare_results(folder, diverged={("iris", "alternating-0.5", 2)})
    return read_tables(folder / "results" / "tables", ["runs", "pairs", "comparisons"])


clocks = st.lists(st.floats(0.01, 10), min_size=1, max_size=30).map(np.cumsum)


@given(clocks, clocks)
def test_the_row_read_is_the_last_that_does_not_exceed_the_common_end(one, other):
    end = min(one[-1], other[-1])
    rows = rows_at_common_end(one, other)
    for clock, row in zip((one, other), rows, strict=True):
        assert -1 <= row < len(clock)
        assert row == -1 or clock[row] <= end * (1 + ROUNDING)
        assert row == len(clock) - 1 or clock[row + 1] > end
    assert any(row == len(clock) - 1 for clock, row in zip((one, other), rows, strict=True))
    # what the order of a sum adds is no reason to read an epoch earlier
    assert rows_at_common_end(one, np.nextafter(one, np.inf)) == [len(one) - 1] * 2


# (strategy, reference): budget to the rows, counted from 0, at which the reference and the strategy are read;
# spent after each epoch: products of layers 33 66 99 (standard), 21 48 69 (alternating), 33 66 (matched), 33 44 (half),
# updates 3 6 9, 1.5 3 4.5, 3 6 and 3 4, seconds 31 62 93, 16 38 54, 31 62 and 31 42
READ = {
    ("alternating-0.5", "standard"): {
        "own": (2, 2), "epochs": (2, 2), "updates": (0, 2), "flops": (1, 2), "seconds": (0, 2)
    },
    ("standard_half_updates", "standard"): {
        "own": (2, 1), "epochs": (0, 1), "updates": (0, 1), "flops": (0, 1), "seconds": (0, 1)
    },
    ("standard_matched_flops-0.5", "standard"): {
        "own": (2, 1), "epochs": (1, 1), "updates": (1, 1), "flops": (1, 1), "seconds": (1, 1)
    },
    ("alternating-0.5", "standard_half_updates"): {
        "own": (1, 2), "epochs": (1, 0), "updates": (1, 1), "flops": (1, 0), "seconds": (1, 1)
    },
    ("alternating-0.5", "standard_matched_flops-0.5"): {
        "own": (1, 2), "epochs": (1, 1), "updates": (0, 2), "flops": (1, 1), "seconds": (0, 2)
    },
}  # fmt: skip


@pytest.mark.parametrize(("strategy", "reference"), READ)
def test_both_are_read_at_the_last_epoch_within_the_smaller_end_of_each_clock(found, strategy, reference):
    rows = found["comparisons"].query("strategy == @strategy and reference == @reference")
    rows = rows.set_index(["dataset", "budget", "metric"])
    made = {"standard_half_updates": [1, 4 / 3], "standard_matched_flops-0.5": [1, 2]}
    for budget, read in READ[strategy, reference].items():
        row = rows.loc[("iris", budget, "final_test_accuracy")]
        for label, index, mean, share in zip(
            (reference, strategy),
            read,
            ("reference_mean", "strategy_mean"),
            ("read_reference", "read_strategy"),
            strict=True,
        ):
            epochs = made.get(label, [1, 2, 3])
            expected = np.mean([results_accuracies("iris", label, seed, epochs[index])[1] for seed in range(6)])
            assert row[mean] == pytest.approx(expected, abs=1e-8), (budget, label)
            assert row[share] == pytest.approx(epochs[index] / epochs[-1]), (budget, label)
        assert row["difference"] == pytest.approx(row["strategy_mean"] - row["reference_mean"])


def test_a_comparison_is_the_mean_of_its_pairs(diverged):
    pairs = diverged["pairs"].groupby(PAIRED)
    rows = diverged["comparisons"].query("dataset != 'all' and pairs > 0").set_index(PAIRED).sort_index()
    pd.testing.assert_series_equal(pairs.size(), rows["pairs"], check_names=False)
    for name, column in (
        ("difference", "difference"),
        ("reference_value", "reference_mean"),
        ("strategy_value", "strategy_mean"),
    ):
        np.testing.assert_allclose(pairs[name].mean(), rows[column], atol=1e-12)


def test_a_pair_is_two_runs_of_one_seed(diverged):
    runs = diverged["runs"].query("dataset == 'wine'").set_index(["strategy", "seed"])["final_test_accuracy"]
    chosen = "dataset == 'wine' and budget == 'own' and metric == 'final_test_accuracy' and reference == 'standard'"
    pairs = diverged["pairs"].query(chosen)
    assert len(pairs) == 6 * 6
    for pair in pairs.itertuples():
        assert pair.reference_value == runs["standard", pair.seed]
        assert pair.strategy_value == runs[pair.strategy, pair.seed]
        assert pair.difference == pair.strategy_value - pair.reference_value


def test_a_run_that_diverged_is_in_no_pair(diverged):
    own = diverged["pairs"].query(
        "strategy == 'alternating-0.5' and budget == 'own' and metric == 'final_test_accuracy'"
    )
    seeds = own.query("reference == 'standard'").groupby("dataset")["seed"].agg(list)
    assert seeds["iris"] == [0, 1, 3, 4, 5]
    assert seeds["wine"] == [0, 1, 2, 3, 4, 5]


def cell(epochs, accuracy, status=None, **clocks):
    """Return a cell of runs whose test accuracies are given by run and epoch."""
    accuracy = np.array(accuracy, float)
    count = len(accuracy)
    runs = {
        "seed": np.arange(count),
        "status": np.array(status or ["ok"] * count),
        "epochs": np.full(count, epochs[-1], float),
        "best_epoch": np.full(count, epochs[0], float),
        "final_test_accuracy": accuracy[:, -1],
        "best_test_accuracy": accuracy[:, 0],
        **{name: np.full(count, clock[-1], float) for name, clock in clocks.items()},
    }
    return CellRuns(
        runs, {name: np.array(clock, float) for name, clock in {"epoch": epochs, **clocks}.items()}, accuracy
    )


def test_a_budget_of_any_clock_is_read_where_neither_has_spent_more(monkeypatch):
    clock = Clock("forward", "forward", "forward", "forward passes")
    monkeypatch.setitem(vocabulary.BUDGETS, "forward", Budget("forward", "equal forward passes", clock))
    reference = cell([1, 2, 3], [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], forward=[10, 20, 30])
    strategy = cell([1, 2], [[0.15, 0.3], [0.4, 0.7]], forward=[8, 25])
    reading = read_pair(reference, strategy, "forward", "final_test_accuracy")
    assert reading.reference.tolist() == [0.2, 0.5]
    assert reading.strategy.tolist() == [0.3, 0.7]
    assert reading.differences.tolist() == pytest.approx([0.1, 0.2])
    assert reading.read_reference.tolist() == [2 / 3] * 2
    assert reading.read_strategy.tolist() == [1, 1]


@pytest.mark.parametrize("status", ["diverged", "missing"])
def test_a_run_that_did_not_end_is_counted_on_its_side_and_leaves_its_seed_out(status):
    whole = cell([1, 2], [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], flops=[5, 9])
    broken = cell([1, 2], [[0.2, 0.3], [0.4, 0.5], [0.6, 0.7]], ["ok", status, "ok"], flops=[5, 9])
    for budget in ("own", "flops"):
        one, other = (read_pair(*cells, budget, "final_test_accuracy") for cells in ((whole, broken), (broken, whole)))
        assert one.seeds.tolist() == other.seeds.tolist() == [0, 2]
        assert one.differences.tolist() == (-other.differences).tolist()
        assert (one.runs, getattr(one, f"{status}_strategy"), getattr(one, f"{status}_reference")) == (3, 1, 0)
        assert (other.runs, getattr(other, f"{status}_strategy"), getattr(other, f"{status}_reference")) == (3, 0, 1)


def test_a_cost_is_the_strategys_over_the_references():
    reference, strategy = (cell([1, 2], [[0.5, 0.5]] * 2, flops=flops) for flops in ([5, 10], [2, 4]))
    reading = read_pair(reference, strategy, "own", "flops_ratio")
    assert reading.reference.tolist() == [1, 1]
    assert reading.strategy.tolist() == [0.4, 0.4]


def test_without_a_clock_of_one_of_them_nothing_is_read_at_its_budget():
    reference = cell([1, 2], [[0.5, 0.5]] * 2, seconds=[1, 2], reference_seconds=[1, 2])
    strategy = cell([1, 2], [[0.5, 0.5]] * 2, seconds=[np.nan, np.nan], reference_seconds=[np.nan, np.nan])
    for budget, metric in (("seconds", "final_test_accuracy"), ("own", "seconds_ratio")):
        reading = read_pair(reference, strategy, budget, metric)
        assert (len(reading.seeds), reading.runs, reading.diverged_strategy) == (0, 2, 0)
