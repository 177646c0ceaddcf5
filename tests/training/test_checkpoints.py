"""Checkpoints: a training that was stopped or killed ends with the bits of an undisturbed one."""

import csv
import hashlib
import io
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import psutil
import pytest
import torch
from altfreeze.freezing.flow import GradientFlow
from altfreeze.freezing.strategy import STRATEGIES
from altfreeze.study.cell import Cell
from altfreeze.training import job, stacks
from altfreeze.training.batches import workload_of
from altfreeze.training.checkpoints import Checkpoint, read_state, write_state
from altfreeze.training.trainer import train_pack
from builders import NEEDED, ROOT, cell_options, make_study

DEPTH, EPOCHS, SEEDS = 4, 6, (0, 3)
# so short that a checkpoint is due after every epoch
ALWAYS = 1e-9
FEWEST_KILLS = 50


pytestmark = pytest.mark.usefixtures("one_thread")


def make_tried(name="alternating", parameters=None, **keys):
    """Return a study with a strategy that has some parameters of its own, and the strategy's label."""
    tried = (
        [] if name == "standard" else [{"name": name, "label": "tried", **NEEDED.get(name, {}), **(parameters or {})}]
    )
    small = {"datasets": ["wine"], "depths": [DEPTH], "primary_depth": DEPTH, "freeze_ratios": [0.5], "width": 8}
    small |= {"epochs_standard": EPOCHS, "epochs_alternating": EPOCHS, "learning_rate": 0.02}
    study = make_study(**(small | {"strategies": ["alternating", *tried]} | keys))
    return study, "standard" if name == "standard" else list(study.strategies)[-1]


def make_cell(name="alternating", parameters=None, **keys):
    study, label = make_tried(name, parameters, **keys)
    return study.cell("wine", DEPTH, label)


def outcome(trained, flow):
    """Return all that a training ends with but seconds, as bytes where numbers are NaN or tensors."""
    rows = [[value for key, value in row.items() if key != "seconds"] for row in trained.rows]
    numbers = repr([rows, flow.rows if flow else None, trained.diverged]).encode()
    tensors = []
    for parameter in trained.network.parameters():
        state = trained.optimizer.state.get(parameter, {})
        tensors += [parameter.detach().numpy().tobytes(), *(f"{key} {state[key].numpy().tobytes()}" for key in state)]
    return numbers, tensors


def assert_resumes(wine, cell, observed=True, seeds=SEEDS):
    """Train, keep the state of every epoch as a checkpoint does, and go on from each of them."""
    flows = [GradientFlow() if observed else None for _ in range(EPOCHS + 1)]
    kept = {}

    def save(epoch, state_dict):
        file = io.BytesIO()
        write_state(file, state_dict())
        kept[epoch] = file.getvalue()

    whole = train_pack(*wine, cell, seeds, flow=flows[0], save=save)
    expected = outcome(whole, flows[0])
    epochs = len(whole.rows) // len(seeds)
    assert list(kept) == list(range(1, epochs))
    for epoch, content in kept.items():
        state = read_state(content)
        resumed = train_pack(*wine, cell, seeds, flow=flows[epoch], state=state)
        assert outcome(resumed, flows[epoch]) == expected, f"after epoch {epoch}"
        seconds = [[row["seconds"] for row in trained.rows[: epoch * len(seeds)]] for trained in (resumed, whole)]
        assert seconds[0] == seconds[1]
        assert resumed.seconds > seconds[1][-1]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_goes_on_from_every_epoch_to_the_same_bits(wine, name, optimizer):
    assert_resumes(wine, make_cell(name, optimizer=optimizer))


DIVERGES = {"optimizer": "sgd", "learning_rate": 5, "weight_decay": 0.4}
STEPS = {"freeze_unit": "step", "freeze_period": 3}


@pytest.mark.parametrize(
    ("cell", "observed"),
    [
        (make_cell(dropout=0.3), True),
        (make_cell(optimizer="sgd", dropout=0.3, state_on_thaw="decay", **STEPS), False),
        (make_cell(state_on_thaw="reset", weight_decay=0.1, **STEPS), True),
        (make_cell("random_half", optimizer="adamw", **STEPS), False),
        (make_cell(learning_rate_schedule="cosine", freeze_period=2), False),
        # caches that are made, read, deepened and made anew
        (make_cell("frozen_bottom", optimizer="sgd"), False),
        (make_cell(freeze_period=3), False),
        (make_cell("progressive", {"freeze_start": 0, "freeze_level": 1}, epochs_alternating=EPOCHS), False),
        (make_cell("freezeout", {"t_0": 0.5}, cache_activations="off"), True),
    ],
    ids=lambda value: value.strategy["name"] if isinstance(value, Cell) else "",
)
def test_it_goes_on_with_dropout_steps_and_caches(wine, cell, observed):
    assert_resumes(wine, cell, observed)


