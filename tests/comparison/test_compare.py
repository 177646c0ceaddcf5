"""Comparisons are paired, at equal budgets; every row is there, and each holds what the statistics say."""

import itertools
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from altfreeze import statistics
from altfreeze.comparison.compare import compare, comparisons_of
from altfreeze.study.grid import FIRST_CALIBRATION_SEED
from altfreeze.support import parallel
from altfreeze.support.errors import InputError
from altfreeze.support.randomness import stream_seed
from altfreeze.tables.collect import collect
from altfreeze.tables.schema import KEY, read_table, write_table
from altfreeze.vocabulary import BUDGETS, CLOCKS, EQUAL_BUDGETS, METRICS
from builders import (
    COMPARED,
    RESULTS_CONFIG,
    RESULTS_STUDY,
    collect_tables,
    compare_results,
    compare_tables,
    make_study,
    read_tables,
    write_results,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# few packs and rows, for what needs no more
FEW = RESULTS_CONFIG | {"seeds_per_job": 6, "target_levels": [0.9]}
FEW["strategies"] = ["alternating", "standard_matched_flops", {"name": "standard", "label": "again"}]
SMALL = make_study(**FEW)
FINAL = ("own", "final_test_accuracy")
# what is read at the ends
OWN = {"best_test_accuracy", "flops_ratio", "seconds_ratio", *(metric.final for metric in METRICS.values())}
NAMES = ["iris", "wine", "breast_cancer", "digits", "moons", "circles"]
# six data sets are the fewest of which the test of Wilcoxon can say anything
NOISY_CONFIG = FEW | {
    "datasets": NAMES,
    "sources": {name: {"kind": "iris"} for name in NAMES},
    "strategies": [*FEW["strategies"], "frozen_bottom"],
    "seeds": 7,
    "seeds_per_job": 7,
    "target_levels": [0.9, 1.0],
    "family": ["frozen_bottom-0.5", "again"],
}
NOISY = make_study(**NOISY_CONFIG)
# on wine one run of alternating is left; on breast_cancer a run of either side is gone
GONE = {("wine", "alternating-0.5", seed) for seed in range(1, 7)}
GONE |= {("breast_cancer", "standard", 2), ("breast_cancer", "alternating-0.5", 4)}


def noisy(dataset, strategy, seed, epoch, rows=37):
    """Return accuracies of as many rows, which tie now and then; those of a data set and seed have much in common."""
    shared, own = (
        np.random.default_rng(stream_seed(*key)).normal()
        for key in ((dataset, seed), (dataset, strategy, seed, float(epoch)))
    )
    right = np.clip(round(rows * (0.7 + 0.05 * shared + 0.03 * own + 0.02 * epoch)), 0, rows)
    return right / rows, right / rows


def comparison(rows, strategy="alternating-0.5", reference="standard"):
    rows = rows[(rows["strategy"] == strategy) & (rows["reference"] == reference) & (rows["recipe"] == "primary")]
    return rows.set_index(["dataset", "budget", "metric"])


@pytest.fixture(scope="module", autouse=True)
def quickly():
    """Draw less from the posterior: nothing here asks how precise that is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics.across, "POSTERIOR_DRAWS", 1000)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the folder of a study that nothing is wrong with, its tables made; it is not to be changed."""
    folder = tmp_path_factory.mktemp("whole")
    compare_results(folder)
    return folder / "results"


@pytest.fixture(scope="module")
def found(whole):
    return read_tables(whole / "tables", [*COMPARED, "runs"])


@pytest.fixture(scope="module")
def ragged(tmp_path_factory):
    """Return the folder and the comparisons of a noisy study of which runs diverged."""
    folder = tmp_path_factory.mktemp("ragged")
    return folder / "results", compare_results(folder, NOISY, accuracies=noisy, diverged=GONE)


def test_each_strategy_is_compared_with_the_controls_that_explain_it():
    strategies = [*RESULTS_CONFIG["strategies"], {"name": "alternating", "label": "slow", "period": 2}]
    strategies += [{"name": "frozen_top", "freeze_ratio": 0.25}, {"name": "progressive"}]
    strategies += [{"name": "phases", "label": "mine", "phases": [{"layers": "1-2", "for": 1}]}]
    study = make_study(**RESULTS_CONFIG | {"strategies": strategies, "freeze_ratios": [0.5]})
    found = {}
    for strategy, reference, readings in comparisons_of(study):
        found.setdefault(strategy, {})[reference] = {budget for budget, _ in readings}
    assert [label for label in study.strategies if label != "standard"] == list(found)
    controls = ["standard", "standard_half_updates", "standard_matched_flops-0.5", "frozen_bottom-0.5", "random_half"]
    assert list(found.pop("alternating-0.5")) == controls
    # its operations are not those that were matched, nor do its phases last as long as the random halves'
    assert list(found.pop("slow-0.5")) == ["standard", "standard_half_updates", "frozen_bottom-0.5"]
    # another strategy is explained by fewer updates or by any layers, however long those learn
    for label in ("progressive", "mine"):
        assert list(found.pop(label)) == ["standard", "standard_half_updates", "random_half"]
    assert all(list(references) == ["standard"] for references in found.values())
    readings = {reference: chosen for strategy, reference, chosen in comparisons_of(RESULTS_STUDY)}
    assert {budget for budget, _ in readings["random_half"]} == {"own"}
    assert {budget for budget, _ in readings["frozen_bottom-0.5"]} == {"own", *EQUAL_BUDGETS}
    for chosen in readings.values():
        assert {metric for budget, metric in chosen if budget == "own"} == OWN
        assert {metric for budget, metric in chosen if budget != "own"} <= {"final_test_accuracy"}
        assert len(set(chosen)) == len(chosen)


def test_a_strategy_does_not_differ_from_its_copy_at_any_budget(found):
    rows = comparison(found["comparisons"], "again", "standard")
    assert len(rows) == 3 * (len(OWN) + len(EQUAL_BUDGETS))
    assert (rows[["difference", "low", "high"]] == 0).all(axis=None)
    # that no seed differs says nothing of the next one; costs are computed
    costs = rows.index.get_level_values("metric").isin(["flops_ratio", "seconds_ratio"])
    assert (rows.loc[costs, "verdict"] == "equivalent").all()
    assert (rows.loc[~costs, "verdict"] == "undecided").all()
    assert (rows.loc[costs, "equivalence_p"] == 0).all()
    assert rows.loc[~costs, "equivalence_p"].isna().all()
    assert (rows["minimum_detectable_difference"] == 0).all()
    assert (rows["probability_of_improvement"] == 0.5).all()
    finals = rows.index.get_level_values("metric") != "best_test_accuracy"
    assert (rows.loc[finals, ["read_reference", "read_strategy"]] == 1).all(axis=None)
    assert rows.loc[~finals, "read_reference"].to_numpy() == pytest.approx([2 / 3] * 3)


def test_comparisons_are_paired_means_of_data_sets_that_weigh_the_same(found):
    rows = comparison(found["comparisons"])
    row = rows.loc[("iris", *FINAL)]
    differences = [-0.01 * (seed + 1) for seed in range(6)]
    assert row["difference"] == pytest.approx(np.mean(differences))
    assert min(differences) <= row["low"] <= row["difference"] <= row["high"] <= max(differences)
    assert (row["pairs"], row["dropped"]) == (6, 0)
    assert row["verdict"] == "worse"
    both = rows.loc[("all", *FINAL)]
    assert both["pairs"] == 12
    assert both["difference"] == pytest.approx(np.mean(differences))
    assert both["high"] - both["low"] < row["high"] - row["low"]
    for metric, ratio in (("flops_ratio", 69 / 99), ("seconds_ratio", 54 / 93)):
        cost = rows.loc[("all", "own", metric)]
        assert cost["reference_mean"] == 1
        assert cost[["difference", "low", "high"]].tolist() == pytest.approx([ratio - 1] * 3)
        assert cost["strategy_mean"] == pytest.approx(ratio)
        assert cost["verdict"] == "lower"
    best = rows.loc[("iris", "own", "best_test_accuracy")]
    assert best["difference"] == pytest.approx(np.mean(differences))
    assert best["read_strategy"] == pytest.approx(2 / 3)


def logged(dataset, strategy, seed, epoch):
    """Return the test accuracy as a log says it: of nine digits."""
    return float(f"{noisy(dataset, strategy, seed, epoch)[1]:.9g}")


def arms(dataset, strategy, epoch, reference="standard", reference_epoch=3):
    """Return the pairs of which neither run diverged, shape (2, pairs)."""
    seeds = [s for s in range(7) if not {(dataset, strategy, s), (dataset, reference, s)} & GONE]
    return np.array(
        [
            [logged(dataset, label, seed, at) for seed in seeds]
            for label, at in ((reference, reference_epoch), (strategy, epoch))
        ]
    )


@pytest.mark.parametrize(
    ("strategy", "epoch", "reference", "reference_epoch", "budget"),
    [
        ("alternating-0.5", 3, "standard", 3, "own"),
        ("alternating-0.5", 3, "standard", 2, "flops"),
        ("frozen_bottom-0.5", 3, "standard", 3, "epochs"),
        ("alternating-0.5", 2, "standard_matched_flops-0.5", 2, "epochs"),
    ],
)
def test_the_tables_hold_what_the_statistics_give_for_the_logs(
    ragged, strategy, epoch, reference, reference_epoch, budget
):
    table = comparison(ragged[1]["comparisons"], strategy, reference)
    sides = {name: arms(name, strategy, epoch, reference, reference_epoch) for name in NAMES}
    for name in [*NAMES, "all"]:
        pairs = list(zip(*(sides.values() if name == "all" else [sides[name]]), strict=True))
        seeds = [stream_seed(1, each, "bootstrap") for each in (NAMES if name == "all" else [name])]
        # rows are split 60 to 20 to 20
        expected = statistics.paired_comparisons(*pairs, seeds, 1 / 3)[-1]._asdict()
        expected["difference"] = expected.pop("mean_difference")
        differences = [other - one for one, other in zip(*pairs, strict=True)]
        expected["equivalence_p"] = statistics.two_one_sided_tests(differences, NOISY.equivalence_margin)
        row = table.loc[(name, budget, "final_test_accuracy")]
        for column, value in expected.items():
            assert row[column] == pytest.approx(value, abs=1e-6, nan_ok=True), (name, column)
        few = np.count_nonzero(np.concatenate(differences)) < 5
        said = statistics.verdict(row["low"], row["high"], NOISY.equivalence_margin)
        assert row["verdict"] == ("undecided" if few else said)
        assert row["pairs"] + row["dropped"] == 7 * (6 if name == "all" else 1)

    rows = ragged[1]["across_datasets"].set_index(["strategy", "reference", "budget"])
    row = rows.loc[(strategy, reference, budget)]
    differences = [other - one for one, other in sides.values()]
    means = np.round([values.mean() for values in differences], 8)
    for column, value in statistics.across_datasets(means)._asdict().items():
        assert row[column] == pytest.approx(float(value)), column
    seed = stream_seed(1, "across", "bootstrap")
    middle, mean = (statistics.interquartile_mean(differences, seed), statistics.cluster_mean(differences, seed))
    believed = statistics.bayesian_signed_rank(means, NOISY.equivalence_margin, seed)
    assert row["interquartile_mean"] == pytest.approx(middle.estimate)
    ends = ["interquartile_low", "interquartile_high", "cluster_low", "cluster_high"]
    assert row[ends].to_list() == pytest.approx([middle.low, middle.high, mean.low, mean.high], abs=1e-9)
    regions = ["probability_worse", "probability_equivalent", "probability_better"]
    assert row[regions].to_list() == pytest.approx(list(believed), abs=1e-9)
    assert row["verdict"] == statistics.verdict(row["low"], row["high"], NOISY.equivalence_margin)
    assert row["missing"] == 0
    overall = table.loc[("all", budget, "final_test_accuracy")]["difference"]
    assert row["mean"] == pytest.approx(overall, abs=1e-8)


def test_the_matrix_says_what_the_comparisons_at_each_own_end_do(ragged):
    rows = ragged[1]["across_datasets"]
    rows = rows[rows["budget"] == "own"].set_index(["strategy", "reference"])
    cells = ragged[1]["matrix"].set_index(["row", "column"]).loc[rows.index]
    assert len(rows) == 4 + 2
    same = ["wilcoxon_p", "datasets", "missing"]
    assert cells[same].to_numpy().tolist() == rows[same].to_numpy().tolist()
    assert cells["mean_difference"].to_numpy() == pytest.approx(rows["mean"].to_numpy(), abs=1e-12)


@pytest.mark.parametrize(("budget", "exact"), [("flops", True), ("epochs", False)])
def test_seeds_needed_are_those_of_the_primary_comparison(tmp_path, budget, exact):
    study = make_study(**FEW | {"primary_budget": budget})

    def parallel(dataset, strategy, seed, epoch):
        # alternating differs from the control of its operations by the same on every seed, and not from standard
        shift = 0.1 * (strategy == "alternating-0.5")
        return 0.5, noisy(dataset, "standard" if strategy == "standard" else "", seed, 3)[1] + shift

    found = compare_results(tmp_path, study, accuracies=parallel)["seeds_needed"]
    assert found["power"].iloc[0] == (1 if exact else pytest.approx(0.1, abs=0.1))
    assert (found["half_width"].max() < 1e-7) == exact


def test_of_one_data_set_all_says_the_same(tmp_path):
    study = make_study(**FEW | {"datasets": ["iris"]})
    found = compare_results(tmp_path, study, accuracies=noisy)
    one, every = (
        found["comparisons"][found["comparisons"]["dataset"] == name].drop(columns="dataset").reset_index(drop=True)
        for name in ("iris", "all")
    )
    pd.testing.assert_frame_equal(one, every)
    across = found["across_datasets"]
    assert (across["datasets"] == 1).all()
    # one data set says nothing of others
    assert (across["wilcoxon_p"] == 1).all()
    assert (across["can_be_significant"] == 0).all()
    assert (across["verdict"] == "undecided").all()
    assert across[["low", "high", "t_p", "cluster_low", "cluster_high"]].isna().all(axis=None)


def test_without_five_pairs_that_differ_there_is_no_verdict(tmp_path):
    def seldom(dataset, strategy, seed, epoch):
        """Return accuracies that differ for so many seeds of a data set."""
        differs = strategy == "alternating-0.5" and seed < {"iris": 4, "wine": 5}[dataset]
        return 0.8, 0.8 - (0.001 + 0.0001 * seed if differs else 0)

    study = make_study(**FEW | {"strategies": ["alternating"], "seeds": 9})
    rows = compare_results(tmp_path, study, accuracies=seldom)["comparisons"]
    rows = rows[(rows["budget"] == "own") & (rows["metric"] == "final_test_accuracy")].set_index("dataset")
    assert (rows["low"] < rows["high"]).all()
    # of standard training nothing is lost with the half of its budget
    assert rows["verdict"].to_dict() == {"iris": "undecided", "wine": "saturated", "all": "saturated"}


def test_a_panel_is_compared_as_if_there_were_no_other_data_sets(tmp_path):
    names, panels = ["iris", "wine", "digits"], {"all": ["iris", "digits"], "others": ["wine"]}
    config = FEW | {"datasets": names, "sources": {name: {"kind": "iris"} for name in names}}
    study = make_study(**config | {"primary_datasets": panels["all"]})
    found = compare_results(tmp_path / "both", study, accuracies=noisy)
    comparisons = found["comparisons"]
    for panel, members in panels.items():
        alone = make_study(**config | {"datasets": members})
        expected = compare_results(tmp_path / panel, alone, accuracies=noisy)
        mean = expected["comparisons"][expected["comparisons"]["dataset"] == "all"].drop(columns=["dataset", "family"])
        rows = comparisons[comparisons["dataset"] == panel].drop(columns=["dataset", "family"])
        pd.testing.assert_frame_equal(rows.reset_index(drop=True), mean.reset_index(drop=True))
        if panel == "all":
            for name in set(COMPARED) - {"comparisons", "times", "self_comparison", "endpoints", "sensitivity"}:
                pd.testing.assert_frame_equal(found[name], expected[name])
    assert set(comparisons.loc[comparisons["family"] == "primary", "dataset"]) == {"iris", "digits", "all"}


# changes of the study, the primary comparison and the strategies of its family
FAMILIES = [
    ({}, ("standard_matched_flops-0.5", "own"), []),
    (
        {"family": ["frozen_bottom-0.5", "again"], "strategies": RESULTS_CONFIG["strategies"]},
        ("standard_matched_flops-0.5", "own"),
        ["frozen_bottom-0.5", "again"],
    ),
    # it is in its family as the primary comparison, and in no other way
    ({"family": ["alternating-0.5", "again"]}, ("standard_matched_flops-0.5", "own"), ["again"]),
    ({"family": ["standard_matched_flops-0.5"]}, ("standard_matched_flops-0.5", "own"), ["standard_matched_flops-0.5"]),
    (
        {"primary_budget": "updates", "strategies": ["alternating", "standard_half_updates", "standard_matched_flops"]},
        ("standard_half_updates", "own"),
        [],
    ),
    ({"primary_budget": "epochs", "family": ["again"]}, ("standard", "epochs"), ["again"]),
    ({"primary_budget": "seconds", "family": ["alternating-0.5"]}, ("standard", "seconds"), []),
    ({"strategies": ["alternating"]}, ("standard", "flops"), []),
    ({"strategies": ["alternating"], "primary_budget": "updates"}, ("standard", "updates"), []),
    (
        {
            "freeze_ratios": [0.3, 0.5],
            "primary_freeze_ratio": 0.3,
            "family": ["alternating-0.5"],
            "strategies": ["alternating", {"name": "standard_matched_flops", "freeze_ratio": 0.5}],
        },
        ("standard", "flops"),
        ["alternating-0.5"],
    ),
    (
        {"variations": [{"width": 16}], "strategies": ["alternating", "random_half"], "family": ["random_half"]},
        ("standard", "flops"),
        ["random_half"],
    ),
    (
        {"depths": [3, 4], "family": ["alternating-0.5"], "strategies": ["alternating"]},
        ("standard", "flops"),
        [],
    ),
]


@pytest.mark.parametrize(("changes", "primary", "members"), FAMILIES)
def test_the_configuration_says_which_comparison_is_primary_and_which_are_tested_with_it(
    tmp_path, changes, primary, members
):
    study = make_study(**FEW | changes)
    found = compare_results(tmp_path, study, accuracies=noisy)
    across = found["across_datasets"]
    first = f"alternating-{study.primary_freeze_ratio:g}"
    expected = {(first, *primary): "primary"}
    expected |= {(label, "standard", study.primary_budget): "family" for label in members}
    names = ["strategy", "reference", "budget"]
    assert (across["family"] == "primary").sum() == 1
    chosen = across[across["family"] != "secondary"]
    assert dict(zip(chosen[names].itertuples(index=False, name=None), chosen["family"], strict=True)) == expected
    assert set(chosen["depth"]) == {4}
    assert set(chosen["recipe"]) == {"primary"}
    # the pairs of a comparison are of its family on every data set, and those of other metrics of none
    key = [*names, "depth", "recipe", "metric"]
    pairs = found["comparisons"][[*key, "family"]].drop_duplicates()
    assert not pairs.duplicated(key).any()
    both = pairs.merge(across[[*key, "family"]], on=key, how="left", suffixes=("", "_across"))
    assert (both["family"] == both["family_across"].fillna("secondary")).all()

    # the adjustment counts the family, and nothing else
    adjusted = chosen["adjusted_p"].to_numpy()
    assert adjusted.tolist() == statistics.holm(chosen["wilcoxon_p"].to_numpy()).tolist()
    assert across.loc[across["family"] == "secondary", "adjusted_p"].isna().all()
    if not members:
        assert adjusted.tolist() == chosen["wilcoxon_p"].tolist()


def test_the_smallest_p_value_of_a_family_is_multiplied_by_its_size(tmp_path):
    chosen = ["alternating", "standard_matched_flops", "frozen_bottom", "random_half", "standard_half_updates"]
    study = make_study(
        **NOISY_CONFIG | {"strategies": chosen, "family": ["frozen_bottom-0.5", "random_half", "standard_half_updates"]}
    )

    def by_strategy(dataset, strategy, seed, epoch):
        # of the family only the primary comparison has all data sets on one side
        high = {"alternating-0.5": 0.2, "frozen_bottom-0.5": 0.1 * (-1) ** NAMES.index(dataset)}
        return 0.5, 0.5 + high.get(strategy, 0) + 0.01 * NAMES.index(dataset) * (strategy in high)

    rows = compare_results(tmp_path, study, accuracies=by_strategy)["across_datasets"]
    primary = rows[rows["family"] == "primary"].iloc[0]
    assert primary["wilcoxon_p"] == primary["smallest_wilcoxon_p"] == 2**-5
    assert primary["can_be_significant"] == 1
    assert primary["adjusted_p"] == 4 * 2**-5
    # a difference of none on all data sets is no reason to believe in one
    same = rows[(rows["strategy"] == "random_half") & (rows["budget"] == "flops")].iloc[0]
    assert (same["nonzero"], same["wilcoxon_p"], same["adjusted_p"], same["can_be_significant"]) == (0, 1, 1, 0)


def test_a_member_of_the_family_without_a_pair_leaves_it(tmp_path):
    study = make_study(**FEW | {"family": ["standard_matched_flops-0.5", "again"]})
    rows = compare_results(tmp_path, study, accuracies=noisy, diverged=gone(strategy="again"))["across_datasets"]
    rows = rows[rows["family"] != "secondary"].set_index("strategy")
    assert sorted(rows["family"]) == ["family", "family", "primary"]
    assert rows.loc["again", ["wilcoxon_p", "adjusted_p"]].isna().all()
    assert (rows.loc["again", "datasets"], rows.loc["again", "missing"]) == (0, 2)
    left = rows.drop(index="again")
    assert left["adjusted_p"].tolist() == statistics.holm(left["wilcoxon_p"].to_numpy()).tolist()


def test_the_digits_of_the_logs_decide_no_verdict(tmp_path):
    study = make_study(**RESULTS_CONFIG | {"datasets": ["iris"], "strategies": ["alternating"]})

    def better_by_the_margin(dataset, strategy, seed, epoch):
        # by less on every other seed
        less = 1e-3 * (seed % 2)
        better = study.equivalence_margin - less if strategy != "standard" else 0
        # half of the training ends lower, so that being equivalent says something
        return 0.5, 2 / 3 + better - 0.1 * (epoch < study.epochs_standard) - less * (epoch == 1)

    row = comparison(compare_results(tmp_path, study, accuracies=better_by_the_margin)["comparisons"]).loc[
        ("iris", *FINAL)
    ]
    assert row["high"] > study.equivalence_margin
    assert row["verdict"] == "equivalent"


def test_the_digits_of_the_logs_break_no_tie(tmp_path):
    # of each data set another six of nine rows, twice the same mean: 0.111111111 and 0.888888889 are not two halves
    rights = {"iris": [1, 8, 4, 5, 2, 7], "wine": [3, 6, 3, 6, 4, 5]}

    def ninths(dataset, strategy, seed, epoch):
        right = sorted(rights[dataset])[seed % 6] if strategy == "standard" else [4, 5, 4, 5, 4, 5][seed % 6]
        return 0.5, (right + 9 * (strategy == "again")) / 27

    found = compare_results(tmp_path, SMALL, accuracies=ninths)
    assert found["comparisons"]["difference"].abs().between(1e-16, 1e-9).any()
    rows = found["across_datasets"].set_index(["strategy", "reference", "budget"])
    same = rows.loc[("alternating-0.5", "standard", "own")]
    assert (same["nonzero"], same["wilcoxon_p"], same["mean"]) == (0, 1, 0)
    # both data sets differ by a third, and by the same third
    third = rows.loc[("again", "standard", "own")]
    assert (third["nonzero"], third["low"], third["high"]) == (2, 0.33333333, 0.33333333)
    cells = found["matrix"].set_index(["row", "column"])
    assert cells.loc[("alternating-0.5", "standard"), ["wins", "ties", "losses"]].tolist() == [0, 2, 0]


@pytest.mark.parametrize(("margin", "said"), [(0.05, "lower"), (0.45, "equivalent")])
def test_a_cost_within_its_own_margin_is_equivalent(tmp_path, margin, said):
    study = make_study(**RESULTS_CONFIG | {"datasets": ["iris"], "strategies": ["alternating"], "cost_margin": margin})
    rows = comparison(compare_results(tmp_path, study)["comparisons"])
    # 69 of 99 operations and 54 of 93 seconds
    for metric in ("flops_ratio", "seconds_ratio"):
        assert rows.loc[("iris", "own", metric), "verdict"] == said
        assert rows.loc[("iris", "own", metric), "equivalence_p"] == (said == "lower")
    # and the margin of accuracies is another
    assert rows.loc[("iris", *FINAL), "verdict"] == "worse"


def test_a_cost_above_that_of_standard_training_is_higher(tmp_path):
    study = make_study(
        **RESULTS_CONFIG | {"datasets": ["iris"], "strategies": ["alternating"], "epochs_alternating": 6}
    )
    rows = comparison(compare_results(tmp_path, study)["comparisons"])
    assert rows.loc[("iris", "own", "flops_ratio"), "verdict"] == "higher"


def test_swapped_strategies_swap_every_figure(tmp_path):
    def swapped(dataset, strategy, seed, epoch):
        return noisy(dataset, {"standard": "again", "again": "standard"}.get(strategy, strategy), seed, epoch)

    gone = {("iris", "standard", 3), ("wine", "again", 1)}
    turned_gone = {("iris", "again", 3), ("wine", "standard", 1)}
    found = compare_results(tmp_path / "one", SMALL, accuracies=noisy, diverged=gone)
    other = compare_results(tmp_path / "other", SMALL, accuracies=swapped, diverged=turned_gone)
    turned = {
        name: table[(table["strategy"] == "again")].reset_index(drop=True)
        for name, table in other.items()
        if name in ("comparisons", "across_datasets")
    }
    opposite = {"better": "worse", "worse": "better"}
    pairs = turned["comparisons"]
    pairs = pairs.assign(
        **{name: -pairs[name] for name in ("difference", "median_difference", "cliffs_delta", "hedges_g")},
        **{one: -pairs[two] for one, two in (("low", "high"), ("high", "low"))},
        nadeau_bengio_low=-pairs["nadeau_bengio_high"],
        nadeau_bengio_high=-pairs["nadeau_bengio_low"],
        probability_of_improvement=1 - pairs["probability_of_improvement"],
        verdict=pairs["verdict"].replace(opposite),
        **{
            f"{what}{one}": pairs[f"{what}{two}"]
            for what, (one, two) in itertools.product(
                ("diverged_", "read_"), itertools.permutations(("reference", "strategy"))
            )
        },
        reference_mean=pairs["strategy_mean"],
        strategy_mean=pairs["reference_mean"],
    )
    table = found["comparisons"]
    expected = table[table["strategy"] == "again"].reset_index(drop=True)
    accurate = ~expected["metric"].str.endswith("_ratio")
    assert expected["diverged_reference"].sum() and expected["diverged_strategy"].sum()
    pd.testing.assert_frame_equal(pairs[accurate], expected[accurate], rtol=0, atol=1e-9)

    across = turned["across_datasets"]
    across = across.assign(
        mean=-across["mean"],
        median=-across["median"],
        low=-across["high"],
        high=-across["low"],
        interquartile_mean=-across["interquartile_mean"],
        probability_worse=across["probability_better"],
        probability_better=across["probability_worse"],
        verdict=across["verdict"].replace(opposite),
    )
    table = found["across_datasets"]
    expected = table[table["strategy"] == "again"].reset_index(drop=True)
    pd.testing.assert_frame_equal(across, expected, rtol=0, atol=1e-9)


def test_the_order_of_rows_changes_no_table(ragged, tmp_path):
    folder = ragged[0] / "tables"
    generator = np.random.default_rng(0)
    for name in ("runs", "times_to_target", "reached", "calibration", "targets", "speedups"):
        table = read_table(folder / f"{name}.csv", name)
        write_table(table.sample(frac=1, random_state=generator), tmp_path / f"{name}.csv")
    epochs = pd.read_parquet(folder / "epochs.parquet")
    epochs.sample(frac=1, random_state=generator).to_parquet(tmp_path / "epochs.parquet")
    compare(NOISY, tmp_path)
    for name in COMPARED:
        assert (tmp_path / f"{name}.csv").read_bytes() == (folder / f"{name}.csv").read_bytes(), name


def test_the_runs_of_a_cell_change_no_row_that_is_not_about_it(ragged, tmp_path):
    def others(dataset, strategy, seed, epoch):
        validation, test = noisy(dataset, strategy, seed, epoch)
        # down, where all strategies of wine were, and far enough to be another order of all
        return (validation, test / 3) if (dataset, strategy) == ("wine", "frozen_bottom-0.5") else (validation, test)

    gone = GONE | {("wine", "frozen_bottom-0.5", 0), ("wine", "frozen_bottom-0.5", 6)}
    after = compare_results(tmp_path, NOISY, accuracies=others, diverged=gone)
    keys = {
        "comparisons": ["dataset", "strategy", "reference", "budget", "metric"],
        "across_datasets": ["strategy", "reference", "budget"],
        "matrix": ["row", "column"],
        "self_comparison": ["dataset"],
        "variance": ["component"],
        "seeds_needed": ["seeds"],
    }
    for name, key in keys.items():
        # the family's adjusted p-values depend on one another, by design
        one, two = (
            each[name].drop(columns="adjusted_p", errors="ignore").set_index(key) for each in (ragged[1], after)
        )
        index = one.index.to_frame(index=False)
        about = index.isin(["frozen_bottom-0.5"]).any(axis=1).to_numpy()
        if "dataset" in key:
            about = about & index["dataset"].isin(["wine", "all"]).to_numpy()
        two = two.loc[one.index]
        pd.testing.assert_frame_equal(one[~about], two[~about])
        if about.any():
            assert not one[about].equals(two[about])


def test_what_else_is_compared_changes_no_row(found, tmp_path):
    fewer = make_study(**RESULTS_CONFIG | {"strategies": ["random_half", "alternating"]})
    again = compare_results(tmp_path, fewer)
    # random halves are compared with standard training, and alternating with both; own ends give a row for each metric
    assert len(again["comparisons"]) == 3 * (3 * len(OWN) + 2 * len(EQUAL_BUDGETS))
    for name in ("comparisons", "across_datasets", "matrix"):
        # what is primary depends on what is trained, as do the p-values of its family
        table, whole = (each[name].drop(columns=["family", "adjusted_p"], errors="ignore") for each in (again, found))
        assert (table.merge(whole, how="left", indicator=True)["_merge"] == "both").all(), name


def sizes(study):
    """Return how many rows each table has: what the configuration asks for, whatever came of it."""
    labels, depths = list(study.strategies), len(study.depths)
    cells = depths * len(study.target_levels)
    readings = [
        reading
        for depth in study.depths
        for recipe in study.recipes
        if depth in study.depths_of(recipe)
        for _, _, chosen in comparisons_of(study, recipe)
        for reading in chosen
    ]
    settings = [(depth, recipe) for recipe in study.recipes for depth in study.depths_of(recipe)]
    alternating = sum(label in study.labels_of(recipe) for _, recipe in settings for label in study.alternating)
    beside_standard = sum(label != "standard" for _, _, label, _ in study.cells)
    return {
        "comparisons": (len(study.datasets) + 1) * len(readings),
        "across_datasets": sum(metric == "final_test_accuracy" for _, metric in readings),
        "trends": len(BUDGETS) * depths * (len(study.freeze_ratios) >= 3),
        "times": beside_standard * len(study.target_levels) * len(CLOCKS),
        "profiles": len(labels) * cells * len(CLOCKS),
        "matrix": depths * len(labels) * (len(labels) - 1),
        "self_comparison": (len(study.datasets) + 1) * depths,
        "variance": 5 * depths,
        "seeds_needed": 11 * depths,
        "endpoints": (len(study.datasets) + 1) * 3 * alternating,
        # two endpoints, half and three quarters of the budget lost
        "sensitivity": (len(study.datasets) + 1) * 4 * len(settings),
        "variations": len(study.recipes),
    }


def gone(dataset=None, strategy=None, seeds=range(6), calibration=range(3)):
    """Return which runs diverged: all but those of another data set or strategy."""
    seeds = [*seeds, *(FIRST_CALIBRATION_SEED + index for index in calibration)]
    labels = list(SMALL.strategies) if strategy is None else [strategy]
    return set(itertools.product(["iris", "wine"] if dataset is None else [dataset], labels, seeds))


@pytest.mark.parametrize(
    ("changes", "diverged"),
    [
        ({}, {("iris", "standard", 2)}),
        ({}, gone("iris", "standard")),
        ({}, gone("iris", "alternating-0.5")),
        ({}, gone("iris")),
        ({}, gone(strategy="alternating-0.5")),
        ({}, gone(strategy="standard")),
        ({}, gone()),
        ({}, gone(seeds=(), calibration=(0, 1))),
        ({"datasets": ["iris"]}, ()),
        ({"datasets": ["iris"]}, gone()),
        ({"seeds": 1, "calibration_seeds": 1}, ()),
        ({"seeds": 1, "calibration_seeds": 1, "datasets": ["iris"], "strategies": ["alternating"]}, gone()),
        ({"seeds": 2}, {("iris", "alternating-0.5", 0), ("wine", "standard", 1)}),
        ({"epochs_alternating": 1, "freeze_ratios": [0.25, 0.5, 0.75]}, ()),
        ({"freeze_ratios": [0.25, 0.5, 0.75]}, gone("iris", "alternating-0.25")),
        ({"freeze_ratios": [0.25, 0.5, 0.75], "datasets": ["iris"]}, ()),
        (
            {"variations": [{"width": 16}], "depths": [3, 4], "strategies": ["alternating"]},
            gone("iris", "alternating-0.5"),
        ),
    ],
)
def test_whatever_came_of_the_runs_every_row_that_the_study_asks_for_is_there(tmp_path, changes, diverged):
    study = make_study(**FEW | changes)
    found = compare_results(tmp_path, study, diverged=diverged)
    assert {name: len(table) for name, table in found.items()} == sizes(study)
    pairs = found["comparisons"]
    # no seed is lost without a word; where no data set is above chance, all stand in the row
    left = len(study.datasets) - pairs["not_above_chance"].where(pairs["not_above_chance"] < len(study.datasets), 0)
    seeds = pairs["recipe"].map(lambda recipe: len(study.seeds_of(recipe)))
    expected = seeds * np.where(pairs["dataset"] == "all", left, 1)
    assert (pairs["pairs"] + pairs["dropped"] == expected).all()
    accountable = pairs[pairs["budget"] == "own"]
    assert (accountable["dropped"] <= accountable["diverged_reference"] + accountable["diverged_strategy"]).all()
    counts = ["datasets", "missing"]
    assert (found["matrix"][counts].sum(axis=1) == len(study.datasets)).all()
    assert (found["across_datasets"][[*counts, "not_above_chance"]].sum(axis=1) == len(study.datasets)).all()
    # an estimate that is not there is no verdict
    for table, estimate in (("comparisons", "low"), ("across_datasets", "low"), ("self_comparison", "low")):
        rows = found[table]
        assert rows.loc[rows[estimate].isna(), "verdict"].isin(["undecided", "not above chance"]).all(), table


def test_fewer_than_five_seeds_have_estimates_and_no_bootstrap_interval(tmp_path):
    study = make_study(**FEW | {"seeds": 4})
    found = compare_results(tmp_path, study, accuracies=noisy)
    rows = found["comparisons"]
    rows = rows[(rows["metric"] == "final_test_accuracy") & (rows["strategy"] == "alternating-0.5")]
    assert (rows.loc[rows["dataset"] != "all", "pairs"] == 4).all()
    assert rows[["difference", "nadeau_bengio_low", "minimum_detectable_difference"]].notna().all(axis=None)
    assert rows[["low", "high"]].isna().all(axis=None)
    assert (rows["verdict"] == "undecided").all()


def test_a_diverged_run_is_a_row_and_its_pair_is_counted_as_dropped_on_every_budget(tmp_path):
    results = write_results(tmp_path / "results", SMALL, diverged={("iris", "standard", 2)})
    found, table = collect_tables(results, SMALL), compare_tables(results, SMALL)["comparisons"]
    run = found["runs"].set_index(KEY).loc[("iris", 4, "standard", "primary", 2)]
    assert run["status"] == "diverged"
    assert run["best_epoch"] == 1
    assert math.isnan(run["final_test_accuracy"])
    rows = comparison(table)
    row = rows.loc[("iris", *FINAL)]
    left = [-0.01, -0.02, -0.04, -0.05, -0.06]
    assert row["difference"] == pytest.approx(np.mean(left))
    # at equal updates it is read before it diverged, and yet its pair is no other than at the end
    iris = rows.loc["iris"][["pairs", "dropped", "diverged_reference", "diverged_strategy"]]
    assert (iris == [5, 1, 1, 0]).all(axis=None)
    assert rows.loc["iris"]["difference"].notna().all()
    other = comparison(table, "alternating-0.5", "standard_matched_flops-0.5").loc["iris"]
    assert (other[["dropped", "diverged_reference", "diverged_strategy"]] == 0).all(axis=None)
    assert rows.loc[("all", *FINAL)]["dropped"] == 1
    # data sets weigh the same, though one has fewer pairs
    expected = (np.mean(left) + np.mean([-0.01, -0.02, -0.03, -0.04, -0.05, -0.06])) / 2
    assert rows.loc[("all", *FINAL)]["difference"] == pytest.approx(expected)


def test_a_data_set_without_a_pair_leaves_the_estimate_empty_rather_than_wrong(tmp_path):
    found = compare_results(tmp_path, SMALL, diverged={("iris", "standard", seed) for seed in range(6)})
    rows = comparison(found["comparisons"])
    empty = ["difference", "low", "high", "reference_mean", "strategy_mean", "read_reference", "read_strategy"]
    for dataset in ("iris", "all"):
        assert rows.loc[(dataset, *FINAL)][empty].isna().all()
        assert rows.loc[(dataset, *FINAL)]["dropped"] == 6
        assert rows.loc[(dataset, *FINAL)]["verdict"] == "undecided"
    assert rows.loc[("wine", *FINAL)][empty].notna().all()
    # on data sets like these there is still one to learn from, and the row says which is not
    row = found["across_datasets"].set_index(["strategy", "reference", "budget"])
    row = row.loc[("alternating-0.5", "standard", "own")]
    assert (row["datasets"], row["missing"]) == (1, 1)
    assert row["mean"] == pytest.approx(rows.loc[("wine", *FINAL)]["difference"])


def test_where_the_first_epoch_exceeds_the_common_end_there_is_no_pair(tmp_path):
    found = compare_results(tmp_path, make_study(**FEW | {"epochs_alternating": 1}))
    rows = comparison(found["comparisons"])
    # alternating's only epoch takes 21 products, 1.5 updates and 16 seconds; standard's first 33, 3 and 31
    for budget in ("updates", "flops", "seconds"):
        row = rows.loc[("iris", budget, "final_test_accuracy")]
        assert (row["pairs"], row["dropped"], row["diverged_reference"]) == (0, 6, 0)
        assert math.isnan(row["difference"])
        assert rows.loc[("all", budget, "final_test_accuracy")]["dropped"] == 12
    row = rows.loc[("iris", "epochs", "final_test_accuracy")]
    assert (row["pairs"], row["read_reference"], row["read_strategy"]) == (6, pytest.approx(1 / 3), 1)
    across = found["across_datasets"]
    across = across[(across["strategy"] == "alternating-0.5") & (across["reference"] == "standard")].set_index("budget")
    for budget in ("updates", "flops", "seconds"):
        row = across.loc[budget]
        assert (row["datasets"], row["missing"], row["nonzero"], row["can_be_significant"]) == (0, 2, 0, 0)
        assert (row["verdict"], math.isnan(row["wilcoxon_p"])) == ("undecided", True)


def test_a_variation_is_the_primary_comparison_with_each_control_under_its_recipe(tmp_path):
    study = make_study(**FEW | {"variations": [{"width": 16}], "variation_seeds": 5, "datasets": ["iris"]})
    found = compare_results(tmp_path, study)
    rows = found["comparisons"]
    primary, varied = (rows[rows["recipe"] == recipe] for recipe in ("primary", "width=16"))
    assert set(varied["strategy"]) == {"alternating-0.5"}
    assert set(varied["reference"]) == set(study.labels_of("width=16")) - {"alternating-0.5"}
    # the timing study times the primary recipe
    assert not varied["budget"].eq("seconds").any() and not varied["metric"].eq("seconds_ratio").any()
    assert (varied["family"] == "secondary").all()
    runs = read_table(tmp_path / "results" / "tables" / "runs.csv", "runs")
    assert runs.groupby("recipe")["reference_seconds"].count().to_dict() == {
        "primary": len(runs) - 5 * len(study.labels_of("width=16")),
        "width=16": 0,
    }
    # these logs do not depend on the width, and the first seeds of the primary recipe are those of the variation
    pairs = read_table(tmp_path / "results" / "tables" / "pairs.csv", "pairs")
    key = ["dataset", "depth", "strategy", "reference", "budget", "metric", "seed"]
    first = pairs[pairs["recipe"] == "primary"].merge(pairs[pairs["recipe"] == "width=16"], on=key)
    assert len(first) == (pairs["recipe"] == "width=16").sum() > 0
    accuracies = first[~first["metric"].str.endswith("_ratio")]
    assert accuracies["difference_x"].equals(accuracies["difference_y"])
    for name in ("trends", "profiles", "matrix"):
        assert set(found[name]["recipe"]) <= {"primary"}, name
    assert set(found["times"]["recipe"]) == {"primary", "width=16"}
    assert len(primary) > len(varied)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from([pack for pack in RESULTS_STUDY.packs if not pack.calibrates]),
        min_size=1,
        max_size=4,
        unique=True,
    )
)
def test_without_some_packs_only_the_comparisons_with_them_change_and_they_count_what_is_missing(whole, found, lost):
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        shutil.copytree(whole, results)
        for pack in lost:
            (results / "runs" / f"{pack.stem}.csv").unlink()
        collect(RESULTS_STUDY, results, results / "tables", missing="mark")
        after = compare_tables(results)
    key = ["dataset", "strategy", "reference", "budget", "metric"]
    before, rows = (each["comparisons"].set_index(key) for each in (found, after))
    assert rows.index.tolist() == before.index.tolist()
    gone = {(pack.dataset, pack.strategy): 0 for pack in lost}
    for pack in lost:
        gone[pack.dataset, pack.strategy] += pack.last_seed - pack.first_seed + 1
    names = {name: [name] for name in RESULTS_STUDY.datasets} | {"all": RESULTS_STUDY.datasets}
    touched = []
    for (dataset, strategy, reference, budget, metric), row in rows.iterrows():
        for side, label in (("reference", reference), ("strategy", strategy)):
            assert row[f"missing_{side}"] == sum(gone.get((name, label), 0) for name in names[dataset])
        touched.append(bool(row["missing_reference"] + row["missing_strategy"]))
        assert row["pairs"] + row["dropped"] == 6 * len(names[dataset])
        # a data set without any pair leaves 'all' without an estimate, rather than another question answered
        if dataset == "all":
            each = [rows.loc[(name, strategy, reference, budget, metric), "pairs"] for name in names[dataset]]
            assert math.isnan(row["difference"]) == (min(each) == 0)
    touched = np.array(touched)
    pd.testing.assert_frame_equal(rows[~touched], before[~touched])
    assert touched.any()
    for name in ("times", "matrix"):
        parts = found[name].columns.intersection(["strategy", "row", "column"])
        labels = {strategy for _, strategy in gone}
        same = ~found[name][parts].isin(labels).any(axis=1)
        same &= "standard" not in labels or name == "matrix"
        pd.testing.assert_frame_equal(
            after[name].set_index([*parts]).loc[found[name][same].set_index([*parts]).index],
            found[name][same].set_index([*parts]),
        ) if name == "matrix" else pd.testing.assert_frame_equal(after[name][same], found[name][same])


