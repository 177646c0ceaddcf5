"""Where the variance of a study is, how many seeds it needs, and standard training against itself."""

import math

import numpy as np
import pytest
from altfreeze.statistics import verdict
from altfreeze.statistics.diagnostics import a_a, seeds_needed, variance_components
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

tables = st.tuples(st.integers(2, 4), st.integers(2, 4), st.integers(2, 5), st.integers(0, 2**32 - 1)).map(
    lambda drawn: np.random.default_rng(drawn[3]).normal(size=drawn[:3])
)


def table(components, shape, generator):
    """Draw a table with these variances of data set, strategy, interaction, seed and residual."""
    datasets, strategies, seeds = shape
    shapes = [(datasets, 1, 1), (1, strategies, 1), (datasets, strategies, 1), (datasets, 1, seeds), shape]
    return sum(
        generator.normal(scale=math.sqrt(variance), size=size)
        for variance, size in zip(components, shapes, strict=True)
    )


def test_the_components_of_a_table_by_hand():
    # mean squares 180.5 (data set), 40.5 (strategy), 4.5 (both), 14.5 (seed) and 2.5 (residual)
    values = [[[-1, 5], [3, 7]], [[10, 10], [18, 14]]]
    found = variance_components(values)
    assert found == pytest.approx((41, 9, 1, 6, 2.5))
    assert found._fields == ("dataset", "strategy", "interaction", "seed", "residual")
    assert found.shares() == pytest.approx(np.array((41, 9, 1, 6, 2.5)) / 59.5)


def test_the_components_are_right_on_average():
    generator = np.random.default_rng(11)
    components = (4.0, 2.0, 1.0, 3.0, 2.0)
    found = [variance_components(table(components, (12, 10, 8), generator)) for _ in range(600)]
    error = np.std(found, axis=0) / math.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - components) < 4 * error).all()
    assert np.mean(found, axis=0) == pytest.approx(components, rel=0.1)


@pytest.mark.parametrize("alone", range(5))
def test_a_single_source_takes_all_of_a_large_table(alone):
    components = np.eye(5)[alone]
    found = variance_components(table(components, (20, 20, 20), np.random.default_rng(3))).shares()
    assert found[alone] > 0.95


@given(tables, st.floats(0.1, 100), st.floats(-100, 100))
@settings(deadline=None)
def test_shares_are_of_one_whole_and_know_neither_unit_nor_origin(values, factor, shift):
    shares = variance_components(values).shares()
    assert sum(shares) == pytest.approx(1)
    assert min(shares) >= 0
    assert variance_components(factor * values + shift).shares() == pytest.approx(shares, abs=1e-6)


@given(tables, st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_the_order_of_data_sets_strategies_and_seeds_does_not_matter(values, seed):
    generator = np.random.default_rng(seed)
    mixed = values[generator.permutation(values.shape[0])][:, generator.permutation(values.shape[1])]
    mixed = np.stack([cells[:, generator.permutation(values.shape[2])] for cells in mixed])
    assert variance_components(mixed) == pytest.approx(variance_components(values), abs=1e-12)


@given(tables)
@settings(deadline=None)
def test_the_residual_is_half_of_the_variance_of_a_paired_difference(values):
    # of two strategies: what the pairing by seed leaves
    values = values[:, :2]
    difference = values[:, 1] - values[:, 0]
    assert variance_components(values).residual == pytest.approx(difference.var(axis=1, ddof=1).mean() / 2)


def test_a_table_without_variance_has_no_shares():
    found = variance_components(np.ones((2, 3, 4)))
    assert found == (0, 0, 0, 0, 0)
    assert all(map(math.isnan, found.shares()))


@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 1, 2), (2, 2, 1), (2, 2), (0, 2, 2)])
def test_a_table_that_splits_nothing_is_refused(shape):
    with pytest.raises(ValueError, match="each at least 2"):
        variance_components(np.zeros(shape))


def test_a_table_with_a_hole_is_refused():
    values = np.zeros((2, 2, 2))
    values[1, 0, 1] = math.nan
    with pytest.raises(ValueError, match="all finite"):
        variance_components(values)


def test_the_power_of_a_tabled_paired_test():
    # a difference of half a standard deviation: 34 pairs, the least for 80 %, have 0.8078
    differences = [np.array([-1.0, 1.0]) / math.sqrt(2)]
    assert differences[0].std(ddof=1) == pytest.approx(1)
    found = seeds_needed(differences, [33, 34], 0.5)
    assert found.power == pytest.approx([0.7954, 0.8078], abs=1e-4)


def test_the_expected_half_width_of_a_tabled_sample():
    # the mean standard deviation of 5 normal values is 0.9400 of the true one, t is 2.776
    found = seeds_needed([np.array([-1.0, 1.0]) / math.sqrt(2)], [5], 1.0)
    assert found.half_width == pytest.approx([2.776 * 0.9400 / math.sqrt(5)], abs=1e-3)


