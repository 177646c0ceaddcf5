"""Results that nothing is wrong with, and their tables."""

import shutil

import pytest
from builders import TABLES, collect_tables, read_tables, write_results, write_timing


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Return the folder of a study that nothing is wrong with, its tables made; it is not to be changed."""
    results = write_results(tmp_path_factory.mktemp("whole") / "results")
    collect_tables(results)
    return results


@pytest.fixture(scope="session")
def tables(whole):
    """Return the tables of that study by their names; they are not to be changed."""
    return read_tables(whole / "tables", TABLES)


@pytest.fixture
def results(whole, tmp_path):
    """Return the folder of a study whose tables are yet to be made."""
    shutil.copytree(whole, tmp_path / "results")
    shutil.rmtree(tmp_path / "results" / "tables")
    write_timing(tmp_path / "results")
    return tmp_path / "results"
