"""Kills, full disks, changed files, wrong clocks: the next call heals, and touches no other result."""

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch
import yaml
from altfreeze import cli
from altfreeze.support import files
from altfreeze.tables.schema import read_table
from builders import ROOT, make_study

GIVEN = {
    "results": "results/tiny",
    "datasets": ["iris"],
    "depths": [4],
    "freeze_ratios": [0.5],
    "strategies": ["alternating"],
    "seeds": 2,
    "seeds_per_job": 1,
    "epochs_standard": 2,
    "epochs_alternating": 2,
    "primary_depth": 4,
    "variations": [],
    "calibration_seeds": 1,
    "timing_rounds": 6,
    "learning_rate": 0.003,
    "device": "cpu",
}
STUDY = make_study(**GIVEN)
RUNS = "runs/iris/depth4"
# stands in for the entry point of the package: it kills itself, or all of Snakemake's processes, where a test says so
FAULTY_MAIN = """
import importlib, json, os, signal, sys

stages = json.loads(os.environ.get("FAULTS", "{}"))
words = " ".join(sys.argv)
stage = next((stage for pattern, stage in stages.items() if pattern in words), "")
kind, _, ending = stage.partition(" ")


def die(*_, **__):
    if os.environ.get("KILL_ALL"):
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def replace(source, target, real=os.replace):
    if kind == "write" and str(target).endswith(ending):
        die()
    real(source, target)


os.replace = replace
if kind == "train":
    place, _, name = ending.rpartition(".")
    module = importlib.import_module(f"altfreeze.training.{place}")
    assert hasattr(module, name)
    setattr(module, name, die)
from altfreeze.cli import main

main(sys.argv[1:])
"""


