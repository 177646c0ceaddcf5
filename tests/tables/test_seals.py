"""A table that was changed after it was written is refused in one line, by every command that reads it."""

import json
import shutil

import pandas as pd
import pytest
from altfreeze.comparison.compare import compare
from altfreeze.report.blocks.display import read_tables
from altfreeze.report.blocks.dynamics import read_dynamics
from altfreeze.report.page import write_report
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file
from altfreeze.tables.schema import read_table, write_table
from builders import COMPARED, RESULTS_STUDY, TABLES, collect_tables


@pytest.fixture(scope="module")
def made(whole, tmp_path_factory):
    """Return the tables of a study, compared; they are not to be changed."""
    folder = shutil.copytree(whole / "tables", tmp_path_factory.mktemp("sealed") / "tables")
    compare(RESULTS_STUDY, folder)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "tables")


def win(folder):
    """Let alternating training win in the curves that are compared."""
    epochs = pd.read_parquet(folder / "epochs.parquet")
    epochs.loc[epochs["strategy"] == "alternating-0.5", "test_accuracy"] = 1.0
    epochs.to_parquet(folder / "epochs.parquet", index=False)


def raise_accuracies(name):
    def change(folder):
        table = read_table(folder / f"{name}.csv", name)
        numbers = table.select_dtypes("float").columns[-1]
        write_table(table.assign(**{numbers: table[numbers] * 0.99}), folder / f"{name}.csv")

    return change


def the_report(folder):
    write_report(RESULTS_STUDY, folder, [], folder.parent / "report.html")


def test_every_table_of_both_stages_has_its_seal(made):
    sealed = [json.loads((made / name).read_text())["tables"] for name in ("study.json", "comparisons.json")]
    collected = {"gradient_flow.parquet", "epochs.parquet", *(f"{name}.csv" for name in TABLES if name != "epochs")}
    assert sealed[0].keys() == collected - {"timing.csv"}
    assert sealed[1].keys() == {"pairs.csv", *(f"{name}.csv" for name in COMPARED)}
    for name, digest in (sealed[0] | sealed[1]).items():
        assert sha256_of_file(made / name) == digest


@pytest.mark.parametrize(
    ("change", "name", "command"),
    [
        (win, "epochs.parquet", lambda folder: compare(RESULTS_STUDY, folder)),
        (win, "epochs.parquet", the_report),
        (win, "epochs.parquet", lambda folder: read_dynamics(folder, RESULTS_STUDY, "iris")),
        (raise_accuracies("runs"), "runs.csv", lambda folder: compare(RESULTS_STUDY, folder)),
        (raise_accuracies("runs"), "runs.csv", the_report),
        (raise_accuracies("comparisons"), "comparisons.csv", the_report),
        (raise_accuracies("comparisons"), "comparisons.csv", lambda folder: read_tables(folder, "comparisons")),
        (lambda folder: (folder / "runs.csv").write_text(""), "runs.csv", the_report),
    ],
)
def test_a_changed_table_is_refused_in_one_line_that_heals(folder, change, name, command):
    change(folder)
    with pytest.raises(InputError) as caught:
        command(folder)
    (message,) = caught.value.args
    assert message.startswith(f"{folder / name}: was changed after it was written")
    assert message.endswith("; delete it and run snakemake again")


def test_a_record_that_is_none_is_one_line(folder):
    (folder / "study.json").write_text("[")
    with pytest.raises(InputError, match=r"study\.json: not a record of tables: .*; delete it and run snakemake again"):
        compare(RESULTS_STUDY, folder)


def test_collecting_and_comparing_again_seals_anew(results, folder):
    collect_tables(results)
    compare(RESULTS_STUDY, results / "tables")
    assert {path.name: path.read_bytes() for path in (results / "tables").iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
