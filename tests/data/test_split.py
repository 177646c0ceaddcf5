"""Splits, standardisation and batch order."""

import numpy as np
from altfreeze.data.split import batch_order, split_of_seed, standardise, stratified_split
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

class_sizes = st.lists(st.integers(5, 60), min_size=2, max_size=5)


@given(class_sizes, st.integers(0, 2**32))
def test_split_is_a_stratified_partition_whose_sizes_do_not_depend_on_the_draw(sizes, seed):
    y = np.repeat(np.arange(len(sizes)), sizes)
    split = stratified_split(y, np.random.default_rng(seed))
    assert np.array_equal(np.sort(np.concatenate(split)), np.arange(len(y)))
    for label, size in enumerate(sizes):
        held_out = round(0.2 * size)
        assert [int((y[part] == label).sum()) for part in split] == [size - 2 * held_out, held_out, held_out]
        assert held_out >= 1


def test_split_differs_between_seeds_and_not_between_calls():
    y = np.repeat([0, 1], 50)
    first, again, other = (split_of_seed(y, 1, "iris", seed) for seed in (0, 0, 1))
    assert all(map(np.array_equal, first, again))
    assert not np.array_equal(first.train, other.train)


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.floats(0, 0.5))
def test_standardise_agrees_with_scikit_learn(seed, missing):
    generator = np.random.default_rng(seed)
    X = generator.normal(3, 5, size=(40, 4))
    X[generator.random(X.shape) < missing] = np.nan
    X[0], train = [1, 2, 3, 4], np.arange(0, 40, 2)
    # scikit-learn scales by the train part's present values, then a missing value is the mean, 0
    expected = StandardScaler().fit(X[train]).transform(X)
    expected = SimpleImputer(strategy="constant", fill_value=0).fit_transform(expected)
    np.testing.assert_allclose(standardise(X, train), expected, rtol=1e-5, atol=1e-6)


def test_standardise_uses_the_train_part_alone_and_survives_constant_and_missing_columns():
    X = np.array([[1.0, 5.0, np.nan, 0.0], [3.0, 5.0, np.nan, 2.0], [7.0, 9.0, 4.0, np.nan]])
    expected = [[-1, 0, 0, -1], [1, 0, 0, 1], [5, 4, 0, 0]]
    assert standardise(X, np.array([0, 1])).tolist() == expected
    assert standardise(X, np.array([0, 1])).dtype == np.float32


def test_batch_order_is_a_permutation_of_its_own_for_each_seed_and_epoch():
    orders = {(seed, epoch): batch_order(1, "iris", seed, epoch, 90) for seed in (0, 1) for epoch in (0, 1)}
    assert all(np.array_equal(np.sort(order), np.arange(90)) for order in orders.values())
    assert len({order.tobytes() for order in orders.values()}) == 4