def test_the_cases_hold_caches_that_are_read_across_an_epoch_and_deepened(wine):
    def fills(cell):
        return [(epoch.fill, epoch.cached) for epoch in cell.plan(workload_of(*wine, cell))]

    progressive = fills(make_cell("progressive", {"freeze_start": 0, "freeze_level": 1}))
    assert any(fill and fill[0] > 0 for fill, _ in progressive)
    assert [cached for _, cached in fills(make_cell(freeze_period=3))] == [2, 2, 2, 0, 0, 0]


@pytest.mark.parametrize(
    ("name", "diverged"), [("standard", {0: 3, 1: 4, 2: 3}), ("alternating", {0: 5})], ids=["all", "some"]
)
def test_it_goes_on_with_seeds_that_diverged(wine, name, diverged):
    cell = make_cell(name, **DIVERGES)
    assert train_pack(*wine, cell, range(3)).diverged == diverged
    assert_resumes(wine, cell, seeds=range(3))


class StoppedError(Exception):
    """Stands for whatever ends a job."""


def stop_at(epoch):
    def progress(rows, number, epochs):
        if number == epoch:
            raise StoppedError

    return lambda cell, seeds: progress


def run(stored_wine, folder, monkeypatch, stop=None, name="a", **keys):
    """Run a job, up to an epoch; return its log without seconds where it ended."""
    arguments = {"cell": make_cell(), "seeds": range(2), "device": "cpu", "threads": 1} | {
        key: keys.pop(key) for key in ("cell", "seeds", "threads") if key in keys
    }
    outputs = {"log_path": folder / f"{name}.csv", "manifest_path": folder / f"{name}.json"}
    kept = {"checkpoint_path": folder / "kept" / "a.pt", "checkpoint_seconds": ALWAYS} | keys
    with monkeypatch.context() as patch:
        patch.setattr(job, "_show_progress", stop_at(stop))
        if stop:
            with pytest.raises(StoppedError):
                job.run(stored_wine, *arguments.values(), **outputs, **kept)
            return None
        job.run(stored_wine, *arguments.values(), **outputs, **kept)
    return without_seconds(outputs["log_path"])


def without_seconds(log):
    with log.open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.parametrize("observed", [False, True])
def test_a_job_that_was_stopped_writes_what_an_undisturbed_one_writes(
    stored_wine, tmp_path, monkeypatch, capsys, observed
):
    flows = [{"flow_path": tmp_path / name} if observed else {} for name in ("a.flow.csv", "b.flow.csv")]
    expected = run(stored_wine, tmp_path, monkeypatch, name="b", checkpoint_path=None, **flows[1])
    run(stored_wine, tmp_path, monkeypatch, stop=5, **flows[0])
    assert (tmp_path / "kept" / "a.pt").exists()
    assert run(stored_wine, tmp_path, monkeypatch, **flows[0]) == expected
    said = capsys.readouterr().err
    assert said == f"checkpoint {tmp_path / 'kept' / 'a.pt'} found; training goes on after epoch 4 of seeds 0-1\n"
    assert json.loads((tmp_path / "a.json").read_text())["resumed_at_epochs"] == [4]
    assert json.loads((tmp_path / "b.json").read_text())["resumed_at_epochs"] == []
    if observed:
        assert (tmp_path / "a.flow.csv").read_bytes() == (tmp_path / "b.flow.csv").read_bytes()
    assert not (tmp_path / "kept").exists(), "the checkpoint goes when the pack is whole"


@pytest.mark.parametrize("seconds", [0, 3600])
def test_no_state_is_kept_before_the_seconds_are_over_and_never_with_0(stored_wine, tmp_path, monkeypatch, seconds):
    run(stored_wine, tmp_path, monkeypatch, stop=5, checkpoint_seconds=seconds)
    assert not (tmp_path / "kept" / "a.pt").exists()


