"""Jobs that a server forks: as those that start by themselves, and nothing is left of any that was killed."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml
from altfreeze.support.forkclient import COMMAND, IMPORTED, SOCKET, VARIABLE
from builders import ROOT, wait_until

STUDY = {
    "datasets": ["iris"],
    "depths": [2],
    "freeze_ratios": [0.5],
    "strategies": ["alternating"],
    "primary_depth": 2,
    # so wide that no step is compiled, which would be anew in a clone
    "width": 129,
    "seeds": 3,
    "variations": [],
    "epochs_standard": 2,
    "epochs_alternating": 2,
    "calibration_seeds": 1,
    "timing_rounds": 6,
    "learning_rate": 0.003,
    "device": "cpu",
}
# takes the place of the command line: a job that does what its last argument says
CLI = """
import os, resource, signal, sys, time


def main():
    exec(sys.argv[2])
"""


def alive(folder):
    """Return the processes that were started below a folder."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd().startswith(str(folder)) and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found


class Server:
    """A server whose package holds nothing but the entry point, as if a call of Snakemake had started it."""

    def __init__(self, folder):
        self.top = folder / "a folder"
        package = self.top / "altfreeze"
        (package / "support").mkdir(parents=True)
        (package / "training").mkdir()
        for name in ("__init__", "__main__", "support/__init__", "support/forkclient", "support/forkserver"):
            shutil.copy(ROOT / "workflow" / "altfreeze" / f"{name}.py", package / f"{name}.py")
        for name in IMPORTED["train"]:
            path = package / f"{name.replace('.', '/')}.py"
            path.write_text("called = []\n\n\ndef before_forks():\n    called.append(1)\n")
        self.cli = package / "cli.py"
        self.cli.write_text(CLI)
        self.sockets = Path(tempfile.mkdtemp(prefix="altfreeze-test-"))
        self.environment = os.environ | {"PYTHONPATH": str(self.top), VARIABLE: str(self.sockets)}
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(self.sockets / SOCKET))
            listener.listen()
            command = [sys.executable, "-m", "altfreeze", COMMAND, str(listener.fileno()), str(self.sockets)]
            options = {"stdin": subprocess.PIPE, "env": self.environment, "cwd": self.top}
            self.process = subprocess.Popen(command, pass_fds=[listener.fileno()], **options)

    def start(self, code, **changed):
        command = [sys.executable, "-m", "altfreeze", "train", code]
        environment = self.environment | changed
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": self.top, "text": True}
        return subprocess.Popen(command, env=environment, **pipes)

    def call(self, code, **changed):
        process = self.start(code, **changed)
        out, error = process.communicate(timeout=60)
        return process.returncode, out, error

    def forks(self, **changed):
        """Return whether a job is forked."""
        return self.call("print('altfreeze.support.forkserver' in sys.modules)", **changed) == (0, "True\n", "")

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)
        wait_until(lambda: not alive(self.top))


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.end()
    assert not server.sockets.exists()


def test_a_job_is_forked_and_ends_as_it_would_by_itself(server):
    assert server.forks()
    for code in (
        "print('out'); print('error', file=sys.stderr)",
        "sys.exit(3)",
        "sys.exit('one line')",
        "1 / 0",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGINT)",
        "os._exit(7)",
        f"print(os.getcwd(), os.umask(0), sys.argv, sorted(set(os.environ) - {{{VARIABLE!r}}}))",
        "print([signal.getsignal(number) for number in range(1, 32)])",
        "print(sorted(os.listdir('/proc/self/fd'))[:4])",
        "resource.setrlimit(resource.RLIMIT_DATA, (2**28, 2**28))",
        "print(resource.getrlimit(resource.RLIMIT_DATA))",
    ):
        assert server.call(code) == server.call(code, **{VARIABLE: str(server.top)})


def test_what_is_done_before_forks_is_done_once(server):
    for _ in range(2):
        assert server.call("print(sys.modules['altfreeze.training.job'].called)") == (0, "[1]\n", "")


def test_a_job_of_another_environment_or_code_starts_by_itself(server):
    assert server.forks()
    for changed in ({"OMP_NUM_THREADS": "3"}, {"PYTHONUTF8": "0"}, {"ANY": "1"}):
        assert not server.forks(**changed)
    # what is compiled beside the code is no other code
    (server.cli.parent / "training" / "__pycache__").mkdir(exist_ok=True)
    shutil.rmtree(server.cli.parent / "training" / "__pycache__")
    assert server.forks()
    server.cli.write_text(CLI.replace("exec(", "print('new'); exec("))
    assert server.call("pass") == (0, "new\n", "")


def begun(server):
    process = server.start("print(os.getpid(), flush=True); time.sleep(60)")
    return process, int(process.stdout.readline())


def status(pid):
    return psutil.Process(pid).status()


def test_a_signal_to_the_client_reaches_the_job(server):
    for number in (signal.SIGTERM, signal.SIGUSR1):
        process, job = begun(server)
        wait_until(lambda process=process: (server.sockets / str(process.pid)).is_symlink())
        process.send_signal(signal.SIGTSTP)
        wait_until(lambda both=(process.pid, job): {*map(status, both)} == {psutil.STATUS_STOPPED})
        process.send_signal(signal.SIGCONT)
        wait_until(lambda job=job: status(job) == psutil.STATUS_SLEEPING)
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode == -number


