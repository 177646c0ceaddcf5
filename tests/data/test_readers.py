"""Files as users have them: compressed, without a header, in parts, with words that pandas takes for nothing."""

import bz2
import gzip
import hashlib
import io
import lzma
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from altfreeze.data.sources import load_dataset
from altfreeze.support.errors import InputError
from builders import assert_one_line, load_tree_csv, load_tree_parquet, tree_csv, tree_rows


def zipped(content, members=1):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(members):
            archive.writestr(f"trees{number}.csv", content)
    return buffer.getvalue()


def load(kind, path, **source):
    return load_dataset("trees", {"kind": kind, "path": path, "target": "species", **source}, 0)


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".gz", gzip.compress), (".GZ", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zip", zipped)],
)
def test_a_file_is_decompressed_as_its_name_says(tmp_path, suffix, compress):
    path = tmp_path / f"trees.csv{suffix}"
    path.write_bytes(content := compress(tree_csv()))
    dataset = load("csv", str(path))
    assert dataset.feature_names == ["width", "colour=blue", "colour=red"]
    assert dataset.notes["file_sha256"] == hashlib.sha256(content).hexdigest()
    for broken in (content[:-9], tree_csv(), b""):
        path.write_bytes(broken)
        with pytest.raises(InputError) as error:
            load("csv", str(path))
        assert_one_line(error, path.name)


def test_a_zip_of_two_files_is_refused(tmp_path):
    path = tmp_path / "trees.zip"
    path.write_bytes(zipped(tree_csv(), members=2))
    with pytest.raises(InputError) as error:
        load("csv", str(path))
    assert_one_line(error, "trees.zip", "is not one compressed file")


def test_words_that_pandas_takes_for_nothing_are_classes_and_categories(tmp_path):
    content = tree_csv(species=["None", "Mild"] * 6, colour=["NA", "nan", "null"] * 4)
    dataset = load_tree_csv(tmp_path, content)
    assert dataset.class_names == ["Mild", "None"]
    assert dataset.notes["one_hot"] == {"colour": ["NA", "nan", "null"]}
    assert "missing" not in dataset.notes
    dataset = load_tree_csv(tmp_path, content, missing=["NA"])
    assert dataset.notes["missing"] == {"colour": 4}


def test_classes_with_leading_zeros_stay_codes(tmp_path):
    assert load_tree_csv(tmp_path, tree_csv(species=["007", "07"] * 6)).class_names == ["007", "07"]
    assert load_tree_csv(tmp_path, tree_csv(species=["10", "9"] * 6)).class_names == ["9", "10"]
    largest = [str(2**63 - 1), str(2**63 - 2)]
    assert load_tree_csv(tmp_path, tree_csv(species=largest * 6)).class_names == largest[::-1]


def test_a_file_without_a_header_takes_its_columns_from_the_source(tmp_path):
    content = tree_csv().split(b"\n", 1)[1]
    columns = ["width", "colour", "species"]
    dataset = load_tree_csv(tmp_path, content, header="none", columns=columns)
    np.testing.assert_array_equal(dataset.X, load_tree_csv(tmp_path, tree_csv()).X)
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, content)
    assert_one_line(error, "no target column 'species'; its columns are '0.0', 'blue', 'ash'", "`header: none`")
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, content, header="none", columns=columns[1:])
    assert_one_line(error, "line 1 has 3 fields and `columns` 2")


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
def test_several_files_are_one_table(tmp_path, kind):
    frame = pd.DataFrame(tree_rows())
    paths = [str(tmp_path / f"part{number}") for number in range(2)]
    # the second one's columns stand in another order
    for part, path in zip((frame[:7], frame[7:][["species", "colour", "width"]]), paths, strict=True):
        write = {"csv": part.to_csv, "parquet": part.to_parquet, "feather": part.reset_index(drop=True).to_feather}
        write[kind](path, **{"index": False} if kind == "csv" else {})
    dataset = load(kind, paths)
    np.testing.assert_array_equal(dataset.X, load_tree_csv(tmp_path, tree_csv()).X)
    assert dataset.notes["file_sha256"] == [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]
    if kind == "csv":
        Path(paths[1]).write_text("width,colour,kind\n1,red,oak\n")
        with pytest.raises(InputError) as error:
            load(kind, paths)
        assert_one_line(error, "part1", "part0", "different columns: only one has 'kind', 'species'")


def test_the_index_of_a_parquet_file_is_no_feature_and_is_noted(tmp_path):
    frame = pd.DataFrame(tree_rows(), index=pd.Index([f"row {number}" for number in range(12)], name="key"))
    dataset = load_tree_parquet(tmp_path, frame)
    assert dataset.feature_names == ["width", "colour=blue", "colour=red"]
    assert dataset.notes["index_left_out"] == ["key"]
    assert "index_left_out" not in load_tree_parquet(tmp_path, frame.reset_index(drop=True)).notes
