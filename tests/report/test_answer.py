"""The answer in two halves and the sentences below it, on tables made for each case."""

import itertools

import numpy as np
import pandas as pd
import pytest
from altfreeze.report.answer import below, sooner
from altfreeze.report.answer.first import answer, word
from altfreeze.support.errors import InputError
from altfreeze.vocabulary import METRICS
from builders import (
    make_comparisons,
    make_endpoints,
    make_runs,
    make_sensitivity,
    make_small_study,
    make_variations,
)


def test_the_answer_names_scope_word_and_both_halves():
    study = make_small_study()
    assert answer(study, make_endpoints(study)) == (
        "6-layer MLPs, 2 data sets, 3 seeds each: No. Freezing the lower and the upper half of the layers in turn, "
        "on the "
        "mean of the data sets, took 20 % more operations than standard training to come 90 % of the way to its "
        "accuracy "
        "(95 % interval 10 to 30 % more; 32 % more seconds, measured alone); it ended 2.0 accuracy points lower than "
        "standard training that stops at the same number of operations (95 % interval −3.0 to −1.0)."
    )


END = {"worse": (-0.02, -0.03, -0.01), "better": (0.02, 0.01, 0.03), "equivalent": (0.001, -0.004, 0.005)}
END |= {"undecided": (0.0, -0.03, 0.03), "saturated": (0.001, -0.004, 0.005)}
TIME = {
    "higher": (1.2, 1.1, 1.3),
    "lower": (0.8, 0.7, 0.9),
    "equivalent": (1.0, 0.98, 1.02),
    "undecided": (1.0, 0.7, 1.4),
}


@pytest.mark.parametrize(("end", "time"), itertools.product(END, TIME))
def test_the_word_follows_from_both_verdicts(end, time):
    study = make_small_study()
    table = make_endpoints(study, end=END[end], time=TIME[time], end_verdict=end)
    won, lost = (end == "better") + (time == "lower"), (end == "worse") + (time == "higher")
    told = end not in ("undecided", "saturated") and time != "undecided"
    expected = "It depends" if won and lost else "Yes" if won else "No" if told else "Cannot tell"
    assert word(study, table).startswith(expected)
    assert word(study, table).endswith("; cannot tell whether as good") == (
        expected == "Yes" and end in ("undecided", "saturated")
    )
    assert word(study, table).endswith("; cannot tell whether as fast") == (expected == "Yes" and time == "undecided")
    sentence = answer(study, table)
    assert f": {expected}" in sentence
    assert ("better" in word(study, table), "faster" in word(study, table)) == (
        (end == "better", time == "lower") if expected == "Yes" else (False, False)
    )


def test_a_cell_of_the_grid_that_says_the_opposite_makes_it_depend():
    study = make_small_study()
    table = make_endpoints(study)
    other = table[(table["dataset"] == "all") & (table["endpoint"] == "end")].assign(depth=8, verdict="better")
    assert word(study, pd.concat([table, other.assign(verdict="worse")])) == "No"
    assert word(study, pd.concat([table, other])) == "It depends"
    # what another recipe says does not decide
    assert word(study, pd.concat([table, other.assign(recipe="width=16")])) == "No"


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ((0.004, 0.001, 0.007), "0.4 accuracy points higher than"),
        ((0.004, 0.001, 0.007), ", higher by less than 1 accuracy point"),
        ((-0.004, -0.007, -0.001), ", lower by less than 1 accuracy point"),
        ((-0.001, -0.007, 0.005), ", no difference of 1 accuracy point"),
        ((-0.01, -0.03, 0.01), "(95 % interval −3.0 to +1.0), which is undecided"),
        ((-0.0001, -0.007, 0.005), "0.0 accuracy points from standard"),
    ],
)
def test_estimate_margin_and_sign_are_said_apart(end, words):
    study = make_small_study()
    assert words in answer(study, make_endpoints(study, end=end))


def test_a_saturated_end_says_that_it_cannot_tell_and_why():
    study = make_small_study()
    sentence = answer(study, make_endpoints(study, end=(0.001, -0.004, 0.005), end_verdict="saturated"))
    assert ": Cannot tell. " in sentence
    assert sentence.endswith(", where the end does not notice that standard training lost half of its budget.")


