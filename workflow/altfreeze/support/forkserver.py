"""The server that `altfreeze.support.forkclient` has jobs forked from: one thread, everything imported, no CUDA."""

import contextlib
import ctypes
import gc
import importlib
import marshal
import os
import selectors
import shutil
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import NoReturn

from altfreeze.support.forkclient import AFTER_TRAINING, NUMBER, TRAINING, state

# by kind of job: what jobs import, and no more, so that the memory of a training is its own
_IMPORTED = {
    TRAINING: ("training.job", "training.tuning", "data.sources", "cli"),
    AFTER_TRAINING: (
        *("training.timing", "tables.collect", "comparison.compare", "report.notebook_pages", "report.page", "cli"),
        *("report.blocks.display", "report.kernels"),
    ),
}
# of prctl: the signal that a process gets when its parent dies
_PR_SET_PDEATHSIG = 1


def serve(folder: Path) -> None:
    """Fork jobs until standard input ends; return in each job.

    A first line on standard output says that jobs may come, another one why it ends.
    """
    try:
        listeners = {}
        for kind in _IMPORTED:
            listeners[kind] = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            listeners[kind].bind(f"{folder}/{state(kind)}")
            listeners[kind].listen(1024)
        os.write(1, b"ready\n")
        # one server for each kind of job; the second one dies with the first
        parent, kind = os.getpid(), AFTER_TRAINING if os.fork() else TRAINING
        if kind == TRAINING:
            _die_with(parent)
        for other in {*listeners} - {kind}:
            listeners[other].close()
        _Server(folder, kind, listeners[kind]).run()
    except Exception as error:
        os.write(1, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)


def _die_with(parent: int) -> None:
    """Let this process be killed when its parent dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _import(kind: str) -> None:
    """Import what jobs import, and refuse what a fork would leave in the middle of something."""
    environment = dict(os.environ)
    # of Arrow's allocators the one that is not used has a thread
    os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"
    for name in _IMPORTED[kind]:
        importlib.import_module(f"altfreeze.{name}")
    if len([*Path("/proc/self/task").iterdir()]) > 1:
        raise RuntimeError("an imported package has started threads, which no fork survives")
    os.environ.clear()
    os.environ.update(environment)
    # a collection in a job would copy every page
    gc.collect()
    gc.freeze()


class _Server:
    """The socket, the job of each client, and what signals did before."""

    def __init__(self, folder: Path, kind: str, listener: socket.socket) -> None:
        self.folder, self.kind, self.listener, self.pid = folder, kind, listener, os.getpid()
        self.jobs: dict[socket.socket, int] = {}
        self.is_warm = False
        # what a terminal sends to all of its processes is passed on by the clients
        ignored: tuple[int, ...] = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP)
        self.handlers = {number: signal.signal(number, signal.SIG_IGN) for number in ignored}
        self.handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        self.ended, self.woken = socket.socketpair()
        self.woken.setblocking(False)
        signal.set_wakeup_fd(self.woken.fileno(), warn_on_full_buffer=False)
        self.selector = selectors.DefaultSelector()
        for file in (0, self.ended, self.listener):
            self.selector.register(file, selectors.EVENT_READ)

    def run(self) -> None:
        """Serve until standard input ends; return in each job."""
        while True:
            for file in [key.fileobj for key, _ in self.selector.select()]:
                if not isinstance(file, socket.socket):
                    self._end()
                elif file is self.ended:
                    file.recv(1024)
                    self._reap()
                elif file is self.listener:
                    self.selector.register(file.accept()[0], selectors.EVENT_READ)
                elif self._hear(file):
                    return

    def _hear(self, client: socket.socket) -> bool:
        """Fork a job, pass a signal on to it, or kill it as its client is gone; return whether this is the job."""
        message: bytes = b""
        files: list[int] = []
        with contextlib.suppress(OSError):
            message, files, _, _ = socket.recv_fds(client, 1, 4)
        if not message:
            self._signal(client, signal.SIGKILL)
            # closed already, if its job ended meanwhile
            with contextlib.suppress(KeyError, ValueError):
                self.selector.unregister(client)
            if client not in self.jobs:
                client.close()
        elif files:
            # the first job is when there is something to import for
            if not self.is_warm:
                _import(self.kind)
                self.is_warm = True
            job = os.fork()
            if not job:
                self._become(client, files)
                return True
            for file in files:
                os.close(file)
            # a group of its own, whichever of both is first, so that a terminal's signals come once
            with contextlib.suppress(OSError):
                os.setpgid(job, job)
            self.jobs[client] = job
            (self.folder / str(_asker(client))).symlink_to(str(job))
            with contextlib.suppress(OSError):
                client.send(NUMBER.pack(job))
        else:
            self._signal(client, message[0])
        return False

    def _become(self, client: socket.socket, files: list[int]) -> None:
        """Turn this process, which was forked just now, into a job."""
        _die_with(self.pid)
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        clients = [key.fileobj for key in self.selector.get_map().values() if isinstance(key.fileobj, socket.socket)]
        self.selector.close()
        for connection in {client, self.woken, *self.jobs, *clients}:
            connection.close()
        *streams, job = files
        for standard, file in enumerate(streams):
            os.dup2(file, standard)
            os.close(file)
        sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
        os.lseek(job, 0, os.SEEK_SET)
        with open(job, "rb") as message:
            arguments, environment = marshal.load(message)
        sys.argv[1:] = arguments
        os.environ.clear()
        os.environ.update(environment)

    def _signal(self, client: socket.socket, number: int) -> None:
        # not reaped yet, so that its number is no other's
        if client in self.jobs:
            with contextlib.suppress(OSError):
                os.killpg(self.jobs[client], number)

    def _reap(self) -> None:
        """Tell clients how their jobs ended."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                for client in [client for client, job in self.jobs.items() if job == ended[0]]:
                    del self.jobs[client]
                    (self.folder / str(_asker(client))).unlink(missing_ok=True)
                    with contextlib.suppress(OSError):
                        client.send(NUMBER.pack(ended[1]))
                    with contextlib.suppress(KeyError):
                        self.selector.unregister(client)
                    client.close()

    def _end(self) -> NoReturn:
        for client in self.jobs:
            self._signal(client, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(0)


def _asker(client: socket.socket) -> int:
    """Return the process at the other end of a connection."""
    return struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))[0]
