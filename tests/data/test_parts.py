"""Splits that come with a table, and those by groups."""

import json

import numpy as np
import pandas as pd
import pytest
from altfreeze.data.dataset import read_dataset, save_dataset
from altfreeze.data.parts import Rows, parts_of
from altfreeze.data.split import split_of_seed
from altfreeze.support.errors import InputError
from builders import assert_one_line, load_tree_csv, tree_csv
from hypothesis import given, settings
from hypothesis import strategies as st

COUNT = 30
PARTS = ["train"] * 16 + ["validation"] * 6 + ["test"] * 8


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(15, 40))
def test_no_group_straddles_the_parts_and_the_shares_are_near_those_of_rows(seed, classes, groups):
    generator = np.random.default_rng(seed)
    codes = np.repeat(np.arange(groups), generator.integers(2, 6, groups))
    # rows of one group may differ in class
    y = np.where(generator.random(len(codes)) < 0.7, codes, generator.integers(classes, size=len(codes))) % classes
    named = pd.Series([f"person {code}" for code in codes], name="person")
    try:
        part, notes = parts_of(Rows(y, [*"abcd"[:classes]], None, named), "here", seed)
    except InputError as error:
        assert "every class in every part" in str(error) or "is in" in str(error)
        return
    assert all(len(np.unique(part[codes == code])) == 1 for code in range(groups))
    assert sum(notes["groups"][name] for name in ("train", "validation", "test")) == groups
    shares = np.bincount(part, minlength=3) / len(part)
    assert np.abs(shares - [0.6, 0.2, 0.2]).max() <= 0.15
    assert all((np.bincount(y[part == place], minlength=classes) > 0).all() for place in range(3))
    # the same parts for the same seed
    assert np.array_equal(part, parts_of(Rows(y, [*"abcd"[:classes]], None, named), "here", seed)[0])


def test_a_column_gives_the_split_of_every_seed_and_is_no_feature(tmp_path):
    dataset = load_tree_csv(tmp_path, tree_csv(count=COUNT, part=PARTS), split="part")
    assert "part" not in " ".join(dataset.feature_names)
    for seed in (0, 1):
        split = split_of_seed(dataset.y, 1, "trees", seed, dataset.part)
        assert list(map(list, split)) == [list(range(16)), list(range(16, 22)), list(range(22, 30))]
    assert dataset.notes["split"] == {"how": "given by column 'part'", "train": 16, "validation": 6, "test": 8}
    assert "groups" not in dataset.notes


def test_a_test_file_is_the_test_part_and_each_seed_draws_its_validation(tmp_path):
    rows = tree_csv(count=COUNT).decode().splitlines(keepends=True)
    other = tmp_path / "trees.test"
    other.write_text("".join([rows[0], *rows[21:]]))
    dataset = load_tree_csv(tmp_path, "".join(rows[:21]).encode(), test_path=str(other))
    assert np.flatnonzero(dataset.part == 2).tolist() == list(range(20, 30))
    splits = [split_of_seed(dataset.y, 1, "trees", seed, dataset.part) for seed in range(3)]
    for split in splits:
        assert split.test.tolist() == list(range(20, 30))
        assert np.array_equal(np.sort(np.concatenate(split[:2])), np.arange(20))
        # a quarter of each class: round(10 / 4)
        assert np.bincount(dataset.y[split.validation]).tolist() == [2, 2]
    assert len({split.validation.tobytes() for split in splits}) > 1
    assert "each seed" in dataset.notes["split"]["how"]
    save_dataset(dataset, "trees", {"kind": "csv"}, tmp_path / "a.npz", tmp_path / "a.json")
    np.testing.assert_array_equal(read_dataset(tmp_path / "a.npz")[2], dataset.part)
    assert json.loads((tmp_path / "a.json").read_text())["notes"] == dataset.notes


def test_groups_go_with_a_given_test_part_and_test_rows_that_stand_elsewhere_are_counted(tmp_path):
    # eight persons of two rows each to draw from, and one of each class in the test part
    table = tree_csv(
        count=20,
        width=[0.5, 1.5] * 10,
        colour=["red"] * 19 + ["blue"],
        person=[f"p{index // 2}" for index in range(20)],
        part=["train"] * 16 + ["test"] * 4,
    )
    dataset = load_tree_csv(tmp_path, table, split="part", groups="person")
    assert set(np.unique(dataset.part)) == {0, 1, 2}
    assert all(len(set(dataset.part[first : first + 2])) == 1 for first in range(0, 20, 2))
    assert dataset.notes["test_rows_also_elsewhere"] == 3


@pytest.mark.parametrize(
    ("columns", "source", "words"),
    [
        ({"part": [*PARTS[:-1], "dev"]}, {"split": "part"}, ["'dev' in data row 30", "train, validation, test"]),
        ({"part": [*PARTS[:-1], None]}, {"split": "part"}, ["no value in data row 30"]),
        ({"part": ["train"] * COUNT}, {"split": "part"}, ["names no row test"]),
        ({"part": ["train"] * 29 + ["test"]}, {"split": "part"}, ["the test part has 0 rows of class 'ash'"]),
        ({}, {"split": "part"}, ["no column 'part'"]),
        ({}, {"groups": "species"}, ["'species' is listed under"]),
        ({"who": [1, 2, 3] * 10}, {"groups": "who"}, ["names 3 groups", "at least 5"]),
        ({"who": [*range(29), None]}, {"groups": "who"}, ["no value in data row 30"]),
        (
            {"who": [0 if i % 2 else i for i in range(30)]},
            {"groups": "who"},
            ["class 'oak' is in 1 group", "it needs 3"],
        ),
        (
            {"who": [index % 10 for index in range(COUNT)], "part": PARTS},
            {"groups": "who", "split": "part"},
            ["groups '", "train and validation"],
        ),
    ],
)
def test_a_split_that_cannot_be_is_refused_in_a_line(tmp_path, columns, source, words):
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, tree_csv(count=COUNT, **columns), **source)
    assert_one_line(error, *words)
