"""The clock of a training, off which evaluation and logging are kept."""

import contextlib
import time
from collections.abc import Callable, Iterator

import torch


class Clock:
    """Seconds of training: what runs between `start` and `stop`, summed."""

    def __init__(self, device: torch.device) -> None:
        self.wait: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
        self.seconds = 0.0

    def start(self, wait: bool = True) -> None:
        """Let the clock run, once the device has finished what it does before, if `wait`."""
        if wait:
            self.wait()
        self.started = time.perf_counter()

    def stop(self, wait: bool = True) -> None:
        """Stop the clock, once the device has finished, if `wait`."""
        if wait:
            self.wait()
        self.seconds += time.perf_counter() - self.started

    @contextlib.contextmanager
    def paused(self, wait: bool = True) -> Iterator[None]:
        """Keep what runs inside off the clock.

        Parameters
        ----------
        wait : bool
            Whether to wait for the device before and after. Without, its queue stays filled,
            and only the host's part of what runs inside is off the clock.
        """
        self.stop(wait)
        yield
        self.start(wait)
