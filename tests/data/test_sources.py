"""Data sets: what is loaded, what is stored, and one clear line for each input that cannot be used."""

import datetime
import gzip
import hashlib
import json
import math
import os
import time
from decimal import Decimal
from urllib.error import URLError

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sklearn.datasets
from altfreeze.data.sources import (
    LARGEST_NUMBER,
    Dataset,
    encode_features,
    encode_target,
    load_dataset,
    made_set_seed,
    make_spirals,
    redraw_labels,
    save_dataset,
)
from altfreeze.support.errors import InputError
from hypothesis import given, settings
from hypothesis import strategies as st

MADE = {
    "classification": {
        "samples": 300,
        "features": 6,
        "informative": 4,
        "classes": 3,
        "label_noise": 0.1,
        "class_separation": 1.5,
    },
    "moons": {"samples": 200, "noise": 0.2},
    "circles": {"samples": 200, "noise": 0.1, "factor": 0.5},
    "spirals": {"samples": 300, "arms": 3, "turns": 2, "noise": 0.05},
    "gaussian_quantiles": {"samples": 300, "features": 4, "classes": 3, "label_noise": 0.1},
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*arguments, **keywords):
        raise URLError("no network\nin tests")

    monkeypatch.setattr("sklearn.datasets._openml.urlopen", refuse)


def one_line(error, *words):
    message = str(error.value)
    assert message.isprintable(), message
    assert message.startswith("data set ")
    for word in words:
        assert word in message
    return message


def rows(count=12, **columns):
    """Return a sound table of two features and two classes, with columns replaced or added."""
    return {
        "width": [index / 8 for index in range(count)],
        "colour": ["red" if index % 3 else "blue" for index in range(count)],
        "species": ["oak" if index % 2 else "ash" for index in range(count)],
        **columns,
    }


def csv_bytes(separator=",", **columns):
    return pd.DataFrame(rows(**columns)).to_csv(index=False, sep=separator).encode()


def load_csv(tmp_path, content, **source):
    path = tmp_path / "trees.csv"
    path.write_bytes(content)
    return load_dataset("trees", {"kind": "csv", "path": str(path), "target": "species", **source}, 0)


def load_parquet(tmp_path, table, **source):
    path = tmp_path / "trees.parquet"
    pq.write_table(table if isinstance(table, pa.Table) else pa.Table.from_pandas(table), path)
    return load_dataset("trees", {"kind": "parquet", "path": str(path), "target": "species", **source}, 0)


# bundled


@pytest.mark.parametrize("kind", ["iris", "wine", "breast_cancer", "digits"])
def test_bundled_sets_are_those_of_scikit_learn(kind):
    dataset = load_dataset(kind, {"kind": kind}, 0)
    bunch = getattr(sklearn.datasets, f"load_{kind}")()
    np.testing.assert_array_equal(dataset.X, bunch.data)
    np.testing.assert_array_equal(dataset.y, bunch.target)
    assert dataset.X.dtype == np.float64 and dataset.y.dtype == np.int64
    assert dataset.class_names == [str(label) for label in bunch.target_names]
    assert dataset.feature_names == list(bunch.feature_names)
    assert dataset.notes == {}


# made


@pytest.mark.parametrize("kind", MADE)
def test_made_sets_depend_on_study_seed_name_and_source_alone(kind):
    source = {"kind": kind, **MADE[kind]}
    dataset = load_dataset("a", source, 1)
    again, other_seed, other_name = (
        load_dataset("a", source, 1),
        load_dataset("a", source, 2),
        load_dataset("b", source, 1),
    )
    np.testing.assert_array_equal(dataset.X, again.X)
    np.testing.assert_array_equal(dataset.y, again.y)
    assert not np.array_equal(dataset.X, other_seed.X)
    assert not np.array_equal(dataset.X, other_name.X)
    assert dataset.X.shape == (source["samples"], source.get("features", 2))
    assert dataset.X.dtype == np.float64 and dataset.y.dtype == np.int64
    assert dataset.class_names == [str(label) for label in range(len(set(dataset.y.tolist())))]
    assert dataset.feature_names == [f"x{number + 1}" for number in range(dataset.X.shape[1])]


