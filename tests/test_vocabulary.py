"""The vocabulary names what the tables hold, and says one thing in one way."""

import re

import numpy as np
import pytest
from altfreeze.comparison.readings import EPOCH_COLUMNS, RUN_COLUMNS
from altfreeze.statistics import verdict
from altfreeze.tables.schema import columns
from altfreeze.vocabulary import (
    BUDGETS,
    CLOCKS,
    EQUAL_BUDGETS,
    MEASURES,
    METRICS,
    NOT_ABOVE_CHANCE,
    QUANTITIES,
    SATURATED,
    VERDICTS,
)

NUMBERS = ("int", "float")


def words_of(text):
    return set(re.findall(r"\w+", text))


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=list(CLOCKS))
def test_a_clock_has_its_columns_in_the_tables(clock):
    for table, column in (
        ("epochs", clock.column),
        ("runs", clock.end),
        ("times_to_target", clock.name),
        ("reached", clock.name),
    ):
        assert columns(table)[column]["type"] in NUMBERS, (table, column)
    # a median may be that of no run
    assert columns("reached")[clock.name]["type"] == "float"


def test_the_tables_have_no_clock_that_the_vocabulary_lacks():
    key = {"dataset", "depth", "strategy", "recipe", "level"}
    assert columns("times_to_target").keys() - key - {"seed", "target", "reached"} == CLOCKS.keys()
    assert columns("reached").keys() - key - {"runs", "reached", "censored"} == CLOCKS.keys()


@pytest.mark.parametrize(
    ("table", "column", "names"),
    [
        ("times", "clock", CLOCKS),
        ("comparisons", "budget", BUDGETS),
        ("comparisons", "metric", MEASURES),
        ("comparisons", "verdict", VERDICTS),
    ],
)
def test_the_description_of_a_column_names_all_that_may_stand_there(table, column, names):
    description = columns(table)[column]["description"]
    # of a name of several words, each
    assert {word for name in names for word in name.split(" ")} <= words_of(description)


def test_every_clock_is_one_budget_and_own_is_none():
    assert [budget.clock for budget in EQUAL_BUDGETS.values()] == list(CLOCKS.values())
    assert BUDGETS.keys() - EQUAL_BUDGETS.keys() == {"own"}
    assert all(budget.words == f"equal {budget.clock.words}" for budget in EQUAL_BUDGETS.values())


def test_measures_and_quantities_are_columns():
    for measure in MEASURES.values():
        assert columns("runs")[measure.column]["type"] in NUMBERS
        # a measure that is not relative is called as its column
        assert measure.is_ratio or measure.name == measure.column
    for metric in METRICS.values():
        assert {metric.final, metric.best} <= MEASURES.keys()
        assert {metric.test, metric.validation} <= QUANTITIES.keys()
        assert f"final_{metric.validation}" in columns("runs").keys() & columns("calibration").keys()
    for name in QUANTITIES:
        assert columns("epochs")[name]["type"] == "float"


def test_comparisons_read_columns_that_are_there():
    assert set(RUN_COLUMNS) <= columns("runs").keys()
    assert set(EPOCH_COLUMNS) <= columns("epochs").keys()


def test_every_verdict_of_an_interval_is_a_word():
    ends = np.linspace(-0.03, 0.03, 13)
    found = {verdict(low, high, 0.01) for low in ends for high in ends if low <= high}
    # of costs, above the reference is higher, and below it lower
    # where half of a training ends so, too, it cannot be told, and without anything learned there is none
    assert found | {"higher", "lower", SATURATED, NOT_ABOVE_CHANCE} == VERDICTS.keys()


@pytest.mark.parametrize("named", [CLOCKS, BUDGETS, METRICS, MEASURES, VERDICTS])
def test_names_and_words_are_unique(named):
    assert [record.name for record in named.values()] == list(named)
    assert len({record.words for record in named.values()}) == len(named)


def test_an_axis_says_what_is_spent_and_its_unit():
    assert CLOCKS["flops"].label == "Operations (FLOPs)"
    assert CLOCKS["updates"].label == "Updates per parameter"
    assert len({clock.label for clock in CLOCKS.values()} | set(QUANTITIES.values())) == len(CLOCKS) + len(QUANTITIES)