def test_whoever_is_killed_takes_the_others_along(tmp_path):
    for killed in ("client", "job", "keeper", "server", "call"):
        server = Server(tmp_path / killed)
        process, job = begun(server)
        keeper = psutil.Process(job).ppid()
        if killed == "call":
            server.process.stdin.close()
        else:
            numbers = {"client": process.pid, "job": job, "keeper": keeper, "server": server.process.pid}
            os.kill(numbers[killed], signal.SIGKILL)
        error = process.communicate(timeout=60)[1]
        assert process.returncode == -signal.SIGKILL
        assert ("fork server was killed" in error) == (killed in ("keeper", "server", "call"))
        wait_until(lambda job=job, keeper=keeper: not psutil.pid_exists(job) and not psutil.pid_exists(keeper))
        # without a server the next one goes on by itself, and without a call none does
        assert server.forks() == (killed in ("client", "job", "keeper"))
        said = "altfreeze: the call of Snakemake that this job is of has ended\n"
        assert server.call("print('done')") == ((1, "", said) if killed == "call" else (0, "done\n", ""))
        server.end()
        shutil.rmtree(server.sockets, ignore_errors=True)


def test_fifty_kills_at_random_leave_nothing(server):
    draw = random.Random(1)
    assert server.forks()
    for _ in range(10):
        processes = [server.start("time.sleep(.1)") for _ in range(5)]
        for _ in processes:
            time.sleep(draw.random() / 20)
            if found := sorted(alive(server.top) - {server.process.pid}):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(draw.choice(found), signal.SIGKILL)
        for process in processes:
            process.communicate(timeout=60)
            assert process.returncode in (0, -signal.SIGKILL)
    wait_until(lambda: alive(server.top) == {server.process.pid})
    assert server.forks()
    assert len([*Path(f"/proc/{server.process.pid}/fd").iterdir()]) < 10


# through Snakemake


@pytest.fixture(scope="module")
def clone(tmp_path_factory, copy_clone):
    folder = copy_clone(tmp_path_factory.mktemp("fork") / "a clone")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


@pytest.fixture
def temporary():
    """A folder for temporary files, so short that a socket's path may lie in it."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder)


TABLES = ["tables/comparisons.csv", "tables/speedups.csv", "notebooks/schedules.html"]


def snakemake(folder, temporary, results, *config, targets=TABLES, options=()):
    """Start a call as a terminal does, in a group of its own."""
    command = ["snakemake", *(f"{results}/{path}" for path in targets), "--cores", "2", "--configfile=tiny.yaml"]
    command += [*options, "--config", f"results={results}", *config]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    environment = os.environ | {"TMPDIR": str(temporary)}
    return subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **pipes)


def done(process):
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    return said


def left(temporary):
    return sorted(path.name for path in temporary.glob("altfreeze-fork-*"))


def unmeasured(path):
    """Return a table without what was measured: columns, and rows of the budget or the clock of seconds."""
    table = pd.read_parquet(path).astype(str) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str)
    table = table[~table.isin(["seconds", "seconds_ratio"]).any(axis=1)]
    measured = "seconds|memory" + ("|^(?:measured|low|high)$" if path.stem == "speedups" else "")
    return table.drop(columns=table.columns[table.columns.str.contains(measured)])


def test_two_studies_at_once_give_the_same_forked_or_not(clone, temporary):
    forked = snakemake(clone, temporary, "one")
    alone = snakemake(clone, temporary, "two", "fork=false")
    assert "fork server" not in done(forked)
    assert done(alone).count("altfreeze: fork is false: each job starts by itself") == 1
    assert left(temporary) == [] and alive(clone) == set()
    tables = [*(clone / "one/runs").rglob("*.csv"), *(clone / "one/tables").glob("*.[cp]*")]
    assert len(tables) > 15
    for path in tables:
        pair = [unmeasured(clone / name / path.relative_to(clone / "one")) for name in ("one", "two")]
        pd.testing.assert_frame_equal(*pair, obj=path.name)
    page = "notebooks/schedules.html"
    assert (clone / "one" / page).read_text() == (clone / "two" / page).read_text().replace("two/", "one/")
    # the memory and the time of the job, not of its client
    for path in (clone / "one/benchmarks/train").rglob("*.tsv"):
        measured = pd.read_csv(path, sep="\t").iloc[0]
        assert measured["max_rss"] > 100
        assert measured["cpu_time"] > 0
    # how jobs start makes nothing anew
    for results, fork in (("one", "false"), ("two", "true")):
        assert "Nothing to be done" in done(snakemake(clone, temporary, results, f"fork={fork}", options=["-n"]))


def test_a_call_that_is_stopped_leaves_nothing_and_the_next_one_heals(clone, temporary):
    long = ("epochs_alternating=20000", "checkpoint_seconds=0")
    for stop in ("interrupt", "kill", "kill-all"):
        process = snakemake(clone, temporary, stop, *long)
        wait_until(lambda: [path for path in temporary.glob("altfreeze-fork-*/*") if path.is_symlink()])
        wait_until(lambda stop=stop: list((clone / stop / "logs/train").rglob("*alternating*")))
        if stop == "kill":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGINT if stop == "interrupt" else signal.SIGKILL)
        process.communicate(timeout=60)
        wait_until(lambda: not alive(clone))
        if stop != "kill-all":
            wait_until(lambda: not left(temporary))
    assert left(temporary)
    done(snakemake(clone, temporary, stop, targets=["tables/runs.csv"]))
    assert left(temporary) == [] and alive(clone) == set()
