"""Comparisons of paired values: figures, intervals and verdicts."""

import math
import statistics
from types import SimpleNamespace

import numpy as np
import pytest
from altfreeze.statistics import mean_difference, median_interval, paired, paired_comparisons, resample_counts, verdict
from altfreeze.statistics.paired import (
    PairedComparison,
    hedges_correction,
    noncentrality,
    two_one_sided_tests,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

# what is undefined is found so, not stumbled over
pytestmark = pytest.mark.filterwarnings("error")

samples = st.lists(st.lists(st.floats(-1, 1), min_size=5, max_size=8), min_size=1, max_size=4)


def interval(differences, seed=0):
    return mean_difference([np.array(values) for values in differences], range(seed, seed + len(differences)))


@settings(max_examples=15, deadline=None)
@given(samples)
def test_the_estimate_is_the_mean_of_means_inside_of_its_interval_and_turns_with_the_sign(differences):
    found = interval(differences)
    assert found.estimate == pytest.approx(np.mean([np.mean(values) for values in differences]), abs=1e-12)
    assert found.low - 1e-12 <= found.estimate <= found.high + 1e-12
    turned = interval([[-value for value in values] for values in differences])
    assert turned.estimate == pytest.approx(-found.estimate, abs=1e-12)
    # the same resamples, of turned signs
    assert turned.low == pytest.approx(-found.high, abs=1e-9)


def normal(generator, count):
    return generator.normal(size=count)


def exponential(generator, count):
    return generator.exponential(size=count) - 1


def accuracy(generator, count):
    """Draw differences of accuracies of 60 rows, of about 0.97, whose splits are easy or hard for both."""
    rate = 1 / (1 + np.exp(-3.5 - 0.4 * generator.normal(size=count)))
    return (generator.binomial(60, rate) - generator.binomial(60, rate)) / 60


@pytest.mark.parametrize(
    ("draw", "spreads", "count", "claimed"),
    [
        (normal, [1], 5, 0.92),
        (normal, [1], 10, 0.94),
        (accuracy, [1], 10, 0.94),
        (exponential, [1], 10, 0.92),
        (normal, [1] * 9, 10, 0.95),
        (normal, [10] + [1] * 8, 10, 0.95),
    ],
)
def test_the_interval_covers_the_truth_as_often_as_its_docstring_claims(draw, spreads, count, claimed):
    generator = np.random.default_rng(7)
    studies = 1000 if len(spreads) == 1 else 400
    seeds = np.arange(studies * len(spreads)).reshape(studies, -1).tolist()
    found = [mean_difference([s * draw(generator, count) for s in spreads], own) for own in seeds]
    covered = sum(low <= 0 <= high for _, low, high in found) / studies
    assert covered == pytest.approx(claimed, abs=0.02)


def test_the_detectable_difference_is_detected_in_four_studies_of_five():
    generator = np.random.default_rng(11)
    truth = noncentrality(9) / math.sqrt(10)
    found = [mean_difference([generator.normal(truth, 1, 10)], [study]) for study in range(600)]
    assert np.mean([verdict(low, high, 0) == "better" for _, low, high in found]) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_the_interval_has_the_unit_of_the_differences(unit):
    values = np.random.default_rng(3).exponential(size=7)
    assert interval([unit * values]) == pytest.approx(tuple(unit * end for end in interval([values])), rel=1e-9)


def test_a_constant_difference_is_certain():
    assert interval([[0.25] * 5, [0.75] * 6]) == (0.5, 0.5, 0.5)


def test_with_fewer_than_five_pairs_there_is_an_estimate_but_no_interval():
    found = interval([[0.5] * 4, [0.1, 0.3] * 3])
    assert found.estimate == pytest.approx(0.35)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_without_a_pair_there_is_no_estimate():
    assert all(map(math.isnan, interval([[], [0.1, 0.3]])))


def test_the_interval_is_near_the_normal_one_for_many_pairs():
    values = np.random.default_rng(3).normal(0.2, 1, size=400)
    found = interval([values])
    half = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.02, 0.03, "better"),
        (0.005, 0.03, "better"),
        (-0.03, -0.02, "worse"),
        (-0.03, -0.005, "worse"),
        (-0.01, 0.01, "equivalent"),
        (0.002, 0.004, "equivalent"),
        (-0.004, -0.002, "equivalent"),
        (0.0, 0.0, "undecided"),
        (0.02, 0.02, "undecided"),
        (0.004, 0.004, "undecided"),
        (0.0, 0.02, "undecided"),
        (-0.02, 0.0, "undecided"),
        (-0.011, 0.01, "undecided"),
        (-0.01, 0.011, "undecided"),
        (-0.5, 0.5, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_a_verdict_follows_from_where_the_interval_lies(low, high, said):
    assert verdict(low, high, 0.01) == said
    turned = {"better": "worse", "worse": "better"}
    assert verdict(-high, -low, 0.01) == turned.get(said, said)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_without_a_margin_nothing_that_was_drawn_is_equivalent(one, other):
    low, high = sorted((one, other))
    assert verdict(low, high, 0) != "equivalent"
    assert (verdict(low, high, 0, exact=True) == "equivalent") == (low == high == 0)


@given(st.floats(-1, 1), st.floats(0, 1))
def test_an_interval_without_width_is_undecided_unless_its_values_were_computed(value, margin):
    assert verdict(value, value, margin) == "undecided"
    said = "equivalent" if abs(value) <= margin else "better" if value > 0 else "worse"
    assert verdict(value, value, margin, exact=True) == said


def test_the_ends_of_the_medians_interval_are_the_tabled_order_statistics():
    ranks = {6: 1, 7: 1, 8: 1, 9: 2, 10: 2, 11: 2, 12: 3, 13: 3, 14: 3, 15: 4, 16: 4, 17: 5, 18: 5, 19: 5, 20: 6}
    for count, rank in ranks.items():
        values = np.random.default_rng(count).permutation(count) + 1
        assert median_interval(values) == ((count + 1) / 2, rank, count + 1 - rank)
    # the coverage is the confidence itself
    assert median_interval([1, 2, 3], 0.75) == (2, 1, 3)


@given(st.integers(1, 200), st.sampled_from([0.5, 0.75, 0.9, 0.95, 0.99]))
def test_the_medians_interval_is_the_narrowest_symmetric_one_that_covers_enough(count, confidence):
    _, low, high = median_interval(range(1, count + 1), confidence)
    if math.isnan(low):
        assert 1 - 2 * 0.5**count < confidence
        return
    assert low + high == count + 1

    def coverage(rank):
        return 1 - 2 * stats.binom.cdf(rank - 1, count, 0.5)

    assert coverage(low) >= confidence - 1e-12
    assert coverage(low + 1) < confidence + 1e-12


@given(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=40))
def test_the_medians_interval_is_that_of_the_sign_test(values):
    found = median_interval(values)
    assert found.estimate == np.median(values)
    oracle = stats.quantile_test(values, p=0.5).confidence_interval(0.95)
    assert (found.low, found.high) == (oracle.low, oracle.high)