def test_classification_is_that_of_scikit_learn():
    dataset = load_dataset("a", {"kind": "classification", **MADE["classification"]}, 3)
    X, y = sklearn.datasets.make_classification(
        300,
        6,
        n_informative=4,
        n_redundant=0,
        n_classes=3,
        flip_y=0.1,
        class_sep=1.5,
        random_state=made_set_seed(3, "a"),
    )
    np.testing.assert_array_equal(dataset.X, X)
    np.testing.assert_array_equal(dataset.y, y)


def test_classification_needs_neither_label_noise_nor_class_separation():
    source = {"kind": "classification", "samples": 300, "features": 6, "informative": 4, "classes": 3}
    explicit = load_dataset("a", {**source, "label_noise": 0, "class_separation": 1.0}, 3)
    default = load_dataset("a", source, 3)
    np.testing.assert_array_equal(default.X, explicit.X)
    np.testing.assert_array_equal(default.y, explicit.y)


def test_moons_and_circles_are_those_of_scikit_learn():
    moons = load_dataset("a", {"kind": "moons", **MADE["moons"]}, 3)
    circles = load_dataset("a", {"kind": "circles", **MADE["circles"]}, 3)
    seed = made_set_seed(3, "a")
    np.testing.assert_array_equal(moons.X, sklearn.datasets.make_moons(200, noise=0.2, random_state=seed)[0])
    np.testing.assert_array_equal(
        circles.X, sklearn.datasets.make_circles(200, noise=0.1, factor=0.5, random_state=seed)[0]
    )


def test_gaussian_quantiles_without_noise_are_those_of_scikit_learn():
    source = {"kind": "gaussian_quantiles", "samples": 300, "features": 4, "classes": 3}
    clean = load_dataset("a", source, 3)
    noisy = load_dataset("a", {**source, "label_noise": 0.3}, 3)
    X, y = sklearn.datasets.make_gaussian_quantiles(
        n_samples=300, n_features=4, n_classes=3, random_state=made_set_seed(3, "a")
    )
    np.testing.assert_array_equal(clean.X, X)
    np.testing.assert_array_equal(clean.y, y)
    np.testing.assert_array_equal(noisy.X, X)
    assert 0 < np.mean(noisy.y != y) < 0.3


def test_made_set_seed_is_the_start_of_the_hash_of_its_key():
    digest = hashlib.sha256(b'[7, "moons"]').digest()
    assert made_set_seed(7, "moons") == int.from_bytes(digest[:4], "big")


def test_spirals_without_noise_lie_on_their_arms():
    X, y = make_spirals(samples=90, arms=3, turns=1.5, noise=0, seed=0)
    radius = np.hypot(*X.T)
    angle = 2 * np.pi * (1.5 * radius + y / 3)
    np.testing.assert_allclose(X, np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), atol=1e-12)
    assert radius.max() < 1
    assert np.bincount(y).tolist() == [30, 30, 30]


def test_spirals_cover_their_disc_evenly():
    X, _ = make_spirals(samples=10_000, arms=2, turns=1, noise=0, seed=0)
    # the squared radius is uniform on [0, 1): its mean has the standard error sqrt(1 / 12 n)
    assert np.mean(np.sum(X**2, axis=1)) == pytest.approx(0.5, abs=5 * math.sqrt(1 / 120_000))


def test_spiral_noise_has_its_standard_deviation():
    clean, _ = make_spirals(samples=5000, arms=2, turns=1, noise=0, seed=4)
    noisy, _ = make_spirals(samples=5000, arms=2, turns=1, noise=0.1, seed=4)
    # the standard error of a standard deviation from n draws is sigma / sqrt(2 n)
    assert np.std(noisy - clean) == pytest.approx(0.1, abs=5 * 0.1 / math.sqrt(2 * 10_000))


@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_redrawn_labels_change_with_probability_share_times_other_classes(share):
    y = np.arange(20_000) % 4
    changed = np.mean(redraw_labels(y, 4, share, 5) != y)
    expected = share * 3 / 4
    assert abs(changed - expected) <= 5 * math.sqrt(expected * (1 - expected) / len(y))


