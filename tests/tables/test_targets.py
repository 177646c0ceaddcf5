"""Targets come from calibration alone, and a run's time to one is what it had spent when it was reached."""

import numpy as np
import pandas as pd
import pytest
from altfreeze.study.grid import FIRST_CALIBRATION_SEED
from altfreeze.tables import schema
from altfreeze.tables.collect import collect
from altfreeze.tables.schema import KEY, load_schema
from altfreeze.tables.targets import above_chance
from altfreeze.vocabulary import CLOCKS, Clock
from builders import (
    RESULTS_CONFIG,
    collect_tables,
    make_study,
    read_tables,
    remove_pack,
    results_accuracies,
    write_results,
)
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

# of the 13 + 7 + 6 + 6 rows in the validation part
CHANCE = 13 / 32


def test_targets_lie_between_chance_and_the_median_of_standard_training_on_its_own_seeds(tables):
    targets = tables["targets"].set_index(["dataset", "level"])
    assert (targets["seeds"] == 3).all()
    assert targets["chance"].tolist() == [CHANCE] * 4
    # the second of three seeds, at its end
    assert targets.loc["iris"]["calibration_median"].to_numpy() == pytest.approx([0.71] * 2)
    assert targets.loc[("wine", 0.9)]["target"] == pytest.approx(CHANCE + 0.9 * (0.81 - CHANCE))
    assert targets.loc[("wine", 1.0)]["target"] == pytest.approx(0.81)


def test_compared_runs_do_not_move_the_targets(tables, tmp_path):
    def others(dataset, strategy, seed, epoch):
        value, test = results_accuracies(dataset, strategy, seed, epoch)
        return (value if seed >= FIRST_CALIBRATION_SEED else value / 3), test

    changed = write_results(tmp_path / "changed", accuracies=others)
    after = collect_tables(changed)
    assert not tables["runs"]["final_validation_accuracy"].equals(after["runs"]["final_validation_accuracy"])
    pd.testing.assert_frame_equal(tables["targets"], after["targets"])
    assert tables["reached"]["reached"].sum() > after["reached"]["reached"].sum() == 0


def test_times_to_target_are_those_of_the_first_epoch_at_the_target_or_else_of_the_end(tables):
    times = tables["times_to_target"]
    assert len(times) == 2 * 7 * 6 * 2
    assert not times.duplicated([*KEY, "level"]).any()
    times = times[times["dataset"] == "iris"].set_index(["strategy", "level", "seed"]).sort_index()
    # standard training: 0.65 + 0.01 seed after the first epoch, 0.70 + 0.01 seed after the second; target 0.71
    standard = times.loc["standard", 1.0]
    assert standard["reached"].tolist() == [0, 1, 1, 1, 1, 1]
    assert standard["epoch"].tolist() == [3, 2, 2, 2, 2, 2]
    assert standard["updates"].tolist() == [9, 6, 6, 6, 6, 6]
    assert standard["seconds"].tolist() == pytest.approx([93, 62, 62, 62, 62, 62])
    product = 2 * 32 * 4 * 4
    assert (standard["flops"] / product).tolist() == [99, 66, 66, 66, 66, 66]
    # target 0.679625
    assert times.loc["standard", 0.9]["epoch"].tolist() == [2, 2, 2, 1, 1, 1]
    # its best seed has 0.68 after two epochs, and the worse ones less
    alternating = times.loc["alternating-0.5", 0.9]
    assert alternating["reached"].tolist() == [1, 0, 0, 0, 0, 0]
    assert alternating["updates"].tolist() == [3, 4.5, 4.5, 4.5, 4.5, 4.5]
    assert (alternating["flops"] / product).tolist() == [48, 69, 69, 69, 69, 69]
    assert alternating["seconds"].tolist() == pytest.approx([38, 54, 54, 54, 54, 54])

    reached = tables["reached"][tables["reached"]["dataset"] == "iris"].set_index(["strategy", "level"])
    assert reached.loc[("standard", 1.0)][["runs", "reached", "censored"]].tolist() == [6, 5, 1]
    assert reached.loc[("standard", 1.0)][["epoch", "updates", "seconds"]].tolist() == pytest.approx([2, 6, 62])
    # between the third and the fourth of 1 1 1 2 2 2
    assert reached.loc[("standard", 0.9)]["epoch"] == 1.5
    assert reached.loc[("alternating-0.5", 0.9)][["runs", "reached", "censored"]].tolist() == [6, 1, 5]
    assert reached.loc[("alternating-0.5", 0.9)][["epoch", "updates", "flops", "seconds"]].isna().all()


