"""The answer in one sentence and the sentences below it, on tables made for each case."""

import numpy as np
import pandas as pd
import pytest
from altfreeze.report import answer as answering
from altfreeze.support.errors import InputError
from builders import make_across, make_comparisons, make_default_study, make_runs, make_small_study


def test_answer_that_lost_names_effect_reference_interval_and_pairs():
    study = make_small_study()
    assert answering.answer(study, make_comparisons(study)) == (
        "Alternating freezing lost: with the lower and the upper half of the layers frozen in turn, depth-6 networks "
        "ended 2.00 accuracy points below standard training that stops at the same number of operations "
        "(95 % interval 1.00 to 3.00 below; 6 pairs: 2 data sets × 3 seeds)."
    )


def test_answer_of_the_default_study_keeps_its_words():
    study = make_default_study()
    table = make_comparisons(study, difference=-0.0032, low=-0.0069, high=0.0007, pairs=90)
    assert answering.answer(study, table) == (
        "Alternating freezing made no difference of 1 accuracy point or more: with the lower and the upper half of the "
        "layers frozen in turn, depth-6 networks ended 0.32 accuracy points below standard training that stops at the "
        "same number of operations (95 % interval 0.69 below to 0.07 above; 90 pairs: 9 data sets × 10 seeds)."
    )


def test_answer_that_won():
    study = make_small_study()
    sentence = answering.answer(study, make_comparisons(study, difference=0.02, low=0.01, high=0.03))
    assert sentence.startswith("Alternating freezing won: ")
    assert (
        "ended 2.00 accuracy points above standard training that stops at the same number of operations (95 %"
        in sentence
    )


@pytest.mark.parametrize(
    ("low", "high", "opening"),
    [
        (-0.009, -0.001, "Alternating freezing lost, by less than 1 accuracy point: "),
        (0.001, 0.009, "Alternating freezing won, by less than 1 accuracy point: "),
        (-0.009, 0.009, "Alternating freezing made no difference of 1 accuracy point or more: "),
    ],
)
def test_answer_within_the_margin_says_so(low, high, opening):
    study = make_small_study()
    assert answering.answer(study, make_comparisons(study, low=low, high=high)).startswith(opening)


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ("epochs", "standard training at equal epochs"),
        ("updates", "standard training for half of the steps"),
        ("flops", "standard training that stops at the same number of operations"),
        ("seconds", "standard training at equal seconds, measured alone"),
    ],
)
def test_answer_is_about_the_configured_budget_and_reason_about_the_others(budget, words):
    study = make_small_study(primary_budget=budget)
    table = make_comparisons(study)
    assert f"below {words}" in answering.answer(study, table)
    assert words not in answering.reason(study, table)


def test_without_its_control_the_budget_is_read_on_standard_training():
    study = make_small_study(strategies=["alternating"])
    table = make_comparisons(study)
    assert "below standard training at equal operations (95 %" in answering.answer(study, table)


def test_reason_names_every_other_budget_and_what_was_spent():
    study = make_small_study()
    assert answering.reason(study, make_comparisons(study)) == (
        "It ended 2.00 points below standard training at equal epochs (95 % interval 1.00 to 3.00 below: worse), "
        "and 2.00 points below standard training for half of the steps "
        "(95 % interval 1.00 to 3.00 below: worse). "
        "Its whole training took 75 % of the operations of standard training (50 and 50 epochs)."
    )
    # a control that matches another period is no reference of it
    other = make_comparisons(study)
    assert "half of the steps" not in answering.reason(study, other[other["reference"] != "standard_half_updates"])
    only = make_small_study(strategies=["alternating"], epochs_standard=20)
    assert answering.reason(only, make_comparisons(only)) == (
        "It ended 2.00 points below standard training at equal epochs (95 % interval 1.00 to 3.00 below: worse). "
        "Its whole training took 75 % of the operations of standard training (50 and 20 epochs)."
    )


def test_generalisation_takes_the_data_set_as_the_unit_and_warns_where_nothing_could_be_significant():
    study = make_small_study()
    assert answering.generalisation(study, make_across(study)) == (
        "On data sets like these, of which 9 are a small sample, the mean difference is −0.40 points "
        "(95 % t interval −1.20 to 0.40; exact Wilcoxon p = 0.82): undecided."
    ).replace("to 0.40", "to +0.40")
    few = make_across(study, datasets=4, smallest_wilcoxon_p=0.125, can_be_significant=0)
    assert "no result could be significant (the smallest p-value that they permit is 0.12)" in answering.generalisation(
        study, few
    )
    family = make_small_study(family=["random_half"])
    assert "p = 0.82, 0.9 after Holm's adjustment" in answering.generalisation(
        family, make_across(family, adjusted_p=0.9)
    )
    assert answering.generalisation(study, make_across(study, datasets=1)) == ""


