"""Collection refuses what is missing, doubled or changed; comparisons are paired."""

import csv
import json
import math

import numpy as np
import pandas as pd
import pytest
from altfreeze import InputError, config, tables
from altfreeze.files import sha256_of_file, write_json
from altfreeze.training import LOG_COLUMNS, write_log

STUDY = config.validate(
    {
        "datasets": ["iris", "wine"],
        "depths": [4],
        "primary_depth": 4,
        "freeze_ratios": [0.5],
        "seeds": 6,
        "seeds_per_job": 3,
        "epochs_standard": 3,
        "epochs_alternating": 3,
    }
)


def accuracy(dataset, strategy, seed, epoch):
    base = {"iris": 0.6, "wine": 0.7}[dataset] + 0.01 * seed + 0.05 * min(epoch, 2)
    return base - (0.02 * (seed + 1) if strategy != "standard" else 0)


def write_pack(results, pack, diverged=()):
    rows = []
    for epoch in (1, 2, 3):
        for seed in range(pack.first_seed, pack.last_seed + 1):
            gone = (pack.dataset, pack.strategy, seed) in diverged and epoch >= 2
            value = math.nan if gone else accuracy(pack.dataset, pack.strategy, seed, epoch)
            cost = 100 * epoch if pack.strategy == "standard" else 75 * epoch
            record = (seed, epoch, "diverged" if gone else "ok", *[value] * 3, value / 2, "all", 0.1)
            rows.append(dict(zip(LOG_COLUMNS, (*record, cost, epoch, epoch, 2.0 * epoch), strict=True)))
    stem = results / "runs" / pack.stem
    log = stem.with_name(stem.name + ".csv")
    write_log(log, rows)
    manifest = {
        "cell": config.cell(STUDY, pack.dataset, pack.depth, pack.strategy),
        "seeds": list(range(pack.first_seed, pack.last_seed + 1)),
        "rows": len(rows),
        "log_sha256": sha256_of_file(log),
        "data_sha256": sha256_of_file(results / "data" / f"{pack.dataset}.npz"),
        "device": "cpu",
        **{key: 1.0 for key in ("training_seconds", "wall_seconds", "cpu_seconds", "peak_memory_mib")},
        **{key: "same" for key in ("git", "code", "versions", "device_name", "threads")},
    }
    write_json(stem.with_name(stem.name + ".json"), manifest)


def write_study(results, diverged=()):
    for name in STUDY["datasets"]:
        (results / "data").mkdir(parents=True, exist_ok=True)
        (results / "data" / f"{name}.npz").write_bytes(name.encode())
    for pack in config.packs(STUDY):
        write_pack(results, pack, diverged)
    return results


@pytest.fixture
def results(tmp_path):
    return write_study(tmp_path / "results")


def collected(results, diverged=()):
    tables.collect(STUDY, results, results / "tables")
    tables.compare(STUDY, results / "tables" / "runs.csv", results / "tables" / "comparisons.csv")
    return {
        "epochs": tables.read_table(results / "tables" / "epochs.csv", "epochs"),
        "runs": tables.read_table(results / "tables" / "runs.csv", "runs"),
        "comparisons": tables.read_table(results / "tables" / "comparisons.csv", "comparisons"),
    }


def test_the_log_has_the_columns_that_the_table_defines():
    added = {"dataset", "depth", "strategy", "freeze_ratio"}
    assert set(tables.columns("epochs")) - added == set(LOG_COLUMNS)


def test_every_run_is_there_once(results):
    found = collected(results)
    assert len(found["epochs"]) == 2 * 2 * 6 * 3
    assert len(found["runs"]) == 2 * 2 * 6
    assert not found["runs"].duplicated(tables.KEY).any()
    pd.testing.assert_frame_equal(pd.read_parquet(results / "tables" / "epochs.parquet"), found["epochs"])


def test_a_run_is_judged_at_its_end_and_at_its_first_best_validation_epoch(results):
    runs = collected(results)["runs"].set_index(tables.KEY)
    run = runs.loc[("wine", 4, "standard", 3)]
    assert run["best_epoch"] == 2  # epochs 2 and 3 are equally good
    assert run["best_validation_accuracy"] == pytest.approx(0.7 + 0.03 + 0.1)
    assert run["best_test_accuracy"] == pytest.approx((0.7 + 0.03 + 0.1) / 2)
    assert run["final_test_accuracy"] == pytest.approx((0.7 + 0.03 + 0.1) / 2)
    assert (run["epochs"], run["flops"], run["updates_top"]) == (3, 300, 3)
    assert (run["seconds"], run["pack_seeds"]) == (2.0, 3)


def test_comparisons_are_paired_means_of_data_sets_that_weigh_the_same(results):
    rows = collected(results)["comparisons"].set_index(["dataset", "metric"])
    row = rows.loc[("iris", "final_test_accuracy")]
    differences = [-0.01 * (seed + 1) for seed in range(6)]
    assert row["difference"] == pytest.approx(np.mean(differences))
    assert min(differences) <= row["low"] <= row["difference"] <= row["high"] <= max(differences)
    assert (row["pairs"], row["dropped"]) == (6, 0)
    assert row["alternating"] - row["standard"] == pytest.approx(row["difference"])
    both = rows.loc[("all", "final_test_accuracy")]
    assert both["pairs"] == 12
    assert both["difference"] == pytest.approx(np.mean(differences))
    assert both["high"] - both["low"] < row["high"] - row["low"]
    cost = rows.loc[("all", "flops_ratio")]
    assert (cost["alternating"], cost["difference"], cost["low"], cost["high"]) == (0.75, -0.25, -0.25, -0.25)


