"""What pages say: pure functions of study and tables, in the words of the vocabulary, whatever the study was."""

import inspect
import itertools
import math
import re

import numpy as np
import pandas as pd
import pytest
from altfreeze.report.blocks import across, budgets, cells, display, endpoints, statistics, steps, targets, times, trust
from altfreeze.report.figures.endpoints import own_budgets_figure, sensitivity_figure
from altfreeze.study.grid import FIRST_CALIBRATION_SEED
from altfreeze.vocabulary import BUDGETS, CLOCKS, EQUAL_BUDGETS, NOT_ABOVE_CHANCE
from builders import (
    RESULTS_CONFIG,
    RESULTS_STUDY,
    compare_results,
    make_small_study,
    make_speedups,
    make_study,
    make_variations,
    read_tables,
)
from scipy import stats as scipy_stats

MODULES = (across, budgets, endpoints, statistics, steps, targets, times, trust)
SAID = {
    f"{module.__name__.rpartition('.')[2]}.{name}": function
    for module in MODULES
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not name.startswith("_")
}
STUDIES = {
    "whole": RESULTS_STUDY,
    "of one data set": make_study(**RESULTS_CONFIG | {"datasets": ["iris"]}),
    "tuned": make_study(
        **RESULTS_CONFIG | {"variations": [{"learning_rate": "tuned"}], "learning_rates_to_try": [0.1, 0.01]}
    ),
    "decaying": make_study(**RESULTS_CONFIG | {"learning_rate_schedule": "cosine"}),
    "without controls": make_study(**RESULTS_CONFIG | {"strategies": ["alternating"]}),
    "with a family": make_study(**RESULTS_CONFIG | {"family": ["frozen_bottom-0.5"]}),
    "diverged": RESULTS_STUDY,
}


@pytest.fixture(scope="module")
def tables_of(tmp_path_factory):
    """Return a function of a key of STUDIES to the tables of that study."""
    made = {}

    def tables(name):
        if name not in made:
            study = STUDIES[name]
            seeds = [*range(study.seeds), *range(FIRST_CALIBRATION_SEED, FIRST_CALIBRATION_SEED + 3)]
            everything = itertools.product(study.datasets, study.strategies, seeds)
            diverged = set(everything) if name == "diverged" else set()
            folder = tmp_path_factory.mktemp("blocks")
            compared = compare_results(folder, study, diverged=diverged)
            made[name] = compared | read_tables(folder / "results" / "tables")
        return made[name]

    return tables


def arguments_of(function, study, tables):
    """Return what a function takes, by the names of its parameters."""
    known = {"study": study, "clock": "seconds", "dataset": "iris", "budget": "epochs", "column": "score"}
    known["level"] = study.primary_level
    return {
        name: known[name] if name in known else tables[name].copy() for name in inspect.signature(function).parameters
    }


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("said", SAID)
def test_whatever_the_study_was_a_page_says_it_and_changes_no_table(said, name, tables_of, capsys):
    given = arguments_of(SAID[said], STUDIES[name], tables_of(name))
    found = SAID[said](**given)
    assert capsys.readouterr() == ("", "")
    for key, table in given.items():
        if isinstance(table, pd.DataFrame):
            pd.testing.assert_frame_equal(table, tables_of(name)[key])
    if isinstance(found, str):
        assert "nan" not in re.findall(r"\w+", found)
        assert found == found.strip()
    if said.endswith("_table"):
        assert not found.map(lambda value: "nan" in re.findall(r"\w+", str(value))).any(axis=None)
        assert "nan" not in display.table_html(found) if len(found) else True


@pytest.mark.parametrize("said", SAID)
def test_budgets_and_clocks_have_one_wording(said, tables_of):
    found = SAID[said](**arguments_of(SAID[said], RESULTS_STUDY, tables_of("whole")))
    text = f"{found} {list(found.columns)}" if isinstance(found, pd.DataFrame) else str(found)
    if not said.endswith(("table", ".of_whole_trainings", ".timed_steps")) and isinstance(found, pd.DataFrame):
        return
    for clock in CLOCKS.values():
        text = text.replace(clock.words, "").replace(cells.heading(clock.words), "")
    assert "equal updates" not in text
    assert not re.search(r"reference seconds|equal (updates|operations|seconds|epochs)|own ends", text)