@pytest.mark.parametrize(("scales", "tolerance"), [([1.0], 0.02), ([1.0] * 9, 0.02), ([0.2, 0.5, 1.0, 1.5], 0.02)])
def test_what_is_foretold_happens(scales, tolerance):
    generator, seeds, studies = np.random.default_rng(2), 6, 20000
    # two values with the standard deviation wanted
    foretold = seeds_needed([scale * np.array([-1, 1]) / math.sqrt(2) for scale in scales], [seeds], 0.6)
    drawn = generator.normal(size=(studies, len(scales), seeds)) * np.array(scales)[:, None] + 0.6
    variances = drawn.var(axis=2, ddof=1) / seeds / len(scales) ** 2
    error = np.sqrt(variances.sum(axis=1))
    degrees = variances.sum(axis=1) ** 2 / (variances**2 / (seeds - 1)).sum(axis=1)
    half = stats.t.ppf(0.975, degrees) * error
    power = (np.abs(drawn.mean(axis=(1, 2))) > half).mean()
    assert power == pytest.approx(foretold.power[0], abs=tolerance)
    # where variances differ the degrees are an average, and the half width is foretold less sharply
    assert half.mean() == pytest.approx(foretold.half_width[0], rel=0.01 if len(set(scales)) == 1 else 0.05)


@given(st.lists(st.lists(st.integers(-9, 9), min_size=2, max_size=6), min_size=1, max_size=5), st.floats(0.01, 5))
@settings(deadline=None)
def test_more_seeds_narrow_the_interval_and_add_power(differences, difference):
    found = seeds_needed([np.array(sample) for sample in differences], [2, 3, 5, 10, 50, 10**8], difference)
    assert (np.diff(found.half_width) <= 0).all()
    assert (np.diff(found.power) >= -1e-9).all()
    assert found.power[-1] == pytest.approx(1)
    assert ((found.power >= 0.05 - 1e-9) & (found.power <= 1 + 1e-9)).all()
    turned = seeds_needed([np.array(sample) * -3 for sample in differences], found.seeds, -3 * difference)
    assert turned.power == pytest.approx(found.power)
    assert turned.half_width == pytest.approx(3 * found.half_width)


def test_equal_differences_need_no_more_seeds():
    found = seeds_needed([np.full(5, 0.3)] * 2, [2, 10], 0.01)
    assert found.half_width.tolist() == [0, 0]
    assert found.power.tolist() == [1, 1]


def test_a_difference_of_many_standard_errors_is_certain_to_be_found():
    for spread in (1e-6, 1e-16):
        found = seeds_needed([np.array([-1.0, 1.0]) * spread], [2, 10, 1000], 0.5)
        assert found.power == pytest.approx([1, 1, 1], abs=1e-4)


@pytest.mark.parametrize(("pairs", "seeds", "difference"), [(1, 2, 0.1), (2, 1, 0.1), (2, 2, 0.0)])
def test_seeds_that_cannot_be_foretold_are_refused(pairs, seeds, difference):
    with pytest.raises(ValueError, match="at least 2 pairs"):
        seeds_needed([np.arange(pairs)], [seeds], difference)


@given(st.integers(2, 12), st.integers(2, 12), st.floats(0.1, 10), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_on_one_data_set_it_is_welchs_interval(first, second, scale, seed):
    generator = np.random.default_rng(seed)
    reference, again = generator.normal(size=first), generator.normal(1, scale, size=second)
    oracle = stats.ttest_ind(again, reference, equal_var=False).confidence_interval(0.95)
    found = a_a([reference], [again])
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))
    assert found.estimate == pytest.approx(again.mean() - reference.mean())
    turned = a_a([again], [reference])
    assert turned == pytest.approx((-found.estimate, -found.high, -found.low))


def test_every_data_set_weighs_the_same_however_many_runs_it_has():
    found = a_a([np.array([0, 2]), np.array([1, 1, 1])], [np.array([3, 5, 1, 3]), np.array([1, 3])])
    # differences of means 2 and 1, variances of the four means 1, 0, 2/3 and 1, each over two squared
    variances = np.array([1, 0, 2 / 3, 1]) / 4
    degrees = variances.sum() ** 2 / (1 / 16 + (1 / 6) ** 2 / 3 + 1 / 16)
    half = stats.t.ppf(0.975, degrees) * math.sqrt(variances.sum())
    assert found == pytest.approx((1.5, 1.5 - half, 1.5 + half))


def test_runs_without_variance_differ_for_certain_or_not_at_all():
    assert a_a([np.ones(3)], [np.ones(4)]) == (0, 0, 0)


@pytest.mark.parametrize("skewed", [False, True])
def test_a_strategy_is_rarely_found_to_differ_from_itself(skewed):
    generator = np.random.default_rng(8)
    studies, margin = 1500, 0.01
    intervals = []
    for _ in range(studies):
        # nine data sets of unlike accuracy and spread, as shares of a small test part or normal
        means, rows = generator.uniform(0.7, 0.98, size=9), generator.integers(30, 300, size=9)
        sides = [
            [
                generator.binomial(count, mean, size=10) / count
                if skewed
                else generator.normal(mean, math.sqrt(mean * (1 - mean) / count), size=10)
                for mean, count in zip(means, rows, strict=True)
            ]
            for _ in range(2)
        ]
        intervals.append(a_a(*sides))
    assert np.mean([low <= 0 <= high for _, low, high in intervals]) == pytest.approx(0.95, abs=0.02)
    verdicts = [verdict(low, high, margin) for _, low, high in intervals]
    assert np.mean([said in ("equivalent", "undecided") for said in verdicts]) >= 0.94


def test_too_few_runs_are_refused():
    with pytest.raises(ValueError, match="at least 2 runs"):
        a_a([np.ones(1)], [np.ones(3)])
    with pytest.raises(ValueError, match="as many data sets"):
        a_a([np.ones(2)], [np.ones(3), np.ones(3)])