def test_fewer_operations_and_ranges_over_none_are_said_in_words():
    study = make_small_study()
    assert "took 20 % fewer operations" in answer(study, make_endpoints(study, time=(0.8, 0.7, 0.9)))
    assert "(95 % interval 10 to 30 % fewer;" in answer(study, make_endpoints(study, time=(0.8, 0.7, 0.9)))
    assert "(95 % interval 30 % fewer to 40 % more;" in answer(study, make_endpoints(study, time=(1.0, 0.7, 1.4)))


def test_without_its_control_the_end_is_that_of_standard_training_at_the_budget():
    study = make_small_study(strategies=["alternating"])
    assert "lower than standard training at equal operations (95 %" in answer(study, make_endpoints(study))


def test_other_splits_are_named():
    study = make_small_study(freeze_ratios=[0.3], primary_freeze_ratio=0.3)
    assert "Freezing the lower 2 and the upper 4 layers in turn" in answer(study, make_endpoints(study))


def test_log_loss_is_better_or_worse():
    study = make_small_study(metric="log_loss")
    assert "hundredths of a nat worse than" in answer(study, make_endpoints(study))


def test_nothing_above_chance_has_no_word():
    study = make_small_study()
    table = make_endpoints(study, verdict="not above chance")
    assert answer(study, table) == (
        "6-layer MLPs, 2 data sets, 3 seeds each: no verdict on alternating freezing. Standard training is not above "
        "chance on any of the 2 data sets, no better than to always name the largest class, so there is nothing to "
        "compare."
    )
    some = make_endpoints(study)
    some.loc[some["dataset"] == "wine", "verdict"] = "not above chance"
    assert "1 data set (without wine, where standard training is not above chance), 3 seeds each: No." in answer(
        study, some
    )


def test_what_has_no_pair_claims_nothing():
    study = make_small_study()
    nothing = make_endpoints(study, effect=np.nan, low=np.nan, high=np.nan, verdict="undecided")
    sentence = answer(study, nothing)
    assert ": Cannot tell. " in sentence
    assert "cannot be told: a data set has no pair of runs that both ended" in sentence
    assert "nan" not in sentence
    no_interval = make_endpoints(study, low=np.nan, high=np.nan, verdict="undecided")
    assert answer(study, no_interval).count("no interval") == 2


def test_pairs_that_are_left_out_are_said_in_the_first_words():
    study = make_small_study()
    sentence = answer(study, make_endpoints(study, pairs=4))
    assert sentence.startswith("6-layer MLPs, 2 data sets, 3 seeds each (4 of 6 pairs, the others left out): ")


def test_the_table_must_have_the_primary_rows():
    study = make_small_study()
    table = make_endpoints(study)
    with pytest.raises(InputError, match="endpoints: 0 rows of depth 6, "):
        answer(study, table[table["endpoint"] != "time"])


def test_sensitive_counts_the_data_sets_that_notice_half():
    study = make_small_study()
    table = make_endpoints(study)
    assert below.sensitive(study, make_sensitivity(study), table) == (
        "On 1 of 2 data sets the end is sensitive: it shows that standard training lost half of its budget; elsewhere, "
        "that no difference is seen says nothing."
    )
    assert below.sensitive(study, make_sensitivity(study, noticed=2), table).endswith("half of its budget.")


def test_why_names_the_control_of_as_many_updates_and_its_costs():
    study = make_small_study()
    assert below.why(study, make_comparisons(study)) == (
        "Against standard training for half of the steps, which updates each layer as often, it ended −2.00 points "
        "[−3.00, −1.00]: worse, for 25 % fewer operations and 25 % fewer seconds."
    )
    only = make_small_study(strategies=["alternating"])
    assert below.why(only, make_comparisons(only)) == ""


def test_other_recipes_are_counted_and_the_worst_is_named():
    study = make_small_study(variations=[{"width": 16}, {"width": 32}])
    table = make_variations(study)
    table.loc[1, ["end_verdict", "time_verdict", "cripples"]] = ["undecided", "lower", "yes"]
    assert below.other_recipes(study, table) == (
        "Of 2 other recipes, it ends lower under 1 and higher under none; it reaches the target later under 1 and "
        "sooner "
        "under 1. Its end is worst with width=32 (−2.00 points). Standard training itself ends worse, by more than the "
        "margin, with width=16."
    )
    assert below.other_recipes(study, table[:1]) == ""