def test_several_processes_compare_to_the_same_bytes(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "FEWEST_TASKS", 2)
    # a process of its own draws as often as there is to draw
    monkeypatch.setattr(statistics.across, "POSTERIOR_DRAWS", 50_000)
    for threads in (1, 2):
        shutil.copytree(whole / "tables", tmp_path / str(threads))
        compare(RESULTS_STUDY, tmp_path / str(threads), threads)
    for name in (*COMPARED, "pairs"):
        one, two = ((tmp_path / str(threads) / f"{name}.csv").read_bytes() for threads in (1, 2))
        assert one == two, name


def shorten(table):
    return table[:-1]


def rename(table):
    return table.replace({"strategy": {"random_half": "other"}})


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("runs", lambda runs: runs[runs["strategy"] != "random_half"], "no run of iris 4 random_half primary"),
        ("runs", shorten, "are not 0 to 5"),
        ("epochs", lambda rows: rows[rows["strategy"] != "random_half"], "no run of iris 4 random_half primary"),
        # a run without its last epoch, and one without its first
        ("epochs", shorten, "are not 0 to 5"),
        ("epochs", lambda epochs: epochs[1:], "are not 0 to 5"),
        ("times_to_target", shorten, "times_to_target.csv: its rows are not those"),
        ("times_to_target", rename, "times_to_target.csv: its rows are not those"),
        ("reached", shorten, "reached.csv: its rows are not those"),
        ("reached", rename, "reached.csv: its rows are not those"),
        ("targets", shorten, "targets.csv: its rows are not those"),
        ("calibration", lambda table: table.drop(columns="seed"), "calibration.csv: columns differ"),
    ],
)
def test_a_comparison_needs_every_run(whole, tmp_path, name, change, words):
    for source in ("runs", "times_to_target", "reached", "calibration", "targets", "speedups"):
        shutil.copy(whole / "tables" / f"{source}.csv", tmp_path)
    shutil.copy(whole / "tables" / "epochs.parquet", tmp_path)
    if name == "epochs":
        change(pd.read_parquet(tmp_path / "epochs.parquet")).to_parquet(tmp_path / "epochs.parquet")
    else:
        path = tmp_path / f"{name}.csv"
        write_table(change(read_table(path, name)), path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError) as caught:
        compare(RESULTS_STUDY, tmp_path)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()
    # what is not whole is not compared in part
    assert sorted(tmp_path.iterdir()) == before


