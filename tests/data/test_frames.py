"""Tables of users: what is read of them, and one clear line for each that cannot be used."""

import datetime
import hashlib
import math
import os
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from altfreeze.data.frames import encode_features, encode_target
from altfreeze.data.sources import load_dataset
from altfreeze.support.errors import InputError
from builders import assert_one_line, load_tree_csv, load_tree_parquet, mixed_frames, tree_csv, tree_rows
from hypothesis import given, settings

# files that can be used


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv(tmp_path, separator):
    content = tree_csv(separator, code=range(12), ill=[True, False] * 6)
    dataset = load_tree_csv(tmp_path, content, separator=separator, drop=["code"])
    frame = pd.DataFrame(tree_rows(ill=[True, False] * 6)).drop(columns="species")
    expected = pd.get_dummies(frame, columns=["colour", "ill"], prefix_sep="=", dtype=float)
    np.testing.assert_array_equal(dataset.X, expected.to_numpy())
    assert dataset.feature_names == list(expected.columns)
    assert dataset.class_names == ["ash", "oak"]
    assert dataset.y.tolist() == [0, 1] * 6
    assert dataset.notes == {
        "dropped": ["code"],
        "file_sha256": hashlib.sha256(content).hexdigest(),
        "one_hot": {"colour": ["blue", "red"], "ill": ["False", "True"]},
    }


def test_a_relative_path_starts_at_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "trees.csv").write_bytes(tree_csv())
    monkeypatch.chdir(tmp_path)
    assert load_dataset("trees", {"kind": "csv", "path": "trees.csv", "target": "species"}, 0).X.shape == (12, 3)


def test_csv_variants_are_read_alike(tmp_path):
    plain = tree_csv()
    expected = load_tree_csv(tmp_path, plain)
    variants = [
        plain.replace(b"\n", b"\r\n"),
        plain.replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" + plain,
        plain.replace(b"red", b'"red"'),
        plain.rstrip(),
        b"\n" + plain + b"\n\n",
    ]
    for content in variants:
        dataset = load_tree_csv(tmp_path, content)
        np.testing.assert_array_equal(dataset.X, expected.X)
        assert dataset.feature_names == expected.feature_names


def test_csv_numbers_are_read_exactly(tmp_path):
    values = np.random.default_rng(0).normal(size=50)
    content = pd.DataFrame({"width": values, "species": [0, 1] * 25}).to_csv(index=False).encode()
    np.testing.assert_array_equal(load_tree_csv(tmp_path, content).X[:, 0], values)


def test_quoted_separators_and_line_ends_are_text(tmp_path):
    colours = ["red, dark", "blue\nlight", 'a "quoted" one'] * 4
    dataset = load_tree_csv(tmp_path, tree_csv(colour=colours))
    assert dataset.notes["one_hot"] == {"colour": sorted(set(colours))}


def test_missing_values_stay_missing(tmp_path):
    width = [None, 1.5, None, *range(9)]
    colour = [None, "red", "blue"] * 4
    dataset = load_tree_csv(tmp_path, tree_csv(width=width, colour=colour))
    assert dataset.feature_names == ["width", "colour=blue", "colour=red"]
    np.testing.assert_array_equal(dataset.X[:, 0], np.array(width, dtype=float))
    np.testing.assert_array_equal(dataset.X[:3, 1:], [[np.nan, np.nan], [0, 1], [1, 0]])
    assert dataset.notes["missing"] == {"width": 2, "colour": 4}
    assert dataset.notes["imputation"] == "train mean, per seed"
    assert "frequency in training" in dataset.notes["missing_categories"]
    # imputed by the mean, a category's column holds its frequency
    assert np.nanmean(dataset.X[:, 1]) == 0.5


def test_missing_numbers_alone_bring_no_note_on_categories(tmp_path):
    dataset = load_tree_csv(tmp_path, tree_csv(width=[None, *range(10), 0.5]))
    assert dataset.notes["imputation"] == "train mean, per seed"
    assert "missing_categories" not in dataset.notes


