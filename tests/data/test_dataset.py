"""A stored data set: its bytes, its manifest, and what is read of it."""

import hashlib
import json
import time

import numpy as np
import pytest
from altfreeze.data.dataset import Dataset, read_dataset, save_dataset
from altfreeze.data.frames import encode_features
from altfreeze.support.errors import InputError
from builders import load_tree_csv, mixed_frames, tree_csv
from hypothesis import given, settings
from hypothesis import strategies as st

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)


def stored(folder, dataset, source=None):
    npz, manifest = folder / "trees.npz", folder / "trees.json"
    save_dataset(dataset, "trees", source or {"kind": "csv"}, npz, manifest)
    return npz, manifest


def test_a_stored_set_loads_without_pickle_and_is_described(tmp_path):
    source = {"kind": "csv", "path": "trees.csv", "target": "species"}
    dataset = load_tree_csv(tmp_path, tree_csv(count=15, width=[None, *range(13), 0.5], species=[9, 10, 10] * 5))
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
    dataset = load_tree_csv(tmp_path, tree_csv(width=[None, *range(10), 0.5]))
    npz, manifest = stored(tmp_path, dataset)
    first = npz.read_bytes(), manifest.read_bytes()
    transposed = Dataset(
        np.asfortranarray(dataset.X), dataset.y, dataset.class_names, dataset.feature_names, dataset.notes
    )
    later = time.time() + 1e6
    monkeypatch.setattr(time, "time", lambda: later)
    npz, manifest = stored(tmp_path, transposed)
    assert (npz.read_bytes(), manifest.read_bytes()) == first


@settings(max_examples=20, deadline=None)
@given(mixed_frames(), st.lists(names, min_size=2, max_size=4, unique=True))
def test_stored_bytes_repeat(tmp_path_factory, frame, class_names):
    X, feature_names, notes = encode_features(frame, "here", kept=list(frame.columns))
    y = np.arange(len(X)) % len(class_names)
    folders = [tmp_path_factory.mktemp("stored") for _ in range(2)]
    files = [stored(folder, Dataset(X, y, class_names, feature_names, notes)) for folder in folders]
    for first, second in zip(*files, strict=True):
        assert first.read_bytes() == second.read_bytes()
    assert np.load(files[0][0], allow_pickle=False)["class_names"].tolist() == class_names


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"X": np.zeros((10, 2))}, "y"),
        ({"X": np.zeros((10, 2), "float32"), "y": np.repeat([0, 1], 5)}, "X is float32"),
        ({"X": np.zeros((9, 2)), "y": np.repeat([0, 1], 5)}, r"X is float64 \(9, 2\) and y int64 \(10,\)"),
        ({"X": np.zeros((10, 0)), "y": np.repeat([0, 1], 5)}, r"\(10, 0\)"),
        ({"X": np.full((10, 2), np.inf), "y": np.repeat([0, 1], 5)}, "no infinite feature"),
        ({"X": np.zeros((10, 2)), "y": np.zeros(10, int)}, "two classes or more"),
        ({"X": np.zeros((10, 2)), "y": np.repeat([0, 2], 5)}, "counted from 0"),
        ({"X": np.zeros((9, 2)), "y": np.repeat([0, 1], [5, 4])}, "five rows or more"),
    ],
)
def test_arrays_that_are_no_data_set_are_refused(tmp_path, arrays, words):
    path = tmp_path / "trees.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=rf"trees\.npz: not a stored data set: .*{words}") as caught:
        read_dataset(path)
    assert str(caught.value).isprintable()


def test_a_stored_set_is_read_as_it_was(tmp_path):
    dataset = load_tree_csv(tmp_path, tree_csv(width=[None, *range(10), 0.5]))
    X, y, part = read_dataset(stored(tmp_path, dataset)[0])
    assert part is None
    np.testing.assert_array_equal(X, dataset.X)
    np.testing.assert_array_equal(y, dataset.y)
