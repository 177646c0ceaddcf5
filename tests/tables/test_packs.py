"""The rows of a pack: what its runs did, where they come from, or why they are missing."""

import json

import pytest
from altfreeze.study.grid import FIRST_CALIBRATION_SEED
from altfreeze.support.files import sha256_of_file
from altfreeze.tables.collect import collect
from altfreeze.tables.schema import KEY, read_table
from builders import RESULTS_CONFIG, RESULTS_STUDY, make_study, remove_pack, write_results


def test_every_pack_says_where_its_runs_come_from(whole, tables):
    packs = tables["packs"].set_index(["dataset", "strategy", "seeds"])
    assert len(packs) == len(RESULTS_STUDY.packs)
    assert packs.index.is_unique
    pack = packs.loc[("wine", "alternating-0.5", "3-5")]
    assert json.loads(pack["cell"]) == RESULTS_STUDY.cell("wine", 4, "alternating-0.5").as_dict()
    assert pack["log"] == "logs/train/wine/depth4/alternating-0.5/primary/seeds3-5.log"
    assert pack["data_sha256"] == sha256_of_file(whole / "data" / "wine.npz")
    assert (pack["code"], pack["device"], pack["threads"], pack["training_seconds"]) == ("same", "cpu", 1, 1.0)
    first = FIRST_CALIBRATION_SEED
    assert ("wine", "standard", f"{first}-{first + 2}") in packs.index


def test_a_run_is_judged_at_its_end_and_at_its_first_best_validation_epoch(tables):
    runs = tables["runs"].set_index(KEY)
    run = runs.loc[("wine", 4, "standard", "primary", 3)]
    assert run["best_epoch"] == 2  # epochs 2 and 3 are equally good
    assert run["best_validation_accuracy"] == run["final_validation_accuracy"] == pytest.approx(0.83)
    assert run["best_test_accuracy"] == pytest.approx(0.415 + 0.002)
    assert run["final_test_accuracy"] == pytest.approx(0.415 + 0.003)
    assert (run["epochs"], run["updates_mean"], run["updates_minimum"]) == (3, 9, 9)
    assert run["reference_seconds"] == pytest.approx(9 * 10 + 3)
    assert (run["seconds"], run["pack_seeds"]) == (2.0, 3)
    half = runs.loc[("wine", 4, "standard_half_updates", "primary", 3)]
    assert (half["epochs"], half["updates_minimum"]) == (pytest.approx(4 / 3), 4)
    alternating = runs.loc[("wine", 4, "alternating-0.5", "primary", 3)]
    assert (alternating["updates_mean"], alternating["updates_minimum"]) == (4.5, 3)
    assert alternating["reference_seconds"] == pytest.approx(3 * (5 + 7 + 5) + 3)


def test_gradient_flow_is_a_table_of_the_compared_runs(tmp_path):
    study = make_study(**RESULTS_CONFIG | {"gradient_flow": True, "datasets": ["iris"]})
    results = write_results(tmp_path / "results", study)
    collect(study, results, results / "tables")
    flow = read_table(results / "tables" / "gradient_flow.parquet", "gradient_flow")
    epochs = read_table(results / "tables" / "epochs.parquet", "epochs")
    assert len(flow) == 4 * len(epochs)
    assert not flow.duplicated([*KEY, "epoch", "layer"]).any()
    assert flow["change_cosine"].isna().all()


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("epoch 1 of 3\n\naltfreeze: out of  memory\n\n", "altfreeze: out of memory"),
        ("", "the job was stopped: logs/train/wine/depth4/standard/primary/seeds3-5.log is empty"),
    ],
)
def test_the_reason_of_a_missing_pack_is_the_last_line_of_its_log(results, log, reason):
    stem = "wine/depth4/standard/primary/seeds3-5"
    remove_pack(results, next(pack for pack in RESULTS_STUDY.packs if pack.stem == stem))
    path = results / "logs" / "train" / f"{stem}.log"
    path.parent.mkdir(parents=True)
    path.write_text(log)
    collect(RESULTS_STUDY, results, results / "partial", missing="mark")
    packs = read_table(results / "partial" / "packs.csv", "packs")
    assert [text for text in packs["reason"] if text] == [reason]