@pytest.mark.parametrize(
    ("low", "high", "interval"),
    [(-0.03, 0.01, "3.00 below to 1.00 above"), (-0.03, 0.0, "3.00 below to 0.00"), (0.0, 0.03, "0.00 to 3.00 above")],
)
def test_answer_is_undecided_where_the_interval_meets_zero(low, high, interval):
    study = make_small_study()
    sentence = answering.answer(study, make_comparisons(study, difference=-0.01, low=low, high=high))
    assert sentence.startswith("Undecided: ")
    assert f"(95 % interval {interval};" in sentence


def test_answer_takes_rounding_of_the_logs_for_no_difference():
    study = make_small_study()
    sentence = answering.answer(study, make_comparisons(study, difference=-1e-10, low=-2e-10, high=-1e-11))
    assert sentence.startswith("Alternating freezing made no difference of 1 accuracy point or more: ")
    assert "ended 0.00 accuracy points from standard training that stops" in sentence
    assert "(95 % interval 0.00 to 0.00;" in sentence


def test_answer_never_shows_an_end_that_decides_as_zero():
    study = make_small_study()
    sentence = answering.answer(study, make_comparisons(study, difference=-0.002, low=-0.014, high=-0.00002))
    assert sentence.startswith("Alternating freezing lost: ")
    assert "(95 % interval 0.002 to 1.400 below;" in sentence


def test_answer_without_interval_says_so():
    study = make_small_study(seeds=1)
    sentence = answering.answer(study, make_comparisons(study, low=np.nan, high=np.nan, pairs=2))
    assert sentence.startswith("Undecided: ")
    assert "(no interval: a data set has fewer than five pairs; 2 pairs: 2 data sets × 1 seed)" in sentence


def test_answer_without_a_usable_pair_claims_nothing():
    study = make_small_study()
    table = make_comparisons(study, difference=np.nan, low=np.nan, high=np.nan, pairs=3, dropped=3)
    sentence = answering.answer(study, table)
    assert sentence.startswith("Undecided: ")
    assert "cannot be compared" in sentence
    assert "3 of 6 pairs" in sentence
    assert "nan" not in sentence


def test_dropped_pairs_are_counted_in_the_answer_and_in_the_sentence_after():
    study = make_small_study()
    table, runs = make_comparisons(study, pairs=4, dropped=2), make_runs(study)
    runs.loc[(runs["strategy"] == "standard") & (runs["dataset"] == "iris") & (runs["seed"] < 2), "status"] = "diverged"
    assert "4 of 6 pairs: 2 data sets × 3 seeds, 2 left out" in answering.answer(study, table)
    # against its control, and against standard training itself
    assert answering.left_out(runs, table) == (
        "Left out (diverged runs: 2 of standard training, 0 of the other strategies): "
        "2 pairs in 1 cell of this comparison, and 2 pairs in 1 cell of the others."
    )
    primary = table[table["family"] == "primary"]
    assert answering.left_out(runs, primary).endswith(": 2 pairs in 1 cell of this comparison.")
    both = pd.concat([table, table.assign(depth=8, family="secondary")])
    assert "2 pairs in 1 cell of this comparison, and 4 pairs in 2 cells of the others." in answering.left_out(
        runs, both
    )
    assert answering.left_out(make_runs(study), make_comparisons(study)) == ""


@pytest.mark.parametrize(
    ("ratio", "words"), [(0.3, "with the lower 2 and the upper 4 layers frozen in turn"), (0, "no layer ever frozen")]
)
def test_answer_names_the_groups(ratio, words):
    study = make_small_study(freeze_ratios=[ratio], primary_freeze_ratio=ratio)
    assert words in answering.answer(study, make_comparisons(study))


def test_answer_without_the_primary_row_is_refused():
    study = make_small_study()
    table = make_comparisons(study)
    with pytest.raises(InputError, match="depth 6"):
        answering.answer(study, table[table["depth"] == 4])
    with pytest.raises(InputError, match="0 rows 'all'"):
        answering.answer(study, table[table["dataset"] != "all"])


def by_chance(study, *names):
    """Return a table of comparisons in which standard training is not above chance on some data sets."""
    table = make_comparisons(study, difference=0.0, low=0.0, high=0.0)
    table.loc[table["dataset"].isin(names) & (table["metric"] == "final_test_accuracy"), "verdict"] = "not above chance"
    return table


def test_where_standard_training_is_not_above_chance_the_first_sentence_says_so():
    study = make_small_study()
    table = by_chance(study, *study.datasets, "all")
    assert answering.answer(study, table) == (
        "No verdict on alternating freezing: standard training of depth-6 networks is not above chance on any of the 2 "
        "data sets, no better than to always name the largest class, so there is nothing to compare."
    )
    assert "not above chance" not in answering.reason(study, table)
    assert "points" not in answering.reason(study, table)


def test_a_data_set_that_says_nothing_is_named_where_the_pairs_are_counted():
    study = make_small_study()
    assert answering.answer(study, by_chance(study, "wine")).endswith(
        "1 data set × 3 seeds, without wine, where standard training is not above chance)."
    )