@pytest.mark.parametrize(
    "kind, change, words",
    [
        ("classification", {"classes": 20}, ["classification set", "n_classes", "n_informative"]),
        ("classification", {"informative": 9}, ["informative", "total features"]),
        ("classification", {"samples": 0}, ["n_samples", "[1, inf)"]),
        ("classification", {"label_noise": 2}, ["flip_y"]),
        ("classification", {"class_separation": math.inf}, ["class_sep", "(0.0, inf)"]),
        ("classification", {"classes": 1}, ["all 300 rows have the class '0'", "two classes"]),
        ("moons", {"noise": -1}, ["moons set", "noise"]),
        ("moons", {"noise": 1e308}, ["moons set", "not finite"]),
        ("moons", {"samples": 6}, ["class '0' has 3 rows", "60/20/20"]),
        ("circles", {"factor": 1.5}, ["factor"]),
        ("spirals", {"noise": -1}, ["spirals set", "scale < 0"]),
        ("spirals", {"noise": math.nan}, ["not finite"]),
        ("spirals", {"samples": -1}, ["spirals set"]),
        ("spirals", {"samples": 10**15}, ["spirals set"]),
        ("spirals", {"arms": 1}, ["two classes"]),
        ("gaussian_quantiles", {"label_noise": 1.5}, ["label_noise is 1.5", "0 to 1"]),
        ("gaussian_quantiles", {"samples": 2}, ["gaussian_quantiles set"]),
    ],
)
def test_parameters_that_make_no_set(kind, change, words):
    with pytest.raises(InputError) as error:
        load_dataset("a", {"kind": kind, **MADE[kind], **change}, 0)
    one_line(error, "data set 'a'", *words)


# files that can be used


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv(tmp_path, separator):
    content = csv_bytes(separator, code=range(12), ill=[True, False] * 6)
    dataset = load_csv(tmp_path, content, separator=separator, drop=["code"])
    frame = pd.DataFrame(rows(ill=[True, False] * 6)).drop(columns="species")
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
    (tmp_path / "trees.csv").write_bytes(csv_bytes())
    monkeypatch.chdir(tmp_path)
    assert load_dataset("trees", {"kind": "csv", "path": "trees.csv", "target": "species"}, 0).X.shape == (12, 3)


def test_csv_variants_are_read_alike(tmp_path):
    plain = csv_bytes()
    expected = load_csv(tmp_path, plain)
    variants = [
        plain.replace(b"\n", b"\r\n"),
        plain.replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" + plain,
        plain.replace(b"red", b'"red"'),
        plain.rstrip(),
        b"\n" + plain + b"\n\n",
    ]
    for content in variants:
        dataset = load_csv(tmp_path, content)
        np.testing.assert_array_equal(dataset.X, expected.X)
        assert dataset.feature_names == expected.feature_names


def test_csv_numbers_are_read_exactly(tmp_path):
    values = np.random.default_rng(0).normal(size=50)
    content = pd.DataFrame({"width": values, "species": [0, 1] * 25}).to_csv(index=False).encode()
    np.testing.assert_array_equal(load_csv(tmp_path, content).X[:, 0], values)


def test_quoted_separators_and_line_ends_are_text(tmp_path):
    colours = ["red, dark", "blue\nlight", 'a "quoted" one'] * 4
    dataset = load_csv(tmp_path, csv_bytes(colour=colours))
    assert dataset.notes["one_hot"] == {"colour": sorted(set(colours))}


def test_missing_values_stay_missing(tmp_path):
    width = [None, 1.5, None, *range(9)]
    colour = [None, "red", "blue"] * 4
    dataset = load_csv(tmp_path, csv_bytes(width=width, colour=colour))
    assert dataset.feature_names == ["width", "colour=blue", "colour=red"]
    np.testing.assert_array_equal(dataset.X[:, 0], np.array(width, dtype=float))
    np.testing.assert_array_equal(dataset.X[:3, 1:], [[np.nan, np.nan], [0, 1], [1, 0]])
    assert dataset.notes["missing"] == {"width": 2, "colour": 4}
    assert dataset.notes["imputation"] == "train mean, per seed"
    assert "frequency in training" in dataset.notes["missing_categories"]
    # imputed by the mean, a category's column holds its frequency
    assert np.nanmean(dataset.X[:, 1]) == 0.5


