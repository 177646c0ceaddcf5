"""The server that `altfreeze.support.forkclient` has jobs forked from: one thread, all imported, no CUDA.

It forks a keeper for each client, and that the job: the keeper passes signals on, tells how the job ended, and kills
it when client or server are gone. Keeper, job and what the job starts are one group of processes.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import marshal
import os
import select
import shutil
import signal
import socket
import sys
import threading
import weakref
from typing import Any

from altfreeze.support.forkclient import ENDED, IMPORTED, NUMBER, PASSED_ON, SECONDS_BETWEEN_LOOKS, state

# of prctl: the signal that a process gets when its parent dies
_PR_SET_PDEATHSIG = 1
_Handlers = dict[int, Any]


def serve(listener: int, folder: str) -> None:
    """Fork jobs until standard input ends; return in each job.

    Parameters
    ----------
    listener : int
        Descriptor of a socket that listens.
    folder : str
        Where it lies; removed at the end.
    """
    try:
        _serve(socket.socket(fileno=listener), folder)
    except Exception as error:
        # read by who started it
        os.write(1, f"{type(error).__name__}: {error}".encode())
        os._exit(1)


def leave() -> None:
    """End a job as `multiprocessing` ends one: to take apart what was imported takes longer than most jobs."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _serve(listener: socket.socket, folder: str) -> None:
    mine = state()
    server = os.pidfd_open(os.getpid())
    # what a terminal sends to all of its processes the clients pass on
    handlers: _Handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (*PASSED_ON, signal.SIGTSTP)}
    keepers: list[int] = []
    while True:
        ready = select.select([0, listener.fileno()], [], [], SECONDS_BETWEEN_LOOKS)[0]
        # their time becomes that of this process, and so of the call
        keepers = [keeper for keeper in keepers if not os.waitpid(keeper, os.WNOHANG)[0]]
        if 0 in ready:
            shutil.rmtree(folder, ignore_errors=True)
            os._exit(0)
        if not ready:
            continue
        client = listener.accept()[0]
        files: list[int] = []
        # killed meanwhile, it has sent none
        with contextlib.suppress(OSError):
            message, files, _, _ = socket.recv_fds(client, 2**20, 3)
        if len(files) == 3:
            theirs, arguments, environment = marshal.loads(message)
            if theirs == mine:
                _import(arguments[0])
                keepers.append(os.fork())
                if not keepers[-1]:
                    listener.close()
                    _keep(client, server, handlers)
                    # from here on this is the job
                    _dress(files, arguments, environment)
                    return
        for file in files:
            os.close(file)
        client.close()


def _import(command: str) -> None:
    """Import and load what a command needs, once one comes; refuse what a fork would leave unfinished."""
    modules = [f"altfreeze.{name}" for name in ("cli", *IMPORTED[command])]
    if all(module in sys.modules for module in modules):
        return
    # of Arrow's allocators the one that is not used has a thread
    os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"
    for module in modules:
        # what it does at its first use and not when it is imported
        getattr(importlib.import_module(module), "before_forks", int)()
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208
        raise RuntimeError(f"what {command} imports has started threads, which no fork survives")
    # what the server made a job need not end, as it ends itself: torch has many libraries of operators to take apart
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False
    # a collection in a job would copy every page
    gc.collect()
    gc.freeze()


def _keep(client: socket.socket, server: int, handlers: _Handlers) -> None:
    """Fork a job and end with it, with its client or with the server; return in the job."""
    os.setpgid(0, 0)
    keeper = os.getpid()
    job = os.fork()
    if not job:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(1)
        client.close()
        os.close(server)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        return
    ended = os.pidfd_open(job)
    with contextlib.suppress(OSError):
        client.send(NUMBER.pack(job))
        while True:
            ready = select.select([client.fileno(), server, ended], [], [])[0]
            if ended in ready:
                _, status, used = os.wait4(job, 0)
                client.send(ENDED.pack(status, used.ru_maxrss, used.ru_utime + used.ru_stime))
                os._exit(0)
            passed_on = b"" if server in ready else client.recv(1)
            if not passed_on:
                break
            os.killpg(0, passed_on[0])
    os.killpg(0, signal.SIGKILL)


def _dress(files: list[int], arguments: list[str], environment: dict[str, str]) -> None:
    """Give this process the streams, arguments and environment of a client."""
    for standard, file in enumerate(files):
        os.dup2(file, standard)
        os.close(file)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
    sys.argv[1:] = arguments
    os.environ.clear()
    os.environ.update(environment)