def test_a_median_between_a_run_that_reached_the_target_and_one_that_did_not_is_censored(tmp_path):
    def half(dataset, strategy, seed, epoch):
        return (0.8 if seed >= 3 else 0.5), 0.5

    reached = collect_tables(write_results(tmp_path / "results", accuracies=half))["reached"]
    assert (reached[["reached", "censored"]] == 3).all(axis=None)
    assert reached[["epoch", "updates", "flops", "seconds"]].isna().all(axis=None)


def test_a_run_as_good_as_the_target_reaches_it_whatever_its_digits(tmp_path):
    study = make_study(**RESULTS_CONFIG | {"datasets": ["iris"], "strategies": ["alternating"], "calibration_seeds": 4})

    def exact(dataset, strategy, seed, epoch):
        # logs say 0.666666667 and 0.583333333
        return ((1 / 2, 2 / 3)[seed % 2] if seed >= FIRST_CALIBRATION_SEED else 7 / 12), 0.5

    tables = collect_tables(write_results(tmp_path / "results", study, accuracies=exact), study)
    assert tables["targets"]["calibration_median"].max() > tables["runs"]["final_validation_accuracy"].max()
    assert (tables["times_to_target"]["reached"] == 1).all()
    assert (tables["times_to_target"]["epoch"] == 1).all()


@pytest.mark.parametrize(("gone", "defined"), [(1, True), (2, False), (3, False)])
def test_without_a_median_of_calibration_there_is_no_target_and_no_run_reaches_it(tmp_path, gone, defined):
    diverged = {("iris", "standard", FIRST_CALIBRATION_SEED + index) for index in range(gone)}
    tables = collect_tables(write_results(tmp_path / "results", diverged=diverged))
    targets = tables["targets"].set_index("dataset")
    assert targets.loc["iris"]["target"].notna().tolist() == [defined] * 2
    assert targets.loc["iris"]["calibration_median"].notna().tolist() == [defined] * 2
    assert targets.loc["wine"]["target"].notna().all()
    if defined:
        # a diverged run is worse than all others: the median of none, 0.71 and 0.72
        assert targets.loc["iris"]["calibration_median"].to_numpy() == pytest.approx([0.71] * 2)
    else:
        iris = tables["times_to_target"][tables["times_to_target"]["dataset"] == "iris"]
        assert (iris["reached"] == 0).all()
        assert iris["target"].isna().all()
        assert set(iris["epoch"].round(6)) == {3, 2, round(4 / 3, 6)}


def test_a_run_that_diverges_later_has_reached_its_target(tmp_path):
    results = write_results(tmp_path / "results", diverged={("iris", "standard", 3), ("iris", "standard", 0)})
    tables = collect_tables(results)
    times = tables["times_to_target"].set_index(["dataset", "strategy", "level", "seed"]).sort_index()
    times = times.loc["iris", "standard", 0.9]
    assert times["reached"].tolist() == [0, 1, 1, 1, 1, 1]
    assert times["epoch"].tolist() == [3, 2, 2, 1, 1, 1]