def listing(folder):
    """Return the hash of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def ours(folder):
    """Return the hashes of the results that no fault may touch: data and runs."""
    return {name: digest for name, digest in listing(folder).items() if name.startswith(("data/", "runs/"))}


def numbers(log):
    """Return a log without its seconds."""
    return pd.read_csv(log).drop(columns="seconds")


# through Snakemake


@pytest.fixture(scope="module")
def snakemake(tmp_path_factory, copy_clone):
    """Call Snakemake in a clone whose commands may kill themselves."""
    folder = copy_clone(tmp_path_factory.mktemp("faults") / "altfreeze")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(GIVEN))
    (folder / "workflow" / "altfreeze" / "__main__.py").write_text(FAULTY_MAIN)

    def call(*arguments, faults=None, kill_all=False):
        environment = os.environ | {
            "FAULTS": json.dumps(faults or {}),
            "KILL_ALL": "1" if kill_all else "",
        }
        command = ["snakemake", "--cores", "2", "--configfile=tiny.yaml", *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, start_new_session=True
        )

    call.folder = folder
    call.results = folder / "results" / "tiny"
    return call


TABLES = ["results/tiny/tables/runs.csv", "results/tiny/tables/comparisons.csv"]


def nothing_to_do(done):
    """Return whether a call of Snakemake found everything up to date."""
    return done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr


KILLS = {
    f"{RUNS}/standard/primary/seeds0-0": "train job.read_dataset",
    f"{RUNS}/standard/primary/seeds1-1": "train trainer.evaluate",
    f"{RUNS}/alternating-0.5/primary/seeds0-0": "write .csv",
    f"{RUNS}/alternating-0.5/primary/seeds1-1": "train job.write_json",
}


@pytest.fixture(scope="module")
def killed(snakemake):
    """The tiny study after a pack was killed at each stage, and then the collection with Snakemake itself."""
    results = snakemake.results
    first = snakemake(*TABLES, "--keep-going", faults=KILLS)
    assert first.returncode != 0
    # nothing of a killed pack stands under a final name, and all others went on
    whole = ours(results)
    runs = {name for name in whole if name.startswith("runs/") and not name.endswith(".tmp")}
    calibration = f"{RUNS}/standard/primary/seeds1000000-1000000"
    assert runs == {f"{calibration}.csv", f"{calibration}.json"}
    assert [name for name in whole if name.endswith(".tmp")], "the kill between writing and renaming left no file"
    assert not (results / "tables" / "runs.csv").exists()

    second = snakemake(*TABLES, faults={"collect": "write /reached.csv"}, kill_all=True)
    assert second.returncode != 0
    after = ours(results)
    assert {name: after[name] for name in whole if not name.endswith(".tmp")}.items() <= after.items()
    assert {f"{stem}{suffix}" for stem in KILLS for suffix in (".csv", ".json")} <= after.keys()
    # the kill left some tables and not others
    assert (results / "tables" / "times_to_target.csv").exists()
    assert not (results / "tables" / "reached.csv").exists()
    return after


@pytest.fixture(scope="module")
def healed(killed, snakemake):
    """The hashes of data and runs after the next calls made the killed study whole."""
    done = snakemake(*TABLES)
    assert done.returncode == 0, done.stderr
    assert ours(snakemake.results) == killed
    return killed


def test_the_next_calls_heal_a_study_that_was_killed_at_every_stage(healed, snakemake):
    results = snakemake.results
    assert not list(results.rglob("*.tmp"))
    assert [path.name for path in results.rglob(".*")] == [".lock"]
    runs = read_table(results / "tables" / "runs.csv", "runs")
    assert sorted(zip(runs["strategy"], runs["seed"], strict=True)) == [
        (strategy, seed) for strategy in ("alternating-0.5", "standard") for seed in (0, 1)
    ]
    assert nothing_to_do(snakemake(*TABLES))


def test_a_killed_pack_that_was_trained_again_has_the_numbers_of_one_that_was_not(healed, snakemake, tmp_path):
    for stem in KILLS:
        strategy, _, seeds = stem.removeprefix(f"{RUNS}/").split("/")
        pack = train(snakemake.results, tmp_path, strategy, seeds.removeprefix("seeds"))
        pd.testing.assert_frame_equal(numbers(pack), numbers(snakemake.results / f"{stem}.csv"))


def test_a_log_that_was_cut_stops_the_collection_and_doing_what_it_says_heals(healed, snakemake):
    results, stem = snakemake.results, f"{RUNS}/standard/primary/seeds1-1"
    log = results / f"{stem}.csv"
    before = numbers(log)
    log.write_bytes(log.read_bytes()[:-40])
    done = snakemake(*TABLES)
    assert done.returncode != 0
    said = (results / "logs" / "collect.log").read_text()
    assert said.count("\n") == 1
    assert said.strip() in done.stdout + done.stderr
    assert f"{stem}.csv" in said
    assert "delete both files of the pack and run snakemake again" in said
    others = {name: digest for name, digest in ours(results).items() if stem not in name}
    log.unlink()
    (results / f"{stem}.json").unlink()
    done = snakemake(*TABLES)
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(numbers(log), before)
    assert {name: digest for name, digest in ours(results).items() if stem not in name} == others


def test_a_notebook_that_raises_leaves_its_executed_copy_and_no_page(healed, snakemake):
    notebook = snakemake.folder / "workflow" / "notebooks" / "budgets.ipynb"
    before, results = ours(snakemake.results), snakemake.results
    content = json.loads(notebook.read_text())
    raising = {"cell_type": "code", "source": "raise ValueError('a fault')", "metadata": {}, "outputs": []}
    content["cells"].insert(2, raising | {"execution_count": None, "id": "fault"})
    notebook.write_text(json.dumps(content))
    done = snakemake("results/tiny/notebooks/budgets.html")
    assert done.returncode != 0
    copy = (results / "logs" / "notebooks" / "budgets.log.ipynb").read_text()
    assert "a fault" in copy
    assert not list((results / "notebooks").glob("budgets.*"))
    assert ours(results) == before


def test_a_clock_that_goes_back_trains_again_at_most_what_seems_older_than_its_data(healed, snakemake):
    """Files of tomorrow: Snakemake compares hashes of small inputs, so that equal data train nothing."""
    data = snakemake.results / "data" / "iris.npz"
    times = data.stat()
    tomorrow = time.time() + 86400
    try:
        os.utime(data, (tomorrow, tomorrow))
        done = snakemake(*TABLES, "--dry-run")
        assert nothing_to_do(done)
    finally:
        os.utime(data, ns=(times.st_atime_ns, times.st_mtime_ns))


# command by command


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    """Leave the settings of torch as they were."""
    count = torch.get_num_threads()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    yield
    torch.set_num_threads(count)
    torch.set_flush_denormal(False)


def pack_of(results, strategy, seeds):
    """Return the options that say which pack is trained on the data of `results`, and how."""
    arguments = ["--study", results / "study.json", "--data", results / "data" / "iris.npz", "--dataset", "iris"]
    arguments += ["--depth", 4, "--strategy", strategy, "--device", "cpu", "--recipe", "primary", "--seeds", seeds]
    return [str(argument) for argument in arguments]


def train(results, folder, strategy, seeds):
    """Train a pack on the data of `results` and return its log in `folder`."""
    log = folder / f"seeds{seeds}.csv"
    outputs = [f"--output={log}", f"--manifest={log.with_suffix('.json')}"]
    cli.main(["train", *pack_of(results, strategy, seeds), *outputs])
    return log


def make_tables(study, results):
    """Make a whole study, but for its notebooks, command by command."""
    files.write_json(results / "study.json", study.config)
    given = f"--study={results}/study.json"
    for name in study.datasets:
        outputs = [f"--output={results}/data/{name}.npz", f"--manifest={results}/data/{name}.json"]
        cli.main(["data", given, f"--name={name}", *outputs])
    for pack in study.packs:
        train(results, (results / "runs" / pack.stem).parent, pack.strategy, pack.seeds)
    timing = f"--output={results}/tables/timing.csv"
    cli.main(["timing", given, f"--data={results}/data", "--device=cpu", timing])
    cli.main(["collect", given, f"--results={results}", f"--tables={results}/tables"])
    cli.main(["compare", given, f"--tables={results}/tables"])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The results of the tiny study, made without Snakemake."""
    results = tmp_path_factory.mktemp("made") / "results"
    make_tables(STUDY, results)
    (results / "page.html").write_text("<title>Page</title>")
    return results


