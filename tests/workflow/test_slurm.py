"""The workflow on a real Slurm of one node: end to end, and with whatever may fail there."""

import os
import re
import signal
import subprocess
import tempfile
import time
from typing import ClassVar

import pandas as pd
import pytest
import yaml
import yte
from builders import ROOT, need, wait_until
from slurm_cluster import ACCOUNTING, PATH, PROGRAMS, SlurmCluster
from submission import refusals

STUDY = {
    "study": "tiny",
    "results": "results/tiny",
    "datasets": ["iris"],
    "depths": [4],
    "freeze_ratios": [0.5],
    "strategies": ["alternating"],
    "seeds": 4,
    "seeds_per_job": 2,
    "epochs_standard": 4,
    "epochs_alternating": 4,
    "primary_depth": 4,
    "variations": [],
    "calibration_seeds": 2,
    "timing_rounds": 6,
    "learning_rate": 0.003,
}
CELLS = "results/{}/runs/iris/depth4/{}/primary/seeds{}.csv"
PACKS = [("standard", "0-1"), ("standard", "2-3"), ("alternating-0.5", "0-1"), ("alternating-0.5", "2-3")]
# how soon the end of a job is seen; one pack a job, so that each can fail alone
POLL = (
    "--slurm-init-seconds-before-status-checks",
    "1",
    "--seconds-between-status-checks",
    "1",
    "--latency-wait",
    "10",
)
ONE_PACK = (*POLL, "--group-components", "packs=1")