def test_a_diverged_run_is_a_row_and_its_pair_is_counted_as_dropped(tmp_path):
    results = write_study(tmp_path / "results", diverged={("iris", "standard", 2)})
    found = collected(results)
    run = found["runs"].set_index(tables.KEY).loc[("iris", 4, "standard", 2)]
    assert run["status"] == "diverged"
    assert run["best_epoch"] == 1
    assert math.isnan(run["final_test_accuracy"])
    rows = found["comparisons"].set_index(["dataset", "metric"])
    row = rows.loc[("iris", "final_test_accuracy")]
    assert (row["pairs"], row["dropped"], row["diverged_standard"], row["diverged_alternating"]) == (5, 1, 1, 0)
    assert row["difference"] == pytest.approx(np.mean([-0.01, -0.02, -0.04, -0.05, -0.06]))
    assert rows.loc[("all", "final_test_accuracy")]["dropped"] == 1
    # data sets weigh the same, though one has fewer pairs
    expected = (np.mean([-0.01, -0.02, -0.04, -0.05, -0.06]) + np.mean([-0.01, -0.02, -0.03, -0.04, -0.05, -0.06])) / 2
    assert rows.loc[("all", "final_test_accuracy")]["difference"] == pytest.approx(expected)


def test_a_data_set_without_a_pair_leaves_the_estimate_empty_rather_than_wrong(tmp_path):
    results = write_study(tmp_path / "results", diverged={("iris", "standard", seed) for seed in range(6)})
    rows = collected(results)["comparisons"].set_index(["dataset", "metric"])
    assert rows.loc[("iris", "final_test_accuracy")][["difference", "low", "high"]].isna().all()
    assert rows.loc[("all", "final_test_accuracy")][["difference", "low", "high"]].isna().all()
    assert rows.loc[("all", "final_test_accuracy")]["dropped"] == 6


def edit(path, change):
    path.write_text(change(path.read_text()))


def change_manifest(path, **keys):
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def double_a_row(log):
    lines = log.read_text().splitlines()
    lines[-1] = lines[1]
    log.write_text("\n".join(lines) + "\n")
    change_manifest(log.with_suffix(".json"), log_sha256=sha256_of_file(log))


def drop_a_row(log):
    log.write_text("\n".join(log.read_text().splitlines()[:-1]) + "\n")
    change_manifest(log.with_suffix(".json"), log_sha256=sha256_of_file(log))


@pytest.mark.parametrize(
    ("damage", "named", "words"),
    [
        (lambda log: log.unlink(), "seeds3-5.csv", "missing"),
        (lambda log: log.with_suffix(".json").unlink(), "seeds3-5.json", "missing"),
        (lambda log: edit(log, lambda text: text.replace("0.8", "0.9", 1)), "seeds3-5.csv", "the log was changed"),
        (lambda log: edit(log, lambda text: text[:-20]), "seeds3-5.csv", "the log was changed"),
        (double_a_row, "seeds3-5.csv", "stands twice"),
        (drop_a_row, "seeds3-5.csv", "8 rows, but its manifest says 9"),
        (lambda log: log.with_suffix(".json").write_text("{"), "seeds3-5.json", "not a manifest"),
        (lambda log: log.with_suffix(".json").write_text("[]"), "seeds3-5.json", "not a manifest"),
        (lambda log: change_manifest(log.with_suffix(".json"), seeds=[0, 1]), "seeds3-5.json", "seeds is not what"),
        (lambda log: change_manifest(log.with_suffix(".json"), cell={}), "seeds3-5.json", "cell is not what"),
        (lambda log: change_manifest(log.with_suffix(".json"), data_sha256=""), "seeds3-5.json", "data_sha256 is not"),
    ],
)
def test_damage_stops_the_collection_with_a_line_that_names_the_file(results, damage, named, words):
    log = results / "runs" / "wine" / "depth4" / "standard" / "seeds3-5.csv"
    damage(log)
    with pytest.raises(InputError) as caught:
        tables.collect(STUDY, results, results / "tables")
    message = str(caught.value)
    assert message.isprintable()
    assert str(log.with_name(named)) in message
    assert words in message
    assert not (results / "tables").exists()


def test_a_table_that_is_not_one_is_refused(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"runs\.csv: columns differ"):
        tables.read_table(path, "runs")


def test_tables_survive_reading_bitwise(results, tmp_path):
    runs = collected(results)["runs"]
    tables.write_table(runs, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (results / "tables" / "runs.csv").read_bytes()


def test_collecting_twice_gives_the_same_bytes(results):
    collected(results)
    first = {path.name: path.read_bytes() for path in (results / "tables").iterdir()}
    collected(results)
    assert first == {path.name: path.read_bytes() for path in (results / "tables").iterdir()}
    with (results / "tables" / "comparisons.csv").open() as file:
        assert len(list(csv.reader(file))) == 1 + 3 * 3
