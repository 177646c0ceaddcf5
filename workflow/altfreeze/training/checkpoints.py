"""The state of a training in a file, so that a job that was killed goes on from there."""

import contextlib
import hashlib
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import IO, Any, cast

import torch

from altfreeze.support.files import atomic_output, remove_leftovers

# bytes of a SHA-256
_DIGEST = 32
# to write into a folder that others remove
_TRIES = 100


class _Hashed:
    """A file that is only written to, and the SHA-256 of what was."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.flush = file.flush

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return self.file.write(content)


def write_state(file: IO[bytes], state: dict[str, Any]) -> None:
    """Write a state to a file, without a second copy of it in memory.

    What `torch.save` writes has no checksum of its own, so its SHA-256 follows it.

    Parameters
    ----------
    file : binary file object
    state : dict
        Of tensors and Python's own plain values, nested at will.
    """
    hashed = _Hashed(file)
    torch.save(state, cast(IO[bytes], hashed))
    file.write(hashed.digest.digest())


def read_state(content: bytes) -> dict[str, Any]:
    """Return the state that `write_state` wrote, its tensors on the CPU.

    Parameters
    ----------
    content : bytes

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If the bytes are not what was written.
    """
    view = memoryview(content)
    if hashlib.sha256(view[:-_DIGEST]).digest() != view[-_DIGEST:]:
        raise ValueError("its content is not what was written")
    return torch.load(io.BytesIO(view[:-_DIGEST]), map_location="cpu", weights_only=True)


class Checkpoint:
    """Where, how often and for which job the state of a training is kept, and how often that job was started.

    What goes wrong with a checkpoint is one line on standard error and no reason to end a
    job: one that cannot be used is refused, and one that cannot be written is left out.

    Parameters
    ----------
    path : path, optional
        The file; without it, nothing is kept or read. Starts are counted in a file beside it.
    seconds : float
        Seconds of wall time between two checkpoints; 0 for none.
    job : dict
        All that decides the bits that a training ends with, by name, as JSON values: a
        checkpoint of another job is refused.
    """

    def __init__(self, path: str | Path | None = None, seconds: float = 0, job: dict[str, Any] | None = None) -> None:
        self.path = Path(path) if path else None
        self.seconds = seconds if path else 0
        self.job = job or {}
        self.last = time.monotonic()

    def count_start(self) -> int:
        """Note that the job starts, and return how often it did since it was last done.

        Returns
        -------
        int
            At least 1; always 1 without a path.
        """
        if self.path is None:
            return 1
        name = hashlib.sha256(json.dumps(self.job, sort_keys=True).encode()).hexdigest()
        reason: OSError | None = None
        # other jobs that are done remove the folder while it is empty
        for _ in range(_TRIES):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with open(self._starts(self.path), "a+", encoding="utf-8") as file:
                    file.write(f"{name}\n")
                    file.seek(0)
                    # starts of another job that was never done are of no account
                    return file.read().split().count(name)
            except OSError as error:
                reason = error
        self._say(f"keeps no count of starts: {reason}")
        return 1

    def load(self) -> dict[str, Any] | None:
        """Return the state that was saved last, or None where there is none that can be used."""
        if self.path is None:
            return None
        try:
            saved = read_state(self.path.read_bytes())
            others = [name for name, value in self.job.items() if saved["job"].get(name) != value]
            state = saved["state"]
        except FileNotFoundError:
            return None
        # whatever a file that was not written here holds, the job can start anew
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        else:
            if not others:
                return state
            reason = f"it is of another job, with other {', '.join(others)}"
        self._say(f"refused: {reason}; training starts anew")
        return None

    def is_due(self) -> bool:
        """Return whether the last checkpoint, or the start of the job, is as long ago as was asked for."""
        return self.seconds > 0 and time.monotonic() - self.last >= self.seconds

    def save(self, state: dict[str, Any]) -> None:
        """Keep a state in the place of the one before, or leave that where it cannot be written."""
        if self.path is None:
            return
        try:
            with atomic_output(self.path, "wb") as file:
                write_state(file, {"job": self.job, "state": state})
        except OSError as error:
            self._say(f"not written: {error}; training goes on")
        self.last = time.monotonic()

    def remove(self) -> None:
        """Remove what was kept, once the job's outputs are whole, and the folders that are empty then."""
        if self.path is None:
            return
        try:
            self.path.unlink(missing_ok=True)
            self._starts(self.path).unlink(missing_ok=True)
            remove_leftovers(self.path)
        except FileNotFoundError:
            # another job has removed the folder, empty as it was
            return
        except OSError as error:
            self._say(f"not removed: {error}")
        with contextlib.suppress(OSError):
            os.removedirs(self.path.parent)

    @staticmethod
    def _starts(path: Path) -> Path:
        """Return the file with one line for each start of a job."""
        return path.with_suffix(".starts")

    def _say(self, sentence: str) -> None:
        print(" ".join(f"checkpoint {self.path} {sentence}".split()), file=sys.stderr)