def test_comparing_twice_gives_the_same_bytes(whole, tmp_path):
    shutil.copytree(whole / "tables", tmp_path / "tables")
    for name in COMPARED:
        (tmp_path / "tables" / f"{name}.csv").unlink()
    compare_tables(tmp_path)
    for name in COMPARED:
        path = tmp_path / "tables" / f"{name}.csv"
        assert path.read_bytes() == (whole / "tables" / f"{name}.csv").read_bytes()
        write_table(read_table(path, name), tmp_path / "again.csv")
        assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()


def partly_by_chance(*datasets):
    """Return accuracies of which the validation part's are no better than chance on some data sets."""

    def accuracies(dataset, strategy, seed, epoch):
        return (0.2 if dataset in datasets else 0.8), logged(dataset, strategy, seed, epoch)

    return accuracies


def test_where_standard_training_is_not_above_chance_accuracies_get_no_verdict(tmp_path):
    found = compare_results(tmp_path, SMALL, accuracies=partly_by_chance("iris", "wine"))
    rows = found["comparisons"].set_index("metric")
    accuracies = rows.loc[["final_test_accuracy", "best_test_accuracy"]]
    assert (accuracies["verdict"] == "not above chance").all()
    assert accuracies["equivalence_p"].isna().all()
    assert accuracies["difference"].notna().all()
    assert (accuracies["not_above_chance"] == np.where(accuracies["dataset"] == "all", 2, 1)).all()
    # what a training costs is known all the same
    costs = rows.loc[["flops_ratio", "seconds_ratio"]]
    assert (costs["verdict"] != "not above chance").all()
    assert (costs["not_above_chance"] == 0).all()
    across = found["across_datasets"]
    assert (across["verdict"] == "not above chance").all()
    assert (across[["datasets", "missing", "not_above_chance"]] == [0, 0, 2]).all(axis=None)
    assert found["seeds_needed"]["power"].isna().all()