def test_parquet_types(tmp_path):
    frame = pd.DataFrame(
        {
            "short": np.arange(12, dtype=np.int8),
            "half": np.arange(12, dtype=np.float16),
            "nullable": pd.array([None, *range(11)], dtype="Int64"),
            "flag": pd.array([None, True, False] * 4, dtype="boolean"),
            "colour": pd.Categorical(["red", None, "blue"] * 4),
            "species": ["oak", "ash"] * 6,
        }
    )
    dataset = load_tree_parquet(tmp_path, frame, keep=["short", "half", "nullable"])
    assert dataset.feature_names == [
        "short",
        "half",
        "nullable",
        "flag=False",
        "flag=True",
        "colour=blue",
        "colour=red",
    ]
    np.testing.assert_array_equal(dataset.X[0], [0, 0, np.nan, np.nan, np.nan, 0, 1])
    np.testing.assert_array_equal(dataset.X[1], [1, 1, 0, 0, 1, np.nan, np.nan])
    assert dataset.notes["missing"] == {"nullable": 1, "flag": 4, "colour": 4}


def test_categories_of_numbers_are_sorted_as_numbers():
    frame = pd.DataFrame({"grade": pd.Categorical([10, 9, 10], categories=[10, 9, 8])})
    X, feature_names, notes = encode_features(frame, "here")
    assert feature_names == ["grade=9", "grade=10"]
    np.testing.assert_array_equal(X, [[0, 1], [1, 0], [0, 1]])
    assert notes == {"one_hot": {"grade": ["9", "10"]}}


def test_the_index_of_a_parquet_file_is_no_feature(tmp_path):
    frame = pd.DataFrame(tree_rows(), index=[f"row {number}" for number in range(12)])
    assert load_tree_parquet(tmp_path, frame).feature_names == ["width", "colour=blue", "colour=red"]


@pytest.mark.parametrize(
    "values, class_names, first",
    [
        ([10, 9], ["9", "10"], 1),
        ([2.0, -1.0], ["-1", "2"], 1),
        ([True, False], ["False", "True"], 1),
        (["b", "a"], ["a", "b"], 1),
        (pd.Categorical([10, 9], categories=[10, 9, 8]), ["9", "10"], 1),
        (pd.array([3, 4], dtype="Int64"), ["3", "4"], 0),
        ([2**63 - 1, 2**63 - 2], [str(2**63 - 2), str(2**63 - 1)], 1),
        (["10", "9"], ["10", "9"], 0),
    ],
)
def test_classes_are_sorted_and_named(values, class_names, first):
    y, names = encode_target(pd.Series(values), "here")
    assert names == class_names
    assert y.tolist() == [first, 1 - first]
    assert y.dtype == np.int64


# files that cannot be used