@pytest.fixture
def results(made, tmp_path):
    return shutil.copytree(made, tmp_path / "results")


def commands(results):
    """Return a command line of every command that writes, and what it writes first."""
    given = f"--study={results}/study.json"
    pack = pack_of(results, "standard", "0-1")
    files.write_json(
        results / "tuned.json", make_study(**GIVEN | {"learning_rate": "tuned", "learning_rates_to_try": [0.1]}).config
    )
    cell = [f"--study={results}/tuned.json", *pack[2 : pack.index("--seeds")]]
    data = [f"--output={results}/data/iris.npz", f"--manifest={results}/data/iris.json"]
    notebook = results / "page.ipynb"
    shutil.copy(ROOT / "workflow" / "notebooks" / "budgets.ipynb", notebook)
    return {
        "data": ([given, "--name=iris", *data], "iris.npz"),
        "train": ([*pack, f"--output={results}/new.csv", f"--manifest={results}/new.json"], "new.csv"),
        "tune": ([*cell, f"--output={results}/new.json"], "new.json"),
        "timing": ([given, f"--data={results}/data", "--device=cpu", f"--output={results}/new.csv"], "/new."),
        "collect": ([given, f"--results={results}", f"--tables={results}/tables"], "/tables/"),
        "compare": ([given, f"--tables={results}/tables"], ".csv"),
        "page": ([f"--notebook={notebook}", f"--output={results}/new.html"], "page.ipynb"),
        "report": (
            [given, f"--tables={results}/tables", f"--pages={results}/page.html", f"--output={results}/new.html"],
            "",
        ),
    }


