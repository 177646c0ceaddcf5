"""The state of a training in a file, so that a job that was killed goes on from there."""

import contextlib
import hashlib
import io
import os
import sys
from pathlib import Path

import torch

from altfreeze.files import atomic_output, remove_leftovers


def encode(state):
    """Return a state as bytes.

    Parameters
    ----------
    state : dict
        Of tensors and Python's own plain values, nested at will.

    Returns
    -------
    bytes
        The SHA-256 of all that follows, then what `torch.save` writes, which has no
        checksum of its own.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    return hashlib.sha256(content).digest() + content


def decode(content):
    """Return the state that `encode` made bytes of, its tensors on the CPU.

    Raises
    ------
    ValueError
        If the bytes are not what was written.
    """
    if hashlib.sha256(memoryview(content)[32:]).digest() != content[:32]:
        raise ValueError("its content is not what was written")
    return torch.load(io.BytesIO(memoryview(content)[32:]), map_location="cpu", weights_only=True)


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
            saved = decode(self.path.read_bytes())
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
                file.write(encode({"job": self.job, "state": state}))
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