NUMBERS = list(range(12))
BAD_CSV = {
    "empty": (b"", {}, ["is empty", "header"]),
    "blank": (b"\n\n", {}, ["is empty"]),
    "header only": (b"width,species\n", {}, ["column names but no rows", "5"]),
    "garbage": (bytes(range(255, 0, -1)), {}, ["UTF-8", "CSV"]),
    "Latin-1": (tree_csv(colour=["rosé", "gris"] * 6).decode().encode("latin-1"), {}, ["UTF-8"]),
    "zero bytes": (tree_csv() + b"\0", {}, ["zero bytes"]),
    "open quote": (b'width,species\n1,"oak\n', {}, ["is not a CSV file", "EOF inside string"]),
    "long row": (tree_csv() + b"1,red,oak,2\n", {}, ["line 14 has 4 fields", "header 3"]),
    "short row": (tree_csv() + b"1\n", {}, ["line 14 has 1 field "]),
    "long field": (b"width,species\n" + b"1" * 200_000 + b",oak\n", {}, ["line 2", "field limit"]),
    "long separator": (tree_csv(), {"separator": "||"}, ["separator", "'||'", "one character"]),
    "no separator": (tree_csv(), {"separator": ""}, ["separator", "one character"]),
    "quote as separator": (tree_csv(), {"separator": '"'}, ["separator"]),
    "other separator": (tree_csv(), {"separator": ";"}, ["no target column 'species'", "'width,colour,species'"]),
    "no target": (tree_csv(), {"target": "kind"}, ["no target column 'kind'", "'width', 'colour', 'species'"]),
    "line end in a name": (tree_csv(), {"target": "a\nb\u2028"}, [r"'a\nb\u2028'"]),
    "many columns": (tree_csv(**{f"c{i}": NUMBERS for i in range(20)}), {"target": "kind"}, ["'c6' and 13 more"]),
    "duplicate": (b"a,b,a,species\n1,2,3,oak\n", {}, ["columns share a name: 'a'"]),
    "no such drop": (tree_csv(), {"drop": ["depth"]}, ["no column 'depth' to drop", "'width'"]),
    "target dropped": (tree_csv(), {"drop": ["species"]}, ["'species' is the target", "`drop`"]),
    "nothing left": (tree_csv(), {"drop": ["width", "colour"]}, ["no feature columns"]),
    "no name": (pd.DataFrame(tree_rows()).to_csv().encode(), {}, ["column '' has no name", "`drop`"]),
    "missing target": (tree_csv(species=["oak", None, "ash", None] * 3), {}, ["'species'", "6 missing", "row 2"]),
    "one class": (tree_csv(species=["oak"] * 12), {}, ["all 12 rows have the class 'oak'", "two classes"]),
    "small class": (tree_csv(species=["oak"] * 8 + ["ash"] * 4), {}, ["'ash' has 4 rows;", "60/20/20 %", "5 rows"]),
    "small classes": (tree_csv(species=NUMBERS), {}, ["class '0' has 1 row (11 more"]),
    "regression": (tree_csv(species=[0.5, 1.5] * 6), {}, ["'species'", "0.5", "row 1", "classification study"]),
    "infinite target": (tree_csv(species=[1, math.inf] * 6), {}, ["inf", "row 2", "classification study"]),
    "constants": (
        tree_csv(width=[2] * 12, colour=["red"] * 12),
        {},
        ["no feature columns", "(constant are 'width', 'colour')"],
    ),
    "all missing": (
        tree_csv(width=[None] * 12, colour=["red"] * 12),
        {},
        ["no feature columns", "(constant are 'colour')", "(without a value are 'width')"],
    ),
    "infinite": (tree_csv(width=[*range(9), math.inf, 1, -math.inf]), {}, ["'width'", "2 infinite values", "row 10"]),
    "huge integer": (tree_csv(width=[*range(11), 10**400]), {}, ["'width'", "1 infinite value,", "row 12"]),
    "dates": (tree_csv(width=[f"2024-01-{day:02}" for day in range(1, 13)]), {}, ["'width' holds dates", "`drop`"]),
    "times": (tree_csv(width=[f"2024-01-01 {hour:02}:00" for hour in range(12)]), {}, ["'width' holds dates"]),
    "many categories": (
        pd.DataFrame({"code": [f"c{i % 101}" for i in range(102)], "species": [i % 2 for i in range(102)]})
        .to_csv(index=False)
        .encode(),
        {},
        ["column 'code'", "101 distinct", "100 at most", "`drop`"],
    ),
    "one name twice": (
        tree_csv(**{"colour=red": NUMBERS}),
        {"keep": ["colour=red"]},
        ["features", "share a name: 'colour=red'"],
    ),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_csv_files_that_cannot_be_used(tmp_path, case):
    content, source, words = BAD_CSV[case]
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, content, **source)
    assert_one_line(error, "data set 'trees'", "trees.csv", *words)


def test_as_many_categories_and_as_small_classes_as_allowed(tmp_path):
    table = pd.DataFrame({"code": [f"c{i % 100}" for i in range(101)], "species": ["oak"] * 5 + ["ash"] * 96})
    dataset = load_tree_csv(tmp_path, table.to_csv(index=False).encode())
    assert dataset.X.shape == (101, 100)
    assert np.bincount(dataset.y).tolist() == [96, 5]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_paths_that_cannot_be_read(tmp_path, kind):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    cases = {
        tmp_path / "absent": ["does not exist", "working directory"],
        tmp_path: ["is a directory"],
        pipe: ["a file is needed"],
        tmp_path / "two\nlines": [r"two\nlines", "does not exist"],
        tmp_path / ("x" * 300): ["cannot be read", "too long"],
        "zero\0byte": [r"zero\x00byte"],
    }
    for path, words in cases.items():
        with pytest.raises(InputError) as error:
            load_dataset("trees", {"kind": kind, "path": str(path), "target": "species"}, 0)
        assert_one_line(error, *words)