def test_missing_numbers_alone_bring_no_note_on_categories(tmp_path):
    dataset = load_csv(tmp_path, csv_bytes(width=[None, *range(11)]))
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
    dataset = load_parquet(tmp_path, frame)
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
    frame = pd.DataFrame(rows(), index=[f"row {number}" for number in range(12)])
    assert load_parquet(tmp_path, frame).feature_names == ["width", "colour=blue", "colour=red"]


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
    "Latin-1": (csv_bytes(colour=["rosé", "gris"] * 6).decode().encode("latin-1"), {}, ["UTF-8"]),
    "zero bytes": (csv_bytes() + b"\0", {}, ["zero bytes"]),
    "open quote": (b'width,species\n1,"oak\n', {}, ["is not a CSV file", "EOF inside string"]),
    "long row": (csv_bytes() + b"1,red,oak,2\n", {}, ["line 14 has 4 fields", "header 3"]),
    "short row": (csv_bytes() + b"1\n", {}, ["line 14 has 1 field "]),
    "long field": (b"width,species\n" + b"1" * 200_000 + b",oak\n", {}, ["line 2", "field limit"]),
    "long separator": (csv_bytes(), {"separator": "||"}, ["separator", "'||'", "one character"]),
    "no separator": (csv_bytes(), {"separator": ""}, ["separator", "one character"]),
    "quote as separator": (csv_bytes(), {"separator": '"'}, ["separator"]),
    "other separator": (csv_bytes(), {"separator": ";"}, ["no target column 'species'", "'width,colour,species'"]),
    "no target": (csv_bytes(), {"target": "kind"}, ["no target column 'kind'", "'width', 'colour', 'species'"]),
    "line end in a name": (csv_bytes(), {"target": "a\nb\u2028"}, [r"'a\nb\u2028'"]),
    "many columns": (csv_bytes(**{f"c{i}": NUMBERS for i in range(20)}), {"target": "kind"}, ["'c6' and 13 more"]),
    "duplicate": (b"a,b,a,species\n1,2,3,oak\n", {}, ["columns share a name: 'a'"]),
    "no such drop": (csv_bytes(), {"drop": ["depth"]}, ["no column 'depth' to drop", "'width'"]),
    "target dropped": (csv_bytes(), {"drop": ["species"]}, ["'species' is the target", "`drop`"]),
    "nothing left": (csv_bytes(), {"drop": ["width", "colour"]}, ["no feature columns"]),
    "no name": (pd.DataFrame(rows()).to_csv().encode(), {}, ["column '' has no name", "`drop`"]),
    "missing target": (csv_bytes(species=["oak", None, "ash", None] * 3), {}, ["'species'", "6 missing", "row 2"]),
    "one class": (csv_bytes(species=["oak"] * 12), {}, ["all 12 rows have the class 'oak'", "two classes"]),
    "small class": (csv_bytes(species=["oak"] * 8 + ["ash"] * 4), {}, ["'ash' has 4 rows;", "60/20/20 %", "5 rows"]),
    "small classes": (csv_bytes(species=NUMBERS), {}, ["class '0' has 1 row (11 more"]),
    "regression": (csv_bytes(species=[0.5, 1.5] * 6), {}, ["'species'", "0.5", "row 1", "classification study"]),
    "infinite target": (csv_bytes(species=[1, math.inf] * 6), {}, ["inf", "row 2", "classification study"]),
    "constant number": (csv_bytes(width=[2] * 12), {}, ["column 'width' is constant", "'2'", "`drop`"]),
    "constant text": (csv_bytes(colour=["red"] * 12), {}, ["column 'colour' is constant", "'red'", "`drop`"]),
    "constant but missing": (csv_bytes(width=[None] + [2] * 11), {}, ["column 'width' is constant"]),
    "all missing": (csv_bytes(width=[None] * 12), {}, ["column 'width' has no values", "12 rows", "`drop`"]),
    "infinite": (csv_bytes(width=[*range(9), math.inf, 1, -math.inf]), {}, ["'width'", "2 infinite values", "row 10"]),
    "huge integer": (csv_bytes(width=[*range(11), 10**400]), {}, ["'width'", "1.8e308"]),
    "dates": (csv_bytes(width=[f"2024-01-{day:02}" for day in range(1, 13)]), {}, ["'width' holds dates", "`drop`"]),
    "times": (csv_bytes(width=[f"2024-01-01 {hour:02}:00" for hour in range(12)]), {}, ["'width' holds dates"]),
    "many categories": (
        pd.DataFrame({"code": [f"c{i}" for i in range(101)], "species": [i % 2 for i in range(101)]})
        .to_csv(index=False)
        .encode(),
        {},
        ["column 'code'", "101 distinct", "100 at most", "`drop`"],
    ),
    "one name twice": (
        csv_bytes(**{"colour=red": NUMBERS}),
        {},
        ["features", "share a name: 'colour=red'"],
    ),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_csv_files_that_cannot_be_used(tmp_path, case):
    content, source, words = BAD_CSV[case]
    with pytest.raises(InputError) as error:
        load_csv(tmp_path, content, **source)
    one_line(error, "data set 'trees'", "trees.csv", *words)


