"""Data sets that are bundled, made or fetched, and one clear line for each source that cannot be used."""

import gzip
import hashlib
import json
import math
from urllib.error import URLError

import numpy as np
import pytest
import sklearn.datasets
from altfreeze.data.sources import load_dataset, made_set_seed, make_spirals, redraw_labels
from altfreeze.support.errors import InputError
from builders import assert_one_line
from sklearn.linear_model import LogisticRegression

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


# with places


def test_mnist1d_is_ten_digits_that_a_linear_model_hardly_tells_apart():
    dataset = load_dataset("a", {"kind": "mnist1d", "samples": 5000}, 1)
    again, other = (load_dataset("a", {"kind": "mnist1d", "samples": 5000}, seed) for seed in (1, 2))
    np.testing.assert_array_equal(dataset.X, again.X)
    assert not np.array_equal(dataset.X, other.X)
    assert dataset.X.shape == (5000, 40)
    assert np.bincount(dataset.y).tolist() == [500] * 10
    # the published accuracy of a logistic regression on 1,000 test rows is 32 %
    train, test = slice(4000), slice(4000, None)
    model = LogisticRegression(max_iter=1000).fit(dataset.X[train], dataset.y[train])
    assert 0.28 <= model.score(dataset.X[test], dataset.y[test]) <= 0.36


def test_rows_of_any_shape_are_read_from_an_npz_file(tmp_path):
    x, y = np.arange(240, dtype=np.uint8).reshape(20, 3, 4), np.array(["b", "a"] * 10)
    path = tmp_path / "a.npz"
    np.savez(path, X=x, y=y, images=x[:, None])
    dataset = load_dataset("a", {"kind": "npz", "path": str(path), "shape": [1, 3, 4], "features": "images"}, 1)
    np.testing.assert_array_equal(dataset.X, x.reshape(20, 12))
    assert (dataset.class_names, dataset.y.tolist()) == (["a", "b"], [1, 0] * 10)
    assert dataset.notes == {"file_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"features": "x"}, "has no arrays x and y that can be read"),
        ({"features": "y"}, "y is <U1 (20,) and y <U1 (20,); allowed: numbers (rows, ...)"),
        ({"features": "infinite"}, "infinite is empty, or not all finite numbers"),
        ({"shape": [1, 3, 3]}, "shape [1, 3, 3] is of 9 numbers, and its rows have 12; allowed: a shape of 12"),
        ({"path": "absent.npz"}, "has no arrays X and y that can be read"),
    ],
)
def test_an_npz_file_that_cannot_be_used_is_one_line(keys, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.ones((20, 3, 4))
    np.savez("a.npz", X=x, y=np.array(["b", "a"] * 10), infinite=np.full_like(x, np.inf))
    with pytest.raises(InputError) as raised:
        load_dataset("a", {"kind": "npz", "path": "a.npz"} | keys, 1)
    assert_one_line(raised, says)


def test_a_constant_column_stays_where_a_table_has_a_shape(tmp_path):
    path = tmp_path / "a.csv"
    rows = "".join(f"{row % 7},5,{row % 3},1,{row % 2}\n" for row in range(30))
    path.write_text(f"a,b,c,d,class\n{rows}")
    source = {"kind": "csv", "path": str(path), "target": "class"}
    assert load_dataset("a", source, 1).X.shape == (30, 2)
    assert load_dataset("a", source | {"shape": [1, 2, 2]}, 1).X.shape == (30, 4)


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
    assert dataset.notes["licence"].startswith("CC BY 4.0") and dataset.notes["origin"].startswith("UCI, ")


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
    assert_one_line(error, "data set 'a'", *words)


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
    assert dataset.feature_names == ["width", "colour=blue", "colour=red"]
    np.testing.assert_array_equal(dataset.X[:4], [[0, 0, 1], [np.nan, 1, 0], [0.25, np.nan, np.nan], [0.375, 0, 1]])
    assert dataset.X.shape == (12, 3)
    assert dataset.class_names == ["ash", "oak"]
    assert dataset.y.tolist() == [1, 0] * 6
    assert dataset.notes["one_hot"] == {"colour": ["blue", "red"]}
    assert dataset.notes["missing"] == {"width": 1, "colour": 1}
    assert dataset.notes["constant"] == {"same": "1"}
    assert "warnings" not in dataset.notes


def test_openml_columns_can_be_dropped(openml_cache):
    dataset = load_dataset("trees", {"kind": "openml", "id": 77, "drop": ["colour"]}, 0)
    assert dataset.feature_names == ["width"]


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
    assert_one_line(
        error, "OpenML", str(next(iter(which.values()))), "no network in tests", "network is needed once", "cache"
    )


def test_openml_without_such_a_data_set(openml_cache, monkeypatch):
    def unknown(url, *arguments, **keywords):
        raise sklearn.datasets._openml.HTTPError("", 412, "unknown", {}, None)

    monkeypatch.setattr("sklearn.datasets._openml.urlopen", unknown)
    with pytest.raises(InputError) as error:
        load_dataset("trees", {"kind": "openml", "id": 78}, 0)
    assert_one_line(error, "OpenML id 78", "not found")


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
    assert_one_line(error, *words)
