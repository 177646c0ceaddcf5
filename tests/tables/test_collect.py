"""Collection keeps every run once, and refuses what is missing, doubled or changed."""

import io
import itertools
import json
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from altfreeze.freezing.flow import FLOW_COLUMNS
from altfreeze.freezing.plan import Workload, plan
from altfreeze.study import grid as config
from altfreeze.study.grid import FIRST_CALIBRATION_SEED
from altfreeze.support import parallel as processes
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file, write_csv, write_json
from altfreeze.tables import collect as tables
from altfreeze.tables.reference_seconds import SPEEDUP_COLUMNS, plan_work
from altfreeze.training.timing import COLUMNS as TIMING_COLUMNS
from altfreeze.training.trainer import LOG_COLUMNS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

GIVEN = {
    "datasets": ["iris", "wine"],
    "depths": [4],
    "primary_depth": 4,
    "freeze_ratios": [0.5],
    "strategies": [
        "alternating",
        "standard_half_updates",
        "standard_matched_flops",
        "frozen_bottom",
        "random_half",
        {"name": "standard", "label": "again"},
    ],
    "seeds": 6,
    "seeds_per_job": 3,
    "epochs_standard": 3,
    "epochs_alternating": 3,
    "calibration_seeds": 3,
    "target_levels": [0.9, 1.0],
}
STUDY = config.validate(GIVEN)


def workload(depth):
    """Return work of which every layer costs the same: three batches of 32 rows."""
    return Workload((4,) * (depth + 1), 96, 32)


# 11 layers' products in a step of standard training, 7 of the top, 9 of the bottom
WORKLOAD = workload(4)
# seconds of a step by how many of the first, the inner and the last layers learn; the start of an epoch takes one
SECONDS = {(1, 2, 1): 10.0, (0, 1, 1): 5.0, (1, 1, 0): 7.0, (0, 0, 0): 1.0}
# of the 13 + 7 + 6 + 6 rows in the validation part
CHANCE = 13 / 32
CLASSES = np.repeat([0, 1, 2, 3], [63, 37, 30, 30])
TABLES = ["epochs", "runs", "packs", "calibration", "targets", "times_to_target", "reached", "tuning", "speedups"]


def validation_accuracy(dataset, strategy, seed, epoch):
    base = {"iris": 0.6, "wine": 0.7}[dataset] + 0.01 * (seed % FIRST_CALIBRATION_SEED) + 0.05 * min(epoch, 2)
    return base - (0.02 * (seed + 1) if strategy not in ("standard", "again") else 0)


def accuracies(dataset, strategy, seed, epoch):
    value = validation_accuracy(dataset, strategy, seed, epoch)
    return value, value / 2 + 0.001 * epoch


def write_pack(results, study, pack, diverged, learning_rate, accuracies):
    cell, work = config.cell(study, pack.dataset, pack.depth, pack.strategy, learning_rate), workload(pack.depth)
    seeds = range(pack.first_seed, pack.last_seed + 1)
    steps, flops, updates, rows, flow = 0, 0, np.zeros(pack.depth, int), [], []
    for epoch in plan(cell, work):
        steps, flops, updates = steps + len(epoch.steps), flops + epoch.flops(work), updates + epoch.updates()
        made = steps / len(work.batches)
        counted = ("1-4", 0.1, flops, " ".join(map(str, updates)), float(updates.mean()), min(updates), 2.0 * made)
        for seed in seeds:
            gone = (pack.dataset, pack.strategy, seed) in diverged and made >= 2
            validation, test = [math.nan] * 2 if gone else accuracies(pack.dataset, pack.strategy, seed, made)
            rows.append((seed, made, "diverged" if gone else "ok", *[validation] * 3, test, *counted))
            flow += [(seed, made, layer, 0.5, 0.1, math.nan, math.nan) for layer in range(1, pack.depth + 1)]
    stem = results / "runs" / pack.stem
    log = stem.with_name(stem.name + ".csv")
    write_csv(log, LOG_COLUMNS, rows)
    flow_log = stem.with_name(stem.name + ".flow.csv")
    if study["gradient_flow"]:
        write_csv(flow_log, FLOW_COLUMNS, flow)
    manifest = {
        "cell": cell,
        "seeds": list(seeds),
        "rows": len(rows),
        "workload": work._asdict(),
        "log_sha256": sha256_of_file(log),
        "flow_sha256": sha256_of_file(flow_log) if study["gradient_flow"] else None,
        "data_sha256": sha256_of_file(results / "data" / f"{pack.dataset}.npz"),
        "device": "cpu",
        **{key: 1.0 for key in ("training_seconds", "wall_seconds", "cpu_seconds", "peak_memory_mib")},
        **{key: "same" for key in ("git", "code", "versions", "device_name", "host")},
        "threads": 1,
        "attempt": 1,
        "resumed_at_epochs": [],
    }
    write_json(stem.with_name(stem.name + ".json"), manifest)