def test_grid_and_carriers_tell_where():
    study = make_small_study()
    table = make_endpoints(study)
    assert below.grid(study, table) == ""
    other = table[table["dataset"] == "all"].assign(depth=8, family="secondary")
    other.loc[other["endpoint"] == "end", "verdict"] = "saturated"
    assert below.grid(study, pd.concat([table, other])) == (
        "Over the 2 cells of depth and freeze ratio the end is lower in 1 and saturated in 1; the time to the "
        "target is longer in 2."
    )
    assert below.carriers(study, table) == (
        "By the pairs of a single data set, the end is lower on iris and wine; the target is reached later on iris "
        "and wine."
    )


def test_data_sets_like_these_are_the_unit_of_both_endpoints():
    study = make_small_study()
    sentence = below.generalisation(study, make_endpoints(study, end_below=2, time_above=2))
    assert sentence == (
        "For data sets like these (95 % t intervals of the mean): on the way to the target 10 to 30 % more operations, "
        "later on 2 of 2 (sign test p = 0.5, Wilcoxon's 0.25, 0.5 by Holm): undecided; at the end −3.00 to −1.00 "
        "points, "
        "lower on 2 of 2 (sign test p = 0.5, Wilcoxon's 0.25, 0.5 by Holm): undecided."
    )
    assert below.generalisation(study, make_endpoints(study, datasets=1)) == ""


def test_the_other_panel_stands_beside():
    study = make_small_study(datasets=["iris", "wine", "digits"], primary_datasets=["iris", "wine"])
    assert below.other_panel(study, make_endpoints(study)) == (
        "On the 1 other data set (digits) it took 20 % more operations to the target (higher) and it ended −2.00 "
        "points "
        "[−3.00, −1.00] (worse)."
    )
    assert below.other_panel(make_small_study(), make_endpoints(make_small_study())) == ""


def test_left_out_counts_pairs_and_whose_runs_diverged():
    study = make_small_study()
    runs = make_runs(study)
    assert below.left_out(runs, make_comparisons(study), METRICS["accuracy"]) == ""
    runs.loc[(runs["strategy"] == "standard") & (runs["dataset"] == "iris") & (runs["seed"] == 0), "status"] = (
        "diverged"
    )
    sentence = below.left_out(runs, make_comparisons(study, dropped=1), METRICS["accuracy"])
    assert sentence.startswith("Left out (diverged runs: 1 of standard training, 0 of the other strategies): ")
    assert "1 pair in 1 cell of this comparison" in sentence


def test_a_diverged_run_counts_as_one_at_chance_in_the_worst_case():
    study = make_small_study(datasets=["iris", "wine"], primary_datasets="all")
    strategy, reference, _ = study.primary
    keys = [(dataset, label, seed) for dataset in study.datasets for label in (strategy, reference) for seed in (0, 1)]
    runs = pd.DataFrame(keys, columns=["dataset", "strategy", "seed"])
    runs = runs.assign(depth=study.primary_depth, recipe="primary", status="ok", final_test_accuracy=0.9)
    targets = pd.DataFrame({"dataset": study.datasets, "chance": [0.4, 0.5], "above_chance": "yes"})
    targets = targets.assign(depth=study.primary_depth, recipe="primary")
    assert below.worst_case(study, runs, targets) == ""
    first = (runs["dataset"] == "iris") & (runs["strategy"] == strategy) & (runs["seed"] == 0)
    runs.loc[first, ["status", "final_test_accuracy"]] = ["diverged", np.nan]
    # half of the rows are lost in one of two pairs, on one of two data sets
    assert below.worst_case(study, runs, targets) == "With its 1 diverged run at chance, it would end −12.50 points."


def test_the_rule_on_the_way_says_how_much_later():
    study = make_small_study()
    finding = sooner.gets_there_sooner(study, {"endpoints": make_endpoints(study, time_above=2)})
    assert finding.sentence == (
        "No, later: to come 90 % of the way alternating-0.5 takes 20 % more operations than standard training (95 % "
        "interval 10 to 30 % more; 6 pairs), and 32 % more seconds, measured alone. It is later on 2 and sooner on "
        "0 of 2 "
        "data sets."
    )
    nothing = make_endpoints(study, low=np.nan, high=np.nan, verdict="undecided")
    assert sooner.gets_there_sooner(study, {"endpoints": nothing}) is None