def test_as_many_categories_and_as_small_classes_as_allowed(tmp_path):
    table = pd.DataFrame({"code": [f"c{i}" for i in range(100)], "species": ["oak"] * 5 + ["ash"] * 95})
    dataset = load_csv(tmp_path, table.to_csv(index=False).encode())
    assert dataset.X.shape == (100, 100)
    assert np.bincount(dataset.y).tolist() == [95, 5]


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
        one_line(error, *words)


@pytest.mark.parametrize("content", [b"", b"garbage", b"PAR1" + b"x" * 50 + b"PAR1"])
def test_parquet_files_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "trees.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_dataset("trees", {"kind": "parquet", "path": str(path), "target": "species"}, 0)
    one_line(error, "trees.parquet", "not a readable Parquet file")


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
        ([None] * 12, ["has no values"]),
        ([1.0, math.inf] * 6, ["6 infinite values", "row 2"]),
    ],
)
def test_columns_that_are_no_features(tmp_path, values, words):
    with pytest.raises(InputError) as error:
        load_parquet(tmp_path, pd.DataFrame(rows(width=values)))
    one_line(error, "trees.parquet", "column 'width'", *words)


def test_a_target_of_dates_is_refused(tmp_path):
    with pytest.raises(InputError) as error:
        load_parquet(tmp_path, pd.DataFrame(rows(species=pd.date_range("2024", periods=12))))
    one_line(error, "column 'species'", "dates")


def test_duplicate_parquet_columns_are_refused(tmp_path):
    with pytest.raises(InputError) as error:
        load_parquet(tmp_path, pa.table([[1, 2], [3, 4], ["oak", "ash"]], names=["a", "a", "species"]))
    one_line(error, "columns share a name: 'a'")


# OpenML, from a cache in scikit-learn's format

ARFF = """@relation trees
@attribute row numeric
@attribute width numeric
@attribute colour {red,blue}
@attribute same numeric
@attribute species {oak,ash}
@data
"""


def write_cache(folder, path, content):
    file = folder / "openml" / "openml.org" / f"{path}.gz"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(content.encode()))


@pytest.fixture
def openml_cache(tmp_path, monkeypatch):
    """Cache data set 77, "trees" version 3: a row number, a missing value of each kind and a constant column."""
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    monkeypatch.setattr("sklearn.datasets._openml.time.sleep", lambda seconds: None)
    lines = [f"{i},{i / 8},{'blue' if i % 3 else 'red'},1,{'ash' if i % 2 else 'oak'}" for i in range(12)]
    lines[1], lines[2] = "1,?,blue,1,ash", "2,0.25,?,1,oak"
    arff = ARFF + "\n".join(lines) + "\n"
    columns = {"row": "numeric", "width": "numeric", "colour": "nominal", "same": "numeric", "species": "nominal"}
    features = [
        {
            "index": str(index),
            "name": name,
            "data_type": data_type,
            "is_target": str(name == "species").lower(),
            "is_ignore": "false",
            "is_row_identifier": str(name == "row").lower(),
            "number_of_missing_values": str(int(name in ("width", "colour"))),
        }
        for index, (name, data_type) in enumerate(columns.items())
    ]
    description = {
        "id": "77",
        "name": "trees",
        "version": "3",
        "description": "Trees.",
        "format": "ARFF",
        "status": "active",
        "url": "https://www.openml.org/data/v1/download/177/trees.arff",
        "md5_checksum": hashlib.md5(arff.encode()).hexdigest(),
    }
    listing = {"data": {"dataset": [{"did": 77, "name": "trees", "version": 3, "status": "active"}]}}
    qualities = {"data_qualities": {"quality": [{"name": "NumberOfInstances", "value": "12.0"}]}}
    api = "api/v1/json/data"
    write_cache(tmp_path, f"{api}/list/data_name/trees/limit/2/data_version/3", json.dumps(listing))
    write_cache(tmp_path, f"{api}/77", json.dumps({"data_set_description": description}))
    write_cache(tmp_path, f"{api}/features/77", json.dumps({"data_features": {"feature": features}}))
    write_cache(tmp_path, f"{api}/qualities/77", json.dumps(qualities))
    write_cache(tmp_path, "data/v1/download/177/trees.arff", arff)
    return tmp_path