def test_few_values_have_a_median_but_no_interval():
    for count in range(1, 6):
        found = median_interval(range(count))
        assert found.estimate == (count - 1) / 2
        assert math.isnan(found.low)
        assert math.isnan(found.high)


# accuracies of 60 rows, which tie
accuracies = st.integers(30, 60).map(lambda right: right / 60)


def pairs(fewest=1, most=9):
    return st.lists(st.tuples(accuracies, accuracies), min_size=fewest, max_size=most)


def compare(reference, strategy, seed=0, **options):
    """Compare on one data set, or on several where nested."""
    if np.ndim(reference[0]) == 0:
        reference, strategy = [reference], [strategy]
    arrays = [[np.array(values, float) for values in side] for side in (reference, strategy)]
    return paired_comparisons(*arrays, range(seed, seed + len(arrays[0])), **options)[-1]


def test_the_figures_of_five_pairs_are_those_by_hand():
    reference, strategy = [80, 82, 84, 86, 88], [82, 82, 88, 85, 93]
    found = compare(reference, strategy, test_over_train=0.25)
    assert found.pairs == 5
    assert found.mean_difference == 2
    # of 2, 0, 4, -1, 5; that of the medians is 1
    assert found.median_difference == 2
    assert found.correlation == pytest.approx(12.5 / math.sqrt(10 * 21.5))
    # three above, one tie, one below
    assert found.probability_of_improvement == pytest.approx(3.5 / 5)
    # -2 - 2 + 4 + 1 + 5 of 25 couples
    assert found.cliffs_delta == pytest.approx(6 / 25)
    freedom = 4 * 31.5**2 / (10**2 + 21.5**2 + 2 * 12.5**2)
    assert found.hedges_g == pytest.approx(hedges_correction(freedom) * 2 / math.sqrt(31.5 / 2))
    # variance 6.5 of the differences, t of 4 degrees of freedom from a table
    half = 2.776445 * math.sqrt(6.5 * (1 / 5 + 0.25))
    assert found.nadeau_bengio_low == pytest.approx(2 - half)
    assert found.nadeau_bengio_high == pytest.approx(2 + half)
    assert found.minimum_detectable_difference == pytest.approx(noncentrality(4) * math.sqrt(6.5 / 5))