@pytest.mark.parametrize("content", [b"", b"garbage", b"PAR1" + b"x" * 50 + b"PAR1"])
def test_parquet_files_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "trees.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_dataset("trees", {"kind": "parquet", "path": str(path), "target": "species"}, 0)
    assert_one_line(error, "trees.parquet", "not a readable Parquet file")


@pytest.mark.parametrize(
    "values, words",
    [
        ([datetime.date(2024, 1, day) for day in range(1, 13)], ["holds dates", "type date"]),
        (pd.date_range("2024", periods=12), ["holds dates", "Timestamp"]),
        (pd.date_range("2024", periods=12, tz="UTC"), ["holds dates"]),
        (pd.to_timedelta(NUMBERS, unit="h"), ["holds dates", "Timedelta"]),
        (pd.Categorical(pd.date_range("2024", periods=12)), ["holds dates"]),
        ([Decimal(number) for number in NUMBERS], ["type Decimal", "numbers, text and booleans"]),
        ([b"a", b"b"] * 6, ["type bytes"]),
        ([[number] for number in NUMBERS], ["type ndarray"]),
        ([1.0, math.inf] * 6, ["6 infinite values", "row 2"]),
    ],
)
def test_columns_that_are_no_features(tmp_path, values, words):
    with pytest.raises(InputError) as error:
        load_tree_parquet(tmp_path, pd.DataFrame(tree_rows(width=values)))
    assert_one_line(error, "trees.parquet", "column 'width'", *words)


def test_a_target_of_dates_is_refused(tmp_path):
    with pytest.raises(InputError) as error:
        load_tree_parquet(tmp_path, pd.DataFrame(tree_rows(species=pd.date_range("2024", periods=12))))
    assert_one_line(error, "column 'species'", "dates")


def test_duplicate_parquet_columns_are_refused(tmp_path):
    with pytest.raises(InputError) as error:
        load_tree_parquet(tmp_path, pa.table([[1, 2], [3, 4], ["oak", "ash"]], names=["a", "a", "species"]))
    assert_one_line(error, "columns share a name: 'a'")


@settings(max_examples=60, deadline=None)
@given(mixed_frames())
def test_encoded_frames_can_be_read_back(frame):
    X, feature_names, notes = encode_features(frame, "here", kept=list(frame.columns))
    assert X.shape == (len(frame), len(feature_names))
    position = 0
    for name in frame.columns:
        absent = frame[name].isna().to_numpy()
        assert notes.get("missing", {}).get(name, 0) == absent.sum()
        categories = notes.get("one_hot", {}).get(name)
        if categories is None:
            assert feature_names[position] == name
            np.testing.assert_array_equal(X[:, position], frame[name].to_numpy(dtype=float, na_value=np.nan))
            position += 1
            continue
        block = X[:, position : position + len(categories)]
        assert feature_names[position : position + len(categories)] == [f"{name}={label}" for label in categories]
        assert np.isnan(block[absent]).all()
        np.testing.assert_array_equal(block[~absent].sum(axis=1), 1)
        decoded = [categories[index] for index in block[~absent].argmax(axis=1)]
        assert decoded == [str(value) for value in frame[name][~absent]]
        position += len(categories)
    assert position == X.shape[1]


# columns that are read, and should not be in silence