@pytest.mark.parametrize("which", [{"id": 77}, {"name": "Trees", "version": 3}])
def test_openml(openml_cache, which):
    dataset = load_dataset("trees", {"kind": "openml", **which}, 0)
    assert dataset.feature_names == ["width", "colour=blue", "colour=red", "same"]
    np.testing.assert_array_equal(
        dataset.X[:4], [[0, 0, 1, 1], [np.nan, 1, 0, 1], [0.25, np.nan, np.nan, 1], [0.375, 0, 1, 1]]
    )
    assert dataset.X.shape == (12, 4)
    assert dataset.class_names == ["ash", "oak"]
    assert dataset.y.tolist() == [1, 0] * 6
    assert dataset.notes["one_hot"] == {"colour": ["blue", "red"]}
    assert dataset.notes["missing"] == {"width": 1, "colour": 1}
    assert "warnings" not in dataset.notes


def test_openml_columns_can_be_dropped(openml_cache):
    dataset = load_dataset("trees", {"kind": "openml", "id": 77, "drop": ["colour"]}, 0)
    assert dataset.feature_names == ["width", "same"]


def rewrite(cache, path, change):
    file = cache / "openml" / "openml.org" / f"{path}.gz"
    write_cache(cache, path, change(gzip.decompress(file.read_bytes()).decode()))


def test_warnings_of_openml_are_noted(openml_cache):
    rewrite(openml_cache, "api/v1/json/data/77", lambda text: text.replace('"active"', '"deactivated"'))
    notes = load_dataset("trees", {"kind": "openml", "id": 77}, 0).notes
    assert len(notes["warnings"]) == 1 and "inactive" in notes["warnings"][0]


@pytest.mark.parametrize("which", [{"id": 78}, {"name": "shrubs", "version": 1}, {"name": "two words", "version": 1}])
def test_openml_out_of_reach(openml_cache, which):
    with pytest.raises(InputError) as error:
        load_dataset("trees", {"kind": "openml", **which}, 0)
    one_line(error, "OpenML", str(next(iter(which.values()))), "no network in tests", "network is needed once", "cache")


def test_openml_without_such_a_data_set(openml_cache, monkeypatch):
    def unknown(url, *arguments, **keywords):
        raise sklearn.datasets._openml.HTTPError("", 412, "unknown", {}, None)

    monkeypatch.setattr("sklearn.datasets._openml.urlopen", unknown)
    with pytest.raises(InputError) as error:
        load_dataset("trees", {"kind": "openml", "id": 78}, 0)
    one_line(error, "OpenML id 78", "not found")


@pytest.mark.parametrize(
    "path, change, words",
    [
        ("data/v1/download/177/trees.arff", lambda text: text + "\n", ["OpenML id 77"]),
        ("api/v1/json/data/77", lambda text: "{}", ["OpenML id 77", "data_set_description"]),
        ("api/v1/json/data/77", lambda text: text.replace("ARFF", "Sparse_ARFF"), ["Sparse ARFF"]),
        (
            "api/v1/json/data/features/77",
            lambda text: text.replace('"is_target": "true"', '"is_target": "false"'),
            ["0 target columns"],
        ),
    ],
)
def test_openml_data_that_cannot_be_used(openml_cache, path, change, words):
    rewrite(openml_cache, path, change)
    with pytest.raises(InputError) as error:
        load_dataset("trees", {"kind": "openml", "id": 77}, 0)
    one_line(error, *words)


