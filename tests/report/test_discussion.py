"""Discussion: every branch of every rule, on tables made for it."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from altfreeze import statistics
from altfreeze.report import discussion, page
from builders import ROOT, make_comparisons, make_endpoints, make_pairs, make_small_study, make_speedups, make_trends

STUDY = make_small_study(seeds=10)
STRATEGY, REFERENCE, BUDGET = STUDY.primary
BELOW, ABOVE, WITHIN, OPEN = (-0.03, -0.01), (0.015, 0.03), (-0.004, 0.002), (-0.02, 0.005)
MATCHED = {"reference": REFERENCE, "budget": BUDGET}
FROZEN = ("frozen_bottom-0.5", "frozen_top-0.5")


def make_all(study=STUDY):
    """Return the tables that the rules read; every interval lies below zero."""
    comparisons = make_comparisons(study)
    # the report's table has random_half as the only control that freezes
    template = comparisons[(comparisons["reference"] == "random_half") & (comparisons["strategy"] == STRATEGY)]
    comparisons = pd.concat([comparisons, *(template.assign(reference=label) for label in FROZEN)], ignore_index=True)
    return {
        "comparisons": comparisons,
        "pairs": make_pairs(study, comparisons),
        "trends": make_trends(study),
        "speedups": make_speedups(study),
        "endpoints": make_endpoints(study),
    }


def put(tables, interval, dataset="all", metric="final_test_accuracy", strategy=STRATEGY, **where):
    """Return the tables with another interval of a comparison, around its middle."""
    table = tables["comparisons"].copy()
    where = {"dataset": dataset, "metric": metric, "strategy": strategy} | where
    rows = (table[list(where)] == list(where.values())).all(axis=1)
    assert rows.any()
    low, high = interval
    values = {"difference": (low + high) / 2, "low": low, "high": high}
    if dataset != "all":
        tables = tables | {"pairs": move(tables["pairs"], where, values["difference"])}
    values |= {"verdict": statistics.verdict(low, high, STUDY.equivalence_margin)}
    table.loc[rows, list(values)] = list(values.values())
    return tables | {"comparisons": table}


def move(pairs, where, mean):
    """Return the pairs with those of one comparison around another mean."""
    pairs = pairs.copy()
    rows = (pairs[list(where)] == list(where.values())).all(axis=1)
    pairs.loc[rows, "difference"] += mean - pairs.loc[rows, "difference"].mean()
    return pairs


def find(name, tables, study=STUDY):
    return discussion.RULES[name].find(study, tables)


def sentence(name, tables, study=STUDY):
    return find(name, tables, study).sentence


def at_budgets(**intervals):
    tables = make_all()
    for budget, interval in intervals.items():
        tables = put(tables, interval, reference="standard", budget=budget)
    return tables


# which winner


def test_a_winner_that_does_not_depend_on_the_budget():
    found = find("budgets", at_budgets())
    assert found.sentence == (
        "The winner does not depend on what is held equal: alternating-0.5 ended below standard training at equal "
        "epochs (−2.00 points [−3.00, −1.00]: worse), at equal updates per parameter (−2.00 points [−3.00, −1.00]: "
        "worse), at equal operations (−2.00 points [−3.00, −1.00]: worse) and at equal seconds, measured alone (−2.00 "
        "points [−3.00, −1.00]: worse)."
    )
    assert found.because == "of 4 intervals, 4 with high < 0, 0 with low > 0, 0 with low ≤ 0 ≤ high"
    assert list(found.rows["budget"]) == ["epochs", "updates", "flops", "seconds"]
    won = sentence("budgets", at_budgets(epochs=ABOVE, updates=ABOVE, flops=ABOVE, seconds=ABOVE))
    assert won.startswith("The winner does not depend on what is held equal: alternating-0.5 ended above standard")


def test_a_winner_that_depends_on_the_budget():
    found = find("budgets", at_budgets(updates=ABOVE, seconds=OPEN))
    assert found.sentence == (
        "The winner depends on what is held equal: alternating-0.5 ended above standard training at equal updates per "
        "parameter (+2.25 points [+1.50, +3.00]: better), and below it at equal epochs (−2.00 points [−3.00, −1.00]: "
        "worse) and at equal operations (−2.00 points [−3.00, −1.00]: worse); the interval holds 0 at equal seconds, "
        "measured alone (−0.75 points [−2.00, +0.50]: undecided)."
    )
    assert found.because == "of 4 intervals, 2 with high < 0, 1 with low > 0, 1 with low ≤ 0 ≤ high"


@pytest.mark.parametrize(("side", "words"), [(BELOW, ("below", "above")), (ABOVE, ("above", "below"))])
def test_a_winner_on_some_budgets_only(side, words):
    text = sentence("budgets", at_budgets(epochs=side, updates=WITHIN, flops=OPEN, seconds=OPEN))
    first, second = words
    assert text.startswith(f"alternating-0.5 ended {first} standard training at equal epochs (")
    nothing = "the interval holds 0 at equal updates per parameter (−0.10 points [−0.40, +0.20]: equivalent), "
    assert f"and at no budget {second} it; {nothing}" in text
    assert text.count("equal operations") == 1


def test_no_winner_on_any_budget():
    text = sentence("budgets", at_budgets(epochs=OPEN, updates=OPEN, flops=OPEN, seconds=WITHIN))
    assert text.startswith(
        "No budget shows a winner: the interval of alternating-0.5 minus standard training holds 0 at equal epochs ("
    )
    assert text.endswith("and at equal seconds, measured alone (−0.10 points [−0.40, +0.20]: equivalent).")


def test_a_budget_without_an_interval_claims_nothing():
    nothing = (np.nan, np.nan)
    text = sentence("budgets", at_budgets(updates=nothing, seconds=nothing))
    assert text.endswith(" There is no interval at equal updates per parameter and equal seconds, measured alone.")
    assert text.count("[") == 2
    assert find("budgets", at_budgets(epochs=nothing, updates=nothing, flops=nothing)) is None


# controls


@pytest.mark.parametrize(
    ("name", "reference", "against"),
    [
        ("fewer_updates", "standard_half_updates", "standard training for half of the steps"),
        ("groups", "random_half", "the control that draws its active half of the layers at random"),
    ],
)
@pytest.mark.parametrize(
    ("interval", "openings", "shown", "because"),
    [
        (
            ABOVE,
            ("Freezing does more than make fewer updates, and it helps: ", "Whole groups help: "),
            "ended above {} (+2.25 points [+1.50, +3.00]: better; 6 pairs).",
            "low = +1.50 > 0 and high = +3.00 > 1, in points",
        ),
        (
            BELOW,
            ("Freezing does more than make fewer updates, and it harms: ", "Whole groups harm: "),
            "ended below {} (−2.00 points [−3.00, −1.00]: worse; 6 pairs).",
            "high = −1.00 < 0 and low = −3.00 < −1, in points",
        ),
        (
            WITHIN,
            (
                "Freezing is not seen to do more than make fewer updates: ",
                "Whole groups make no difference of 1 accuracy point or more: ",
            ),
            "{} (−0.10 points [−0.40, +0.20]: equivalent; 6 pairs).",
            "−1 ≤ low = −0.40 and high = +0.20 ≤ 1, in points",
        ),
        (
            OPEN,
            ("Whether freezing does more than make fewer updates is undecided: ", "Whether whole groups matter is und"),
            "against {} (−0.75 points [−2.00, +0.50]: undecided; 6 pairs).",
            "low = −2.00 ≤ 0 ≤ high = +0.50, and one of them is further than 1 from 0, in points",
        ),
    ],
)
def test_one_control_is_judged_by_its_verdict(name, reference, against, interval, openings, shown, because):
    found = find(name, put(make_all(), interval, reference=reference, budget="own"))
    assert found.sentence.startswith(openings[name == "groups"])
    assert found.sentence.endswith(shown.format(against))
    assert found.because == because
    assert list(found.rows["reference"]) == [reference]


@pytest.mark.parametrize("name", ["fewer_updates", "groups", "turns"])
def test_a_control_without_an_interval_or_a_run_claims_nothing(name):
    tables = make_all()
    for reference in ("standard_half_updates", "random_half", *FROZEN):
        tables = put(tables, (np.nan, np.nan), reference=reference, budget="own")
    assert find(name, tables) is None
    alone = make_small_study(strategies=["alternating"], seeds=10)
    assert find(name, make_all(alone), alone) is None


def test_left_out_pairs_of_a_control_are_counted():
    tables = make_all()
    tables["comparisons"]["dropped"] = 2
    assert sentence("groups", tables).endswith("worse; 6 pairs, 2 left out).")
    tables["comparisons"]["pairs"] = 1
    assert sentence("groups", tables).endswith("worse; 1 pair, 2 left out).")


@pytest.mark.parametrize(
    ("bottom", "top", "text"),
    [
        (
            ABOVE,
            ABOVE,
            "Taking turns matters: alternating-0.5 ended above frozen_bottom-0.5 (+2.25 points [+1.50, +3.00]: better) "
            "and frozen_top-0.5 (+2.25 points [+1.50, +3.00]: better).",
        ),
        (
            OPEN,
            ABOVE,
            "Taking turns is seen to help against 1 of 2 controls: alternating-0.5 ended above frozen_top-0.5 (+2.25 "
            "points [+1.50, +3.00]: better); undecided against frozen_bottom-0.5 (−0.75 points [−2.00, +0.50]: "
            "undecided).",
        ),
        (
            WITHIN,
            WITHIN,
            "Taking turns makes no difference of 1 accuracy point or more: alternating-0.5 ended within 1 accuracy "
            "point of frozen_bottom-0.5 (−0.10 points [−0.40, +0.20]: equivalent) and frozen_top-0.5 (−0.10 points "
            "[−0.40, +0.20]: equivalent).",
        ),
        (
            BELOW,
            WITHIN,
            "Taking turns is not seen to help: alternating-0.5 ended below frozen_bottom-0.5 (−2.00 points [−3.00, "
            "−1.00]: worse) and within 1 accuracy point of frozen_top-0.5 (−0.10 points [−0.40, +0.20]: equivalent).",
        ),
        (OPEN, OPEN, "Taking turns is not seen to help: undecided against frozen_bottom-0.5 (−0.75 points"),
        (
            (np.nan, np.nan),
            ABOVE,
            "Taking turns matters: alternating-0.5 ended above frozen_top-0.5 (+2.25 points [+1.50, +3.00]: better).",
        ),
    ],
)
def test_taking_turns_is_judged_against_both_frozen_halves(bottom, top, text):
    tables = make_all()
    for reference, interval in zip(FROZEN, (bottom, top), strict=True):
        tables = put(tables, interval, reference=reference, budget="own")
    assert sentence("turns", tables).startswith(text)


def test_the_verdicts_on_taking_turns_are_tallied():
    tables = put(make_all(), OPEN, reference=FROZEN[0], budget="own")
    assert find("turns", tables).because == "of 2 verdicts, 1 undecided, 1 worse"


# trends


@pytest.mark.parametrize(
    ("name", "along", "of"),
    [
        ("over_depths", "over the depths 4, 6 and 8", "of alternating-0.5"),
        ("over_freeze_ratios", "over the freeze ratios 0.3, 0.5 and 0.7", "of alternating training at depth 6"),
    ],
)
def test_a_trend_is_said_where_the_test_sees_it(name, along, of):
    difference = f"the difference {of} from standard training at equal operations"
    for direction, word in (("decreasing", "falls"), ("increasing", "rises")):
        found = find(name, {"trends": make_trends(STUDY, direction=direction)})
        assert found.sentence == f"Yes: {along}, {difference} {word} (Page's test on 9 data sets, p = 0.012)."
        assert found.because == f"p_value = 0.012 ≤ 0.05, direction = {direction}"
        assert len(found.rows) == 1
    found = find(name, {"trends": make_trends(STUDY, p_value=0.31, datasets=1)})
    assert found.sentence == (
        f"No trend is seen {along} in {difference} (Page's test on 1 data set, p = 0.31), which is no evidence that "
        f"there is none."
    )
    assert found.because == "p_value = 0.31 > 0.05, direction = decreasing"
    assert find(name, {"trends": make_trends(STUDY, p_value=np.nan, direction="unknown")}) is None
    assert find(name, {"trends": make_trends(STUDY).iloc[:0]}) is None


# speed


def test_speed_that_reaches_the_operations_everywhere():
    found = find("speed", {"speedups": make_speedups(STUDY, closed_form=1.25)})
    assert found.sentence == (
        "The measured speed-up of alternating-0.5 per step reaches that of its operations on both data sets: 1.20 "
        "times [1.10, 1.30] on iris to 1.20 times [1.10, 1.30] on wine, where the operations allow 1.25. It is faster "
        "than standard training on both data sets."
    )
    assert found.because == "high ≥ closed_form on 2, low > 1 on 2, high < 1 on 0 of 2 data sets"


def test_speed_that_falls_short():
    assert "reaches that of its operations on no data set: " in sentence("speed", {"speedups": make_speedups(STUDY)})
    table = make_speedups(STUDY, names=["iris", "wine", "moons"])
    table.loc[1, ["measured", "low", "high", "closed_form"]] = [0.9, 0.8, 0.95, 1.4]
    table.loc[2, ["low", "high", "closed_form"]] = [0.99, 1.35, 1.33]
    text = sentence("speed", {"speedups": table})
    assert "on 1 of 3 data sets: 0.90 times [0.80, 0.95] on wine to 1.20 times" in text
    assert "where the operations allow 1.33 to 1.40. It is faster" in text
    assert text.endswith("faster than standard training on 1 of 3 data sets and slower on 1 of 3 data sets.")


def test_speed_of_one_data_set_and_without_an_interval():
    table = make_speedups(STUDY, closed_form=1.25)
    table.loc[1, ["low", "high"]] = np.nan
    text = sentence("speed", {"speedups": table})
    assert "on iris: 1.20 times [1.10, 1.30] on iris, where" in text
    assert text.endswith("There is no interval on 1 data set.")
    assert find("speed", {"speedups": table.iloc[1:]}) is None


# what drives it


def with_datasets(whole, **intervals):
    """Return tables with these intervals of the primary comparison on three data sets and over all."""
    study = make_small_study(datasets=["iris", "wine", "digits"], seeds=10)
    tables = put(make_all(study), whole, **MATCHED)
    for dataset, interval in intervals.items():
        tables = put(tables, interval, dataset=dataset, **MATCHED)
    return study, tables


@pytest.mark.parametrize(
    ("whole", "others", "words"),
    [
        (BELOW, (-0.02, -0.01), "still below 0: the answer does not hang on it"),
        (ABOVE, (0.01, 0.02), "still above 0: the answer does not hang on it"),
        (OPEN, (-0.0004, 0.0004), "and its interval holds 0, as with it"),
        (OPEN, (-0.02, -0.01), "and its interval lies below 0: only this data set leaves the sign open"),
        (OPEN, (0.01, 0.02), "and its interval lies above 0: only this data set leaves the sign open"),
        (BELOW, (-0.0004, 0.0004), "and its interval holds 0: the sign of the answer hangs on it"),
        (BELOW, (0.01, 0.02), "on the other side of 0: the sign of the answer hangs on it"),
    ],
)
def test_the_data_set_that_differs_most_is_left_out(whole, others, words):
    study, tables = with_datasets(whole, iris=others, wine=others, digits=(-0.09, -0.07))
    text = sentence("drivers", tables, study)
    assert text.startswith("digits differs most, by −8.00 points [−9.00, −7.00]. Without it the mean is ")
    assert f"], {words}. " in text


def test_the_mean_without_a_data_set_is_that_of_the_others_pairs():
    study, tables = with_datasets(BELOW, iris=(-0.02, -0.01), wine=(-0.03, -0.01), digits=(-0.09, -0.07))
    found = find("drivers", tables, study)
    assert " Without it the mean is −1.75 points [" in found.sentence
    assert found.because.startswith(
        "|difference| is largest on digits; with it low = −3.00 and high = −1.00, without it "
    )
    assert len(found.rows) == 4
    # the same words again
    assert find("drivers", tables, study).sentence == found.sentence


def test_data_sets_without_which_the_sign_turns_are_named():
    study, tables = with_datasets((-0.01, -0.002), iris=(0.01, 0.03), wine=(0.01, 0.03), digits=(-0.08, -0.04))
    # the mean is (2 + 2 - 6) / 3 points
    tables = put(tables, (-0.01, -0.01 / 3), **MATCHED)
    assert sentence("drivers", tables, study).endswith("The sign of the mean turns without digits.")
    study, tables = with_datasets((0.0, 0.02), iris=(0.05, 0.07), wine=(0.04, 0.06), digits=(-0.09, -0.07))
    assert sentence("drivers", tables, study).endswith("The sign of the mean turns without iris or wine.")
    study, tables = with_datasets(BELOW, iris=BELOW, wine=BELOW, digits=BELOW)
    assert sentence("drivers", tables, study).endswith("No data set, left out alone, turns the sign of the mean.")


def test_nothing_drives_what_has_no_interval_or_one_data_set():
    study, tables = with_datasets((np.nan, np.nan))
    assert find("drivers", tables, study) is None
    study, tables = with_datasets(BELOW, wine=(np.nan, np.nan))
    assert find("drivers", tables, study) is None
    one = make_small_study(datasets=["iris"], seeds=10)
    assert find("drivers", make_all(one), one) is None


# what it cannot show


def with_detectable(smallest, **changes):
    tables = make_all()
    tables["comparisons"] = tables["comparisons"].assign(minimum_detectable_difference=smallest, **changes)
    return tables


def test_what_could_have_been_missed():
    found = find("detectable", with_detectable(0.0045, pairs=90))
    assert found.sentence == (
        "Hardly one as large as the margin of 1 accuracy point: with 90 pairs it finds a true difference of 0.45 "
        "points four times in five; smaller ones may be there unseen. This is about these data sets."
    )
    assert found.because == "minimum_detectable_difference = 0.45 points ≤ 1 accuracy point"
    found = find("detectable", with_detectable(0.016, pairs=1))
    assert found.sentence == (
        "One larger than the margin of 1 accuracy point: with 1 pair it finds a true difference of 1.6 points four "
        "times in five, and smaller ones less often. This is about these data sets."
    )
    assert found.because == "minimum_detectable_difference = 1.6 points > 1 accuracy point"
    assert " difference of 1 point four" in sentence("detectable", with_detectable(0.01))
    assert sentence("detectable", with_detectable(0.01)).startswith("Hardly one")
    assert find("detectable", with_detectable(np.nan)) is None
    assert find("detectable", with_detectable(0.01, low=np.nan)) is None


def test_other_recipes():
    found = find("recipes", make_all())
    assert found.sentence == (
        "The study cannot show that: every strategy trained under one recipe, which may suit one better than another."
    )
    assert found.because == "variations is empty in the configuration"
    varied = make_small_study(seeds=10, variations=[{"width": 16}])
    tables = make_all()
    assert find("recipes", tables, varied) is None
    both = pd.concat([tables["comparisons"], tables["comparisons"].assign(recipe="width=16")], ignore_index=True)
    found = find("recipes", {"comparisons": both}, varied)
    assert found.sentence == "The verdict under the primary recipe, worse, is another one under 0 of 1 variation."
    assert found.because == "verdict ≠ worse: none"
    changed = put({"comparisons": both}, OPEN, recipe="width=16", **MATCHED)
    found = find("recipes", changed, varied)
    assert found.sentence.endswith("is another one under 1 of 1 variation.")
    assert found.because == "verdict ≠ worse: width=16"
    assert find("recipes", put(tables, (np.nan, np.nan), **MATCHED)) is None


# all


def test_the_report_asks_every_rule_that_is_written_down():
    # in a process of its own: what another test imported would be registered, too
    code = "from altfreeze.report import discussion, page; print(*discussion.RULES)"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    sources = (ROOT / "workflow" / "altfreeze" / "report").rglob("*.py")
    assert len(asked) == sum(path.read_text(encoding="utf-8").count("\n@rule(") for path in sources)


def test_every_rule_is_asked_in_order_and_says_what_it_reads():
    found = page.discuss(STUDY, make_all())
    assert [rule for rule, _ in found] == list(discussion.RULES.values())
    assert all(finding is not None for _, finding in found)
    assert {rule.table for rule, _ in found} == {"comparisons", "trends", "speedups", "endpoints"}
    assert all(rule.question.endswith("?") for rule, _ in found)
    assert all(len(finding.rows) for _, finding in found)


def test_what_never_freezes_is_not_discussed():
    study = make_small_study(freeze_ratios=[0], primary_freeze_ratio=0)
    assert [finding for _, finding in discussion.discuss(study, make_all()) if finding] == []


def test_an_end_that_decides_is_never_shown_as_zero():
    tables = put(make_all(), (-0.014, -0.00002), reference="random_half", budget="own")
    assert "[−1.40, −0.002]" in sentence("groups", tables)