def write_timing(results, study):
    rows = []
    for dataset, depth in itertools.product(study["datasets"], study["depths"]):
        plans = [plan(config.cell(study, dataset, depth, label), workload(depth)) for label in config.strategies(study)]
        for work in sorted(set().union(*(plan_work(epochs, workload(depth)) for epochs in plans))):
            seconds = SECONDS.get((work.first, work.inner, work.last), 6.0)
            rows += [(dataset, depth, *work, number, seconds) for number in range(1, 7)]
    write_csv(results / "tables" / "timing.csv", TIMING_COLUMNS, rows)


def write_tuning(results, study, dataset, depth, strategy, rate):
    trials = [
        {"learning_rate": tried, "seeds": 3, "diverged": 0, "validation_accuracy": 0.7, "validation_loss": None}
        for tried in study["tune"]
    ]
    content = {
        "learning_rate": rate,
        "trials": trials,
        "cell": config.cell(study, dataset, depth, strategy),
        "data_sha256": sha256_of_file(results / "data" / f"{dataset}.npz"),
    }
    write_json(results / "tuning" / dataset / f"depth{depth}" / f"{strategy}.json", content)


def write_study(results, study=STUDY, diverged=(), accuracies=accuracies):
    for number, name in enumerate(study["datasets"]):
        (results / "data").mkdir(parents=True, exist_ok=True)
        np.savez(results / "data" / f"{name}.npz", X=np.full((160, 4), float(number)), y=CLASSES)
        for depth, strategy in itertools.product(study["depths"], config.strategies(study) if study["tune"] else ()):
            write_tuning(results, study, name, depth, strategy, study["tune"][-1])
    for pack in config.packs(study):
        rate = study["tune"][-1] if pack.recipe == "tuned" else None
        write_pack(results, study, pack, diverged, rate, accuracies)
    write_timing(results, study)
    return results


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the folder of a study that nothing is wrong with, its tables made; it is not to be changed."""
    results = write_study(tmp_path_factory.mktemp("whole") / "results")
    collected(results)
    return results


@pytest.fixture(scope="module")
def found(whole):
    return {name: tables.read_table(whole / "tables" / f"{name}.csv", name) for name in TABLES}


@pytest.fixture
def results(whole, tmp_path):
    """Return the folder of a study whose tables are yet to be made."""
    shutil.copytree(whole, tmp_path / "results")
    shutil.rmtree(tmp_path / "results" / "tables")
    write_timing(tmp_path / "results", STUDY)
    return tmp_path / "results"


def collected(results, study=STUDY):
    tables.collect(study, results, results / "tables")
    return {name: tables.read_table(results / "tables" / f"{name}.csv", name) for name in TABLES}


def test_the_tables_have_the_columns_of_what_they_are_made_of():
    added = {"dataset", "depth", "strategy", "recipe", "freeze_ratio", "reference_seconds"}
    assert set(tables.columns("epochs")) - added == set(LOG_COLUMNS)
    assert set(tables.columns("gradient_flow")) - added == set(FLOW_COLUMNS)
    assert tuple(tables.columns("timing")) == TIMING_COLUMNS
    assert tuple(tables.columns("speedups")) == SPEEDUP_COLUMNS


def test_every_column_has_a_type_and_a_meaning():
    for table in tables._schema():
        for name, column in tables.columns(table).items():
            assert column.keys() == {"type", "description"}, (table, name)
            assert column["type"] in ("int", "float", "str")


def test_every_compared_run_is_there_once_and_no_calibration_is(whole, found):
    # 3 rows of a run of 3 epochs, 2 of 4 steps and of 6 steps
    assert len(found["epochs"]) == 2 * 6 * (5 * 3 + 2 * 2)
    assert len(found["runs"]) == 2 * 6 * 7
    assert not found["runs"].duplicated(tables.KEY).any()
    assert set(found["runs"]["seed"]) == set(range(6))
    pd.testing.assert_frame_equal(tables.read_table(whole / "tables" / "epochs.parquet", "epochs"), found["epochs"])


def test_every_pack_says_where_its_runs_come_from(whole, found):
    packs = found["packs"].set_index(["dataset", "strategy", "seeds"])
    assert len(packs) == len(config.packs(STUDY))
    assert packs.index.is_unique
    pack = packs.loc[("wine", "alternating-0.5", "3-5")]
    assert json.loads(pack["cell"]) == config.cell(STUDY, "wine", 4, "alternating-0.5")
    assert pack["log"] == "logs/train/wine/depth4/alternating-0.5/configured/seeds3-5.log"
    assert pack["data_sha256"] == sha256_of_file(whole / "data" / "wine.npz")
    assert (pack["code"], pack["device"], pack["threads"], pack["training_seconds"]) == ("same", "cpu", 1, 1.0)
    first = FIRST_CALIBRATION_SEED
    assert ("wine", "standard", f"{first}-{first + 2}") in packs.index


def test_a_run_is_judged_at_its_end_and_at_its_first_best_validation_epoch(found):
    runs = found["runs"].set_index(tables.KEY)
    run = runs.loc[("wine", 4, "standard", "configured", 3)]
    assert run["best_epoch"] == 2  # epochs 2 and 3 are equally good
    assert run["best_validation_accuracy"] == run["final_validation_accuracy"] == pytest.approx(0.83)
    assert run["best_test_accuracy"] == pytest.approx(0.415 + 0.002)
    assert run["final_test_accuracy"] == pytest.approx(0.415 + 0.003)
    assert (run["epochs"], run["updates_mean"], run["updates_minimum"]) == (3, 9, 9)
    assert run["reference_seconds"] == pytest.approx(9 * 10 + 3)
    assert (run["seconds"], run["pack_seeds"]) == (2.0, 3)
    half = runs.loc[("wine", 4, "standard_half_updates", "configured", 3)]
    assert (half["epochs"], half["updates_minimum"]) == (pytest.approx(4 / 3), 4)
    alternating = runs.loc[("wine", 4, "alternating-0.5", "configured", 3)]
    assert (alternating["updates_mean"], alternating["updates_minimum"]) == (4.5, 3)
    assert alternating["reference_seconds"] == pytest.approx(3 * (5 + 7 + 5) + 3)


def test_targets_lie_between_chance_and_the_median_of_standard_training_on_its_own_seeds(found):
    targets = found["targets"].set_index(["dataset", "level"])
    assert (targets["seeds"] == 3).all()
    assert targets["chance"].tolist() == [CHANCE] * 4
    # the second of three seeds, at its end
    assert targets.loc["iris"]["calibration_accuracy"].to_numpy() == pytest.approx([0.71] * 2)
    assert targets.loc[("wine", 0.9)]["target"] == pytest.approx(CHANCE + 0.9 * (0.81 - CHANCE))
    assert targets.loc[("wine", 1.0)]["target"] == pytest.approx(0.81)


def test_calibration_holds_the_ends_of_standard_training_on_its_own_seeds(tmp_path):
    gone = FIRST_CALIBRATION_SEED + 1
    results = write_study(tmp_path / "results", diverged={("wine", "standard", gone), ("wine", "standard", 1)})
    calibration = collected(results)["calibration"].set_index(["dataset", "seed"])
    assert calibration.index.tolist() == [
        (dataset, FIRST_CALIBRATION_SEED + index) for dataset in ("iris", "wine") for index in range(3)
    ]
    # the seed that diverged keeps its row, without accuracies
    assert calibration["status"].tolist() == ["ok"] * 4 + ["diverged", "ok"]
    columns = ["final_validation_accuracy", "final_test_accuracy"]
    assert calibration.loc[("wine", gone), columns].isna().all()
    kept = calibration[calibration["status"] == "ok"]
    ends = [accuracies(dataset, "standard", seed, 3) for dataset, seed in kept.index]
    assert kept[columns].to_numpy() == pytest.approx(np.array(ends))


def test_compared_runs_do_not_move_the_targets(found, tmp_path):
    def others(dataset, strategy, seed, epoch):
        value, test = accuracies(dataset, strategy, seed, epoch)
        return (value if seed >= FIRST_CALIBRATION_SEED else value / 3), test

    changed = write_study(tmp_path / "changed", accuracies=others)
    after = collected(changed)
    assert not found["runs"]["final_validation_accuracy"].equals(after["runs"]["final_validation_accuracy"])
    pd.testing.assert_frame_equal(found["targets"], after["targets"])
    assert found["reached"]["reached"].sum() > after["reached"]["reached"].sum() == 0


def test_times_to_target_are_those_of_the_first_epoch_at_the_target_or_else_of_the_end(found):
    times = found["times_to_target"]
    assert len(times) == 2 * 7 * 6 * 2
    assert not times.duplicated([*tables.KEY, "level"]).any()
    times = times[times["dataset"] == "iris"].set_index(["strategy", "level", "seed"]).sort_index()
    # standard training: 0.65 + 0.01 seed after the first epoch, 0.70 + 0.01 seed after the second; target 0.71
    standard = times.loc["standard", 1.0]
    assert standard["reached"].tolist() == [0, 1, 1, 1, 1, 1]
    assert standard["epoch"].tolist() == [3, 2, 2, 2, 2, 2]
    assert standard["updates"].tolist() == [9, 6, 6, 6, 6, 6]
    assert standard["seconds"].tolist() == pytest.approx([93, 62, 62, 62, 62, 62])
    product = 2 * 32 * 4 * 4
    assert (standard["flops"] / product).tolist() == [99, 66, 66, 66, 66, 66]
    # target 0.679625
    assert times.loc["standard", 0.9]["epoch"].tolist() == [2, 2, 2, 1, 1, 1]
    # its best seed has 0.68 after two epochs, and the worse ones less
    alternating = times.loc["alternating-0.5", 0.9]
    assert alternating["reached"].tolist() == [1, 0, 0, 0, 0, 0]
    assert alternating["updates"].tolist() == [3, 4.5, 4.5, 4.5, 4.5, 4.5]
    assert (alternating["flops"] / product).tolist() == [48, 69, 69, 69, 69, 69]
    assert alternating["seconds"].tolist() == pytest.approx([38, 54, 54, 54, 54, 54])

    reached = found["reached"][found["reached"]["dataset"] == "iris"].set_index(["strategy", "level"])
    assert reached.loc[("standard", 1.0)][["runs", "reached", "censored"]].tolist() == [6, 5, 1]
    assert reached.loc[("standard", 1.0)][["epoch", "updates", "seconds"]].tolist() == pytest.approx([2, 6, 62])
    # between the third and the fourth of 1 1 1 2 2 2
    assert reached.loc[("standard", 0.9)]["epoch"] == 1.5
    assert reached.loc[("alternating-0.5", 0.9)][["runs", "reached", "censored"]].tolist() == [6, 1, 5]
    assert reached.loc[("alternating-0.5", 0.9)][["epoch", "updates", "flops", "seconds"]].isna().all()


def test_a_median_between_a_run_that_reached_the_target_and_one_that_did_not_is_censored(tmp_path):
    def half(dataset, strategy, seed, epoch):
        return (0.8 if seed >= 3 else 0.5), 0.5

    reached = collected(write_study(tmp_path / "results", accuracies=half))["reached"]
    assert (reached[["reached", "censored"]] == 3).all(axis=None)
    assert reached[["epoch", "updates", "flops", "seconds"]].isna().all(axis=None)


def test_a_run_as_good_as_the_target_reaches_it_whatever_its_digits(tmp_path):
    study = config.validate(GIVEN | {"datasets": ["iris"], "strategies": ["alternating"], "calibration_seeds": 2})

    def exact(dataset, strategy, seed, epoch):
        # logs say 0.666666667 and 0.583333333
        return {FIRST_CALIBRATION_SEED: 2 / 3, FIRST_CALIBRATION_SEED + 1: 1 / 2}.get(seed, 7 / 12), 0.5

    found = collected(write_study(tmp_path / "results", study, accuracies=exact), study)
    assert found["targets"]["calibration_accuracy"].max() > found["runs"]["final_validation_accuracy"].max()
    assert (found["times_to_target"]["reached"] == 1).all()
    assert (found["times_to_target"]["epoch"] == 1).all()


@pytest.mark.parametrize(("gone", "defined"), [(1, True), (2, False), (3, False)])
def test_without_a_median_of_calibration_there_is_no_target_and_no_run_reaches_it(tmp_path, gone, defined):
    diverged = {("iris", "standard", FIRST_CALIBRATION_SEED + index) for index in range(gone)}
    found = collected(write_study(tmp_path / "results", diverged=diverged))
    targets = found["targets"].set_index("dataset")
    assert targets.loc["iris"]["target"].notna().tolist() == [defined] * 2
    assert targets.loc["iris"]["calibration_accuracy"].notna().tolist() == [defined] * 2
    assert targets.loc["wine"]["target"].notna().all()
    if defined:
        # a diverged run is worse than all others: the median of none, 0.71 and 0.72
        assert targets.loc["iris"]["calibration_accuracy"].to_numpy() == pytest.approx([0.71] * 2)
    else:
        iris = found["times_to_target"][found["times_to_target"]["dataset"] == "iris"]
        assert (iris["reached"] == 0).all()
        assert iris["target"].isna().all()
        assert set(iris["epoch"].round(6)) == {3, 2, round(4 / 3, 6)}


def test_a_run_that_diverges_later_has_reached_its_target(tmp_path):
    found = collected(write_study(tmp_path / "results", diverged={("iris", "standard", 3), ("iris", "standard", 0)}))
    times = found["times_to_target"].set_index(["dataset", "strategy", "level", "seed"]).sort_index()
    times = times.loc["iris", "standard", 0.9]
    assert times["reached"].tolist() == [0, 1, 1, 1, 1, 1]
    assert times["epoch"].tolist() == [3, 2, 2, 1, 1, 1]


def test_speedups_are_those_of_the_timing(found):
    speedups = found["speedups"].set_index(["dataset", "strategy"])
    row = speedups.loc[("iris", "alternating-0.5")]
    assert row["measured"] == pytest.approx(93 / 54)
    assert row["closed_form"] == pytest.approx(99 / 69)
    assert speedups.loc[("wine", "again")][["rounds", "measured", "closed_form"]].tolist() == [6, 1, 1]


def test_tuned_runs_are_collected_beside_those_of_the_configured_rate(tmp_path):
    study = config.validate(GIVEN | {"tune": [0.001, 0.1], "datasets": ["iris"]})
    results = write_study(tmp_path / "results", study)
    found = collected(results, study)
    assert len(found["tuning"]) == 7 * 2
    assert found["tuning"].set_index("learning_rate")["chosen"].groupby("learning_rate").sum().to_dict() == {
        0.001: 0,
        0.1: 7,
    }
    assert found["tuning"]["validation_loss"].isna().all()
    assert found["runs"]["recipe"].value_counts().to_dict() == {"configured": 42, "tuned": 42}
    assert set(found["reached"]["recipe"]) == {"configured", "tuned"}


def change_json(path, **keys):
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


@pytest.mark.parametrize(
    ("damage", "named", "words"),
    [
        (lambda path: path.unlink(), "alternating-0.5.json", "missing"),
        (lambda path: path.write_text("{"), "alternating-0.5.json", "not a tuning"),
        (lambda path: path.write_text("{}"), "alternating-0.5.json", "not a tuning"),
        (lambda path: change_json(path, trials=[3]), "alternating-0.5.json", "not a tuning"),
        (lambda path: change_json(path, trials=[]), "alternating-0.5.json", "learning_rates is not what"),
        (lambda path: change_json(path, cell={}), "alternating-0.5.json", "cell is not what"),
        (lambda path: change_json(path, data_sha256=""), "alternating-0.5.json", "data_sha256 is not what"),
        (lambda path: change_json(path, learning_rate=0.05), "alternating-0.5.json", "is none of its trials"),
        # the runs have another learning rate than the one that is now said to be chosen
        (lambda path: change_json(path, learning_rate=0.001), "tuned/seeds0-2.json", "cell is not what"),
    ],
)
def test_tuned_runs_must_have_the_learning_rate_that_was_chosen(tmp_path, damage, named, words):
    study = config.validate(GIVEN | {"tune": [0.001, 0.1], "datasets": ["iris"]})
    results = write_study(tmp_path / "results", study)
    damage(results / "tuning" / "iris" / "depth4" / "alternating-0.5.json")
    with pytest.raises(InputError) as caught:
        tables.collect(study, results, results / "tables")
    message = str(caught.value)
    assert message.isprintable()
    assert named in message
    assert words in message


def test_gradient_flow_is_a_table_of_the_compared_runs(tmp_path):
    study = config.validate(GIVEN | {"gradient_flow": True, "datasets": ["iris"]})
    results = write_study(tmp_path / "results", study)
    tables.collect(study, results, results / "tables")
    flow = tables.read_table(results / "tables" / "gradient_flow.parquet", "gradient_flow")
    epochs = tables.read_table(results / "tables" / "epochs.csv", "epochs")
    assert len(flow) == 4 * len(epochs)
    assert not flow.duplicated([*tables.KEY, "epoch", "layer"]).any()
    assert flow["change_cosine"].isna().all()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: None, "missing"),
        (lambda text: "", "SHA-256"),
        (lambda text: text.replace("0.5", "0.6", 1), "SHA-256"),
    ],
)
def test_damaged_gradient_flow_stops_the_collection(tmp_path, damage, words):
    study = config.validate(GIVEN | {"gradient_flow": True, "datasets": ["iris"]})
    results = write_study(tmp_path / "results", study)
    path = results / "runs" / "iris" / "depth4" / "random_half" / "configured" / "seeds3-5.flow.csv"
    text = damage(path.read_text())
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        tables.collect(study, results, results / "tables")
    assert str(path) in str(caught.value)
    assert str(caught.value).isprintable()


def test_tables_of_what_the_study_does_not_do_are_empty(whole):
    assert (whole / "tables" / "tuning.csv").read_text() == ",".join(tables.columns("tuning")) + "\n"
    flow = tables.read_table(whole / "tables" / "gradient_flow.parquet", "gradient_flow")
    assert list(flow.columns) == list(tables.columns("gradient_flow"))
    assert len(flow) == 0


def edit(path, change):
    path.write_text(change(path.read_text()))


def change_log(log, change):
    lines = log.read_text().splitlines()
    log.write_text("\n".join(change(lines)) + "\n")
    change_json(log.with_suffix(".json"), log_sha256=sha256_of_file(log))


def move_a_row(lines):
    return [*lines[:-1], lines[-1].replace("5,3,", "5,2.5,", 1)]


def state_less_work(log):
    change_json(log.with_suffix(".json"), workload=WORKLOAD._replace(rows=95)._asdict())


def state_no_work(log):
    change_json(log.with_suffix(".json"), workload={"sizes": 3})


@pytest.mark.parametrize(
    ("damage", "named", "words"),
    [
        (lambda log: log.unlink(), "seeds3-5.csv", "missing"),
        (lambda log: log.with_suffix(".json").unlink(), "seeds3-5.json", "missing"),
        (lambda log: edit(log, lambda text: text.replace("0.8", "0.9", 1)), "seeds3-5.csv", "the log was changed"),
        (lambda log: edit(log, lambda text: text[:-20]), "seeds3-5.csv", "the log was changed"),
        (lambda log: change_log(log, lambda lines: [*lines[:-1], lines[1]]), "seeds3-5.csv", "epoch 1 stands twice"),
        (lambda log: change_log(log, lambda lines: lines[:-1]), "seeds3-5.csv", "8 rows, but its manifest says 9"),
        (lambda log: change_log(log, move_a_row), "seeds3-5.csv", "its rows are not those"),
        (lambda log: log.with_suffix(".json").write_text("{"), "seeds3-5.json", "not a manifest"),
        (lambda log: log.with_suffix(".json").write_text("[]"), "seeds3-5.json", "not a manifest"),
        (lambda log: change_json(log.with_suffix(".json"), seeds=[0, 1]), "seeds3-5.json", "seeds is not what"),
        (lambda log: change_json(log.with_suffix(".json"), cell={}), "seeds3-5.json", "cell is not what"),
        (lambda log: change_json(log.with_suffix(".json"), data_sha256=""), "seeds3-5.json", "data_sha256 is not"),
        (state_less_work, "seeds3-5.json", "workload is not that of the packs before"),
        (state_no_work, "seeds3-5.json", "workload is none"),
    ],
)
def test_damage_stops_the_collection_with_a_line_that_names_the_file(results, damage, named, words):
    log = results / "runs" / "wine" / "depth4" / "standard" / "configured" / "seeds3-5.csv"
    damage(log)
    with pytest.raises(InputError) as caught:
        tables.collect(STUDY, results, results / "tables")
    message = str(caught.value)
    assert message.isprintable()
    assert str(log.with_name(named)) in message
    assert words in message
    assert [path.name for path in (results / "tables").iterdir()] == ["timing.csv"]


@pytest.mark.parametrize(
    ("path", "change", "words"),
    [
        ("data/wine.npz", None, "missing"),
        ("tables/timing.csv", None, "not a table"),
        ("tables/timing.csv", lambda lines: [line for line in lines if not line.startswith("wine")], "no seconds of"),
        ("runs/wine/depth4/standard/configured/seeds1000000-1000002.csv", None, "missing"),
    ],
)
def test_what_the_collection_also_needs_must_be_there(results, path, change, words):
    path = results / path
    if change is None:
        path.unlink()
    else:
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(InputError, match=words) as caught:
        tables.collect(STUDY, results, results / "tables")
    assert str(caught.value).isprintable()


def test_a_table_that_is_not_one_is_refused(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"runs\.csv: columns differ"):
        tables.read_table(path, "runs")
    path = tmp_path / "epochs.parquet"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"epochs\.parquet: not a table"):
        tables.read_table(path, "epochs")


@pytest.mark.parametrize("table", tables._schema())
def test_an_empty_table_has_its_columns_and_types_and_survives_reading(tmp_path, table):
    empty = tables.conform(pd.DataFrame(), table, "nothing")
    assert list(empty.columns) == list(tables.columns(table))
    tables.write_table(empty, tmp_path / "empty.csv")
    pd.testing.assert_frame_equal(tables.read_table(tmp_path / "empty.csv", table), empty)
    with pytest.raises(InputError, match="columns differ"):
        tables.conform(pd.DataFrame(columns=["dataset"]), table, "wrong")


def test_tables_survive_reading_bitwise(whole, found, tmp_path):
    for name, table in found.items():
        tables.write_table(table, tmp_path / "again.csv")
        assert (tmp_path / "again.csv").read_bytes() == (whole / "tables" / f"{name}.csv").read_bytes()


def test_collecting_twice_gives_the_same_bytes(whole, results):
    collected(results)
    first, again = ({path.name: path.read_bytes() for path in (f / "tables").iterdir()} for f in (whole, results))
    assert first == again
    parts = {"timing.csv", "study.json", "epochs.parquet", "gradient_flow.parquet"}
    assert first.keys() == parts | {f"{name}.csv" for name in TABLES}


def test_several_processes_write_the_same_bytes(whole, results, monkeypatch):
    monkeypatch.setattr(processes, "FEWEST_TASKS", 2)
    tables.collect(STUDY, results, results / "tables", threads=2)
    for path in (whole / "tables").iterdir():
        assert (results / "tables" / path.name).read_bytes() == path.read_bytes(), path.name


def test_streamed_rows_are_those_of_the_logs_and_of_one_frame(whole, found, results, monkeypatch):
    # a group for each pack or two, and one for all
    monkeypatch.setattr(tables, "GROUP_ROWS", 16)
    collected(results)
    path = results / "tables" / "epochs.parquet"
    assert parquet.ParquetFile(path).num_row_groups > 5
    pd.testing.assert_frame_equal(pd.read_parquet(path), pd.read_parquet(whole / "tables" / "epochs.parquet"))
    logs = [pd.read_csv(results / "runs" / f"{pack.stem}.csv").assign(**pack._asdict()) for pack in config.packs(STUDY)]
    logs = pd.concat(logs)[lambda rows: rows["seed"] < FIRST_CALIBRATION_SEED]
    names = [*tables.KEY, "epoch"]
    shared = [*names, "status", "validation_accuracy", "test_accuracy", "flops", "updates", "updates_mean", "seconds"]
    logs, rows = (each[shared].sort_values(names, ignore_index=True) for each in (logs, found["epochs"]))
    pd.testing.assert_frame_equal(logs, rows, check_dtype=False)


texts = st.text(st.sampled_from('a ",\n\r|é'), min_size=1, max_size=4)


@given(st.lists(st.tuples(texts, st.floats(allow_nan=False), st.integers(-(2**63), 2**63 - 1)), max_size=5))
def test_a_table_as_csv_reads_back_the_same(rows):
    frame = pd.DataFrame(rows, columns=["text", "number", "count"]).astype(
        {"text": "str", "number": float, "count": int}
    )
    text = tables.table_csv(frame)
    again = pd.read_csv(io.BytesIO(text), dtype="str", keep_default_na=False)
    expected = frame["text"].str.replace("\r\n", "\n").str.replace("\r", "\n")
    assert again["text"].str.replace("\r\n", "\n").str.replace("\r", "\n").tolist() == expected.tolist()
    assert again["number"].astype(float).tolist() == frame["number"].tolist()
    assert again["count"].astype(int).tolist() == frame["count"].tolist()
    # a row is the same text alone and beside others, which the report's own copies rely on
    assert text == b"".join(
        [tables.csv_header(frame.columns), *(tables.table_csv(frame[n : n + 1])[18:] for n in range(len(frame)))]
    )


def test_a_chunk_without_rows_adds_none_to_a_csv():
    rows = tables.arrow_rows(
        "reached", 2, dict.fromkeys(tables.columns("reached"), 1) | dict.fromkeys(tables.CELL, "a") | {"depth": 4}
    )
    empty = rows[:0]
    assert tables.csv_rows(pa.concat_tables([empty, rows, empty, rows])) == 2 * tables.csv_rows(rows)
    assert tables.csv_rows(empty) == b""


# Missing runs


def test_a_data_set_that_cannot_be_read_is_refused_or_its_runs_are_missing(whole, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(whole, results)
    path = results / "data" / "iris.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"iris.*(SHA-256|data_sha256|not a stored data set)"):
        tables.collect(STUDY, results, results / "tables")
    tables.collect(STUDY, results, results / "partial", missing="mark")
    runs = tables.read_table(results / "partial" / "runs.csv", "runs")
    assert (runs["status"] == "missing").equals(runs["dataset"] == "iris")
    targets = tables.read_table(results / "partial" / "targets.csv", "targets")
    assert targets["target"].isna().equals(targets["dataset"] == "iris")


LOSSES = {
    "log": lambda results, stem: (results / "runs" / f"{stem}.csv").unlink(),
    "pack": lambda results, stem: [(results / "runs" / f"{stem}{suffix}").unlink() for suffix in (".csv", ".json")],
    "row": lambda results, stem: edit(results / "runs" / f"{stem}.csv", lambda text: text[:-20]),
}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(config.packs(STUDY)), min_size=1, max_size=5, unique=True),
    st.sampled_from(sorted(LOSSES)),
)
def test_without_some_packs_their_runs_are_missing_and_all_other_rows_the_same(whole, found, lost, loss):
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        shutil.copytree(whole, results)
        for pack in lost:
            LOSSES[loss](results, pack.stem)
        tables.collect(STUDY, results, results / "partial", missing="mark")
        after = {name: tables.read_table(results / "partial" / f"{name}.csv", name) for name in TABLES}
        provenance = json.loads((results / "partial" / "study.json").read_text())["provenance"]
    assert provenance["missing_packs"] == len(lost)
    gone = {
        (*(getattr(pack, name) for name in tables.CELL), seed)
        for pack in lost
        for seed in range(pack.first_seed, pack.last_seed + 1)
    }
    # every run has its row, in its place
    runs = after["runs"]
    pd.testing.assert_frame_equal(runs[tables.KEY], found["runs"][tables.KEY])
    missing = pd.Series([key in gone for key in runs[tables.KEY].itertuples(index=False, name=None)])
    assert (runs["status"] == "missing").tolist() == missing.tolist()
    pd.testing.assert_frame_equal(runs[~missing], found["runs"][~missing])
    floats = tables._floats("runs")
    assert runs.loc[missing, [name for name in floats if name != "freeze_ratio"]].isna().all(axis=None)
    # targets need all calibration runs of their place; what does not depend on them is as it was
    without_target = {pack.dataset for pack in lost if pack.calibrates}
    for name in ("epochs", "times_to_target"):
        keys = found[name][tables.KEY].itertuples(index=False, name=None)
        kept = found[name][[key not in gone for key in keys]].reset_index(drop=True)
        same = ~kept["dataset"].isin(without_target) if name == "times_to_target" else slice(None)
        pd.testing.assert_frame_equal(after[name][same], kept[same])
    here = after["targets"]["dataset"].isin(without_target)
    assert after["targets"].loc[here, "target"].isna().all()
    pd.testing.assert_frame_equal(after["targets"][~here], found["targets"][~here])
    times = after["times_to_target"]
    assert (times.loc[times["dataset"].isin(without_target), "reached"] == 0).all()
    reached = after["reached"].set_index([*tables.CELL, "level"])
    assert reached.index.tolist() == found["reached"].set_index([*tables.CELL, "level"]).index.tolist()
    assert reached["runs"].sum() == 2 * (~missing).sum()
    packs = after["packs"].set_index([*tables.CELL, "seeds"])
    assert packs.index.tolist() == found["packs"].set_index([*tables.CELL, "seeds"]).index.tolist()
    reasons = packs["reason"][packs["reason"] != ""]
    assert set(reasons.index) == {(*(getattr(pack, name) for name in tables.CELL), pack.seeds) for pack in lost}
    words = {"log": "missing", "pack": tables.NO_LOG, "row": "the log was changed"}[loss]
    assert all(words in reason for reason in reasons)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("epoch 1 of 3\n\naltfreeze: out of  memory\n\n", "altfreeze: out of memory"),
        ("", "the job was stopped: logs/train/wine/depth4/standard/configured/seeds3-5.log is empty"),
    ],
)
def test_the_reason_of_a_missing_pack_is_the_last_line_of_its_log(results, log, reason):
    stem = "wine/depth4/standard/configured/seeds3-5"
    LOSSES["pack"](results, stem)
    path = results / "logs" / "train" / f"{stem}.log"
    path.parent.mkdir(parents=True)
    path.write_text(log)
    tables.collect(STUDY, results, results / "partial", missing="mark")
    packs = tables.read_table(results / "partial" / "packs.csv", "packs")
    assert [text for text in packs["reason"] if text] == [reason]


def test_without_timing_and_a_data_set_there_are_neither_its_runs_nor_seconds(found, results):
    (results / "tables" / "timing.csv").unlink()
    (results / "data" / "wine.npz").unlink()
    (results / "logs" / "data").mkdir(parents=True)
    (results / "logs" / "data" / "wine.log").write_text("altfreeze: no such file\n")
    tables.collect(STUDY, results, results / "partial", missing="mark")
    after = {name: tables.read_table(results / "partial" / f"{name}.csv", name) for name in TABLES}
    wine = after["runs"]["dataset"] == "wine"
    assert (after["runs"]["status"] == "missing").tolist() == wine.tolist()
    assert after["runs"]["reference_seconds"].isna().all()
    same = [name for name in after["runs"] if name != "reference_seconds"]
    pd.testing.assert_frame_equal(after["runs"].loc[~wine, same], found["runs"].loc[~wine, same])
    assert set(after["packs"].loc[after["packs"]["dataset"] == "wine", "reason"]) == {"altfreeze: no such file"}
    assert len(after["speedups"]) == 0


def test_files_of_cells_that_are_no_longer_in_the_study_are_ignored(results, found):
    study = config.validate(GIVEN | {"strategies": ["alternating"]})
    orphan = results / "runs" / "iris" / "depth9" / "gone" / "configured" / "seeds0-2.csv"
    orphan.parent.mkdir(parents=True)
    orphan.write_text("nothing")
    runs = collected(results, study)["runs"]
    kept = found["runs"][found["runs"]["strategy"].isin(["standard", "alternating-0.5"])]
    pd.testing.assert_frame_equal(runs, kept.reset_index(drop=True))


@pytest.mark.parametrize("name", tables.RUN_FACTS)
def test_a_manifest_without_a_fact_is_named(results, name):
    path = results / "runs" / "wine" / "depth4" / "standard" / "configured" / "seeds3-5.json"
    content = json.loads(path.read_text())
    del content[name]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"seeds3-5\.json: .*run snakemake again"):
        tables.collect(STUDY, results, results / "tables")


def test_a_target_needs_every_calibration_run(tmp_path):
    study = config.validate(GIVEN | {"strategies": ["alternating"], "calibration_seeds": 9})
    results = write_study(tmp_path / "results", study)
    lost = next(pack for pack in config.packs(study) if pack.calibrates)
    LOSSES["pack"](results, lost.stem)
    tables.collect(study, results, results / "partial", missing="mark")
    targets, calibration = (tables.read_table(results / "partial" / f"{n}.csv", n) for n in ("targets", "calibration"))
    targets = targets.set_index("dataset")
    assert targets.loc["iris", ["calibration_accuracy", "target"]].isna().all(axis=None)
    assert targets["target"].isna().sum() == 2
    assert set(targets.loc["iris", "seeds"]) == {6}
    assert calibration["status"].tolist() == ["missing"] * 3 + ["ok"] * 15