@given(pairs(3))
def test_the_figures_of_one_data_set_agree_with_oracles(values):
    reference, strategy = map(np.array, zip(*values, strict=True))
    found = compare(reference, strategy)
    couples = stats.mannwhitneyu(strategy, reference).statistic / len(values) ** 2
    assert (1 + found.cliffs_delta) / 2 == pytest.approx(couples, abs=1e-12)
    assert found.median_difference == pytest.approx(statistics.median(strategy - reference))
    wins = [1.0 if other > one else 0.5 if other == one else 0.0 for one, other in values]
    assert found.probability_of_improvement == pytest.approx(statistics.fmean(wins))
    if len(set(reference)) > 1 and len(set(strategy)) > 1:
        assert found.correlation == pytest.approx(statistics.correlation(reference, strategy), abs=1e-9)
    else:
        assert math.isnan(found.correlation)


def resampled_means(samples):
    """Return the mean of means of each resample, drawn within every sample."""
    counts = [resample_counts(seed, len(sample)) for seed, sample in enumerate(samples)]
    return np.mean([each @ sample / len(sample) for each, sample in zip(counts, samples, strict=True)], axis=0)


@pytest.mark.parametrize("number", [1, 7, 300])
def test_every_resample_draws_as_many_things_and_each_as_often_as_the_others(number):
    counts = resample_counts(3, number)
    assert counts.shape == (9999, number)
    assert (counts.sum(axis=1) == number).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(number), abs=0.06)
    assert np.array_equal(counts, resample_counts(3, number))
    assert number == 1 or not np.array_equal(counts, resample_counts(4, number))
    # of each thing, binomial (number, 1 / number)
    assert counts.var(axis=0).mean() == pytest.approx(1 - 1 / number, rel=0.02)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(0, 99))
def test_each_data_set_is_what_it_is_alone(sizes, seed):
    generator = np.random.default_rng(seed)
    reference, strategy = ([generator.normal(size=size) for size in sizes] for _ in range(2))
    seeds = [seed + index for index in range(len(sizes))]
    *each, together = paired_comparisons(reference, strategy, seeds, 0.25)
    assert together.pairs == sum(sizes)
    # one more comparison for each group
    grouped = paired_comparisons(reference, strategy, seeds, 0.25, [range(len(sizes)), [len(sizes) - 1]])
    assert str(grouped) == str([*each, together, each[-1]])
    for index, found in enumerate(each):
        one = slice(index, index + 1)
        for alone in paired_comparisons(reference[one], strategy[one], seeds[one], 0.25):
            assert found == pytest.approx(alone, nan_ok=True, rel=0, abs=0)


