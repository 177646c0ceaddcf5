"""What keeps calls of the workflow apart, and one in order when it is interrupted.

A folder of results has one call at a time: it holds a lock that the system releases when its holder dies. Snakemake's
own locks are files of the clone: the first call to end deletes those of all others, and a killed one leaves its own. So
profiles/default switches them off, and this stands in their place.
"""

import atexit
import contextlib
import fcntl
import os
import signal
from pathlib import Path
from typing import Any

from altfreeze.support.errors import InputError

NAME = ".lock"
_SENT = ", which sent jobs elsewhere"


def unusable_place(clone: Path | str, here: Path | str = ".") -> str:
    """Return why the workflow cannot work where it lies or is called, which Snakemake would tell in a traceback.

    Parameters
    ----------
    clone : path
        Folder of the workflow.
    here : path
        Folder of the call, where Snakemake keeps its records.

    Returns
    -------
    str
        Empty where it can.
    """
    if set("{}") & set(str(clone)):
        return f"{clone}: its name has a brace, which Snakemake takes for a wildcard; move the clone to another folder"
    records = Path(here, ".snakemake")
    if not os.access(records if records.exists() else here, os.W_OK | os.X_OK):
        return (
            f"{records.absolute()}: this user may not write there, and Snakemake keeps its records there; call it in a "
            "clone of your own"
        )
    return ""


def hold(results: Path | str, sends_jobs: bool = False) -> None:
    """Lock a folder of results for the rest of this process.

    Nothing is locked where the folder cannot be written, which the first output will tell, and where its file system
    knows no locks.

    Parameters
    ----------
    results : path
        It is made if it is not there.
    sends_jobs : bool
        Whether jobs run elsewhere, so that they outlive this process if it is killed: then its name stays in the file.

    Raises
    ------
    InputError
        With one line, if another process has locked it, or one that sent jobs elsewhere was killed.
    """
    path = Path(results, NAME)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # it stays open; children do not inherit it, so that their lives do not count
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return
    holder = os.read(file, 1000).decode(errors="replace")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise InputError(
            f"{results}: another call works on this folder of results{f' ({holder})' if holder else ''}; wait for its "
            "end, or give this study a folder of its own: results"
        ) from None
    except OSError:
        os.close(file)
        return
    if holder.endswith(_SENT):
        os.close(file)
        raise InputError(
            f"{path}: a call that was killed ({holder}) may have left jobs in the queue; cancel them, then delete this "
            "file and call again"
        )
    with contextlib.suppress(OSError):
        os.ftruncate(file, 0)
        os.write(file, f"process {os.getpid()} on {os.uname().nodename}{_SENT if sends_jobs else ''}".encode())
        atexit.register(os.ftruncate, file, 0)


def interrupt_once() -> None:
    """Let Ctrl-C stop this process once: while jobs are ended, Snakemake stands no second one, and a third ends all."""
    presses = 0

    def interrupted(*_: Any) -> None:
        nonlocal presses
        presses += 1
        if presses == 1:
            raise KeyboardInterrupt
        if presses > 2:
            os._exit(128 + signal.SIGINT)
        # not by print, which may be what was interrupted
        os.write(2, b"\nThe jobs that run are being ended; once more, and this call ends without waiting for them.\n")

    signal.signal(signal.SIGINT, interrupted)
    # Python takes its handlers away before it has ended, and a press then would end it by signal
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
