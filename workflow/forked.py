"""A call of Snakemake whose jobs are forked from a server, and what its benchmarks measure then.

`altfreeze.support.forkclient` says how.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import snakemake.benchmark
from altfreeze.support.forkclient import COMMAND, SOCKET, THREADS, VARIABLE

# for fewer jobs the server imports more than they do
FEWEST_JOBS = 4
_PREFIX = f"altfreeze-fork-{os.getuid()}-"


class _Process(psutil.Process):
    """A process among whose children a forked job stands in the place of its client, as a kernel may below a job."""

    def children(self, recursive: bool = False) -> list[psutil.Process]:
        found = []
        for process in super().children(recursive):
            try:
                job = _Process(int(os.readlink(f"{os.environ[VARIABLE]}/{process.pid}")))  # noqa: PTH115
                found += [job, *job.children(recursive)]
            except (KeyError, OSError, psutil.Error):
                found.append(process)
        return found


class _Timer(snakemake.benchmark.BenchmarkTimer):
    def __init__(self, pid: int, *arguments: object) -> None:
        super().__init__(pid, *arguments)
        self.main = _Process(pid)

    def cancel(self) -> None:
        super().cancel()
        # a forked job may be over before Snakemake looks a second time, after half a second
        with contextlib.suppress(KeyError, OSError):
            file = Path(os.environ[VARIABLE], f"{self.pid}.used")
            memory, seconds = map(float, file.read_text().split())
            file.unlink()
            record = self.bench_record
            record.max_rss = max(record.max_rss or 0, memory / 1024)
            record.cpu_time = max(record.cpu_time or 0, seconds)


def start_server(prefix: str, tell: Callable[[str], None]) -> None:
    """Start a server that jobs are forked from, for the rest of this process.

    Parameters
    ----------
    prefix : str
        What a job's shell does before its command, see `surroundings.shell_prefix`.
    tell : callable
        Called with one line if there is none, or no more: each job starts by itself then.
    """
    if sys.platform != "linux":
        tell("altfreeze: no fork server (only on Linux a fork is safe); each job starts by itself")
        return
    folder = tempfile.mkdtemp(prefix=_PREFIX)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # as Snakemake's shell has it for a job of one thread
    environment = os.environ | dict.fromkeys(THREADS, "1")
    environment |= dict.fromkeys(("TMPDIR", "TMP", "TEMPDIR", "TEMP"), tempfile.gettempdir())
    try:
        # for the rest of this process; it says that the folder is in use
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(f"{folder}/{SOCKET}")
            listener.listen(1024)
            start = f'{prefix} exec python -m altfreeze {COMMAND} {listener.fileno()} "$0"'
            # its standard input ends with this process, however that ends
            server = subprocess.Popen(
                ["bash", "-c", start, folder],
                env=environment,
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
    except OSError as error:
        tell(f"altfreeze: no fork server ({error}); each job starts by itself")
        return
    os.environ[VARIABLE] = folder
    snakemake.benchmark.BenchmarkTimer = _Timer

    def watch() -> None:
        said = server.stdout.read().strip()
        if server.wait():
            os.environ.pop(VARIABLE, None)
            tell(f"altfreeze: no fork server any more ({said or 'it was killed'}); each job starts by itself")

    threading.Thread(target=watch, daemon=True).start()
    atexit.register(server.wait)
    atexit.register(server.stdin.close)


def remove_leftovers() -> None:
    """Remove the folders of calls that were killed together with their servers."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            file = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(file)