def test_a_target_needs_every_calibration_run(tmp_path):
    study = make_study(**RESULTS_CONFIG | {"strategies": ["alternating"], "calibration_seeds": 9})
    results = write_results(tmp_path / "results", study)
    lost = next(pack for pack in study.packs if pack.calibrates)
    remove_pack(results, lost)
    collect(study, results, results / "partial", missing="mark")
    tables = read_tables(results / "partial")
    targets, calibration = tables["targets"].set_index("dataset"), tables["calibration"]
    assert targets.loc["iris", ["calibration_median", "target"]].isna().all(axis=None)
    assert targets["target"].isna().sum() == 2
    assert set(targets.loc["iris", "seeds"]) == {6}
    assert calibration["status"].tolist() == ["missing"] * 3 + ["ok"] * 15


def test_every_clock_of_the_vocabulary_is_in_the_tables_without_a_word_elsewhere(tmp_path, monkeypatch):
    # the seconds of the pack are a column of the logs
    monkeypatch.setitem(CLOCKS, "by_pack", Clock("by_pack", "seconds", "pack_end", "seconds of the pack"))
    names = {"times_to_target": "by_pack", "reached": "by_pack", "runs": "pack_end"}
    number = {"type": "float", "description": "Seconds of the pack"}
    more = {
        table: of_table | ({names[table]: number} if table in names else {})
        for table, of_table in load_schema().items()
    }
    monkeypatch.setattr(schema, "load_schema", lambda: more)
    tables = collect_tables(write_results(tmp_path / "results"))
    # two seconds an epoch; logs hold nine digits
    for table, number, epochs in (
        ("runs", "pack_end", "epochs"),
        ("times_to_target", "by_pack", "epoch"),
        ("reached", "by_pack", "epoch"),
    ):
        np.testing.assert_allclose(tables[table][number], 2 * tables[table][epochs], rtol=1e-8)


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [
        ([0.9, 0.8, 0.85], "yes"),
        ([0.4, 0.4, 0.4], "no"),
        ([0.3, 0.2, 0.25], "no"),
        # what its mean is above chance by, chance explains
        ([0.41, 0.39, 0.42], "no"),
        ([0.9, np.nan, 0.85], "yes"),
        ([0.9, np.nan, 0.45], "no"),
        ([0.9, np.nan, np.nan], "no"),
        ([np.nan] * 3, "no"),
        ([np.nan], "no"),
        ([0.4], "no"),
        ([0.9], "unknown"),
        ([], "unknown"),
    ],
)
def test_runs_are_above_chance_where_the_interval_of_their_mean_is(accuracies, said):
    assert above_chance(np.array(accuracies, float), 0.4) == said
    assert above_chance(np.array(accuracies, float), np.nan) == "unknown"


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.floats(0, 1))
def test_above_chance_is_what_a_one_sided_t_test_says(accuracies, chance):
    values = np.array(accuracies)
    assume(np.ptp(values) > 1e-6)
    p_value = stats.ttest_1samp(values, chance, alternative="greater").pvalue
    assume(abs(p_value - 0.025) > 1e-6)
    assert above_chance(values, chance) == ("yes" if p_value < 0.025 else "no")


def test_where_standard_training_is_not_above_chance_there_is_no_target_and_no_run_reaches_one(tmp_path):
    def by_chance(dataset, strategy, seed, epoch):
        return (CHANCE if dataset == "iris" else 0.8), 0.5

    tables = collect_tables(write_results(tmp_path / "results", accuracies=by_chance))
    targets = tables["targets"].set_index("dataset")
    assert targets.loc["iris", "above_chance"].tolist() == ["no"] * 2
    assert targets.loc["iris", "target"].isna().all()
    assert targets.loc["iris", "calibration_median"].notna().all()
    assert targets.loc["wine", "above_chance"].tolist() == ["yes"] * 2
    assert targets.loc["wine", "target"].notna().all()
    reached = tables["reached"].groupby("dataset")["reached"].sum()
    assert reached["iris"] == 0 < reached["wine"]