def fails(command, arguments, capsys, status=1):
    """Return the one line in which a command says what went wrong."""
    with pytest.raises(SystemExit) as caught:
        cli.main([command, *arguments])
    assert caught.value.code == status
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("altfreeze: ")]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("command", ["data", "train", "tune", "timing", "collect", "compare", "page", "report"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
def test_what_the_system_refuses_is_one_line_and_leaves_every_file_as_it_was(
    command, number, results, monkeypatch, capsys
):
    arguments, first = commands(results)[command]
    before = listing(results)

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    # a full disk is noticed when a file is written, a read-only one when it is made
    module, name = (files.os, "fsync") if number == errno.ENOSPC else (files.tempfile, "mkstemp")
    monkeypatch.setattr(module, name, refuse)
    message = fails(command, arguments, capsys)
    assert first in message
    assert str(results) in message
    assert message.endswith(f": {os.strerror(number)}")
    assert listing(results) == before


def test_the_next_write_of_a_path_removes_what_a_kill_left_of_it_and_nothing_else(tmp_path):
    for name in (".log.csv.abcd1234.tmp", ".log.csv.flow.abcd1234.tmp", ".other.csv.abcd1234.tmp"):
        (tmp_path / name).write_text("a part")
    with files.atomic_output(tmp_path / "log.csv") as file:
        file.write("whole")
    assert {path.name for path in tmp_path.iterdir()} == {
        "log.csv",
        ".log.csv.flow.abcd1234.tmp",
        ".other.csv.abcd1234.tmp",
    }


@pytest.fixture
def digits(tmp_path):
    """The command line that stores the data set digits in `tmp_path`, and nothing else there."""
    study = tmp_path.with_name(f"{tmp_path.name}.json")
    files.write_json(study, make_study(**GIVEN | {"datasets": ["digits"]}).config)
    outputs = [f"--output={tmp_path}/digits.npz", f"--manifest={tmp_path}/digits.json"]
    return ["data", f"--study={study}", "--name=digits", *outputs]


def test_a_file_beyond_the_size_that_the_system_allows_is_one_line(tmp_path, digits):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [sys.executable, "-m", "altfreeze", *digits]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, preexec_fn=limit)
    assert done.returncode == 1
    assert done.stderr == f"altfreeze: {tmp_path}/digits.npz: File too large\n"
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_line_and_leaves_no_part_of_a_file(tmp_path, digits, capsys):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        command, *arguments = digits
        assert fails(command, arguments, capsys) == f"altfreeze: {tmp_path}/digits.npz: No space left on device"
        assert not list(tmp_path.iterdir())
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def edit(path):
    path.write_text(re.sub(r"ok,(\d)", r"ok,9\1", path.read_text(), count=1))


def double(path):
    path.write_text(path.read_text() + path.read_text().splitlines()[-1] + "\n")


def empty(path):
    path.write_bytes(b"")


def binary(path):
    path.write_bytes(bytes(range(256)))


def exchange(path):
    shutil.copy(path.with_name(path.name.replace("seeds0-0", "seeds1-1")), path)


CHANGES = [("csv", change) for change in (cut, edit, double, empty, binary, exchange, Path.unlink)]
CHANGES += [("json", change) for change in (cut, empty, binary, exchange, Path.unlink)]


@pytest.mark.parametrize(("suffix", "change"), CHANGES, ids=lambda value: getattr(value, "__name__", value))
def test_a_log_or_manifest_that_was_changed_stops_the_collection_in_one_line(suffix, change, results, capsys):
    pack = results / RUNS / "alternating-0.5" / "primary"
    change(pack / f"seeds0-0.{suffix}")
    before = listing(results)
    arguments, _ = commands(results)["collect"]
    message = fails("collect", arguments, capsys, status=2)
    assert f"{pack}/seeds0-0." in message
    assert message.endswith("run snakemake again")
    assert {name: digest for name, digest in listing(results).items() if name in before} == before


def test_seconds_are_not_negative_when_the_clock_goes_back(results, monkeypatch):
    now = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    log = train(results, results, "standard", "0-1")
    manifest = json.loads(log.with_suffix(".json").read_text())
    assert all(manifest[name] >= 0 for name in ("training_seconds", "wall_seconds", "cpu_seconds"))
    assert pd.read_csv(log)["seconds"].is_monotonic_increasing
    assert pd.read_csv(log)["seconds"].min() >= 0


def test_a_manifest_says_by_which_kernels_its_numbers_were_made(results, monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    manifest = json.loads(train(results, results, "standard", "0-1").with_suffix(".json").read_text())
    assert manifest["mkl_cbwr"] == "AVX2"
    assert manifest["cpu_capability"] == torch.backends.cpu.get_cpu_capability()


def run_notebook(name, **parameters):
    """Run a notebook's code in this process, as papermill does with parameters."""
    cells = json.loads((ROOT / "workflow" / "notebooks" / f"{name}.ipynb").read_text())["cells"]
    names = {"__name__": "notebook"}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), name, "exec"), names)
            if "parameters" in cell["metadata"].get("tags", []):
                names |= parameters


def test_a_study_whose_runs_all_diverge_ends_with_a_report_that_says_so(tmp_path, monkeypatch, capsys):
    study = make_study(**GIVEN | {"optimizer": "sgd", "learning_rate": 1e30, "gradient_flow": False})
    make_tables(study, tmp_path)
    runs = read_table(tmp_path / "tables" / "runs.csv", "runs")
    assert set(runs["status"]) == {"diverged"}
    assert len(runs) == 4
    (tmp_path / "page.html").write_text("<title>Page</title>")
    places = [f"--tables={tmp_path}/tables", f"--pages={tmp_path}/page.html", f"--output={tmp_path}/report.html"]
    cli.main(["report", f"--study={tmp_path}/study.json", *places])
    answer = (tmp_path / "answer.txt").read_text()
    assert ": no verdict on alternating freezing. " in answer
    report = (tmp_path / "report.html").read_text()
    assert answer.strip() in report
    assert "diverged" in report
    pages = {"study_file": str(tmp_path / "study.json"), "tables": str(tmp_path / "tables")}
    with contextlib.redirect_stdout(io.StringIO()):
        for name in ("budgets", "statistics", "dynamics"):
            run_notebook(name, **pages)
    plt.close("all")