@pytest.mark.parametrize("sizes", [[10], [7, 12, 30]])
def test_the_interval_is_scipys_bca_of_these_resamples_at_the_expanded_level(sizes):
    generator = np.random.default_rng(len(sizes))
    samples = [generator.exponential(size=size) for size in sizes]
    # Satterthwaite's degrees of freedom, and Hesterberg's level
    spreads = [sample.var(ddof=1) / len(sample) for sample in samples]
    freedom = sum(spreads) ** 2 / sum(v**2 / (size - 1) for v, size in zip(spreads, sizes, strict=True))
    z = math.sqrt(min(sizes) / (min(sizes) - 1)) * stats.t.ppf(0.975, freedom)
    resampled = resampled_means(samples)

    def mean_of_means(*samples, axis=-1):
        return np.mean([sample.mean(axis=axis) for sample in samples], axis=0)

    # a resample that only reorders the sample has its mean, to the last digit
    estimate = mean_of_means(*samples)
    resampled[np.abs(resampled - estimate) < 1e-12] = estimate
    oracle = stats.bootstrap(
        samples,
        mean_of_means,
        n_resamples=0,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=resampled),
        confidence_level=1 - 2 * stats.norm.sf(z),
        method="BCa",
    ).confidence_interval
    found = mean_difference(samples, range(len(samples)))
    assert (found.low, found.high) == pytest.approx(tuple(oracle), abs=1e-12)


@pytest.mark.parametrize("datasets", [1, 9])
def test_the_resamples_are_those_of_scipy_in_distribution(datasets):
    generator = np.random.default_rng(datasets)
    samples = [generator.normal(size=10) * (1 + index) for index in range(datasets)]
    resampled = resampled_means(samples)
    mean = np.mean([sample.mean() for sample in samples])
    deviation = math.sqrt(sum(sample.var() / 10 for sample in samples)) / datasets
    assert len(resampled) == 9999
    assert resampled.mean() == pytest.approx(mean, abs=4 * deviation / 100)
    assert resampled.std() == pytest.approx(deviation, rel=0.04)