def test_a_budget_is_where_two_are_read():
    assert cells.at("own") == "each at its own end"
    for name, budget in EQUAL_BUDGETS.items():
        assert cells.at(name) == f"at {budget.words}"


def test_verdicts_are_counted_in_one_order_and_none_is_a_word():
    assert cells.tally(["undecided", "better", "no pair", "better"]) == "2 better, 1 undecided, 1 no pair"
    assert cells.tally([]) == "none"


@pytest.mark.parametrize(
    ("verdict", "low", "high", "words"),
    [
        ("equivalent", -0.006, -0.001, "worse, within the margin"),
        ("equivalent", 0.001, 0.006, "better, within the margin"),
        ("equivalent", -0.001, 0.006, "equivalent"),
        ("worse", -0.03, -0.02, "worse"),
        ("saturated", -0.006, -0.001, "saturated"),
        ("undecided", math.nan, math.nan, "undecided"),
    ],
)
def test_a_verdict_within_the_margin_says_on_which_side_of_zero_it_lies(verdict, low, high, words):
    row = next(pd.DataFrame({"verdict": [verdict], "low": low, "high": high}).itertuples())
    assert cells.verdict_in_words(row) == words


# the page on budgets


def row_of(comparisons, **values):
    """Return the one row of the table comparisons over all data sets with these values, and its place."""
    values = {
        "dataset": "all",
        "recipe": "primary",
        "metric": "final_test_accuracy",
        "strategy": "alternating-0.5",
    } | values
    rows = comparisons[(comparisons[list(values)] == list(values.values())).all(axis=1)]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize(
    ("verdict", "opening"),
    [
        ("better", "**Yes, it ends better than its updates explain.**"),
        ("worse", "**Yes, but it ends worse than its updates explain.**"),
        ("equivalent", "**No: within ±1 point, it ends where half as many steps of standard training end.**"),
        ("undecided", "**Undecided.**"),
    ],
)
def test_whether_freezing_does_more_than_fewer_updates_is_the_verdict_on_half_the_steps(verdict, opening, tables_of):
    comparisons = tables_of("whole")["comparisons"].copy()
    half = (comparisons["reference"] == "standard_half_updates") & (comparisons["dataset"] == "all")
    comparisons.loc[half, ["verdict", "difference", "low", "high"]] = verdict, 0.0125, -0.01, 0.03
    text = budgets.beyond_fewer_updates(RESULTS_STUDY, comparisons)
    assert text.startswith(opening)
    assert "minus `standard_half_updates`: +1.25 points, [−1.00, +3.00] (12 pairs;" in text


def test_without_its_control_the_page_says_that_it_cannot_tell(tables_of):
    study = STUDIES["without controls"]
    text = budgets.beyond_fewer_updates(study, tables_of("without controls")["comparisons"])
    assert text == "The control of this hypothesis, standard_half_updates, was not trained: the study cannot tell."
    asked = budgets.questions(study, tables_of("without controls")["comparisons"])
    assert asked.count("not trained") == len(budgets.QUESTIONS)


def test_what_alternating_training_spent_is_a_share_of_what_each_control_did(tables_of):
    runs, comparisons = tables_of("whole")["runs"], tables_of("whole")["comparisons"]
    table = budgets.against_controls(RESULTS_STUDY, comparisons, runs).set_index("alternating-0.5 against")
    assert list(table.index) == ["standard", *itertools.chain(*budgets.controls(RESULTS_STUDY, comparisons).values())]
    spent = runs.groupby("strategy")[["updates_mean", "flops", "reference_seconds"]].mean()
    shares = (spent.loc["alternating-0.5"] / spent.loc[table.index]).map(lambda share: f"{100 * share:.0f} %")
    assert table.iloc[:, 1:4].to_numpy().tolist() == shares.to_numpy().tolist()
    assert list(table.columns[1:4]) == ["Updates per parameter", "Operations", "Seconds, measured alone"]


