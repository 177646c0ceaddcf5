"""The job around a training: what it writes, what it imports, and what it refuses."""

import csv
import hashlib
import json
import subprocess
import sys

import pytest
import torch
from altfreeze.support.errors import InputError
from altfreeze.training import job
from altfreeze.training.trainer import train_pack
from builders import ROOT, cell_options, make_cell, make_wine_study


def test_a_job_writes_a_log_and_a_manifest_that_agree(wine, stored_wine, tmp_path):
    cell, log, manifest = make_cell(epochs_alternating=2), tmp_path / "a" / "log.csv", tmp_path / "a" / "log.json"
    job.run(stored_wine, cell, range(3, 6), "cpu", torch.get_num_threads(), log, manifest)
    said = json.loads(manifest.read_text())
    with log.open() as file:
        rows = list(csv.DictReader(file))
    assert [*rows[0]] == [*train_pack(*wine, cell, range(3, 6)).rows[0]]
    assert [(row["seed"], row["epoch"]) for row in rows] == [(str(s), e) for e in "12" for s in (3, 4, 5)]
    assert said["rows"] == len(rows)
    assert said["cell"] == cell.as_dict()
    assert said["seeds"] == [3, 4, 5]
    assert said["log_sha256"] == hashlib.sha256(log.read_bytes()).hexdigest()
    assert said["data_sha256"] == hashlib.sha256(stored_wine.read_bytes()).hexdigest()
    assert said["status"] == "ok"
    assert said["diverged"] == {}
    assert sorted(path.name for path in log.parent.iterdir()) == ["log.csv", "log.json"]


@pytest.mark.parametrize(
    ("entry", "depth", "told"),
    [
        ({"name": "alternating", "unit": "step"}, 4, "a period of 16 steps is as long as the training of 16"),
        ({"name": "random_half", "unit": "step"}, 4, "a period of 16 steps is as long as the training of 16"),
        ({"name": "chain_thaw"}, 16, "17 stages need as many steps, and the training has 16"),
    ],
)
def test_a_schedule_that_the_training_ends_before_is_one_line(entry, depth, told, stored_wine, tmp_path):
    def run(entry, depth):
        study = make_wine_study(
            strategies=["alternating", {"label": "mine", **entry}], depths=[depth], primary_depth=depth
        )
        label = next(label for label in study.strategies if label.startswith("mine"))
        cell = make_cell(label, study)
        job.run(stored_wine, cell, [0], "cpu", 1, tmp_path / "a.csv", tmp_path / "a.json")

    longest = {"period": 16} if "unit" in entry else {}
    with pytest.raises(InputError) as error:
        run(entry | longest, depth)
    assert told in str(error.value) and str(error.value).count("\n") == 0
    assert not list(tmp_path.glob("a.*"))
    run(entry | {key: value - 1 for key, value in longest.items()}, depth - (not longest))
    assert (tmp_path / "a.json").is_file()


def test_a_phase_that_no_step_of_the_training_belongs_to_is_one_line(stored_wine, tmp_path):
    def run(last, unit):
        lengths = (4, last, 1) if unit == "step" else (0.26, last, 0.5)
        listed = [{"layers": number, "for": length} for number, length in enumerate(lengths, 1)]
        entry = {"name": "phases", "label": "mine", "unit": unit, "phases": listed}
        cell = make_cell("mine", make_wine_study(strategies=["alternating", entry]))
        job.run(stored_wine, cell, [0], "cpu", 1, tmp_path / "a.csv", tmp_path / "a.json")

    # 16 steps
    for last, unit, number in ((12, "step", 3), (0.001, "share", 2)):
        with pytest.raises(InputError, match=f"phase {number} has none of the training's 16 steps; allowed: longer"):
            run(last, unit)
    assert not list(tmp_path.glob("a.*"))
    run(11, "step")
    run(0.06, "share")
    assert (tmp_path / "a.json").is_file()


def test_cuda_that_is_not_there_is_one_line(stored_wine, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="allowed here: auto, cpu"):
        job.run(stored_wine, make_cell(), [0], "cuda", 1, tmp_path / "a.csv", tmp_path / "a.json")


def test_after_what_is_done_before_forks_a_training_compiles_nothing():
    program = """
from sklearn.datasets import load_wine
from altfreeze.training import job
from altfreeze.training.networks import compiled
from altfreeze.training.stacks import train_seeds
from builders import make_cell
functions = [each for each in vars(compiled).values() if hasattr(each, "signatures")]
job.before_forks()
loaded = [list(each.signatures) for each in functions]
for name in ("sgd", "adam", "adamw"):
    for dropout in (0.0, 0.5):
        cell = make_cell(optimizer=name, dropout=dropout, epochs_alternating=2)
        train_seeds(*load_wine(return_X_y=True), cell, [0, 1])
print(any(loaded), [list(each.signatures) for each in functions] == loaded)
"""
    options = {"cwd": ROOT / "tests", "capture_output": True, "text": True, "check": True}
    assert subprocess.run([sys.executable, "-c", program], **options).stdout == "True True\n"


def test_the_training_process_imports_nothing_heavy_and_sets_its_threads_first(stored_wine, tmp_path):
    study = make_wine_study(epochs_alternating=2)
    arguments = ["train", *cell_options(tmp_path, study, "alternating-0.5", stored_wine)]
    arguments += ["--seeds", "0-1", "--threads", 3, "--output", tmp_path / "a.csv", "--manifest", tmp_path / "a.json"]
    program = f"""
import sys, os
from altfreeze.cli import main
main({list(map(str, arguments))})
import torch
heavy = {{"sklearn", "pandas", "scipy.stats", "sympy", "torch._dynamo", "torch._inductor"}} & set(sys.modules)
print(heavy or "light", os.environ["OMP_NUM_THREADS"], torch.get_num_threads())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["light", "3", "3"]
    assert "epoch 2/2" in done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"--study": "nowhere.json"}, "nowhere.json: "),
        ({"--dataset": "iris"}, "is not of the study"),
        ({"--depth": "5"}, "--depth: 5 is not of the study"),
        ({"--strategy": "alternating-0.6"}, "did you mean"),
        ({"--tuning": "t.json"}, "--tuning: is needed for a recipe whose learning rate is tuned"),
        ({"--seeds": "3-1"}, "allowed: FIRST-LAST"),
        ({"--seeds": "all"}, "allowed: FIRST-LAST"),
        ({"--threads": "0"}, "allowed: 1 to 9999"),
        ({"--device": "tpu"}, "invalid choice: 'tpu'"),
        ({"--data": "nowhere.npz"}, "nowhere.npz: not a stored data set"),
    ],
)
def test_a_wrong_argument_is_one_line(change, words, stored_wine, tmp_path):
    options = cell_options(tmp_path, make_wine_study(), "alternating-0.5", stored_wine)
    options += ["--seeds", "0-1", "--output", tmp_path / "a.csv"]
    options += ["--manifest", tmp_path / "a.json", *(part for item in change.items() for part in item)]
    command = [sys.executable, "-m", "altfreeze", "train", *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert not list(tmp_path.glob("a.*"))
