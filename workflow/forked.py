"""A call of Snakemake whose jobs are forked from a server, and what its benchmarks measure then.

`altfreeze.support.forkclient` says how.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import snakemake.benchmark
from altfreeze.support.forkclient import COMMAND, THREADS, VARIABLE

# for fewer jobs the server imports more than they do
FEWEST_JOBS = 4
_PREFIX = f"altfreeze-fork-{os.getuid()}-"
# a folder this old that no server holds is that of a killed one
_SECONDS_TO_START = 60


class _Process(psutil.Process):
    """A job's shell, among whose children a forked job stands in the place of its client."""

    def children(self, recursive: bool = False) -> list[psutil.Process]:
        found = []
        for process in super().children(recursive):
            try:
                job = psutil.Process(int(str(Path(os.environ[VARIABLE], str(process.pid)).readlink())))
                found += [job, *job.children(recursive)]
            except (KeyError, OSError, psutil.Error):
                found.append(process)
        return found


class _Timer(snakemake.benchmark.BenchmarkTimer):
    def __init__(self, pid: int, *arguments: object) -> None:
        super().__init__(pid, *arguments)
        self.main = _Process(pid)

    def _schedule(self) -> None:
        # a forked job may be over before Snakemake would look a second time, after half a second
        seconds = 0.1 if self._times_called < 20 else 0.5 if self._times_called < 50 else self._interval
        self._timer = snakemake.benchmark.DaemonTimer(seconds, self._action)
        self._timer.start()


def start_server(prefix: str, tell: Callable[[str], None]) -> None:
    """Start a server that jobs are forked from, for the rest of this process.

    Parameters
    ----------
    prefix : str
        What a job's shell does before its command, see `surroundings.shell_prefix`.
    tell : callable
        Called with one line if there is none, or no more: each job starts by itself then.
    """
    folder = tempfile.mkdtemp(prefix=_PREFIX)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # as Snakemake's shell has it for a job of one thread
    environment = os.environ | dict.fromkeys(THREADS, "1")
    environment |= dict.fromkeys(("TMPDIR", "TMP", "TEMPDIR", "TEMP"), tempfile.gettempdir())
    command = ["bash", "-c", f'{prefix} exec python -m altfreeze {COMMAND} "$0"', folder]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    try:
        if sys.platform != "linux":
            raise OSError("for this a fork is only safe on Linux")
        held = os.open(folder, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        # its standard input ends with this process, however that ends; the folder is locked as long as one lives
        server = subprocess.Popen(command, env=environment, text=True, pass_fds=[held], **pipes)  # type: ignore[call-overload]
        os.close(held)
        said = server.stdout.readline()
    except OSError as error:
        said = str(error)
    if said != "ready\n":
        tell(f"altfreeze: no fork server ({said.strip() or 'it did not start'}); each job starts by itself")
        return
    os.environ[VARIABLE] = folder
    snakemake.benchmark.BenchmarkTimer = _Timer
    ending = threading.Event()

    def watch() -> None:
        said = ""
        for said in server.stdout:
            tell(f"altfreeze: a fork server ended ({said.strip()}); its jobs start by themselves")
        if not ending.is_set():
            os.environ.pop(VARIABLE, None)
            if not said:
                tell("altfreeze: the fork server was killed; each job starts by itself")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()

    def end() -> None:
        ending.set()
        server.stdin.close()
        watcher.join(5)
        server.wait(5)

    atexit.register(end)


def remove_leftovers() -> None:
    """Remove the folders of servers that were killed together with their calls."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime < _SECONDS_TO_START:
                continue
            file = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(file)