def test_the_table_of_equal_budgets_is_that_of_the_comparisons(tables_of):
    comparisons = tables_of("whole")["comparisons"]
    table = budgets.at_equal_budgets_table(RESULTS_STUDY, comparisons).set_index("Strategy minus standard")
    assert list(table.columns) == [f"At {budget.words}" for budget in EQUAL_BUDGETS.values()]
    assert list(table.index) == ["alternating-0.5", "frozen_bottom-0.5", "random_half", "again"]
    for (label, texts), (name, budget) in itertools.product(table.iterrows(), EQUAL_BUDGETS.items()):
        row = row_of(comparisons, strategy=label, reference="standard", budget=name)
        text = texts[f"At {budget.words}"]
        assert text.split("\n")[0].endswith(f" {row['verdict']}")
        assert float(text.split()[0].replace("−", "-")) == pytest.approx(100 * row["difference"], abs=0.006)


def test_runs_that_are_read_before_their_rate_decayed_are_marked(tables_of):
    study, comparisons = STUDIES["decaying"], tables_of("decaying")["comparisons"]
    table = budgets.at_equal_budgets_table(study, comparisons)
    note = budgets.read_early(study, comparisons)
    read = comparisons[(comparisons["dataset"] == "all") & (comparisons["strategy"] == "alternating-0.5")]
    read = read[(read["budget"] == "updates") & (read["reference"] == "standard")]["read_reference"].item()
    assert read == pytest.approx(1 / 3)
    # half of the updates of standard training are made in its second epoch, which is not read whole
    assert "†" in table.loc[0, "At equal updates per parameter"]
    assert "†" not in table.loc[0, "At equal epochs"]
    assert "† standard training was read before its own end, after 33 %" in note
    assert "the controls `standard_half_updates` and `standard_matched_flops-0.5`." in note
    assert budgets.read_early(RESULTS_STUDY, tables_of("whole")["comparisons"]) == ""


def test_tuned_rates_are_told_with_those_at_an_edge(tables_of):
    study, tables = STUDIES["tuned"], tables_of("tuned")
    assert budgets.tuned_rates(study, tables["tuning"]).startswith("Tried: 0.01, 0.1. 8 of 8 choices")
    table = budgets.tuned_rates_table(study, tables["tuning"]).set_index(["Recipe", "Data set"])
    assert set(table.to_numpy().ravel()) == {"0.01 *"}
    assert [*table] == [label for label in study.strategies if label in study.labels_of("learning_rate=tuned")]
    assert budgets.recipe_verdicts(study, tables["comparisons"]).endswith("another one under 0 of 1 variation.")
    both = budgets.recipe_verdicts_table(study, tables["comparisons"])
    # these logs do not depend on the recipe, but of the variation there are five seeds
    assert both["Recipe"].tolist() == ["primary", "learning_rate=tuned"]
    assert budgets.recipe_verdicts(RESULTS_STUDY, tables_of("whole")["comparisons"]) == ""
    assert "chosen for none of them" in budgets.tuned_rates(RESULTS_STUDY, tables_of("whole")["tuning"])


def test_targets_are_those_of_the_table_in_percent(tables_of):
    goals = tables_of("whole")["targets"]
    table = targets.targets_table(RESULTS_STUDY, goals).set_index("Data set")
    for row in goals.itertuples():
        assert table.loc[row.dataset, f"{100 * row.level:g} %"] == f"{100 * row.target:.1f}"
        assert table.loc[row.dataset, "Chance"] == f"{100 * row.chance:.1f}"


def test_a_data_set_without_a_target_is_none_that_no_run_reached(tables_of):
    goals, reached = (tables_of("whole")[name].copy() for name in ("targets", "reached"))
    pd.testing.assert_frame_equal(targets.with_target(goals, reached), reached)
    goals.loc[goals["dataset"] == "iris", "target"] = None
    assert set(targets.with_target(goals, reached)["dataset"]) == set(reached["dataset"]) - {"iris"}


def test_runs_at_a_target_are_summed_over_data_sets(tables_of):
    reached = tables_of("whole")["reached"]
    table = targets.reached_table(RESULTS_STUDY, reached).set_index("Strategy")
    sums = reached[reached["strategy"] == "alternating-0.5"].groupby("level")[["reached", "runs", "censored"]].sum()
    for level, row in sums.iterrows():
        text = f"{row['reached']} of {row['runs']} ({100 * row['reached'] / row['runs']:.0f} %)"
        assert table.loc["alternating-0.5", f"At {100 * level:g} %"] == text
    assert table.loc["alternating-0.5", "Censored, all levels"] == sums["censored"].sum()


