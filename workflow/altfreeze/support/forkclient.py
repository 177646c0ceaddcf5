"""Jobs that start in milliseconds, forked from a server that has imported what they need.

The server lives as long as the call of Snakemake that started it (`forked.py` beside the package). A job's command is
its client: it hands over arguments, environment and standard streams and ends as the forked job ends. One whose
interpreter, environment, folder or code is not the server's goes on by itself, as one without a server does.

Python's own `multiprocessing.forkserver` serves the process that started it and runs its functions: it has no client
of another process, no standard streams, no signals and no end by signal.

Each job starts a client, so that this module imports little: without `pathlib`, `typing` and `hashlib` it takes half
of the time.
"""
# ruff: noqa: PTH109, PTH110, PTH120, PTH208, PTH211

import contextlib
import marshal
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator

# where jobs find the folder of the server's socket
VARIABLE = "ALTFREEZE_FORK_SERVER"
COMMAND = "fork-server"
SOCKET = "socket"
# what a command imports; timing is not here, so that its process is as it was
IMPORTED: dict[str, tuple[str, ...]] = {
    "data": ("data.dataset", "data.sources"),
    "train": ("training.job", "training.tuning"),
    "tune": ("training.job",),
    "collect": ("tables.collect",),
    "compare": ("comparison.compare",),
    "notebook": ("report.notebook_pages",),
    "kernel": ("report.kernels", "report.page", "report.blocks.schedules", "training.trainer"),
    "page": ("report.notebook_pages",),
    "report": ("report.page",),
}
THREADS = tuple(
    f"{name}_THREADS" for name in ("OMP_NUM", "GOTO_NUM", "OPENBLAS_NUM", "MKL_NUM", "NUMEXPR_NUM", "VECLIB_MAXIMUM")
)
# they set one thread themselves before they import, however many processes they have
_ONE_THREAD = ("collect", "compare")
# shells and Jupyter count with these; none decides what an import does
_FREE = {VARIABLE, "_", "SHLVL", "PWD", "OLDPWD", "JPY_PARENT_PID", "JPY_SESSION_NAME"}
# passed on to the job; some may be sent by a terminal
PASSED_ON = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
NUMBER = struct.Struct("i")
# a job's status, the most memory that it had, in KiB, and the seconds of a core that it took
ENDED = struct.Struct("=iqd")
SECONDS_BETWEEN_LOOKS = 1.0
_PACKAGE = os.path.dirname(os.path.dirname(__file__))


def enter() -> Callable[[], None]:
    """Have a server fork this job, if there is one for it, and end as that ends; else return, as in a forked job.

    Returns
    -------
    callable
        To be called where the job has done all that it does.
    """
    arguments = sys.argv[1:]
    if arguments[:1] == [COMMAND]:
        from altfreeze.support.forkserver import leave, serve

        serve(int(arguments[1]), arguments[2])
        return leave
    if VARIABLE in os.environ and arguments and arguments[0] in IMPORTED and not _may_use_gpu(arguments):
        _hand_over(os.environ[VARIABLE], arguments)
    return lambda: None


def _may_use_gpu(arguments: list[str]) -> bool:
    # a job chooses its GPU before torch is imported
    if "--device" not in arguments or "cpu" in arguments:
        return False
    return any(name.startswith("nvidia") and name[6:7].isdigit() for name in os.listdir("/dev"))


def state(one_thread: bool = False) -> str:
    """Return all that a server and a job that it forks must have in common.

    Parameters
    ----------
    one_thread : bool
        Whether the job sets its threads to one before it imports anything.

    Returns
    -------
    str
        Environment, folder, interpreter, and each file of the package with its size and time.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _FREE}
    if one_thread:
        environment |= dict.fromkeys(THREADS, "1")
    files = [file for top in (_PACKAGE, f"{os.path.dirname(_PACKAGE)}/schemas") for file in _files(top)]
    return repr((sorted(environment.items()), os.getcwd(), sys.executable, tuple(sys.flags), sys.path, sorted(files)))


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir():
                found = entry.stat()
                yield entry.path, found.st_mtime_ns, found.st_size
            # a folder changes as its files are compiled
            elif entry.name != "__pycache__":
                yield from _files(entry.path)


def _hand_over(folder: str, arguments: list[str]) -> None:
    """Have a job forked and end as it ends; return if there is no server for it."""
    keeper = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    job = b""
    with contextlib.suppress(OSError):
        message = marshal.dumps((state(arguments[0] in _ONE_THREAD), arguments, dict(os.environ)))
        keeper.connect(f"{folder}/{SOCKET}")
        socket.send_fds(keeper, [message], [0, 1, 2])
        # while the server still imports, this waits; if that fails, it ends
        job = keeper.recv(NUMBER.size)
    if not job:
        keeper.close()
        # which a server removes as its call ends: nobody waits for this job, and the next call may start it too
        if not os.path.exists(folder):
            sys.exit("altfreeze: the call of Snakemake that this job is of has ended")
        return

    def pass_on(number: int, _: object = None) -> None:
        # once the keeper is gone, the job is too
        with contextlib.suppress(OSError):
            keeper.send(bytes([number]))

    def stop(*_: object) -> None:
        pass_on(signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGSTOP)
        pass_on(signal.SIGCONT)

    for number in PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, pass_on)
    signal.signal(signal.SIGTSTP, stop)
    # what is measured of this process is that job's
    link = f"{folder}/{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(link)
    with contextlib.suppress(OSError):
        os.symlink(str(NUMBER.unpack(job)[0]), link)
    status, *used = _end_of_job(keeper)
    with contextlib.suppress(OSError):
        os.unlink(link)
        with open(f"{folder}/{os.getppid()}.used", "w", encoding="utf-8") as file:
            file.write("{} {}".format(*used))
    _end_as(status)


def _end_of_job(keeper: socket.socket) -> tuple[int, int, float]:
    """Wait for the end of a job and return what `ENDED` holds, the status of a killed one if the server was killed."""
    parent = os.getppid()
    keeper.settimeout(SECONDS_BETWEEN_LOOKS)
    # a kernel outlives whoever asked for it, unless this process, by its end, ends it
    while os.getppid() == parent:
        try:
            if ended := keeper.recv(ENDED.size):
                return ENDED.unpack(ended)
        except TimeoutError:
            continue
        except ConnectionError:
            pass
        print("altfreeze: the fork server was killed, and with it this job", file=sys.stderr, flush=True)
        break
    return int(signal.SIGKILL), 0, 0.0


def _end_as(status: int) -> None:
    """End this process with the exit status or by the signal that a job ended with."""
    if os.WIFSIGNALED(status):
        # the job has dumped its core
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))