def test_a_data_set_not_above_chance_is_no_evidence_of_no_difference(tmp_path):
    whole = compare_results(tmp_path / "whole", NOISY, accuracies=partly_by_chance())
    found = compare_results(tmp_path / "part", NOISY, accuracies=partly_by_chance("iris"))
    left = make_study(**NOISY_CONFIG | {"datasets": NAMES[1:]})
    without = compare_results(tmp_path / "without", left, accuracies=partly_by_chance())
    chance = ["not_above_chance"]
    key = ["dataset", "strategy", "reference", "budget", "metric"]
    rows, before, expected = (tables["comparisons"].set_index(key).sort_index() for tables in (found, whole, without))
    costs = rows.index.get_level_values("metric").isin(["flops_ratio", "seconds_ratio"])
    accuracies = rows[~costs]
    every = accuracies.loc[["all"]].drop(columns=chance)
    pd.testing.assert_frame_equal(every, expected.loc[every.index].drop(columns=chance))
    pd.testing.assert_frame_equal(rows[costs], before[costs])
    assert (accuracies.loc["iris", "verdict"] == "not above chance").all()
    assert (accuracies.loc["wine", "verdict"] != "not above chance").all()
    assert (accuracies.loc["all", "not_above_chance"] == 1).all()
    across, others = (tables["across_datasets"].drop(columns=chance) for tables in (found, without))
    pd.testing.assert_frame_equal(across, others)
    for name in ("trends", "seeds_needed"):
        pd.testing.assert_frame_equal(found[name], without[name])