def test_the_hardest_data_sets_are_those_that_the_fewest_runs_reached(tables_of):
    reached = tables_of("whole")["reached"].assign(dataset=lambda rows: rows["dataset"].replace("iris", "moons"))
    reached.loc[reached["dataset"] == "wine", "reached"] = 0
    found = targets.hardest(RESULTS_STUDY, reached)
    assert list(found) == ["wine", "moons"]
    assert found["wine"] == "**wine** at depth 4: reached in 0 % of all runs and levels"


def test_ratios_of_times_are_medians_of_the_pairs_that_both_got_there(tables_of):
    times_to_target = tables_of("whole")["times_to_target"].copy()
    level = RESULTS_STUDY.primary_level
    mine = (times_to_target["strategy"] == "alternating-0.5") & (times_to_target["level"] == level)
    theirs = (times_to_target["strategy"] == "standard") & (times_to_target["level"] == level)
    times_to_target.loc[theirs, "reached"] = (times_to_target.loc[theirs, "seed"] < 4).astype(int)
    times_to_target.loc[mine, "reached"] = (times_to_target.loc[mine, "seed"] > 0).astype(int)
    times_to_target.loc[theirs, "flops"] = 100.0
    times_to_target.loc[mine, "flops"] = 100.0 + 10 * times_to_target.loc[mine, "seed"]
    row = targets.sooner_table(RESULTS_STUDY, times_to_target).set_index("Strategy").loc["alternating-0.5"]
    # seeds 1, 2 and 3 of both data sets
    assert list(row[["Both", "Only it", "Only standard", "Neither"]]) == [6, 4, 2, 0]
    assert row["Operations"] == "1.20"


def test_a_step_is_as_fast_as_counted_where_its_interval_holds_the_closed_form():
    rows = [("iris", 1.1, 1.3, 1.12), ("wine", 1.1, 1.3, 1.4), ("moons", 1.1, 1.3, 1.0)]
    speedups = pd.DataFrame(rows, columns=["dataset", "low", "high", "closed_form"])
    speedups = speedups.assign(depth=4, strategy="alternating-0.5", measured=[1.2, 1.25, 1.15])
    text = steps.as_fast_as_counted(RESULTS_STUDY, speedups)
    assert text.startswith("Of 3 cells at depth 4")
    assert text.endswith("holds the closed form in 1; it lies below it in 1, above it in 1.")
    assert steps.as_fast_as_counted_table(RESULTS_STUDY, speedups).iloc[0].to_list() == (
        ["alternating-0.5", "1.20", "1.15 to 1.25", "1.12", "1 of 3"]
    )
    # what only ends earlier is no step of its own
    assert steps.timed_steps(RESULTS_STUDY, speedups.assign(strategy="standard_half_updates")).empty


# the page on statistics


def test_the_primary_comparison_is_told_for_these_data_sets_and_for_others(tables_of):
    comparisons = tables_of("whole")["comparisons"]
    row = row_of(comparisons, family="primary")
    text = statistics.on_these_data_sets(RESULTS_STUDY, comparisons)
    assert text.startswith(
        f"**On these data sets: {row['verdict']}.** Final test accuracy at depth 4, `alternating-0.5` "
    )
    assert "minus `standard_matched_flops-0.5`, each at its own end: +0.10 points" in text
    assert "(12 pairs, 2 data sets × 6 seeds; margin ±1 point)" in text
    by_chance = comparisons["verdict"].mask(comparisons["dataset"] == "wine", NOT_ABOVE_CHANCE)
    text = statistics.on_these_data_sets(RESULTS_STUDY, comparisons.assign(verdict=by_chance))
    assert " pairs, 1 data set × 6 seeds; " in text
    others = statistics.on_data_sets_like_these(tables_of("whole")["across_datasets"])
    assert others.startswith("**On data sets like these: undecided.** Mean +0.10 points")
    assert statistics.too_few_data_sets(tables_of("whole")["across_datasets"]).startswith(
        "**Warning:** with 2 data sets"
    )
    one = tables_of("of one data set")["across_datasets"]
    assert statistics.on_data_sets_like_these(one).endswith("one data set says nothing of others.")
    assert statistics.too_few_data_sets(one) == ""


