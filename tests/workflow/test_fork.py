"""Jobs that a server forks: as those that start by themselves, and nothing is left of any that was killed."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml
from altfreeze.support.forkclient import VARIABLE
from builders import ROOT

STUDY = {
    "datasets": ["iris"],
    "depths": [2],
    "freeze_ratios": [0.5],
    "strategies": ["alternating"],
    "primary_depth": 2,
    "seeds": 4,
    "seeds_per_job": 1,
    "epochs_standard": 2,
    "epochs_alternating": 2,
    "calibration_seeds": 1,
    "timing_rounds": 6,
    "device": "cpu",
}
# takes the place of the command line: a job that does what its argument says
CLI = """
import os, resource, signal, sys, time


def main():
    exec(sys.argv[1])
"""


def alive(folder):
    """Return the processes that were started below a folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd().startswith(str(folder)) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def wait_until(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("waited in vain")


class Server:
    """A server whose package holds nothing but the entry point, as if a call of Snakemake had started it."""

    def __init__(self, folder):
        self.top = folder / "a folder"
        support = self.top / "altfreeze" / "support"
        support.mkdir(parents=True)
        for name in ("__init__.py", "__main__.py", "support/__init__.py", "support/forkclient.py"):
            shutil.copy(ROOT / "workflow" / "altfreeze" / name, self.top / "altfreeze" / name)
        text = (ROOT / "workflow/altfreeze/support/forkserver.py").read_text()
        text = text.replace("for name in _IMPORTED[kind]", 'for name in ("cli",)')
        (support / "forkserver.py").write_text(text)
        self.cli = self.top / "altfreeze" / "cli.py"
        self.cli.write_text(CLI)
        self.sockets = Path(tempfile.mkdtemp(prefix="altfreeze-test-"))
        self.environment = os.environ | {"PYTHONPATH": str(self.top), VARIABLE: str(self.sockets)}
        command = [sys.executable, "-m", "altfreeze", "fork-server", str(self.sockets)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": self.environment, "cwd": self.top}
        self.process = subprocess.Popen(command, text=True, **pipes)
        assert self.process.stdout.readline() == "ready\n"

    def start(self, code, **changed):
        command = [sys.executable, "-m", "altfreeze", code]
        environment = self.environment | changed
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": self.top, "text": True}
        return subprocess.Popen(command, env=environment, **pipes)

    def call(self, code, **changed):
        process = self.start(code, **changed)
        out, error = process.communicate(timeout=60)
        return process.returncode, out, error

    def servers(self):
        return {self.process.pid, *(child.pid for child in psutil.Process(self.process.pid).children())}

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
        wait_until(lambda: not alive(self.top))


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.end()
    assert not server.sockets.exists()


PARENT = "print(os.getppid(), end='')"


def test_a_job_is_forked_and_ends_as_it_would_by_itself(server):
    assert int(server.call(PARENT)[1]) in server.servers()
    for code in (
        "print('out'); print('error', file=sys.stderr)",
        "sys.exit(3)",
        "sys.exit('one line')",
        "1 / 0",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGINT)",
        "os._exit(7)",
        "print(os.getcwd(), os.umask(0), sys.argv, sorted(set(os.environ) - {'ALTFREEZE_FORK_SERVER'}))",
    ):
        forked = server.call(code)
        assert forked == server.call(code, **{VARIABLE: "/nowhere"})


@pytest.mark.parametrize("changed", [{"OMP_NUM_THREADS": "3"}, {"PYTHONUTF8": "0"}, {"ANY": "1"}])
def test_another_environment_is_refused(server, changed):
    assert int(server.call(PARENT, **changed)[1]) not in server.servers()


def test_changed_code_is_seen(server):
    assert int(server.call(PARENT)[1]) in server.servers()
    server.cli.write_text(CLI.replace("exec(", "print('new'); exec("))
    assert server.call("pass") == (0, "new\n", "")


def test_a_limit_of_memory_holds_in_one_job(server):
    server.call("resource.setrlimit(resource.RLIMIT_DATA, (2**28, 2**28))")
    assert "-1" in server.call("print(resource.getrlimit(resource.RLIMIT_DATA))")[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_client_reaches_the_job(server, number):
    process = server.start("print('begun', flush=True); time.sleep(60)")
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == -number


def begun(server):
    process = server.start("print(os.getpid(), flush=True); time.sleep(60)")
    return process, int(process.stdout.readline())


@pytest.mark.parametrize("killed", ["client", "job", "server", "call"])
def test_whoever_is_killed_takes_the_others_along(tmp_path, killed):
    server = Server(tmp_path)
    process, job = begun(server)
    if killed == "call":
        server.process.stdin.close()
    else:
        os.kill({"client": process.pid, "job": job, "server": psutil.Process(job).ppid()}[killed], signal.SIGKILL)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == -signal.SIGKILL
    assert ("fork server was killed" in error) == (killed in ("server", "call"))
    wait_until(lambda: not psutil.pid_exists(job))
    if killed in ("client", "job"):
        assert int(server.call(PARENT)[1]) in server.servers()
    elif killed == "server":
        # the next one goes on by itself
        assert server.call("print('done')") == (0, "done\n", "")
    server.end()
    shutil.rmtree(server.sockets, ignore_errors=True)


def test_fifty_kills_at_random_leave_nothing(server):
    draw = random.Random(1)
    server.call("pass")
    servers = server.servers()
    for _ in range(10):
        processes = [server.start("time.sleep(.1)") for _ in range(5)]
        for _ in processes:
            time.sleep(draw.random() / 20)
            found = [other for other in alive(server.top) if other.pid not in servers]
            if found:
                with contextlib.suppress(psutil.Error):
                    draw.choice(found).kill()
        for process in processes:
            process.communicate(timeout=60)
            assert process.returncode in (0, -signal.SIGKILL)
    wait_until(lambda: {process.pid for process in alive(server.top)} == servers)
    assert int(server.call(PARENT)[1]) in servers
    assert all(path.is_socket() for path in server.sockets.iterdir())
    assert all(len(psutil.Process(pid).net_connections("unix")) < 6 for pid in servers)


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


PACKS = [f"runs/iris/depth2/alternating-0.5/configured/seeds{seed}-{seed}.csv" for seed in range(3)]


def snakemake(folder, temporary, results, *config, targets=PACKS):
    command = [
        "snakemake",
        *(f"{results}/{path}" for path in targets),
        "--cores",
        "2",
        "--configfile=tiny.yaml",
        "--config",
    ]
    command += [f"results={results}", *config]
    environment = os.environ | {"TMPDIR": str(temporary)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": environment}
    return subprocess.Popen(command, cwd=folder, start_new_session=True, **pipes)


def done(process):
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    return said


def left(temporary):
    return sorted(path.name for path in temporary.glob("altfreeze-fork-*"))


def test_two_studies_at_once_give_the_same_forked_or_not(clone, temporary):
    table = ["tables/runs.csv"]
    forked = snakemake(clone, temporary, "one", targets=table)
    alone = snakemake(clone, temporary, "two", "fork=false", targets=table)
    assert "fork server" not in done(forked)
    assert "altfreeze: fork is false: each job starts by itself" in done(alone)
    assert left(temporary) == [] and alive(clone) == []
    for log in (clone / "one" / "runs").rglob("*.csv"):
        pair = [pd.read_csv(clone / name / log.relative_to(clone / "one"), dtype=str) for name in ("one", "two")]
        pd.testing.assert_frame_equal(*(frame.drop(columns="seconds") for frame in pair))
    for name in ("reached.csv", "targets.csv"):
        assert (clone / "one/tables" / name).read_bytes() == (clone / "two/tables" / name).read_bytes()
    # the memory and the time of the job, not of its client
    for path in (clone / "one/benchmarks/train").rglob("*.tsv"):
        measured = pd.read_csv(path, sep="\t").iloc[0]
        assert measured["max_rss"] > 100
        assert measured["cpu_time"] > 0


@pytest.mark.parametrize("kind", ["interrupt", "kill", "kill all"])
def test_a_call_that_is_stopped_leaves_nothing_and_the_next_one_heals(clone, temporary, kind):
    results = kind.replace(" ", "-")
    process = snakemake(clone, temporary, results, "epochs_alternating=20000", "checkpoint_seconds=0")
    wait_until(lambda: list((clone / results / "logs/train").rglob("*alternating*")) and left(temporary))
    wait_until(lambda: [path for path in temporary.glob("altfreeze-fork-*/*") if path.is_symlink()])
    if kind == "kill":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGINT if kind == "interrupt" else signal.SIGKILL)
    process.communicate(timeout=60)
    wait_until(lambda: not alive(clone))
    if kind == "kill all":
        for folder in temporary.glob("altfreeze-fork-*"):
            os.utime(folder, (0, 0))
    else:
        wait_until(lambda: not left(temporary))
    done(snakemake(clone, temporary, results))
    assert left(temporary) == []
