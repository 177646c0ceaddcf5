"""Jobs that start in milliseconds, forked from a server that has imported what they need.

The server lives as long as the call of Snakemake that started it (`forked.py` beside the package). A job's command is
its client: it hands over arguments, environment and standard streams and ends as the forked job ends. Whatever is not
equal for both, another interpreter, environment, code or limit, is part of the socket's name: such a client finds no
server and goes on by itself, as one without a server does.

Python's own `multiprocessing.forkserver` serves the process that started it and runs its functions: it has no client
of another process, no standard streams and no signals, and the packages that have (preloaded, forsake) leave out exit
by signal, or the death of one side. So this is what it leaves: Linux only, as for others a fork is not safe.
"""

import contextlib
import hashlib
import marshal
import os
import resource
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import NoReturn

# where jobs find the folder of the server's socket
VARIABLE = "ALTFREEZE_FORK_SERVER"
COMMAND = "fork-server"
# the kinds of jobs, each with a server
TRAINING, AFTER_TRAINING = "training", "after training"
_TRAINING = ("data", "train", "tune", "timing")
THREADS = tuple(
    f"{name}_THREADS" for name in ("OMP_NUM", "GOTO_NUM", "OPENBLAS_NUM", "MKL_NUM", "NUMEXPR_NUM", "VECLIB_MAXIMUM")
)
# shells and Jupyter count with these; none decides what an import does
_FREE = {VARIABLE, "_", "SHLVL", "PWD", "OLDPWD", "JPY_PARENT_PID", "JPY_SESSION_NAME"}
# they set one thread themselves before they import, however many processes they have
_ONE_THREAD = ("collect", "compare")
# passed on to the job; the first two may be sent by a terminal
PASSED_ON = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_SECONDS_BETWEEN_LOOKS = 1.0
NUMBER = struct.Struct("i")
_PACKAGE = Path(__file__).parents[1]


def enter() -> None:
    """Have a server fork this job, if there is one for it, and end as that ends; else return, as in a forked job."""
    if sys.argv[1:2] == [COMMAND]:
        from altfreeze.support.forkserver import serve

        serve(Path(sys.argv[2]))
    elif VARIABLE in os.environ and sys.platform == "linux" and not _may_use_gpu(sys.argv[1:]):
        _hand_over(os.environ[VARIABLE], sys.argv[1:])


def _may_use_gpu(arguments: list[str]) -> bool:
    """Return whether a job may train on a GPU, which it chooses before torch is imported."""
    if "--device" not in arguments or arguments[arguments.index("--device") + 1 :][:1] == ["cpu"]:
        return False
    return any(name.startswith("nvidia") and name[6:].isdigit() for name in os.listdir("/dev"))  # noqa: PTH208


def state(kind: str, one_thread: bool = False) -> str:
    """Return a hash of all that a server of jobs of one kind and a job that it forks must have in common.

    Parameters
    ----------
    kind : str
    one_thread : bool
        Whether the job sets its threads to one before it imports anything.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _FREE}
    if one_thread:
        environment |= dict.fromkeys(THREADS, "1")
    umask = os.umask(0o077)
    os.umask(umask)
    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    place = [str(Path.cwd()), umask, limits, sorted(os.sched_getaffinity(0)), os.nice(0)]
    place += [Path("/proc/self/cgroup").read_bytes(), os.getuid(), os.getgid()]
    interpreter = [sys.executable, sys.version, tuple(sys.flags), sys.path]
    files = []
    for top in (_PACKAGE, _PACKAGE.parent / "schemas"):
        for path in sorted(top.rglob("*")):
            if "__pycache__" not in path.parts:
                found = path.stat()
                files.append((str(path), found.st_mtime_ns, found.st_size))
    text = repr((kind, sorted(environment.items()), place, interpreter, files))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def _hand_over(folder: str, arguments: list[str]) -> None:
    """Have a job forked and end as it ends; return if there is no server for it."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    job = os.memfd_create("job")
    try:
        command = arguments[0] if arguments else ""
        kind = TRAINING if command in _TRAINING else AFTER_TRAINING
        server.connect(f"{folder}/{state(kind, command in _ONE_THREAD)}")
        os.write(job, marshal.dumps((arguments, dict(os.environ))))
        socket.send_fds(server, [b"\0"], [0, 1, 2, job])
        # while the server still imports, this waits; if that fails, it ends
        forked = server.recv(NUMBER.size)
    except OSError:
        forked = b""
    os.close(job)
    if not forked:
        server.close()
        return

    def pass_on(number: int, _: object = None) -> None:
        # once the server is gone, its jobs are too
        with contextlib.suppress(OSError):
            server.send(bytes([number]))

    def stop(*_: object) -> None:
        pass_on(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        pass_on(signal.SIGCONT)

    for number in PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, pass_on)
    signal.signal(signal.SIGTSTP, stop)
    _end_as(_status(server))


def _status(server: socket.socket) -> int:
    """Wait for the end of a job and return its status, that of a killed one if the server was killed."""
    parent = os.getppid()
    server.settimeout(_SECONDS_BETWEEN_LOOKS)
    while os.getppid() == parent:
        try:
            status = server.recv(NUMBER.size)
        except TimeoutError:
            continue
        except ConnectionError:
            status = b""
        if not status:
            print("altfreeze: the fork server was killed, and with it this job", file=sys.stderr, flush=True)
        return NUMBER.unpack(status)[0] if status else int(signal.SIGKILL)
    # whoever asked for the job is gone; the end of this process ends it
    return int(signal.SIGKILL)


def _end_as(status: int) -> NoReturn:
    """End this process with the exit status or by the signal that a job ended with."""
    if os.WIFSIGNALED(status):
        # the job has dumped its core
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))