def profile(monkeypatch, tmp_path, accounting="accounting_storage/none", **environment):
    """Return slurm/config.yaml as it is read with an environment and a Slurm of which only the accounting is known."""
    for name in ("SBATCH_ACCOUNT", "SBATCH_PARTITION", "GPU_MODEL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f"#!/bin/sh\necho 'AccountingStorageType = {accounting}'\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with open(ROOT / "slurm" / "config.yaml") as file:
        return yte.process_yaml(file, require_use_yte=True)


def test_the_default_profile_replaces_no_key_of_the_cluster_profile(monkeypatch, tmp_path):
    default = yaml.safe_load((ROOT / "profiles" / "default" / "config.yaml").read_text())
    here = profile(monkeypatch, tmp_path, GPU_MODEL="a100")
    assert not set(default) & set(here)
    # job arrays can wait for each other forever
    assert "slurm-array-jobs" not in here


def test_without_sbatch_that_is_the_line(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert refusals(None, [object()]) == [
        "sbatch: no such command here; call this where jobs are submitted, or without --profile slurm"
    ]


def test_what_a_site_demands_comes_from_the_environment(monkeypatch, tmp_path):
    plain = profile(monkeypatch, tmp_path)
    assert plain["default-resources"] == {"mem_mb": 4000, "runtime": 60}
    assert "set-resources" not in plain
    assert plain["slurm-status-command"] == "squeue"
    site = {"SBATCH_ACCOUNT": "my-lab", "SBATCH_PARTITION": "123", "GPU_MODEL": "a100"}
    full = profile(monkeypatch, tmp_path, "accounting_storage/slurmdbd", **site)
    # an expression of Snakemake, thus quoted: 123 is no number. The account is sbatch's own: the plugin looks one up
    # first, and tells nobody of a group whose account it does not find
    assert full["default-resources"] == plain["default-resources"] | {"slurm_partition": "'123'"}
    assert full["set-resources"] == {rule: {"gpu_model": "'a100'"} for rule in ("train", "tune", "timing")}
    assert full["slurm-status-command"] == "sacct"
    # what tunes is grouped as what trains, each with its like
    assert full["groups"] == {"train": "packs", "tune": "tunings"}
    assert full["group-components"].keys() == set(full["groups"].values())


@pytest.fixture(scope="module")
def cluster():
    """A Slurm of one node."""
    need(PROGRAMS, "install_slurm.sh", path=PATH)
    # sockets have short names
    with tempfile.TemporaryDirectory(prefix="slurm") as folder, SlurmCluster(folder) as slurm:
        yield slurm


@pytest.fixture(scope="module")
def clone(tmp_path_factory, copy_clone):
    """A fresh clone with a study of five packs beside it."""
    folder = copy_clone(tmp_path_factory.mktemp("cluster") / "altfreeze")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


@pytest.fixture(scope="module")
def local(clone):
    """The tables of the study, made on this machine without Slurm."""
    command = ["snakemake", "--cores", "2", "--configfile", "tiny.yaml", "--config", "results=results/local"]
    done = subprocess.run(
        [*command, "--", "results/local/tables/runs.csv"], cwd=clone, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return clone / "results" / "local"


@pytest.fixture(autouse=True)
def nothing_left(request):
    """Let no test find what the one before has left."""
    yield
    for head in Head.started:
        head.process.kill()
        head.process.wait()
    Head.started.clear()
    for name in {"cluster", "accounting"} & {*request.fixturenames}:
        request.getfixturevalue(name).cancel_all()


class Head:
    """A call of snakemake --profile slurm that goes on while the test meddles with its jobs."""

    # the numbers of the jobs are told with Snakemake's usual output alone
    TOLD = ("--printshellcmds",)
    started: ClassVar = []

    def __init__(self, cluster, clone, *arguments, config=(), targets=(), told=TOLD, **environment):
        self.output = clone / f"head-{time.monotonic_ns()}.txt"
        config = ["--config", *config] if config else []
        with open(self.output, "w") as file:
            self.process = subprocess.Popen(
                [
                    "snakemake",
                    "--profile",
                    "slurm",
                    "--configfile",
                    "tiny.yaml",
                    *config,
                    *arguments,
                    *told,
                    "--",
                    *targets,
                ],
                cwd=clone,
                env=cluster.environment | environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.started.append(self)

    def text(self):
        return self.output.read_text()

    def ends(self, seconds=400):
        """Return the exit status and what was printed."""
        return self.process.wait(seconds), self.text()

    def submits(self, cluster, number, state="RUNNING"):
        """Return the numbers of the call's jobs once as many are in a state."""

        def found():
            assert self.process.poll() is None, self.text()
            mine = [int(job) for job in re.findall(r"submitted with SLURM jobid (\d+)", self.text())]
            jobs = cluster.jobs()
            there = sorted(job for job in mine if jobs[job]["JobState"] == state)
            return len(there) >= number and there

        return wait_until(found, f"{number} jobs being {state}", 120)


def files(study, packs=PACKS):
    return [CELLS.format(study, strategy, seeds) for strategy, seeds in packs]


def numbers(path):
    """Return a table as text without its seconds."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return table[[column for column in table if "seconds" not in column]].to_csv(index=False)


def assert_equal_to_local(clone, study, local, packs=PACKS):
    for here, there in zip(files(study, packs), files(local.name, packs), strict=True):
        assert numbers(clone / here) == numbers(clone / there)
    assert not list((clone / "results" / study).rglob("*.tmp"))


def test_the_literal_command_runs_the_study_and_its_numbers_are_those_of_a_local_run(cluster, clone, local):
    head = Head(cluster, clone, *POLL, told=())
    status, output = head.ends(900)
    assert status == 0, output
    assert re.search(r"^SLURM run ID: \S+$", output, flags=re.M)
    assert f"The report: {clone / 'results/tiny/report.html'}" in output
    here, there = clone / "results" / "tiny", local
    assert numbers(here / "tables" / "runs.csv") == numbers(there / "tables" / "runs.csv")
    assert_equal_to_local(clone, "tiny", local)
    jobs = {job["Comment"]: job for job in cluster.jobs().values()}
    # the packs are one job that holds one GPU, and data is made where snakemake was called
    pages = {f"rule_page_wildcards_{path.stem}" for path in (here / "notebooks").glob("*.html")}
    assert len(pages) == len(STUDY["datasets"]) + 5
    once = {f"rule_{name}" for name in ("packs_train", "timing", "collect", "compare", "report")}
    assert jobs.keys() == once | pages
    assert len(jobs) == len(cluster.jobs())
    train, timing, collect = (jobs[f"rule_{name}"] for name in ("packs_train", "timing", "collect"))
    assert (train["TresPerJob"], train["NumCPUs"], train["MinMemoryNode"]) == ("gres:gpu:1", "1", "2000M")
    assert train["TimeLimit"] == "01:15:00"
    assert (timing["TresPerJob"], timing["OverSubscribe"], timing["NumCPUs"]) == ("gres:gpu:1", "NO", "2")
    assert "TresPerJob" not in collect
    assert not [path for path in jobs if "data" in path]


def test_a_cancelled_job_and_one_out_of_time_are_done_again_with_twice_the_memory_and_time(cluster, clone, local):
    config, targets = ["results=results/killed"], files("killed", PACKS[:2])
    head = Head(cluster, clone, *ONE_PACK, config=config, targets=targets)
    with cluster.paused():
        first, second = head.submits(cluster, 2)
        # a job runs before its shell has told its devices
        wait_until(lambda: {first, second} <= cluster.devices().keys(), "telling the devices", 30)
        devices = cluster.devices()
        assert {devices[first], devices[second]} == {"0", "1"}
        cluster.run("scancel", str(first))
        # a time that is over is refused; Slurm looks for jobs out of time every half a minute
        soon = time.strftime("%FT%T", time.localtime(time.time() + 5))
        cluster.run("scontrol", "update", f"JobId={second}", f"EndTime={soon}")
        wait_until(lambda: cluster.jobs()[second]["JobState"] == "TIMEOUT", "running out of time", 90)
    status, output = head.ends()
    assert status == 0, output
    jobs = cluster.jobs()
    again = [job for number, job in jobs.items() if number > second]
    assert [jobs[number]["JobState"] for number in (first, second)] == ["CANCELLED", "TIMEOUT"]
    assert [(job["JobState"], job["TimeLimit"], job["MinMemoryNode"]) for job in again] == [
        ("COMPLETED", "00:30:00", "4000M")
    ] * 2
    assert_equal_to_local(clone, "killed", local, PACKS[:2])


def test_a_job_out_of_memory_is_reported_keeps_the_others_and_the_next_call_heals(cluster, clone, local):
    config, targets = ["results=results/memory", "device=cpu"], files("memory", PACKS[:2])
    little = ("--retries", "0", "--set-resources", "train:mem_mb=250 if wildcards.seeds == '0-1' else 2000")
    (clone / "partitions.yaml").write_text("partitions: {cpu: {}, gpu: {max_gpu: 2}}\n")
    before, site = set(cluster.jobs()), {"SNAKEMAKE_SLURM_PARTITIONS": str(clone / "partitions.yaml")}
    status, output = Head(cluster, clone, *ONE_PACK, *little, config=config, targets=targets, **site).ends()
    assert status != 0
    assert "exceeded memory limit" in output
    lost, kept = (clone / target for target in targets)
    assert not lost.exists()
    made = kept.stat().st_mtime_ns
    status, output = Head(cluster, clone, *ONE_PACK, config=config, targets=targets, **site).ends()
    assert status == 0, output
    assert kept.stat().st_mtime_ns == made
    # on a CPU no job asks for a GPU or for the partition that has them
    jobs = {number: job for number, job in cluster.jobs().items() if number not in before}
    assert [job["Partition"] for job in jobs.values()] == ["cpu", "cpu", "cpu"]
    assert not [job for job in jobs.values() if "TresPerJob" in job]
    assert {cluster.devices()[number] for number in jobs} == {""}
    assert_equal_to_local(clone, "memory", local, PACKS[:2])


def test_a_node_that_goes_and_a_controller_that_restarts_cost_no_attempt(cluster, clone, local):
    site = {"SBATCH_ACCOUNT": "lab", "SBATCH_PARTITION": "gpu", "GPU_MODEL": "test"}
    config, targets = ["results=results/node"], files("node", PACKS[:2])
    head = Head(cluster, clone, *ONE_PACK, config=config, targets=targets, **site)
    with cluster.paused():
        lost = head.submits(cluster, 2)
        cluster.run("scontrol", "update", f"NodeName={cluster.host}", "State=DOWN", "Reason=test")
        head.submits(cluster, 2, "PENDING")
    # it may be back already, by itself
    cluster.run("scontrol", "update", f"NodeName={cluster.host}", "State=RESUME", check=False)
    cluster.restart_controller()
    status, output = head.ends()
    assert status == 0, output
    jobs = cluster.jobs()
    assert [(jobs[number]["JobState"], jobs[number]["Restarts"]) for number in lost] == [("COMPLETED", "1")] * 2
    assert "Trying to restart" not in output
    demands = [(jobs[number]["Account"], jobs[number]["Partition"], jobs[number]["TresPerJob"]) for number in lost]
    assert demands == [("lab", "gpu", "gres:gpu:test:1")] * 2
    assert_equal_to_local(clone, "node", local, PACKS[:2])


def test_after_a_killed_head_the_next_call_goes_on(cluster, clone, local):
    config, targets = ["results=results/head"], files("head", PACKS[:3])
    head = Head(cluster, clone, *ONE_PACK, config=config, targets=targets)
    with cluster.paused():
        head.submits(cluster, 2)
        (waiting,) = head.submits(cluster, 1, "PENDING")
        cluster.run("scontrol", "hold", str(waiting))
    wait_until(lambda: re.search(r"^2 of \d+ steps", head.text(), flags=re.M), "finishing a pack", 200)
    os.kill(head.process.pid, signal.SIGKILL)
    head.process.wait()
    packs = {
        job: pack for job, *pack in re.findall(r"Job (\d+): Train (\S+) on iris, depth 4, seeds (\S+),", head.text())
    }
    done = [packs[job] for job in re.findall(r"Finished jobid: (\d+) \(Rule: train\)", head.text())]
    finished = {path: (clone / path).stat().st_mtime_ns for path in files("head", done)}
    assert finished
    status, output = Head(cluster, clone, *ONE_PACK, config=config, targets=targets).ends()
    assert status != 0
    assert "results/head/.lock: a call that was killed (process " in output
    cluster.run("scontrol", "release", str(waiting))
    wait_until(lambda: cluster.jobs()[waiting]["JobState"] == "RUNNING", "starting the last pack", 60)
    # as README.md says: stop the jobs that go on without it, delete the lock, call again
    name = re.search(r"SLURM run ID: (\S+)", head.text())[1]
    cluster.run("scancel", f"--name={name}")
    wait_until(lambda: not cluster.run("squeue", "--noheader", f"--name={name}"), "cancelling the jobs", 60)
    (clone / "results/head/.lock").unlink()
    status, output = Head(cluster, clone, *ONE_PACK, config=config, targets=targets).ends()
    assert status == 0, output
    assert {path: (clone / path).stat().st_mtime_ns for path in finished} == finished
    assert_equal_to_local(clone, "head", local, PACKS[:3])


@pytest.fixture(scope="module")
def accounting():
    """A Slurm that keeps accounts, and runs a job for no longer than the packs of the study ask for."""
    need((*PROGRAMS, *ACCOUNTING), "install_slurm.sh", path=PATH)
    with tempfile.TemporaryDirectory(prefix="slurm") as folder, SlurmCluster(folder, "lab") as slurm:
        slurm.run("scontrol", "update", "PartitionName=cpu", "MaxTime=75")
        yield slurm


@pytest.mark.parametrize(
    ("arguments", "site", "said"),
    [
        ([], {"SBATCH_ACCOUNT": "nobody"}, "train asks for: Invalid account .* (SBATCH_ACCOUNT=nobody)"),
        ([], {"SBATCH_PARTITION": "none"}, "train asks for: Invalid partition .* (SBATCH_PARTITION=none)"),
        ([], {"GPU_MODEL": "a100"}, "train asks for: Requested GPU model a100 is that of no node (GPU_MODEL=a100)"),
        ([], {"GPU_MODEL": "a-1"}, "train asks for: Invalid GPU model format: a-1. .* (GPU_MODEL=a-1)"),
        (
            ["--set-resources", "train:runtime=30"],
            {},
            "train asks for: Requested time limit of 120 minutes exceeds that of the partition, 75 "
            "(--set-resources train:runtime=, of the whole job 120)",
        ),
    ],
)
def test_what_slurm_would_refuse_is_one_line_before_any_job_is_submitted(accounting, clone, arguments, site, said):
    config, targets = ["results=results/refused"], files("refused")
    status, output = Head(accounting, clone, *arguments, config=config, targets=targets, **site).ends(60)
    assert status != 0
    (line,) = [line for line in output.splitlines() if line.startswith("altfreeze: ")]
    # the parentheses are meant as such
    pattern = said.replace("(", r"\(").replace(")", r"\)")
    assert re.fullmatch(f"altfreeze: sbatch refuses what {pattern}", line)
    assert "Traceback" not in output
    assert not accounting.jobs()
    assert not (clone / "results/refused/.lock").exists()


def test_with_accounting_the_logs_are_those_of_a_local_run(accounting, clone, local):
    config, targets = ["results=results/account"], files("account")
    head = Head(accounting, clone, *POLL, config=config, targets=targets, told=(), SBATCH_ACCOUNT="lab")
    status, output = head.ends()
    assert status == 0, output
    assert_equal_to_local(clone, "account", local)
    name = re.search(r"SLURM run ID: (\S+)", output)[1]
    kept = accounting.run(
        "sacct", "--allocations", "--noheader", "--parsable2", f"--name={name}", "--format=Account,State"
    )
    assert kept.splitlines() == ["lab|COMPLETED"]
    # nobody here knows when a batch system begins a job
    assert " left" not in output