def test_a_study_without_pairs_claims_nothing(tables_of):
    tables = tables_of("diverged")
    assert "**On these data sets: undecided.**" in statistics.on_these_data_sets(RESULTS_STUDY, tables["comparisons"])
    assert statistics.on_data_sets_like_these(tables["across_datasets"]).endswith("no data set has a pair of runs.")
    assert not across.can_be_drawn(RESULTS_STUDY, tables["across_datasets"])
    assert across.matrix_cells(RESULTS_STUDY, tables["matrix"]).empty
    assert across.everything_against_everything(RESULTS_STUDY, tables["matrix"]).startswith("No two strategies")
    assert trust.against_itself(tables["self_comparison"]).startswith("Not possible")
    assert trust.enough_seeds(RESULTS_STUDY, tables["seeds_needed"]).startswith("Unknown")
    assert trust.where_variance_is_from(RESULTS_STUDY, tables["variance"]).startswith("Unknown")


def test_secondary_comparisons_are_counted_with_what_chance_would_find(tables_of):
    table = tables_of("with a family")["across_datasets"]
    secondary = (table["family"] == "secondary").sum()
    text = statistics.secondary_comparisons(table)
    assert f"All {secondary} others" in text
    assert f"up to {0.05 * secondary:.1f} of them would be expected below 0.05" in text
    assert "variations" not in text
    assert statistics.secondary_comparisons(tables_of("tuned")["across_datasets"]).endswith("hold the variations, too.")


def test_a_family_is_shown_with_the_primary_comparison_first(tables_of):
    table = statistics.family_table(tables_of("with a family")["across_datasets"])
    assert table[["Strategy", "Minus", "Read"]].to_numpy().tolist() == [
        ["alternating-0.5", "standard_matched_flops-0.5", "each at its own end"],
        ["frozen_bottom-0.5", "standard", "at equal operations"],
    ]
    assert statistics.family(tables_of("with a family")["across_datasets"])
    assert statistics.family(tables_of("whole")["across_datasets"]) == ""
    assert statistics.family_table(tables_of("whole")["across_datasets"]).empty


def test_an_effect_that_could_go_unseen_is_counted(tables_of):
    comparisons = tables_of("whole")["comparisons"].copy()
    primary = comparisons["family"] == "primary"
    comparisons.loc[primary & (comparisons["dataset"] == "iris"), "minimum_detectable_difference"] = 0.02
    comparisons.loc[primary & (comparisons["dataset"] == "iris"), "correlation"] = 0.25
    text = statistics.effects(RESULTS_STUDY, comparisons)
    assert text.startswith("On 1 of 2 data sets a true difference as large as the margin would go unseen")
    assert text.endswith("The correlation of the pair is 0.25 to 1.00.")
    assert statistics.effects_table(comparisons)["Detectable (points)"].iloc[0] == "2.00"


def test_both_questions_are_compared_strategy_by_strategy(tables_of):
    comparisons, table = (tables_of("whole")[name].copy() for name in ("comparisons", "across_datasets"))
    here = (table["budget"] == "flops") & (table["reference"] == "standard")
    for strategy, verdict in zip(
        cells.whole_trainings(RESULTS_STUDY), ("worse", "worse", "better", "better"), strict=True
    ):
        table.loc[here & (table["strategy"] == strategy), "verdict"] = verdict
    comparisons.loc[comparisons["budget"] == "flops", "verdict"] = "worse"
    text = across.on_others_like_these(RESULTS_STUDY, comparisons, table)
    assert "2 better, 2 worse at equal operations;" in text
    assert "At equal operations the two questions get the same verdict for 2 of 4." in text
    assert "`standard_half_updates`, `standard_matched_flops-0.5`; the matrix below has them." in text


def test_a_trend_names_the_smallest_p_value_and_what_it_is_over():
    rows = [("epochs", 0.2, "rising"), ("seconds", 0.01, "falling")]
    trends = pd.DataFrame(rows, columns=["budget", "p_value", "direction"]).assign(
        recipe="primary", over="freeze_ratio", at="depth 4", levels="0.3 0.5 0.7", datasets=9
    )
    assert across.trend(trends) == (
        "1 of 2 tests has p ≤ 0.05, and with no trend anywhere 0.1 would be expected to; the smallest is 0.01: over "
        "the freeze ratio (0.3, 0.5, 0.7), depth 4, at equal seconds, measured alone: falling."
    )
    (row,) = across.trend_table(trends).to_dict("records")
    assert row["At equal epochs"] == "rising\np = 0.2"
    assert row["Each at its own end"] == "no test"
    assert len(row) == 3 + len(BUDGETS)


