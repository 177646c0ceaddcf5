"""Collection keeps every run once, and refuses what is missing, doubled, changed or of other code."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from altfreeze.study.grid import FIRST_CALIBRATION_SEED
from altfreeze.support import parallel
from altfreeze.support.errors import InputError
from altfreeze.tables import schema
from altfreeze.tables.collect import collect
from altfreeze.tables.packs import NO_LOG
from altfreeze.tables.schema import CELL, KEY, columns, float_columns, read_table
from builders import (
    RESULTS_CONFIG,
    RESULTS_STUDY,
    TABLES,
    change_json,
    change_text,
    collect_tables,
    make_study,
    read_tables,
    remove_pack,
    results_accuracies,
    write_results,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

LOSSES = {
    "log": lambda results, pack: (results / "runs" / f"{pack.stem}.csv").unlink(),
    "pack": remove_pack,
    "row": lambda results, pack: change_text(results / "runs" / f"{pack.stem}.csv", lambda text: text[:-20]),
}

TUNED = {"variations": [{"learning_rate": "tuned"}], "learning_rates_to_try": [0.001, 0.1]}


def test_every_compared_run_is_there_once_and_no_calibration_is(tables):
    # 3 rows of a run of 3 epochs, 2 of 4 steps and of 6 steps
    assert len(tables["epochs"]) == 2 * 6 * (5 * 3 + 2 * 2)
    assert len(tables["runs"]) == 2 * 6 * 7
    assert not tables["runs"].duplicated(KEY).any()
    assert set(tables["runs"]["seed"]) == set(range(6))


def test_calibration_holds_the_ends_of_standard_training_on_its_own_seeds(tmp_path):
    gone = FIRST_CALIBRATION_SEED + 1
    results = write_results(tmp_path / "results", diverged={("wine", "standard", gone), ("wine", "standard", 1)})
    calibration = collect_tables(results)["calibration"].set_index(["dataset", "seed"])
    assert calibration.index.tolist() == [
        (dataset, FIRST_CALIBRATION_SEED + index) for dataset in ("iris", "wine") for index in range(3)
    ]
    # the seed that diverged keeps its row, without accuracies
    assert calibration["status"].tolist() == ["ok"] * 4 + ["diverged", "ok"]
    columns = ["final_validation_accuracy", "final_test_accuracy"]
    assert calibration.loc[("wine", gone), columns].isna().all()
    kept = calibration[calibration["status"] == "ok"]
    ends = [results_accuracies(dataset, "standard", seed, 3) for dataset, seed in kept.index]
    assert kept[columns].to_numpy() == pytest.approx(np.array(ends))


def test_tuned_runs_are_collected_beside_those_of_the_primary_recipe(tmp_path):
    study = make_study(**RESULTS_CONFIG | TUNED | {"datasets": ["iris"]})
    results = write_results(tmp_path / "results", study)
    tables = collect_tables(results, study)
    assert len(tables["tuning"]) == 4 * 2
    assert tables["tuning"].set_index("learning_rate")["chosen"].groupby("learning_rate").sum().to_dict() == {
        0.001: 0,
        0.1: 4,
    }
    assert tables["tuning"]["validation_loss"].isna().all()
    assert set(tables["tuning"]["edge"]) == {"yes"}
    for name in ("targets", "calibration"):
        assert set(tables[name]["recipe"]) == {"primary", "learning_rate=tuned"}, name
    assert tables["runs"]["recipe"].value_counts().to_dict() == {"primary": 42, "learning_rate=tuned": 20}
    assert set(tables["reached"]["recipe"]) == {"primary", "learning_rate=tuned"}


@pytest.mark.parametrize(
    ("damage", "named", "words"),
    [
        (lambda path: path.unlink(), "alternating-0.5/learning_rate=tuned.json", "missing"),
        (lambda path: path.write_text("{"), "alternating-0.5/learning_rate=tuned.json", "not a tuning"),
        (lambda path: path.write_text("{}"), "alternating-0.5/learning_rate=tuned.json", "not a tuning"),
        (lambda path: change_json(path, trials=[3]), "alternating-0.5/learning_rate=tuned.json", "not a tuning"),
        (lambda path: change_json(path, trials=[]), "alternating-0.5/learning_rate=tuned.json", "trials is not what"),
        (lambda path: change_json(path, cell={}), "alternating-0.5/learning_rate=tuned.json", "cell is not what"),
        (
            lambda path: change_json(path, data_sha256=""),
            "alternating-0.5/learning_rate=tuned.json",
            "data_sha256 is not what",
        ),
        (
            lambda path: change_json(path, learning_rate=0.05),
            "alternating-0.5/learning_rate=tuned.json",
            "is none of its trials",
        ),
        # the runs have another learning rate than the one that is now said to be chosen
        (lambda path: change_json(path, learning_rate=0.001), "tuned/seeds0-2.json", "cell is not what"),
    ],
)
def test_tuned_runs_must_have_the_learning_rate_that_was_chosen(tmp_path, damage, named, words):
    study = make_study(**RESULTS_CONFIG | TUNED | {"datasets": ["iris"]})
    results = write_results(tmp_path / "results", study)
    damage(results / "tuning" / "iris" / "depth4" / "alternating-0.5" / "learning_rate=tuned.json")
    with pytest.raises(InputError) as caught:
        collect(study, results, results / "tables")
    message = str(caught.value)
    assert all(map(str.isprintable, caught.value.args))
    assert named in message
    assert words in message


def test_tables_of_what_the_study_does_not_do_are_empty(whole):
    assert (whole / "tables" / "tuning.csv").read_text() == ",".join(columns("tuning")) + "\n"
    flow = read_table(whole / "tables" / "gradient_flow.parquet", "gradient_flow")
    assert list(flow.columns) == list(columns("gradient_flow"))
    assert len(flow) == 0


@pytest.mark.parametrize(
    ("path", "change", "words"),
    [
        ("data/wine.npz", None, "missing"),
        ("tables/timing.csv", None, r"timing\.csv: missing; run snakemake again"),
        ("tables/timing.csv", lambda lines: [line for line in lines if not line.startswith("wine")], "no seconds of"),
        ("runs/wine/depth4/standard/primary/seeds1000000-1000002.csv", None, "missing"),
    ],
)
def test_what_the_collection_also_needs_must_be_there(results, path, change, words):
    path = results / path
    if change is None:
        path.unlink()
    else:
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(InputError, match=words) as caught:
        collect(RESULTS_STUDY, results, results / "tables")
    assert all(map(str.isprintable, caught.value.args))


def test_collecting_twice_gives_the_same_bytes(whole, results):
    collect_tables(results)
    first, again = ({path.name: path.read_bytes() for path in (f / "tables").iterdir()} for f in (whole, results))
    assert first == again
    parts = {"timing.csv", "study.json", "epochs.parquet", "gradient_flow.parquet"}
    assert first.keys() == parts | {f"{name}.csv" for name in TABLES if name != "epochs"}


def test_several_processes_write_the_same_bytes(whole, results, monkeypatch):
    monkeypatch.setattr(parallel, "FEWEST_TASKS", 2)
    collect(RESULTS_STUDY, results, results / "tables", threads=2)
    for path in (whole / "tables").iterdir():
        assert (results / "tables" / path.name).read_bytes() == path.read_bytes(), path.name


def test_streamed_rows_are_those_of_the_logs_and_of_one_frame(whole, tables, results, monkeypatch):
    # a group for each pack or two, and one for all
    monkeypatch.setattr(schema, "GROUP_ROWS", 16)
    collect_tables(results)
    path = results / "tables" / "epochs.parquet"
    assert parquet.ParquetFile(path).num_row_groups > 5
    pd.testing.assert_frame_equal(pd.read_parquet(path), pd.read_parquet(whole / "tables" / "epochs.parquet"))
    logs = [pd.read_csv(results / "runs" / f"{pack.stem}.csv").assign(**pack._asdict()) for pack in RESULTS_STUDY.packs]
    logs = pd.concat(logs)[lambda rows: rows["seed"] < FIRST_CALIBRATION_SEED]
    names = [*KEY, "epoch"]
    shared = [*names, "status", "validation_accuracy", "test_accuracy", "flops", "updates", "updates_mean", "seconds"]
    logs, rows = (part[shared].sort_values(names, ignore_index=True) for part in (logs, tables["epochs"]))
    pd.testing.assert_frame_equal(logs, rows, check_dtype=False)


def test_a_data_set_that_cannot_be_read_is_refused_or_its_runs_are_missing(whole, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(whole, results)
    path = results / "data" / "iris.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"iris.*(SHA-256|data_sha256|not a stored data set)"):
        collect(RESULTS_STUDY, results, results / "tables")
    collect(RESULTS_STUDY, results, results / "partial", missing="mark")
    runs = read_table(results / "partial" / "runs.csv", "runs")
    assert (runs["status"] == "missing").equals(runs["dataset"] == "iris")
    targets = read_table(results / "partial" / "targets.csv", "targets")
    assert targets["target"].isna().equals(targets["dataset"] == "iris")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(RESULTS_STUDY.packs), min_size=1, max_size=5, unique=True),
    st.sampled_from(sorted(LOSSES)),
)
def test_without_some_packs_their_runs_are_missing_and_all_other_rows_the_same(whole, tables, lost, loss):
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        shutil.copytree(whole, results)
        for pack in lost:
            LOSSES[loss](results, pack)
        collect(RESULTS_STUDY, results, results / "partial", missing="mark")
        after = read_tables(results / "partial")
        provenance = json.loads((results / "partial" / "study.json").read_text())["provenance"]
    assert provenance["missing_packs"] == len(lost)
    gone = {
        (*(getattr(pack, name) for name in CELL), seed)
        for pack in lost
        for seed in range(pack.first_seed, pack.last_seed + 1)
    }
    # every run has its row, in its place
    runs = after["runs"]
    pd.testing.assert_frame_equal(runs[KEY], tables["runs"][KEY])
    missing = pd.Series([key in gone for key in runs[KEY].itertuples(index=False, name=None)])
    assert (runs["status"] == "missing").tolist() == missing.tolist()
    pd.testing.assert_frame_equal(runs[~missing], tables["runs"][~missing])
    floats = float_columns("runs")
    assert runs.loc[missing, [name for name in floats if name != "freeze_ratio"]].isna().all(axis=None)
    # targets need all calibration runs of their place; what does not depend on them is as it was
    without_target = {pack.dataset for pack in lost if pack.calibrates}
    for name in ("epochs", "times_to_target"):
        keys = tables[name][KEY].itertuples(index=False, name=None)
        kept = tables[name][[key not in gone for key in keys]].reset_index(drop=True)
        same = ~kept["dataset"].isin(without_target) if name == "times_to_target" else slice(None)
        pd.testing.assert_frame_equal(after[name][same], kept[same])
    here = after["targets"]["dataset"].isin(without_target)
    assert after["targets"].loc[here, "target"].isna().all()
    pd.testing.assert_frame_equal(after["targets"][~here], tables["targets"][~here])
    times = after["times_to_target"]
    assert (times.loc[times["dataset"].isin(without_target), "reached"] == 0).all()
    reached = after["reached"].set_index([*CELL, "level"])
    assert reached.index.tolist() == tables["reached"].set_index([*CELL, "level"]).index.tolist()
    assert reached["runs"].sum() == 2 * (~missing).sum()
    packs = after["packs"].set_index([*CELL, "seeds"])
    assert packs.index.tolist() == tables["packs"].set_index([*CELL, "seeds"]).index.tolist()
    reasons = packs["reason"][packs["reason"] != ""]
    assert set(reasons.index) == {(*(getattr(pack, name) for name in CELL), pack.seeds) for pack in lost}
    words = {"log": "missing", "pack": NO_LOG, "row": "the log was changed"}[loss]
    assert all(words in reason for reason in reasons)


def test_without_timing_and_a_data_set_there_are_neither_its_runs_nor_seconds(tables, results):
    (results / "tables" / "timing.csv").unlink()
    (results / "data" / "wine.npz").unlink()
    (results / "logs" / "data").mkdir(parents=True)
    (results / "logs" / "data" / "wine.log").write_text("altfreeze: no such file\n")
    collect(RESULTS_STUDY, results, results / "partial", missing="mark")
    after = read_tables(results / "partial")
    wine = after["runs"]["dataset"] == "wine"
    assert (after["runs"]["status"] == "missing").tolist() == wine.tolist()
    assert after["runs"]["reference_seconds"].isna().all()
    same = [name for name in after["runs"] if name != "reference_seconds"]
    pd.testing.assert_frame_equal(after["runs"].loc[~wine, same], tables["runs"].loc[~wine, same])
    assert set(after["packs"].loc[after["packs"]["dataset"] == "wine", "reason"]) == {"altfreeze: no such file"}
    assert len(after["speedups"]) == 0


def test_files_of_cells_that_are_no_longer_in_the_study_are_ignored(results, tables):
    study = make_study(**RESULTS_CONFIG | {"strategies": ["alternating"]})
    orphan = results / "runs" / "iris" / "depth9" / "gone" / "primary" / "seeds0-2.csv"
    orphan.parent.mkdir(parents=True)
    orphan.write_text("nothing")
    runs = collect_tables(results, study)["runs"]
    kept = tables["runs"][tables["runs"]["strategy"].isin(["standard", "alternating-0.5"])]
    pd.testing.assert_frame_equal(runs, kept.reset_index(drop=True))


def test_every_missing_pack_is_named_at_once(results):
    lost = RESULTS_STUDY.packs[1:9:2]
    for pack in lost:
        remove_pack(results, pack)
    with pytest.raises(InputError) as caught:
        collect(RESULTS_STUDY, results, results / "tables")
    message = str(caught.value)
    assert all(map(str.isprintable, caught.value.args))
    for pack in RESULTS_STUDY.packs:
        assert (f"{results / 'runs' / pack.stem}.csv: missing" in message) == (pack in lost)
    assert len(caught.value.args) == len(lost)
    assert all("run snakemake again" in line for line in caught.value.args)
    assert [path.name for path in (results / "tables").iterdir()] == ["timing.csv"]


def test_of_many_missing_packs_twenty_are_named_and_the_others_counted(results):
    shutil.rmtree(results / "runs")
    with pytest.raises(InputError) as caught:
        collect(RESULTS_STUDY, results, results / "tables")
    *named, last = caught.value.args
    assert len(named) == 20
    assert all(".csv: missing" in line for line in named)
    assert last == f"and {len(RESULTS_STUDY.packs) - 20} more"


def test_a_missing_data_set_is_named_and_not_the_packs_that_wait_for_it(tmp_path):
    study = make_study(**RESULTS_CONFIG | TUNED)
    results = write_results(tmp_path / "results", study)
    (results / "data" / "wine.npz").unlink()
    (results / "tuning" / "iris" / "depth4" / "standard" / "learning_rate=tuned.json").unlink()
    with pytest.raises(InputError) as caught:
        collect(study, results, results / "tables")
    data, tuning = caught.value.args
    assert "wine.npz: missing" in data
    assert "standard/learning_rate=tuned.json: missing" in tuning


@pytest.mark.parametrize("missing", ["refuse", "mark"])
def test_packs_of_different_code_are_refused_in_a_line_that_counts_them_and_heals(results, missing):
    *_, rare, other = (pack for pack in RESULTS_STUDY.packs if not pack.calibrates)
    for pack in (rare, other):
        change_json(results / "runs" / f"{pack.stem}.json", code="changed")
    with pytest.raises(InputError) as caught:
        collect(RESULTS_STUDY, results, results / "tables", missing=missing)
    message = str(caught.value)
    assert message.isprintable()
    assert f"different code ({len(RESULTS_STUDY.packs) - 2} by same, 2 by changed)" in message
    assert f"delete {rare.stem}.csv and .json and 1 more (all whose manifest does not say code same)" in message
    assert "run snakemake again" in message
    assert [path.name for path in (results / "tables").iterdir()] == ["timing.csv"]
    # what it says heals: packs that are gone are of no code
    for pack in (rare, other):
        remove_pack(results, pack)
    collect(RESULTS_STUDY, results, results / "tables", missing="mark")
