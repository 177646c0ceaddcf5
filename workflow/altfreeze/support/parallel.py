"""Work that is done by several processes and comes back in its order."""

import collections
import contextlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from altfreeze.support.errors import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")

# a process takes two seconds to start: fewer tasks than this are done sooner by one
FEWEST_TASKS = 64
# results that wait for their turn, for each process
AHEAD = 4


def in_order(function: Callable[[Task], Result], tasks: Sequence[Task], threads: int) -> Iterator[Result]:
    """Yield what a function returns for each task, in the order of the tasks.

    Parameters
    ----------
    function : callable
        Of a module; its result depends on the task alone.
    tasks : sequence
        What a process is handed; few tasks are done by the calling process itself.
    threads : int
        Processes at work; no result depends on it.

    Yields
    ------
    object

    Raises
    ------
    InputError
        That of the first task that has one, or if a process was killed.
    """
    if threads == 1 or len(tasks) < FEWEST_TASKS:
        yield from map(function, tasks)
        return
    # spawned, not forked: a fork of a process with threads, as of Arrow's, may hang
    pool = ProcessPoolExecutor(threads, mp_context=multiprocessing.get_context("spawn"))
    waiting: collections.deque[Future[Result]] = collections.deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) > AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise InputError("a process was killed, perhaps for want of memory; ask for more, or for --threads 1") from None
    finally:
        with contextlib.suppress(BrokenProcessPool):
            pool.shutdown(cancel_futures=True)
