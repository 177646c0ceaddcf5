"""Reference seconds are those of a plan's work; speed-ups are theirs."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from altfreeze.freezing.plan import Epoch, Step, Work, Workload
from altfreeze.support.errors import InputError
from altfreeze.tables.reference_seconds import median_seconds, reference_seconds, speedups
from altfreeze.tables.schema import columns
from builders import RESULTS_STUDY, results_workload

WORKLOAD = Workload((4, 8, 8, 8, 3), 20, 8)
BOTTOM, TOP = (1.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 1.0)
BY_LAYER = (0.0, 0.0, 0.5, 1.0)


def test_speedups_are_those_of_the_timing(tables):
    speedups = tables["speedups"].set_index(["dataset", "strategy"])
    row = speedups.loc[("iris", "alternating-0.5")]
    assert row["measured"] == pytest.approx(93 / 54)
    assert row["closed_form"] == pytest.approx(99 / 69)
    assert speedups.loc[("wine", "again")][["rounds", "measured", "closed_form"]].tolist() == [6, 1, 1]


def test_reference_seconds_add_up():
    epochs = [
        Epoch([Step(BOTTOM, 0.0, 8), Step(TOP, 0.0, 8), Step(BOTTOM, 0.0, 4)], 0, None, False),
        Epoch([Step(TOP, 0.0, 8)] * 2 + [Step(TOP, 0.0, 4)], 2, (0, 2), False),
        Epoch([Step(TOP, 0.0, 8)], 2, None, False),
        Epoch([Step(BY_LAYER, 0.0, 8)] * 3, 2, None, True),
    ]
    seconds = {
        Work("single", 1, 1, 1, 0, 0, 8): 1.0,
        Work("single", 1, 1, 1, 0, 0, 4): 2.0,
        Work("single", 3, 0, 1, 1, 0, 8): 4.0,
        Work("step", 3, 0, 1, 1, 2, 8): 8.0,
        Work("step", 3, 0, 1, 1, 2, 4): 16.0,
        Work("fill", 1, 0, 0, 0, 2, 20): 32.0,
        Work("epoch", 0, 0, 0, 0, 0, 20): 64.0,
        Work("epoch", 0, 0, 0, 0, 2, 20): 128.0,
        Work("step", 3, 0, 1, 1, 2, 8, 1): 256.0,
    }
    # 64 and three steps; 128, a fill and three steps; 128 and one step; 128 and three steps by layer
    expected = [64.0 + 7.0, 128.0 + 64.0, 128.0 + 8.0, 128.0 + 3 * 256.0]
    assert reference_seconds(epochs, WORKLOAD, seconds) == list(np.cumsum(expected))
    drawing = seconds.pop(Work("epoch", 0, 0, 0, 0, 2, 20))
    with pytest.raises(InputError, match=r"no seconds of kind epoch, lowest 0, .*cached 2, rows 20, by_layer 0"):
        reference_seconds(epochs, WORKLOAD, seconds)
    seconds[Work("epoch", 0, 0, 0, 0, 2, 20)] = drawing
    del seconds[Work("fill", 1, 0, 0, 0, 2, 20)]
    with pytest.raises(InputError, match=r"no seconds of kind fill, lowest 1, .*rows 20"):
        reference_seconds(epochs, WORKLOAD, seconds)


def test_the_median_is_that_of_the_rounds_of_one_kind_of_work():
    one, other = Work("step", 1, 1, 2, 1, 0, 8), Work("fill", 1, 0, 0, 0, 2, 20)
    times = {("iris", 4, one): (3, 1, 9), ("iris", 4, other): (5, 7, 6), ("iris", 6, one): (2, 2, 8)}
    rows = [
        (*key, *work, number, seconds)
        for (*key, work), of_rounds in times.items()
        for number, seconds in enumerate(of_rounds)
    ]
    assert median_seconds(pd.DataFrame(rows[::-1], columns=list(columns("timing")))) == {
        ("iris", 4): {one: 3, other: 6},
        ("iris", 6): {one: 2},
    }


def test_a_kind_of_work_that_was_not_timed_is_said():
    nothing = pd.DataFrame(columns=list(columns("timing")))
    with pytest.raises(InputError, match="no seconds of kind epoch"):
        speedups(RESULTS_STUDY, nothing, {("iris", 4): results_workload(4)})


def test_tables_need_no_torch_for_it():
    code = "import sys, altfreeze.tables.reference_seconds; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