# storing


def stored(folder, dataset, source=None):
    npz, manifest = folder / "trees.npz", folder / "trees.json"
    save_dataset(dataset, "trees", source or {"kind": "csv"}, npz, manifest)
    return npz, manifest


def test_a_stored_set_loads_without_pickle_and_is_described(tmp_path):
    source = {"kind": "csv", "path": "trees.csv", "target": "species"}
    dataset = load_csv(tmp_path, csv_bytes(count=15, width=[None, *range(14)], species=[9, 10, 10] * 5))
    npz, manifest = stored(tmp_path, dataset, source)
    with np.load(npz, allow_pickle=False) as arrays:
        assert sorted(arrays) == ["X", "class_names", "feature_names", "y"]
        np.testing.assert_array_equal(arrays["X"], dataset.X)
        np.testing.assert_array_equal(arrays["y"], dataset.y)
        assert arrays["class_names"].tolist() == dataset.class_names
        assert arrays["feature_names"].tolist() == dataset.feature_names
    assert dataset.y.tolist() == [0, 1, 1] * 5
    assert json.loads(manifest.read_text()) == {
        "dataset": "trees",
        "source": source,
        "rows": 15,
        "features": 3,
        "classes": [{"name": "9", "rows": 5}, {"name": "10", "rows": 10}],
        "missing_cells": 1,
        "notes": dataset.notes,
        "sha256": hashlib.sha256(npz.read_bytes()).hexdigest(),
    }


def test_equal_sets_give_equal_bytes_at_any_time(tmp_path, monkeypatch):
    dataset = load_csv(tmp_path, csv_bytes(width=[None, *range(11)]))
    npz, manifest = stored(tmp_path, dataset)
    first = npz.read_bytes(), manifest.read_bytes()
    transposed = Dataset(
        np.asfortranarray(dataset.X), dataset.y, dataset.class_names, dataset.feature_names, dataset.notes
    )
    later = time.time() + 1e6
    monkeypatch.setattr(time, "time", lambda: later)
    npz, manifest = stored(tmp_path, transposed)
    assert (npz.read_bytes(), manifest.read_bytes()) == first


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)
finite = st.floats(-LARGEST_NUMBER, LARGEST_NUMBER)
kinds = {
    "number": finite | st.none(),
    "integer": st.integers(-(2**53), 2**53),
    "text": st.sampled_from(["a", "b", "c", "ü=\n"]) | st.none(),
    "flag": st.booleans() | st.none(),
}


@st.composite
def mixed_frames(draw):
    height = draw(st.integers(1, 15))
    columns = draw(
        st.dictionaries(
            st.from_regex(r"[a-zé ,\"']{0,5}[a-z]", fullmatch=True), st.sampled_from(list(kinds)), min_size=1
        )
    )
    table = {
        name: draw(
            st.lists(kinds[kind], min_size=height, max_size=height).filter(lambda v: any(x is not None for x in v))
        )
        for name, kind in columns.items()
    }
    return pd.DataFrame(table)


@settings(max_examples=60, deadline=None)
@given(mixed_frames())
def test_encoded_frames_can_be_read_back(frame):
    X, feature_names, notes = encode_features(frame, "here", constant_allowed=True)
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


@settings(max_examples=20, deadline=None)
@given(mixed_frames(), st.lists(names, min_size=2, max_size=4, unique=True))
def test_stored_bytes_repeat(tmp_path_factory, frame, class_names):
    X, feature_names, notes = encode_features(frame, "here", constant_allowed=True)
    y = np.arange(len(X)) % len(class_names)
    folders = [tmp_path_factory.mktemp("stored") for _ in range(2)]
    files = [stored(folder, Dataset(X, y, class_names, feature_names, notes)) for folder in folders]
    for first, second in zip(*files, strict=True):
        assert first.read_bytes() == second.read_bytes()
    assert np.load(files[0][0], allow_pickle=False)["class_names"].tolist() == class_names
