"""The state of a training in a file, so that a job that was killed goes on from there."""

import contextlib
import hashlib
import io
import os
import sys
from pathlib import Path

import torch

from altfreeze.support.files import atomic_output, remove_leftovers

# bytes of a SHA-256
_DIGEST = 32


class _Hashed:
    """A file that is only written to, and the SHA-256 of what was."""

    def __init__(self, file):
        self.file = file
        self.digest = hashlib.sha256()
        self.flush = file.flush

    def write(self, content):
        self.digest.update(content)
        return self.file.write(content)


def write_state(file, state):
    """Write a state to a file, without a second copy of it in memory.

    What `torch.save` writes has no checksum of its own, so its SHA-256 follows it.

    Parameters
    ----------
    file : binary file object
    state : dict
        Of tensors and Python's own plain values, nested at will.
    """
    hashed = _Hashed(file)
    torch.save(state, hashed)
    file.write(hashed.digest.digest())


def read_state(content):
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
    content = memoryview(content)
    if hashlib.sha256(content[:-_DIGEST]).digest() != content[-_DIGEST:]:
        raise ValueError("its content is not what was written")
    return torch.load(io.BytesIO(content[:-_DIGEST]), map_location="cpu", weights_only=True)


class Checkpoint:
    """Where, how often and for which job the state of a training is kept.

    What goes wrong with a checkpoint is one line on standard error and no reason to end a
    job: one that cannot be used is refused, and one that cannot be written is left out.

    Parameters
    ----------
    path : path, optional
        The file; without it, nothing is kept or read.
    every : int
        Epochs between two checkpoints; 0 for none.
    job : dict
        All that decides the bits that a training ends with, by name: a checkpoint of
        another job is refused.
    """

    def __init__(self, path=None, every=0, job=None):
        self.path = Path(path) if path else None
        self.every = every if path else 0
        self.job = job or {}

    def load(self):
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

    def save(self, state):
        """Keep a state in the place of the one before, or leave that where it cannot be written."""
        try:
            with atomic_output(self.path, "wb") as file:
                write_state(file, {"job": self.job, "state": state})
        except OSError as error:
            self._say(f"not written: {error}; training goes on")

    def remove(self):
        """Remove what was kept, once the job's outputs are whole, and the folders that are empty then."""
        if self.path is None:
            return
        try:
            self.path.unlink(missing_ok=True)
            remove_leftovers(self.path)
        except OSError as error:
            self._say(f"not removed: {error}")
        with contextlib.suppress(OSError):
            os.removedirs(self.path.parent)

    def _say(self, sentence):
        print(" ".join(f"checkpoint {self.path} {sentence}".split()), file=sys.stderr)
