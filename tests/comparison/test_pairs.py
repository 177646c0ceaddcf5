"""The pairs of runs behind every comparison."""

import numpy as np
import pandas as pd
import pytest
from altfreeze.comparison import compare as comparisons
from altfreeze.tables import collect as tables
from test_tables import STUDY, write_study

KEY = ["dataset", "depth", "recipe", "strategy", "reference", "budget", "metric"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Tables of a study of which one run diverged."""
    results = write_study(tmp_path_factory.mktemp("results"), diverged={("iris", "alternating-0.5", 2)})
    tables.collect(STUDY, results, results / "tables")
    comparisons.compare(STUDY, results / "tables")
    return {
        name: tables.read_table(results / "tables" / f"{name}.csv", name) for name in ("runs", "pairs", "comparisons")
    }


def test_a_comparison_is_the_mean_of_its_pairs(found):
    pairs = found["pairs"].groupby(KEY)
    rows = found["comparisons"].query("dataset != 'all' and pairs > 0").set_index(KEY).sort_index()
    pd.testing.assert_series_equal(pairs.size(), rows["pairs"], check_names=False)
    for name, column in (
        ("difference", "difference"),
        ("reference_value", "reference_mean"),
        ("strategy_value", "strategy_mean"),
    ):
        np.testing.assert_allclose(pairs[name].mean(), rows[column], atol=1e-12)


def test_a_pair_is_two_runs_of_one_seed(found):
    runs = found["runs"].query("dataset == 'wine'").set_index(["strategy", "seed"])["final_test_accuracy"]
    chosen = "dataset == 'wine' and budget == 'own' and metric == 'final_test_accuracy' and reference == 'standard'"
    pairs = found["pairs"].query(chosen)
    assert len(pairs) == 6 * 6
    for pair in pairs.itertuples():
        assert pair.reference_value == runs["standard", pair.seed]
        assert pair.strategy_value == runs[pair.strategy, pair.seed]
        assert pair.difference == pair.strategy_value - pair.reference_value


def test_a_run_that_diverged_is_in_no_pair(found):
    own = found["pairs"].query("strategy == 'alternating-0.5' and budget == 'own' and metric == 'final_test_accuracy'")
    seeds = own.query("reference == 'standard'").groupby("dataset")["seed"].agg(list)
    assert seeds["iris"] == [0, 1, 3, 4, 5]
    assert seeds["wine"] == [0, 1, 2, 3, 4, 5]