def test_a_checkpoint_is_due_each_time_that_its_seconds_are_over(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    checkpoint, never = Checkpoint(tmp_path / "a.pt", 30), Checkpoint(tmp_path / "b.pt", 0)
    due = []
    for now in range(100, 200, 10):
        assert not never.is_due()
        if checkpoint.is_due():
            due.append(now)
            checkpoint.save({})
    assert due == [130, 160, 190]


def test_a_job_counts_its_own_starts_until_it_is_done(stored_wine, tmp_path, monkeypatch):
    def attempt(**keys):
        run(stored_wine, tmp_path, monkeypatch, **keys)
        return json.loads((tmp_path / "a.json").read_text())["attempt"]

    assert attempt() == 1
    for stop in (1, 2, 3):
        run(stored_wine, tmp_path, monkeypatch, stop=stop)
    assert attempt() == 4
    assert attempt() == 1, "the count goes when the pack is whole"
    # without checkpoints too, but not those of another job
    run(stored_wine, tmp_path, monkeypatch, stop=1, checkpoint_seconds=0)
    assert attempt(seeds=range(3), checkpoint_seconds=0) == 1
    run(stored_wine, tmp_path, monkeypatch, stop=1, checkpoint_seconds=0)
    assert attempt(checkpoint_seconds=0) == 2
    run(stored_wine, tmp_path, monkeypatch, stop=1, checkpoint_path=None)
    assert attempt(checkpoint_path=None) == 1


def test_jobs_that_begin_and_end_side_by_side_lose_no_count(tmp_path):
    program = """
import sys
from pathlib import Path
from altfreeze.training.checkpoints import Checkpoint
for _ in range(100):
    checkpoint = Checkpoint(Path(sys.argv[1]) / "kept" / "deep" / f"{sys.argv[2]}.pt", 0, {"seeds": [1]})
    assert [checkpoint.count_start(), checkpoint.count_start()] == [1, 2]
    checkpoint.remove()
"""
    (tmp_path / "whole").touch()
    children = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path, str(n)], stderr=subprocess.PIPE, text=True)
        for n in range(3)
    ]
    assert [child.communicate()[1] for child in children] == [""] * 3
    assert [child.returncode for child in children] == [0] * 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cell": make_cell(learning_rate=0.01)}, "another job, with other cell;"),
        ({"seeds": range(1, 3)}, "another job, with other seeds;"),
        ({"threads": 2}, "another job, with other threads;"),
        ({"flow_path": "a.flow.csv"}, "another job, with other gradient_flow;"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_checkpoint_of_another_job_is_refused(stored_wine, tmp_path, monkeypatch, capsys, change, reason):
    if "flow_path" in change:
        change = {"flow_path": tmp_path / change["flow_path"]}
    run(stored_wine, tmp_path, monkeypatch, stop=5)
    undisturbed = run(stored_wine, tmp_path, monkeypatch, name="b", checkpoint_path=None, **change)
    assert run(stored_wine, tmp_path, monkeypatch, **change) == undisturbed
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"refused: it is of {reason} training starts anew" in said
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", ["data_sha256", "code", "versions", "device", "device_name"])
def test_a_checkpoint_of_other_data_code_versions_or_device_is_refused(tmp_path, capsys, name):
    job = {"data_sha256": "a", "code": "b", "versions": {"torch": "2"}, "device": "cpu", "device_name": "c"}
    state = {"tensor": torch.arange(3), "rows": [{"loss": float("nan")}]}
    path = tmp_path / "a.pt"
    Checkpoint(path, 1, job).save(state)
    assert torch.equal(Checkpoint(path, 1, job).load()["tensor"], state["tensor"])
    assert capsys.readouterr().err == ""
    assert Checkpoint(path, 1, job | {name: "other"}).load() is None
    assert capsys.readouterr().err == (
        f"checkpoint {path} refused: it is of another job, with other {name}; training starts anew\n"
    )


def test_a_checkpoint_that_is_cut_short_or_changed_by_a_bit_is_refused(stored_wine, tmp_path, monkeypatch, capsys):
    expected = run(stored_wine, tmp_path, monkeypatch, name="b", checkpoint_path=None)
    run(stored_wine, tmp_path, monkeypatch, stop=5)
    path = tmp_path / "kept" / "a.pt"
    content, chance = path.read_bytes(), random.Random(1)
    foreign = torch.save({"job": {}, "state": {}}, tmp_path / "foreign.pt") or (tmp_path / "foreign.pt").read_bytes()
    broken = [b"", b"\0", foreign, content + b"\0", *(content[: chance.randrange(len(content))] for _ in range(20))]
    for _ in range(20):
        place = chance.randrange(len(content))
        broken.append(content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :])
    for part in broken:
        path.write_bytes(part)
        assert Checkpoint(path, 2, {}).load() is None
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "refused: ValueError: its content is not what was written; training starts anew" in said
    assert run(stored_wine, tmp_path, monkeypatch) == expected


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, capsys):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    buffer = io.BytesIO()
    torch.save({"job": {}, "state": 1}, buffer)
    changed = io.BytesIO()
    with zipfile.ZipFile(buffer) as read, zipfile.ZipFile(changed, "w") as write:
        for name in read.namelist():
            write.writestr(name, pickle.dumps(Attack(), 2) if name.endswith("data.pkl") else read.read(name))
    path = tmp_path / "a.pt"
    path.write_bytes(changed.getvalue() + hashlib.sha256(changed.getvalue()).digest())
    assert Checkpoint(path, 1, {}).load() is None
    assert not (tmp_path / "run").exists()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "refused" in said


