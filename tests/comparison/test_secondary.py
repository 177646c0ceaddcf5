"""Trends, times to target, profiles, the matrix of strategies, and what a study says of itself; of tables by hand."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from altfreeze import statistics
from altfreeze.comparison import secondary
from altfreeze.support.randomness import stream_seed
from altfreeze.vocabulary import CLOCKS
from builders import make_study
from scipy import stats

GIVEN = {
    "datasets": ["iris", "wine", "digits"],
    "depths": [4],
    "primary_depth": 4,
    "freeze_ratios": [0.25, 0.5, 0.75],
    "strategies": ["alternating"],
    "seeds": 6,
    "target_levels": [0.9],
}
STUDY = make_study(**GIVEN)
LABELS = ["standard", "alternating-0.25", "alternating-0.5", "alternating-0.75"]
ROUND_OFF = [0, 3e-10, -4e-10]


def compared(differences, strategies=LABELS[1:], depths=(4,), **columns):
    """Return the rows of the table comparisons that a trend reads, of differences[data set, strategy, depth]."""
    return pd.DataFrame(
        [
            {"dataset": dataset, "strategy": strategy, "depth": depth, "difference": difference}
            | {"budget": "flops", "recipe": "primary", "metric": "final_test_accuracy", "reference": "standard"}
            | {"freeze_ratio": float(strategy.rpartition("-")[2])}
            | columns
            for (dataset, strategy, depth), difference in zip(
                itertools.product(STUDY.datasets, strategies, depths), np.ravel(differences), strict=True
            )
        ]
    )


RISING = np.array([[0.01, 0.02, 0.03], [-0.3, 0.1, 0.1], [0.2, 0.1, 0.4]])


def test_a_trend_over_freeze_ratios_is_pages():
    rows = compared(RISING)
    # rows that are not of the trend
    others = [
        compared(-RISING, metric="best_test_accuracy"),
        compared(-RISING, reference="standard_half_updates"),
        compared(-RISING).assign(dataset="all"),
        compared(-RISING, strategies=["frozen_top-0.25", "frozen_top-0.5", "frozen_top-0.75"]),
    ]
    table = pd.concat([*others, rows.sample(frac=1, random_state=0)])
    (found,) = secondary.trends(STUDY, table)
    # ranks 1 2 3, 1 2.5 2.5 and 2 1 3
    assert found == {
        "budget": "flops",
        "recipe": "primary",
        "over": "freeze_ratio",
        "at": "depth 4",
        "levels": "0.25 0.5 0.75",
        "datasets": 3,
        "missing": 0,
        **statistics.page_trend(RISING)._asdict(),
    }
    assert found["statistic"] == 4 * 1 + 5.5 * 2 + 8.5 * 3
    assert found["direction"] == "increasing"
    # and turns with the order of the levels
    (turned,) = secondary.trends(STUDY, compared(RISING[:, ::-1]))
    assert (turned["direction"], turned["p_value"]) == ("decreasing", found["p_value"])


def test_a_copy_of_a_strategy_is_no_level_twice():
    copy = {"name": "alternating", "label": "twin", "freeze_ratio": 0.5}
    study = make_study(**GIVEN | {"strategies": ["alternating", copy]})
    table = pd.concat([compared(RISING), compared(RISING[:, :1], strategies=["twin-0.5"])])
    assert secondary.trends(study, table) == secondary.trends(STUDY, compared(RISING))


def test_a_trend_has_a_row_for_each_budget_under_the_primary_recipe():
    table = pd.concat(
        compared(sign * RISING, budget=budget, recipe=recipe)
        for (budget, sign), recipe in itertools.product({"own": 1, "epochs": -1}.items(), ("primary", "tuned"))
    )
    found = pd.DataFrame(secondary.trends(STUDY, table)).set_index(["budget", "recipe"])
    assert found["direction"].to_dict() == {
        (budget, recipe): {"own": "increasing", "epochs": "decreasing"}[budget]
        for budget, recipe in itertools.product(("own", "epochs"), ("primary",))
    }


def test_the_digits_of_the_logs_make_no_ranks():
    (exact,) = secondary.trends(STUDY, compared(np.full((3, 3), 0.1)))
    (digits,) = secondary.trends(STUDY, compared(0.1 + np.sort([ROUND_OFF] * 3)))
    assert (digits["statistic"], digits["direction"]) == (exact["statistic"], "none") == (36, "none")


@pytest.mark.parametrize(("gone", "datasets"), [(1, 2), (2, 1), (3, 0)])
def test_a_data_set_that_lacks_a_level_is_counted_and_the_row_stays(gone, datasets):
    differences = RISING.copy()
    differences[:gone, 1] = np.nan
    (found,) = secondary.trends(STUDY, compared(differences))
    assert (found["datasets"], found["missing"]) == (datasets, gone)
    if datasets > 1:
        assert found["statistic"] == statistics.page_trend(RISING[gone:]).statistic
    else:
        assert np.isnan([found["statistic"], found["p_value"]]).all()
        assert found["direction"] == "unknown"


def test_a_trend_over_depths_is_of_one_strategy():
    study = make_study(**GIVEN | {"depths": [10, 4, 6], "freeze_ratios": [0.5]})
    (found,) = secondary.trends(study, compared(RISING, strategies=["alternating-0.5"], depths=(4, 6, 10)))
    assert (found["over"], found["at"], found["levels"]) == ("depth", "alternating-0.5", "4 6 10")
    assert found["statistic"] == statistics.page_trend(RISING).statistic


def test_fewer_than_three_levels_are_no_trend_and_other_schedules_no_levels_of_it():
    assert secondary.trends(STUDY, compared(RISING[:, :2], strategies=LABELS[1:3])) == []
    # two alternate for phases of two epochs, whatever their label says
    strategies = ["alternating", {"name": "alternating", "period": 2, "label": "slow"}]
    study = make_study(
        **GIVEN
        | {
            "freeze_ratios": [0.25, 0.5],
            "strategies": [*strategies, strategies[1] | {"freeze_ratio": 0.75, "label": "alternating"}],
        }
    )
    labels = ["alternating-0.25", "alternating-0.5", "alternating-0.75"]
    assert set(labels) < set(study.strategies)
    assert secondary.trends(study, compared(RISING, strategies=labels)) == []


# of each clock, what an epoch takes: every one runs as the epochs do, in a unit of its own
UNITS = {name: 1.0 + place for place, name in enumerate(CLOCKS)}
ENDS = {clock.end: 10 * UNITS[name] for name, clock in CLOCKS.items()}


def runs_of(ends):
    """Return the columns of the table runs that times read, of one data set; ends by label, as shares of ENDS."""
    return pd.DataFrame(
        [
            {"dataset": "iris", "depth": 4, "strategy": label, "recipe": "primary", "seed": seed, "status": "ok"}
            | {name: value * share for name, value in ENDS.items()}
            for (label, share), seed in itertools.product(ends.items(), range(6))
        ]
    )


def times_of(epochs, ends):
    """Return the table times_to_target, of epochs by label and seed, None where the end came first."""
    rows = []
    for label, values in epochs.items():
        for seed, value in enumerate(values):
            share = ends[label] if value is None else value / 10
            clocks = {name: 10 * unit * share for name, unit in UNITS.items()}
            rows.append(
                {"dataset": "iris", "depth": 4, "strategy": label, "recipe": "primary", "seed": seed, "level": 0.9}
                | {"target": 0.8, "reached": int(value is not None)}
                | clocks
            )
    return pd.DataFrame(rows)


ONE = make_study(**GIVEN | {"datasets": ["iris"], "freeze_ratios": [0.5], "seed": 3})


def times(epochs, ends, error=0.0):
    reached = times_of(epochs, ends).sample(frac=1, random_state=0)
    errors = {("iris", 4, "alternating-0.5"): error}
    return pd.DataFrame(secondary.times(ONE, runs_of(ends), reached, errors)).set_index("clock")


def test_times_to_target_are_restricted_to_the_earlier_end_of_each_clock():
    ends = {"standard": 1, "alternating-0.5": 0.6}
    # standard training reaches its target after six epochs twice, where alternating ends
    found = times({"standard": [2, 4, 6, 8, 9, None], "alternating-0.5": [1, 1, 2, 5, None, None]}, ends)
    assert list(found.index) == list(CLOCKS)
    row = found.loc["epoch"]
    assert (row["horizon"], row["pairs"]) == (6, 6)
    assert row["reference_restricted_mean"] == pytest.approx((2 + 4 + 6 + 6 + 6 + 6) / 6)
    assert row["strategy_restricted_mean"] == pytest.approx((1 + 1 + 2 + 5 + 6 + 6) / 6)
    assert row["difference"] == pytest.approx(-9 / 6)
    assert (row["reference_success_rate"], row["strategy_success_rate"]) == pytest.approx((3 / 6, 4 / 6))
    # all that was spent over the successes
    assert row["reference_expected_runtime"] == pytest.approx(30 / 3)
    assert row["strategy_expected_runtime"] == pytest.approx(21 / 4)
    # the pairs differ by -1 -3 -4 -1 0 0
    seeds = [stream_seed(3, "iris", "bootstrap")]
    expected = statistics.mean_difference([np.array([-1.0, -3, -4, -1, 0, 0])], seeds)
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    for clock, unit in UNITS.items():
        assert found.loc[clock, "horizon"] == pytest.approx(6 * unit)
        assert found.loc[clock, "difference"] == pytest.approx(-9 / 6 * unit)
        assert found.loc[clock, "reference_success_rate"] == pytest.approx(0.5)


def test_seconds_to_a_target_carry_the_error_of_their_timing():
    reached = {"standard": [2, 4, 6, 8, 9, 9], "alternating-0.5": [1, 1, 2, 5, 6, 7]}
    exact, known, unknown = (times(reached, dict.fromkeys(reached, 1), error) for error in (0, math.log(1.1), math.inf))
    seconds = exact.loc["seconds"]
    halves = [math.hypot(seconds["difference"] - seconds["low"], 0.1 * seconds["strategy_restricted_mean"])]
    halves.append(math.hypot(seconds["high"] - seconds["difference"], 0.1 * seconds["strategy_restricted_mean"]))
    ends = [seconds["difference"] - halves[0], seconds["difference"] + halves[1]]
    assert list(known.loc["seconds", ["low", "high"]]) == pytest.approx(ends)
    assert unknown.loc["seconds", ["low", "high"]].isna().all()
    pd.testing.assert_frame_equal(known.drop("seconds"), exact.drop("seconds"))
    pd.testing.assert_frame_equal(unknown.drop("seconds"), exact.drop("seconds"))


def test_without_a_success_there_is_no_expected_runtime_and_no_interval():
    ends = {"standard": 1, "alternating-0.5": 1}
    found = times({"standard": [None] * 6, "alternating-0.5": [None] * 5 + [7]}, ends)
    assert found["reference_expected_runtime"].isna().all()
    assert found.loc["epoch", "strategy_expected_runtime"] == pytest.approx(57)
    assert found[["low", "high"]].notna().all(axis=None)
    never = times({"standard": [None] * 6, "alternating-0.5": [None] * 6}, ends)
    assert never[["reference_expected_runtime", "strategy_expected_runtime", "low", "high"]].isna().all(axis=None)
    assert (never[["reference_success_rate", "strategy_success_rate", "difference"]] == 0).all(axis=None)


def test_times_swap_with_the_strategies():
    ends = {"standard": 1, "alternating-0.5": 0.6}
    reached = {"standard": [2, 4, 6, 8, 9, None], "alternating-0.5": [1, 1, 2, 5, None, None]}
    found = times(reached, ends)
    other = (
        dict(zip(ends, reversed(reached.values()), strict=True)),
        dict(zip(ends, reversed(ends.values()), strict=True)),
    )
    turned = times(*other)
    for one, two in itertools.permutations(("reference", "strategy")):
        for what in ("restricted_mean", "success_rate", "expected_runtime"):
            assert turned[f"{one}_{what}"].tolist() == found[f"{two}_{what}"].tolist()
    assert (turned[["difference", "low", "high"]]).to_numpy() == pytest.approx(
        -found[["difference", "high", "low"]].to_numpy()
    )


def reached_of(medians, clock="seconds"):
    """Return the table reached at one level, of median times by label and data set."""
    rows = [
        {"dataset": dataset, "depth": 4, "strategy": label, "recipe": "primary", "level": 0.9}
        | dict.fromkeys(CLOCKS, 1.0)
        | {clock: value}
        for label, values in zip(LABELS, medians, strict=True)
        for dataset, value in zip(STUDY.datasets, values, strict=True)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def test_profiles_count_how_close_each_strategy_comes_to_the_fastest():
    none = np.nan
    # on the last data set nobody reaches the target, and a sum in another order is no faster
    medians = [(10, 6, none), (20, 6 * (1 + 1e-12), none), (41, none, none), (none, none, none)]
    rows = pd.DataFrame(secondary.profiles(STUDY, reached_of(medians)))
    assert len(rows) == len(LABELS) * len(CLOCKS)
    found = rows[rows["clock"] == "seconds"].set_index("strategy")
    assert list(found.index) == LABELS
    assert (found["datasets"] == 3).all()
    assert found["reached"].tolist() == [2, 2, 1, 0]
    assert found["fastest"].tolist() == [2, 1, 0, 0]
    # (4 - ratio) / 3, and nothing from 4 on
    assert found["score"].to_numpy() == pytest.approx([2 / 3, (2 / 3 + 1) / 3, 0, 0])
    others = rows[rows["clock"] != "seconds"]
    assert (others["fastest"] == 3).all()
    assert (others["score"] == 1).all()


def study_runs(values, study=STUDY, gone=(), first_seed=0):
    """Return the table runs of values[data set, strategy, seed], in another order, and without what diverged."""
    labels, shape = list(study.strategies), np.shape(values)
    keys = itertools.product(study.datasets, labels[: shape[1]], range(first_seed, first_seed + shape[2]))
    rows = [
        {"dataset": dataset, "depth": 4, "strategy": label, "recipe": "primary", "seed": seed}
        | {"status": "diverged" if (dataset, label, seed) in gone else "ok"}
        | {"final_test_accuracy": np.nan if (dataset, label, seed) in gone else value}
        for (dataset, label, seed), value in zip(keys, np.ravel(values), strict=True)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=1)


def drawn(datasets=3, strategies=4, seeds=6):
    return np.random.default_rng(7).integers(20, 37, (datasets, strategies, seeds)) / 37


def matrix(runs, study=STUDY):
    return pd.DataFrame(secondary.matrix(study, runs)).set_index(["row", "column"])


def test_the_matrix_compares_every_strategy_with_every_other_over_the_data_sets():
    values = drawn()
    found = matrix(study_runs(values))
    means = values.mean(axis=2)
    order = [LABELS[index] for index in np.argsort(-means.mean(axis=0))]
    assert list(found.index) == list(itertools.permutations(order, 2))
    expected = statistics.multi_comparison_matrix(means, LABELS)
    assert [(cell.row, cell.column) for cell in expected] == list(found.index)
    columns = ["mean_difference", "wins", "ties", "losses", "wilcoxon_p"]
    assert found[columns].to_numpy() == pytest.approx(np.array([cell[2:] for cell in expected]), abs=1e-8)
    assert (found[["datasets", "missing"]] == [3, 0]).all(axis=None)


def test_the_matrix_turns_with_rows_and_columns():
    found = matrix(study_runs(drawn(), gone={("iris", "standard", 2)}))
    turned = found.loc[[(column, row) for row, column in found.index]]
    assert turned["mean_difference"].tolist() == (-found["mean_difference"]).tolist()
    assert turned["wins"].tolist() == found["losses"].tolist()
    same = ["ties", "wilcoxon_p", "datasets", "missing"]
    assert turned[same].to_numpy().tolist() == found[same].to_numpy().tolist()


def test_a_diverged_run_leaves_its_seed_out_of_the_rows_of_its_strategy_alone():
    values = drawn()
    values[0, 1, 2] = 0.0
    gone = {("iris", "standard", 2)} | {("wine", LABELS[2], seed) for seed in range(6)}
    before, after = matrix(study_runs(values)), matrix(study_runs(values, gone=gone))
    others = [(row, column) for row, column in before.index if not {row, column} & {"standard", LABELS[2]}]
    pd.testing.assert_frame_equal(before.loc[others], after.loc[others])
    # the partner of the diverged run, which is far below the others, is not held against its strategy
    kept = [seed for seed in range(6) if seed != 2]
    means = [(values[0, 1] - values[0, 0])[kept].mean(), *(values[1:, 1] - values[1:, 0]).mean(axis=1)]
    assert after.loc[(LABELS[1], "standard"), "mean_difference"] == pytest.approx(np.mean(means), abs=1e-8)
    # the data set that one strategy never ended on is missing where it is one of the two
    about = after.index.isin([LABELS[2]], level=0) | after.index.isin([LABELS[2]], level=1)
    assert (after.loc[about, ["datasets", "missing"]] == [2, 1]).all(axis=None)
    assert (after.loc[~about, ["datasets", "missing"]] == [3, 0]).all(axis=None)


def test_a_strategy_that_never_ended_has_rows_without_a_difference():
    gone = set(itertools.product(STUDY.datasets, [LABELS[3]], range(6)))
    found = matrix(study_runs(drawn(), gone=gone))
    assert len(found) == 4 * 3
    # it stands last
    assert found.index[-1][0] == LABELS[3]
    empty = found.loc[LABELS[3]]
    assert empty[["mean_difference", "wilcoxon_p"]].isna().all(axis=None)
    assert (empty[["datasets", "missing", "wins", "ties", "losses"]] == [0, 3, 0, 0, 0]).all(axis=None)
    nothing = matrix(study_runs(drawn(), gone=set(itertools.product(STUDY.datasets, LABELS, range(6)))))
    assert nothing["mean_difference"].isna().all()
    assert (nothing["missing"] == 3).all()


def test_the_digits_of_the_logs_make_no_wins():
    values = np.full((3, 4, 6), 5 / 9)
    values[:, 1, 0] += 4e-10
    values[1] += 5e-9
    found = matrix(study_runs(values))
    assert (found[["wins", "ties", "losses"]] == [0, 3, 0]).all(axis=None)
    # strategies that are equal stand as in the configuration
    assert list(found.index) == list(itertools.permutations(LABELS, 2))


def itself(values, again, gone=(), study=STUDY):
    calibration = study_runs(again, study, {(name, "standard", seed) for name, seed in gone}, first_seed=10)
    return pd.DataFrame(secondary.self_comparison(study, study_runs(values, study), calibration)).set_index("dataset")


def test_standard_training_is_compared_with_itself_on_other_seeds():
    values, again = drawn(), drawn(seeds=9)[:, :1] + 0.01
    found = itself(values, again)
    assert list(found.index) == [*STUDY.datasets, "all"]
    for index, name in enumerate(STUDY.datasets):
        # of all strategies, standard training alone
        welch = stats.ttest_ind(again[index, 0], values[index, 0], equal_var=False)
        expected = (again[index, 0].mean() - values[index, 0].mean(), *welch.confidence_interval())
        assert found.loc[name, ["difference", "low", "high"]].tolist() == pytest.approx(expected)
    every = statistics.a_a(values[:, 0], again[:, 0])
    assert found.loc["all", ["difference", "low", "high"]].tolist() == pytest.approx(list(every))
    assert found["runs"].tolist() == [6, 6, 6, 18]
    assert found["calibration_runs"].tolist() == [9, 9, 9, 27]
    margin = STUDY.equivalence_margin
    verdicts = [statistics.verdict(row.low, row.high, margin) for row in found.itertuples()]
    assert found["verdict"].tolist() == verdicts


@pytest.mark.parametrize(("kept", "answers"), [(2, True), (1, False), (0, False)])
def test_too_few_runs_that_ended_are_said_and_not_left_out(kept, answers):
    again = drawn()[:, :1]
    found = itself(drawn(), again, {("wine", seed) for seed in range(10 + kept, 16)})
    assert found.loc["wine", ["runs", "calibration_runs"]].tolist() == [6, kept]
    assert found.loc["all", "calibration_runs"] == 12 + kept
    assert found["difference"].notna().tolist() == [True, answers, True, answers]
    assert (found.loc[found["difference"].isna(), "verdict"] == "undecided").all()
    # one calibration seed says nothing of the spread
    alone = itself(drawn(), again[:, :, :1])
    assert alone["difference"].isna().all()
    assert alone["calibration_runs"].tolist() == [1, 1, 1, 3]


def test_the_digits_of_the_logs_raise_no_false_alarm():
    margin = STUDY.equivalence_margin
    above = np.full((3, 1, 6), 0.5 + margin)
    # apart in no digit that counts: an interval without width
    above[:, :, ::2] += 4e-10
    found = itself(np.full((3, 1, 6), 0.5), above)
    assert (found["low"] < found["high"]).all()
    assert (found["verdict"] == "undecided").all()


def shares(values, study=STUDY, gone=()):
    return pd.DataFrame(secondary.variance(study, study_runs(values, study, gone))).set_index("component")


def test_variance_is_that_of_standard_and_of_primary_training():
    values = drawn()
    found = shares(values)
    # standard and alternating-0.5
    expected = statistics.variance_components(values[:, [0, 2]])
    assert found["variance"].to_dict() == pytest.approx(expected._asdict())
    assert found["share"].to_dict() == pytest.approx(expected.shares()._asdict())
    assert found["share"].sum() == pytest.approx(1)
    assert (found["seeds"] == 6).all()


def test_a_diverged_run_costs_each_data_set_one_seed_and_not_that_seed_of_all():
    values = drawn()
    # one run on each data set, each at another seed, and one that is neither standard nor primary
    gone = {("iris", "standard", 0), ("wine", LABELS[2], 3), ("digits", "standard", 5), ("iris", LABELS[1], 1)}
    found = shares(values, gone=gone)
    assert (found["seeds"] == 5).all()
    kept = [np.delete(values[index][[0, 2]], seed, axis=1) for index, seed in enumerate((0, 3, 5))]
    expected = statistics.variance_components(kept)
    assert found["variance"].to_dict() == pytest.approx(expected._asdict())


@pytest.mark.parametrize(
    ("datasets", "gone", "seeds"),
    [
        (3, {("iris", "standard", seed) for seed in range(6)}, 0),
        (3, {("iris", "standard", seed) for seed in range(5)}, 1),
        (1, set(), 6),
    ],
)
def test_variance_that_cannot_be_split_has_rows_without_values(datasets, gone, seeds):
    study = make_study(**GIVEN | {"datasets": STUDY.datasets[:datasets]})
    found = shares(drawn(datasets), study, gone)
    assert list(found.index) == ["dataset", "strategy", "interaction", "seed", "residual"]
    assert found[["variance", "share"]].isna().all(axis=None)
    assert (found["seeds"] == seeds).all()


def test_seeds_needed_is_of_the_differences_of_each_depth():
    generator = np.random.default_rng(0)
    # as many pairs as each data set has
    differences = {4: [generator.normal(0, 0.02, size) for size in (6, 5, 3)], 6: [generator.normal(0, 0.1, 2)]}
    found = pd.DataFrame(secondary.seeds(STUDY, differences))
    for depth, rows in found.groupby("depth"):
        expected = statistics.seeds_needed(differences[depth], secondary.SEEDS, STUDY.equivalence_margin)
        assert rows["seeds"].tolist() == list(secondary.SEEDS)
        assert rows["half_width"].tolist() == pytest.approx(expected.half_width)
        assert rows["power"].tolist() == pytest.approx(expected.power)
        assert rows["half_width"].is_monotonic_decreasing
        assert rows["power"].is_monotonic_increasing


@pytest.mark.parametrize("pairs", [0, 1])
def test_where_a_data_set_has_no_spread_to_know_more_seeds_promise_nothing(pairs):
    found = pd.DataFrame(secondary.seeds(STUDY, {4: [np.zeros(6), np.zeros(pairs)]}))
    assert found["seeds"].tolist() == list(secondary.SEEDS)
    assert found[["half_width", "power"]].isna().all(axis=None)