def test_everything_against_everything_counts_each_pair_once(tables_of):
    matrix = tables_of("whole")["matrix"].copy()
    first, second = sorted(RESULTS_STUDY.strategies)[:2]
    both = matrix["row"].isin([first, second]) & matrix["column"].isin([first, second])
    matrix.loc[both, "wilcoxon_p"] = 0.02
    assert across.everything_against_everything(RESULTS_STUDY, matrix) == (
        "Of 21 pairs of strategies, 1 has p ≤ 0.05, not adjusted, on 2 data sets; the smallest that any has is 0.02."
    )


@pytest.mark.parametrize(
    ("low", "high", "words"), [(1, 2, "sooner on 0, later on 2"), (-2, -1, "sooner on 2, later on 0")]
)
def test_sooner_and_later_are_sides_of_zero(low, high, words, tables_of):
    table = tables_of("whole")["times"].assign(low=low, high=high)
    assert words in times.sooner_or_later(RESULTS_STUDY, table, 0.9, "epoch")


def test_the_level_of_the_answer_is_shown_and_the_highest_that_half_of_standard_training_reaches(tables_of):
    table = tables_of("whole")["times"].copy()
    table["reference_success_rate"] = table["level"].map({0.9: 0.5, 1.0: 0.49})
    assert times.shown_levels(RESULTS_STUDY, table) == {0.9: "that of the answer"}
    table["reference_success_rate"] = 0.5
    which = "the highest that half of the runs of standard training reach by the common horizon"
    assert times.shown_levels(RESULTS_STUDY, table) == {0.9: "that of the answer", 1.0: which}
    assert times.how_long(RESULTS_STUDY, table).endswith(
        f"targets at 90 % of the way (that of the answer) and 100 % of the way ({which})."
    )
    table["reference_success_rate"] = 0.1
    assert list(times.shown_levels(RESULTS_STUDY, table)) == [0.9]
    assert times.how_long(RESULTS_STUDY, table.iloc[:0]) == "The study has no target."


def test_the_highest_profile_scores_lead_together(tables_of):
    tables = tables_of("whole")
    text = times.profile(RESULTS_STUDY, tables["profiles"])
    assert "Highest: `standard`, `again` in epochs (1.00);" in text
    none = times.profile(RESULTS_STUDY, tables["profiles"].assign(score=0.0))
    assert none == "No strategy's median run reached the target on any data set."


def test_false_alarms_of_standard_training_against_itself_are_named():
    rows = [
        ("iris", 4, "worse", -0.1),
        ("wine", 4, "undecided", -0.1),
        ("all", 4, "worse", -0.1),
        ("iris", 6, "better", None),
    ]
    table = pd.DataFrame(rows, columns=["dataset", "depth", "verdict", "low"])
    assert trust.against_itself(table) == (
        "1 false alarm in 2 comparisons (data set × depth), 0.1 expected: iris at depth 4. "
        "Over all data sets, by depth: 1 worse."
    )


def test_how_many_seeds_are_enough_is_read_from_power_and_width():
    rows = [(2, 0.05, 0.2), (5, 0.02, 0.6), (10, 0.009, 0.9)]
    table = pd.DataFrame(rows, columns=["seeds", "half_width", "power"]).assign(depth=4)
    text = trust.enough_seeds(RESULTS_STUDY, table)
    assert "5 seeds on each data set give ±2.00 points and a power of 60 % to detect 1 point." in text
    assert "10 is the smallest with a power of 80 %. An interval as narrow as the margin takes 10." in text
    assert trust.enough_seeds(RESULTS_STUDY, table.iloc[:2]).endswith("No number tried has a power of 80 %.")


def test_the_noise_of_a_paired_comparison_is_residual_and_interaction():
    shares = {"dataset": 0.5, "strategy": 0.1, "interaction": 0.15, "seed": 0.05, "residual": 0.2}
    table = pd.DataFrame({"component": list(shares), "share": shares.values(), "depth": 4})
    text = trust.where_variance_is_from(RESULTS_STUDY, table)
    assert "data set 50.0 %, strategy 10.0 %, data set × strategy 15.0 %, seed 5.0 %, residual 20.0 %" in text
    assert text.endswith("35.0 % together.")