def test_a_checkpoint_that_cannot_be_written_ends_no_training(stored_wine, tmp_path, monkeypatch, capsys):
    expected = run(stored_wine, tmp_path, monkeypatch, name="b", checkpoint_path=None)
    (tmp_path / "kept").write_text("a file where a folder is needed")
    assert run(stored_wine, tmp_path, monkeypatch, checkpoint_path=tmp_path / "kept" / "a.pt") == expected
    said = capsys.readouterr().err.splitlines()
    reasons = ["keeps no count", "refused", *["not written"] * (EPOCHS - 1), "not removed"]
    assert all(reason in line for reason, line in zip(reasons, said, strict=True))


@pytest.mark.parametrize("stop", [1, 4])
def test_a_job_in_several_stacks_goes_on_where_it_was(stored_wine, tmp_path, monkeypatch, capsys, stop):
    expected = run(stored_wine, tmp_path, monkeypatch, name="b", checkpoint_path=None, seeds=range(5))
    original_split = stacks._resume

    def in_three(checkpoint, seeds):
        resumed = original_split(checkpoint, seeds)
        return resumed if resumed["trained"] else resumed | {"pending": [[0], [1, 2], [3, 4]]}

    monkeypatch.setattr(stacks, "_resume", in_three)
    begun, original = [], stop_at

    def stop_the_second(cell, seeds):
        begun.append(seeds)
        return original(stop if len(begun) == 2 else None)(cell, seeds)

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[__name__], "stop_at", lambda stop: stop_the_second)
        run(stored_wine, tmp_path, monkeypatch, stop=stop, seeds=range(5))
    found = run(stored_wine, tmp_path, monkeypatch, seeds=range(5))
    assert begun == [[0], [1, 2]]
    manifest = json.loads((tmp_path / "a.json").read_text())
    assert manifest["stacks"] == ["0-0", "1-2", "3-4"]
    assert manifest["resumed_at_epochs"] == [stop - 1]
    assert "training goes on after epoch" in capsys.readouterr().err
    for row, other in zip(found, expected, strict=True):
        for key, value in row.items():
            if "loss" in key:
                assert float(value) == pytest.approx(float(other[key]), rel=1e-5)
            else:
                assert value == other[key]


# What a child does is the whole job; the parent only imports torch for all of them.
KILLER = """
import json, os, random, signal, sys, time
import torch
import altfreeze.study.grid, altfreeze.training.job, altfreeze.training.tuning
from altfreeze.cli import main
torch.set_num_threads(1)
# programs that are asked for the commit take longer than the training
altfreeze.training.job.git_state = dict

def start(arguments):
    child = os.fork()
    if child == 0:
        log = os.open(arguments[0], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 2)
        try:
            main(arguments[1:])
            os._exit(0)
        finally:
            os._exit(1)
    return child

def wait(child, seconds):
    "Return the exit status of a child that ended in time, else None."
    end = time.perf_counter() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.perf_counter() >= end:
            return None
        time.sleep(0.0005)

chance, kills = random.Random(7), []
for whole, disturbed in json.load(sys.stdin):
    began = time.perf_counter()
    assert wait(start(whole), 60) == 0
    took = time.perf_counter() - began
    while True:
        child = start(disturbed)
        status = wait(child, chance.uniform(0, took))
        # on a busy machine, which took longer by now, the last ones need more time than the first
        took *= 1.05
        if status is not None:
            assert status == 0, status
            break
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills.append(disturbed[0])
print(json.dumps(kills))
"""