@pytest.mark.parametrize("name", ["id", "PassengerId", "Unnamed: 0", "index", "population"])
@pytest.mark.parametrize("start", [0, 1, 1000])
def test_whole_numbers_that_differ_in_each_row_are_refused_unless_kept(tmp_path, name, start):
    content = tree_csv(**{name: range(start, start + 12)})
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, content)
    assert_one_line(error, f"column {name!r}", f"{start} in data row 1", "`drop`", "`keep` if it is a measurement")
    assert name in load_tree_csv(tmp_path, content, keep=[name]).feature_names
    assert name not in load_tree_csv(tmp_path, content, drop=[name]).feature_names


@pytest.mark.parametrize(
    "values",
    [
        [None, *range(11)],
        [3.0, *range(100, 111)],
        [f"person {number}" for number in range(12)],
        [None, *(f"k{number}" for number in range(11))],
    ],
)
def test_keys_are_refused_as_text_with_missing_values_and_in_any_order(tmp_path, values):
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, tree_csv(width=values))
    assert_one_line(error, "column 'width' holds another", "in each row", "`drop`", "`keep`")


@pytest.mark.parametrize("values", [[*range(11), 0], [index / 8 for index in range(12)], ["a", "b", "c"] * 4])
def test_values_that_repeat_or_have_fractions_are_features(tmp_path, values):
    assert load_tree_csv(tmp_path, tree_csv(width=values)).X.shape[0] == 12


def test_constant_columns_are_left_out_and_noted(tmp_path):
    content = tree_csv(same=[7] * 12, word=["x"] * 12, gap=[None, *[2.5] * 11])
    dataset = load_tree_csv(tmp_path, content)
    assert dataset.feature_names == ["width", "colour=blue", "colour=red"]
    assert dataset.notes["constant"] == {"same": "7", "word": "x", "gap": "2.5"}
    assert "missing" not in dataset.notes
    assert "same" in load_tree_csv(tmp_path, content, keep=["same"]).feature_names


@pytest.mark.parametrize("load", [load_tree_csv, load_tree_parquet])
@pytest.mark.parametrize("source", [{}, {"keep": ["gone", ""]}], ids=["plain", "kept"])
def test_columns_without_values_are_left_out_and_noted(tmp_path, load, source):
    # an empty last column has no name either
    rows = pd.DataFrame(tree_rows())
    frame = rows.assign(gone=[None] * 12, **{"": [float("nan")] * 12})
    bare, dataset = (
        load(tmp_path, table if load is load_tree_parquet else table.to_csv(index=False).encode(), **given)
        for table, given in ((rows, {}), (frame, source))
    )
    np.testing.assert_array_equal(dataset.X, bare.X)
    assert dataset.feature_names == bare.feature_names
    assert dataset.notes["without_values"] == ["gone", ""] and "without_values" not in bare.notes


@pytest.mark.parametrize(
    ("one", "other"), [("oak", "oak "), ("oak", "Oak"), ("oak", "oak."), ("a  b", "a b"), ("<=5", " <=5.")]
)
def test_labels_that_differ_by_a_trifle_are_refused_unless_kept(tmp_path, one, other):
    content = tree_csv(count=20, species=[one, other, "ash", "ash"] * 5)
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, content)
    assert_one_line(
        error, "target column 'species'", "data row 1", "data row 2", "differ only by blanks, case or a last dot"
    )
    assert len(load_tree_csv(tmp_path, content, keep=["species"]).class_names) == 3
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, tree_csv(colour=[one, other, "red"] * 4))
    assert_one_line(error, "column 'colour'", "differ only by")


def test_every_column_at_fault_is_told_at_once(tmp_path):
    content = tree_csv(
        same=[1] * 12,
        id=NUMBERS,
        size=["?", *range(11)],
        day=["2024-01-01"] * 6 + ["2024-01-02"] * 6,
        grade=["a", "A"] * 6,
        huge=[1e200, *range(11)],
        species=["oak", "oak "] * 6,
    )
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, content)
    columns = [message.split("column ")[1].split("'")[1] for message in error.value.args]
    assert columns == ["species", "id", "size", "day", "grade", "huge"]
    assert all(message.isprintable() and "trees.csv" in message for message in error.value.args)
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, content, target="kind", drop=["x", "id"], keep=["y", "id"])
    assert len(error.value.args) == 4