# what a notebook shows


def test_a_table_is_text_in_lines(capsys):
    html = display.table_html(pd.DataFrame({"Name": ["<b>&"], "Value": ["one\ntwo"]}))
    assert "<th>&lt;b&gt;&amp;</th>" in html
    assert "<td>one<br>two</td>" in html
    display.show_table(pd.DataFrame(), folded="Nothing")
    display.say("", "")
    assert capsys.readouterr().out == ""


# the two endpoints


def by_seed(runs, dataset, strategy):
    """Return the final accuracies of a cell at depth 4, by seed."""
    keys = {"dataset": dataset, "depth": 4, "strategy": strategy, "recipe": "primary"}
    return runs[(runs[list(keys)] == list(keys.values())).all(axis=1)].set_index("seed")["final_test_accuracy"]


def test_gains_of_the_last_half_and_effects_are_those_of_the_runs(tables_of):
    tables = tables_of("whole")
    effects = endpoints.effects_and_gains(RESULTS_STUDY, tables["endpoints"], tables["sensitivity"])
    assert effects["dataset"].tolist() == RESULTS_STUDY.datasets
    for row in effects.itertuples():
        standard, half, matched, strategy = (
            by_seed(tables["runs"], row.dataset, label)
            for label in ("standard", "standard_half_updates", "standard_matched_flops-0.5", "alternating-0.5")
        )
        assert row.gain == pytest.approx((standard - half).mean(), abs=1e-9)
        assert row.effect == pytest.approx((strategy - matched).mean(), abs=1e-9)
        assert row.gain_low <= row.gain <= row.gain_high


def test_sensitive_data_sets_are_counted_and_stand_in_the_table(tables_of):
    tables = {name: tables_of("whole")[name].copy() for name in ("endpoints", "sensitivity")}
    sensitivity = tables["sensitivity"]
    chosen = (sensitivity["dataset"] == "iris") & (sensitivity["lost"] == 0.5) & (sensitivity["endpoint"] == "end")
    sensitivity["sensitive"] = "no"
    sensitivity.loc[chosen, "sensitive"] = "yes"
    text = endpoints.what_could_be_noticed(RESULTS_STUDY, sensitivity)
    assert text.startswith(
        "That half of standard training was lost is noticed on 1 of 2 data sets at the end and on 0 of "
    )
    table = endpoints.sensitivity_table(RESULTS_STUDY, **tables).set_index("Data set")
    assert table["End sensitive"].to_dict() == {"iris": "yes", "wine": "no", "mean of all": "no"}
    figure = sensitivity_figure(endpoints.effects_and_gains(RESULTS_STUDY, **tables), 0.01)
    (filled,), (hollow,) = (
        line.get_xdata() for line in figure.axes[0].lines if line.get_marker() == "o" and len(line.get_xdata())
    )
    gains = -100 * sensitivity[(sensitivity["lost"] == 0.5) & (sensitivity["endpoint"] == "end")]["effect"]
    assert [filled, hollow] == pytest.approx(gains.tolist()[:2])


def test_a_budget_of_its_own_is_a_variation_of_the_epochs_alone():
    study = make_small_study(variations=[{"epochs": 5}, {"width": 16}, {"epochs": 99, "width": 16}, {"epochs": 200}])
    rows = [
        {"dataset": name, "recipe": recipe, "strategy": label, "status": "ok", "depth": 6, "flops": flops}
        for name, each in (("iris", 10.0), ("wine", 1000.0))
        for recipe, epochs in (("primary", 50), ("epochs=5", 5), ("epochs=200", 200), ("width=16", 7))
        for label, flops in (("standard", each * epochs), ("alternating-0.5", 1.0))
    ]
    variations, runs = make_variations(study), pd.DataFrame(rows)
    found = endpoints.own_budgets(study, variations, runs)
    assert found["recipe"].tolist() == ["epochs=5", "primary", "epochs=200"]
    assert found["epochs"].tolist() == [5, 50, 200]
    # the geometric mean of 10 and 1000 is 100
    assert found["operations"].tolist() == pytest.approx([500, 5000, 20000])
    assert endpoints.over_budgets(study, variations, runs) == (
        "From 5 epochs to 200 epochs, each training run to an end of its own, the effect at the end goes from −1.00 "
        "[−1.50, −0.50] (worse) to −4.00 [−4.50, −3.50] (worse) and the time to the target goes from ×1.10 "
        "[1.05, 1.15] (higher) to ×1.40 [1.35, 1.45] (higher)."
    )
    end, time = own_budgets_figure(found, 0.01, 0.05).axes
    assert end.lines[0].get_xdata() == pytest.approx(found["operations"])
    assert end.lines[0].get_ydata() == pytest.approx([-1, 0, -4])
    assert time.lines[0].get_ydata() == pytest.approx([1.1, 1, 1.4])
    without = make_small_study(variations=[{"width": 16}])
    assert endpoints.own_budgets(without, make_variations(without), runs).empty