def test_packs_that_are_killed_at_random_moments_end_with_the_bytes_of_undisturbed_ones(stored_wine, tmp_path):
    trainings = [
        make_tried(epochs_alternating=120, checkpoint_seconds=0.002),
        make_tried(epochs_alternating=120, optimizer="sgd", dropout=0.2, checkpoint_seconds=0.002, **STEPS),
        make_tried(
            "progressive", {"freeze_start": 0, "freeze_level": 1}, epochs_alternating=120, checkpoint_seconds=0.002
        ),
        make_tried("lisa", epochs_alternating=120, optimizer="adamw", checkpoint_seconds=0.002),
        make_tried("standard", epochs_standard=120, checkpoint_seconds=0.002),
        make_tried("alternating", epochs_alternating=120, checkpoint_seconds=0.002, **DIVERGES),
    ]
    jobs = []
    for number, (study, label) in enumerate(trainings * 2):
        pair = []
        for name in ("whole", "killed"):
            stem = tmp_path / name / str(number)
            stem.parent.mkdir(exist_ok=True)
            options = {"seeds": "0-2"}
            options |= {"output": f"{stem}.csv", "manifest": f"{stem}.json", "gradient-flow": f"{stem}.flow.csv"}
            if name == "killed":
                options |= {"checkpoint": str(tmp_path / "kept" / f"{number}.pt")}
            words = [word for key, value in options.items() for word in (f"--{key}", value)]
            pair.append([f"{stem}.log", "train", *cell_options(tmp_path, study, label, stored_wine), *words])
        jobs.append(pair)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", KILLER], input=json.dumps(jobs), capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    kills = json.loads(done.stdout)
    assert len(kills) >= FEWEST_KILLS
    resumed = 0
    for number in range(len(jobs)):
        whole, killed = (tmp_path / name / str(number) for name in ("whole", "killed"))
        assert without_seconds(Path(f"{killed}.csv")) == without_seconds(Path(f"{whole}.csv"))
        assert Path(f"{killed}.flow.csv").read_bytes() == Path(f"{whole}.flow.csv").read_bytes()
        manifests = [json.loads(Path(f"{stem}.json").read_text()) for stem in (whole, killed)]
        assert manifests[0]["diverged"] == manifests[1]["diverged"]
        resumed += len(manifests[1]["resumed_at_epochs"])
        assert "refused" not in Path(f"{killed}.log").read_text()
    assert resumed >= len(jobs), "hardly any of these jobs went on from a checkpoint"
    assert not (tmp_path / "kept").exists()
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_job_that_is_killed_under_snakemake_goes_on_when_it_is_done_again(stored_wine, tmp_path):
    for name in ("Snakefile", "environment.yml", "pyproject.toml", "workflow", "config", "profiles"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "long.yaml").write_text(
        "results: results/long\ndatasets: [iris]\ndepths: [4]\nprimary_depth: 4\nseeds: 3\nvariations: []\n"
        "epochs_alternating: 600\ncheckpoint_seconds: 0.01\n"
    )
    stem = tmp_path / "results/long/runs/iris/depth4/alternating-0.5/primary/seeds0-2"
    kept = tmp_path / "results/long/checkpoints/iris/depth4/alternating-0.5/primary/seeds0-2.pt"
    command = ["snakemake", f"{stem.relative_to(tmp_path)}.csv", "--cores", "1", "--configfile", "long.yaml"]
    workflow = subprocess.Popen(
        [*command, "--retries", "1"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 120
        while not kept.exists():
            assert workflow.poll() is None, "it ended before it was killed"
            assert time.monotonic() < end
            time.sleep(0.01)
        for process in psutil.Process(workflow.pid).children(recursive=True):
            if process.cmdline()[1:4] == ["-m", "altfreeze", "train"]:
                process.kill()
        assert workflow.wait(timeout=120) == 0
    finally:
        workflow.kill()
        workflow.wait()
    manifest = json.loads(stem.with_suffix(".json").read_text())
    assert len(manifest["resumed_at_epochs"]) == 1
    found = without_seconds(stem.with_suffix(".csv"))
    assert not (tmp_path / "results/long/checkpoints").exists()
    for output in (stem.with_suffix(".csv"), stem.with_suffix(".json")):
        output.unlink()
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert json.loads(stem.with_suffix(".json").read_text())["resumed_at_epochs"] == []
    assert without_seconds(stem.with_suffix(".csv")) == found
