"""GPUs of this machine, one for each job; without torch, which sees the choice only before it is imported."""

import fcntl
import os
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from altfreeze.support.errors import InputError

SECONDS_BETWEEN_TRIES = 0.5
# open files whose locks hold until this process ends, however it ends
_claimed: list[IO[str]] = []


def visible_gpus(environment: Mapping[str, str] = os.environ, folder: str | Path = "/dev") -> list[str]:
    """Return the names of the GPUs that this process may use.

    Parameters
    ----------
    environment : mapping
        Its CUDA_VISIBLE_DEVICES, where it is set, names them by number or identifier; as
        for CUDA, what follows an invalid name does not count.
    folder : path
        Where NVIDIA's driver shows its devices, one file each.

    Returns
    -------
    list of str
    """
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(number) for number in range(sum(1 for _ in Path(folder).glob("nvidia[0-9]*")))]
    names = []
    for name in map(str.strip, named.split(",")):
        if not re.fullmatch(r"\d+|(GPU|MIG)-\S+", name):
            break
        names.append(name)
    return names


def lock_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the lock files, which is this user's own.

    The GPUs of a Slurm job are its own and may be numbered from 0 in each job, so the locks
    are those of one Slurm job too.

    Parameters
    ----------
    environment : mapping

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If the folder belongs to someone else.
    """
    job = environment.get("SLURM_JOB_ID")
    name = f"altfreeze-gpus-{os.getuid()}" + (f"-{job}" if job else "")
    folder = Path(tempfile.gettempdir()) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise InputError(f"{folder}: the folder for the locks of GPUs belongs to another user; allowed: remove it")
    return folder


def claim(names: Sequence[str], folder: str | Path) -> str:
    """Take one of several devices for this process alone; wait while all are taken.

    Parameters
    ----------
    names : sequence of str, not empty
        Devices to choose from.
    folder : path
        Where each device has a lock file. The kernel frees a lock when the process that
        holds it ends, so a killed job leaves none behind.

    Returns
    -------
    str
        Name of the device that was free.
    """
    waited = False
    while True:
        for name in names:
            file = open(Path(folder) / f"{name.replace('/', '-')}.lock", "a", encoding="utf-8")  # noqa: SIM115 it stays open
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            _claimed.append(file)
            return name
        if not waited:
            print(f"GPU {', '.join(names)}: taken by other jobs; waits until one is free", file=sys.stderr, flush=True)
            waited = True
        time.sleep(SECONDS_BETWEEN_TRIES)


def claim_gpu(device: str) -> None:
    """Let this process see one GPU that no other job of this user computes on; call it before torch is imported.

    Parameters
    ----------
    device : {'auto', 'cpu', 'cuda'}
        Nothing is claimed for the CPU, or where there is no GPU.

    Raises
    ------
    InputError
        See `lock_folder`.
    """
    names = visible_gpus() if device != "cpu" else []
    if names:
        os.environ["CUDA_VISIBLE_DEVICES"] = claim(names, lock_folder())