def turned(found):
    """Return the comparison with the strategies swapped, by what each figure means."""
    return found._replace(
        mean_difference=-found.mean_difference,
        median_difference=-found.median_difference,
        low=-found.high,
        high=-found.low,
        probability_of_improvement=1 - found.probability_of_improvement,
        cliffs_delta=-found.cliffs_delta,
        hedges_g=-found.hedges_g,
        nadeau_bengio_low=-found.nadeau_bengio_high,
        nadeau_bengio_high=-found.nadeau_bengio_low,
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(pairs(3, 8), min_size=1, max_size=3))
def test_swapping_the_strategies_turns_every_figure(values):
    reference, strategy = zip(*(zip(*each, strict=True) for each in values), strict=True)
    found = compare(reference, strategy, test_over_train=0.3)
    assert compare(strategy, reference, test_over_train=0.3) == pytest.approx(turned(found), abs=1e-9, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(pairs(5), st.randoms(use_true_random=False))
def test_neither_the_order_of_rows_nor_the_seed_of_the_resamples_changes_a_figure(values, shuffler):
    shuffled = shuffler.sample(values, len(values))
    found = compare(*zip(*values, strict=True), test_over_train=0.3)
    other = compare(*zip(*shuffled, strict=True), seed=1, test_over_train=0.3)
    assert other._replace(low=0, high=0) == pytest.approx(found._replace(low=0, high=0), abs=1e-9, nan_ok=True)


def test_the_ends_of_the_interval_wander_by_no_more_than_the_error_of_the_resamples():
    values = np.random.default_rng(3).exponential(size=30)
    found, other = interval([values]), interval([values[::-1]], seed=1)
    assert (other.low, other.high) == pytest.approx((found.low, found.high), abs=0.03 * (found.high - found.low))


@settings(max_examples=40, deadline=None)
@given(pairs(5), st.sampled_from([-0.25, 0.5]), st.sampled_from([0.5, 100]))
def test_a_shift_of_both_changes_nothing_and_a_unit_only_what_has_one(values, shift, unit):
    reference, strategy = map(np.array, zip(*values, strict=True))
    found = compare(reference, strategy, test_over_train=0.3)
    moved = compare(unit * (reference + shift), unit * (strategy + shift), test_over_train=0.3)
    without = {"pairs", "correlation", "probability_of_improvement", "cliffs_delta", "hedges_g"}
    # whether two values tie must not hang on their last digit
    assume(moved.probability_of_improvement == found.probability_of_improvement)
    for name in PairedComparison._fields:
        expected = getattr(found, name) * (1 if name in without else unit)
        if name != "cliffs_delta":
            assert getattr(moved, name) == pytest.approx(expected, rel=1e-6, abs=1e-9, nan_ok=True), name


@settings(max_examples=30, deadline=None)
@given(st.lists(pairs(3, 8), min_size=2, max_size=4))
def test_a_figure_over_data_sets_is_the_mean_of_theirs(values):
    sides = list(zip(*(zip(*each, strict=True) for each in values), strict=True))
    found = compare(*sides)
    alone = [compare(*each) for each in zip(*sides, strict=True)]
    assert found.pairs == sum(map(len, values))
    for name in (
        "mean_difference",
        "median_difference",
        "correlation",
        "probability_of_improvement",
        "cliffs_delta",
        "hedges_g",
    ):
        mean = np.mean([getattr(each, name) for each in alone])
        assert getattr(found, name) == pytest.approx(mean, abs=1e-12, nan_ok=True), name


def test_data_sets_of_equal_spread_narrow_what_they_leave_open_by_the_root_of_their_number():
    values = np.random.default_rng(2).normal(size=(2, 200))
    one = compare(*values, test_over_train=0.5)
    nine = compare(*([side] * 9 for side in values), test_over_train=0.5)
    for low, high in (("low", "high"), ("nadeau_bengio_low", "nadeau_bengio_high")):
        narrowed = (getattr(one, high) - getattr(one, low)) / (getattr(nine, high) - getattr(nine, low))
        assert narrowed == pytest.approx(3, rel=0.05)
    assert one.minimum_detectable_difference / nine.minimum_detectable_difference == pytest.approx(3, rel=0.01)


def test_each_data_set_has_its_own_ratio_of_rows():
    values = np.random.default_rng(2).normal(size=(2, 20))
    found = compare(*([side] * 2 for side in values), test_over_train=[0.2, 0.8])
    parts = [1 / 20 + 0.2, 1 / 20 + 0.8]
    freedom = 19 * sum(parts) ** 2 / (parts[0] ** 2 + parts[1] ** 2)
    half = stats.t.ppf(0.975, freedom) * np.std(values[1] - values[0], ddof=1) * math.sqrt(sum(parts)) / 2
    assert (found.nadeau_bengio_high - found.nadeau_bengio_low) / 2 == pytest.approx(half)


@pytest.mark.parametrize("spread", ["normal", "exponential"])
def test_four_times_the_pairs_halve_what_is_left_open(spread):
    generator = np.random.default_rng(1)
    values = getattr(generator, spread)(size=(2, 400))
    many = compare(*values, test_over_train=0.0)
    few = compare(*values[:, :100], test_over_train=0.0)
    assert (many.high - many.low) / (few.high - few.low) == pytest.approx(0.5, rel=0.2)
    assert many.minimum_detectable_difference / few.minimum_detectable_difference == pytest.approx(0.5, rel=0.2)
    # without overlap it is the t interval
    t = stats.ttest_rel(*values[::-1]).confidence_interval()
    assert (many.nadeau_bengio_low, many.nadeau_bengio_high) == pytest.approx((t.low, t.high))


def test_equal_strategies_differ_by_nothing():
    values = [0.8, 0.85, 0.9, 0.9, 0.95]
    found = compare(values, values, test_over_train=0.3)
    assert found == PairedComparison(5, *[0] * 4, pytest.approx(1), 0.5, 0, 0, 0, 0, 0)


def test_a_constant_difference_leaves_nothing_open():
    reference = np.array([0.8, 0.85, 0.9, 0.9, 0.95, 0.99])
    found = compare(reference, reference + 0.1, test_over_train=0.3)
    ends = (found.low, found.high, found.nadeau_bengio_low, found.nadeau_bengio_high)
    assert (found.mean_difference, *ends) == pytest.approx((0.1,) * 5, abs=1e-12)
    assert found.minimum_detectable_difference == pytest.approx(0, abs=1e-12)
    assert found.probability_of_improvement == 1


def test_what_is_undefined_is_nan_and_the_rest_is_not():
    found = compare([0.95] * 7, [0.95, 0.9, 0.95, 0.9, 0.95, 0.9, 0.9])
    assert math.isnan(found.correlation)
    assert math.isfinite(found.hedges_g)
    assert math.isnan(found.nadeau_bengio_low)
    # means of 0.95, over and over, are not quite 0.95: the spread is still none
    assert math.isnan(compare([0.95] * 7, [0.9] * 7).hedges_g)
    assert compare([0.95] * 7, [0.9] * 7).cliffs_delta == -1

    def given(count):
        found = compare(np.linspace(0.5, 0.9, 5)[:count], [0.6, 0.9, 0.7, 0.5, 0.9][:count], test_over_train=0.3)
        return {name for name in found._fields if not math.isnan(getattr(found, name))}

    least = {"pairs", "mean_difference", "median_difference", "probability_of_improvement", "cliffs_delta"}
    two = least | {"nadeau_bengio_low", "nadeau_bengio_high", "minimum_detectable_difference"}
    assert given(1) == least
    assert given(2) == two
    assert given(3) == given(4) == two | {"correlation", "hedges_g"}
    assert given(5) == set(PairedComparison._fields)
    empty = compare([[], [0.5]], [[], [0.6]])
    assert empty.pairs == 1
    assert all(map(math.isnan, empty[1:]))


def test_arrays_that_do_not_pair_up_are_refused():
    with pytest.raises(ValueError, match="same seeds"):
        compare([0.5, 0.6], [0.5])
    with pytest.raises(ValueError, match="finite"):
        compare([0.5, math.nan], [0.5, 0.6])
    with pytest.raises(ValueError, match="longer"):
        compare([[0.5]], [[0.5], [0.6]])


def test_the_correction_of_hedges_is_exact():
    exact = {2: 1 / math.pi, 3: math.pi / 6, 4: 2 / math.pi, 5: 9 * math.pi / 40}
    for freedom, square in exact.items():
        assert hedges_correction(freedom) ** 2 == pytest.approx(square)
    # his approximation
    for freedom in range(10, 400):
        assert hedges_correction(freedom) == pytest.approx(1 - 3 / (4 * freedom - 1), abs=4e-4)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_hedges_g_is_unbiased(correlation):
    generator = np.random.default_rng(4)
    covariance = [[1, correlation], [correlation, 1]]
    drawn = generator.multivariate_normal([0, 1], covariance, size=(4000, 6))
    found = [paired._hedges_g(*each.T) for each in drawn]
    assert np.mean(found) == pytest.approx(1, abs=4 * np.std(found) / math.sqrt(4000))


@given(st.floats(1, 500))
def test_the_detectable_difference_has_the_power_it_claims(freedom):
    critical = stats.t.ppf(0.975, freedom)
    shift = noncentrality(freedom)
    power = stats.nct.sf(critical, freedom, shift)
    assert power == pytest.approx(0.8, abs=1e-5)


@pytest.mark.parametrize("count", [2, 3, 10, 34, 90])
def test_the_detectable_difference_is_that_of_statsmodels(count):
    from statsmodels.stats.power import TTestPower

    oracle = TTestPower().solve_power(effect_size=None, nobs=count, alpha=0.05, power=0.8)
    assert noncentrality(count - 1) / math.sqrt(count) == pytest.approx(oracle, rel=1e-4)


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
def test_the_interval_of_nadeau_and_bengio_covers_95_percent_of_correlated_differences(ratio):
    # any two correlate by test / (train + test); four pairs, as nothing is resampled then
    shared = math.sqrt(ratio / (1 + ratio))
    generator = np.random.default_rng(8)
    own = generator.normal(size=(2000, 4)) * math.sqrt(1 / (1 + ratio))
    drawn = own + shared * generator.normal(size=(2000, 1))
    found = [compare(np.zeros(4), values, test_over_train=ratio) for values in drawn]
    covered = np.mean([each.nadeau_bengio_low <= 0 <= each.nadeau_bengio_high for each in found])
    assert covered == pytest.approx(0.95, abs=0.02)


@given(pairs(2), st.sampled_from([0.005, 0.02, 0.1]))
def test_equivalence_is_that_of_two_t_tests(values, margin):
    differences = np.array([b - a for a, b in values])
    assume(np.ptp(differences) > 1e-9)
    found = two_one_sided_tests([differences], margin)
    above = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    assert found == pytest.approx(max(above, below), abs=1e-12)
    assert two_one_sided_tests([-differences], margin) == pytest.approx(found, abs=1e-12)
    # what the verdict says of the t interval
    low, high = stats.ttest_1samp(differences, 0).confidence_interval()
    assume(abs(found - 0.025) > 1e-9)
    assert (found < 0.025) == (verdict(low, high, margin) == "equivalent")


def test_equivalence_is_that_of_statsmodels():
    from statsmodels.stats.weightstats import ttost_paired

    generator = np.random.default_rng(6)
    for _ in range(20):
        reference, strategy = generator.normal(0.9, 0.02, size=(2, 10))
        oracle = ttost_paired(strategy, reference, -0.01, 0.01)[0]
        assert two_one_sided_tests([strategy - reference], 0.01) == pytest.approx(oracle, abs=1e-12)


def test_equivalence_over_data_sets_is_that_of_welch():
    # the mean of two data sets is half the difference of one and the other turned
    generator = np.random.default_rng(9)
    one, other = generator.normal(0.01, 0.02, size=10), generator.normal(0, 0.05, size=15)
    below = stats.ttest_ind(one - 0.04, -other, equal_var=False, alternative="less").pvalue
    above = stats.ttest_ind(one + 0.04, -other, equal_var=False, alternative="greater").pvalue
    assert two_one_sided_tests([one, other], 0.02) == pytest.approx(max(below, above), abs=1e-12)


def test_equal_differences_are_equivalent_within_the_margin_only_where_they_were_computed():
    assert two_one_sided_tests([np.full(5, 0.01)], 0.01, exact=True) == 0
    assert two_one_sided_tests([np.full(5, -0.01)], 0.01, exact=True) == 0
    assert two_one_sided_tests([np.full(5, 0.02)], 0.01, exact=True) == 1
    equal_but_for_rounding = np.array([0.1, 0.2, 0.3]) - np.array([0.0, 0.1, 0.2])
    assert two_one_sided_tests([equal_but_for_rounding], 0.2, exact=True) == 0
    for differences in (np.zeros(5), np.full(5, 0.01), np.full(5, 0.02), equal_but_for_rounding):
        assert math.isnan(two_one_sided_tests([differences], 0.01))
    assert math.isnan(two_one_sided_tests([np.ones(5), np.ones(1)], 2))