def test_seconds_are_known_as_well_as_the_rounds_of_timing_tell():
    study = make_small_study()
    known = make_speedups(study, low=1.2 / 1.02, high=1.2 * 1.04)
    known.loc[known["dataset"] == "wine", "high"] = 1.2 * 1.08
    text = endpoints.how_well_seconds_are_known(study, known)
    assert "known to within 6 % on the median data set and 8 % on wine;" in text
    known.loc[known["dataset"] == "wine", "high"] = 1.2 * 1.3
    text = endpoints.how_well_seconds_are_known(study, known)
    assert text.endswith("On wine it is known no better than to 20 %: there seconds cannot be told.")
    assert endpoints.how_well_seconds_are_known(study, known.iloc[:0]) == ""


def test_a_sign_is_clear_up_to_the_correlation_at_which_zero_is_an_end_of_the_interval():
    differences = np.random.default_rng(0).normal(0.02, 0.01, size=8)
    mean, sd, count = differences.mean(), differences.std(ddof=1), len(differences)
    half = scipy_stats.t.ppf(0.975, count - 1) * sd * math.sqrt(1 / count + 1 / 3)
    row = {"dataset": "iris", "pairs": count, "difference": mean, "family": "primary"}
    row |= {"nadeau_bengio_low": mean - half, "nadeau_bengio_high": mean + half}
    table = pd.DataFrame([row, row | {"dataset": "wine", "difference": 0.001}, row | {"dataset": "all"}])
    iris, wine, mean_of_all = map(statistics._sign_holds_up_to, table.itertuples())
    error = scipy_stats.t.ppf(0.975, count - 1) * sd * math.sqrt(1 / count + iris / (1 - iris))
    assert error == pytest.approx(mean)
    assert wine == 0
    assert math.isnan(mean_of_all)
    text = statistics.which_question(table)
    assert text.endswith(f"above 0 on 1 and above 0.25 on {int(iris > 0.25)} of 2 data sets.")
    assert statistics.which_question(table.assign(nadeau_bengio_low=math.nan)) == ""


def test_headlines_are_the_comparisons_that_each_choice_would_have_named(tables_of):
    comparisons = tables_of("whole")["comparisons"].copy()
    matched = {"depth": 4, "reference": "standard_matched_flops-0.5", "budget": "own"}
    comparisons.loc[row_of(comparisons, **matched).name, ["verdict", "difference", "low", "high"]] = (
        "better",
        0.03,
        0.02,
        0.04,
    )
    table = endpoints.headlines_table(RESULTS_STUDY, comparisons).set_index("If primary were")
    assert table.index.tolist() == ["Depth 4, alternating-0.5"]
    assert table.loc["Depth 4, alternating-0.5", "At equal operations"] == "+3.00 better *\n[+2.00, +4.00]"
    assert table.map(lambda text: text.count("*")).sum(axis=None) == 1
    others = [
        row_of(comparisons, depth=4, **read).verdict
        for read in (
            {"reference": "standard", "budget": "epochs"},
            {"reference": "standard_half_updates", "budget": "own"},
            {"reference": "standard", "budget": "seconds"},
        )
    ]
    text = endpoints.headlines(RESULTS_STUDY, comparisons)
    assert text.startswith("The grid has 4 choices of a primary depth, freeze ratio and budget,")
    assert text.endswith(f"would be: {cells.tally(['better', *others])}.")
