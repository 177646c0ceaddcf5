"""What a person sees while the workflow runs: one line of progress, each failure once, and how it ended.

Snakemake logs events through Python's logging; a handler here counts them. The
workflow registers it in the process that a person called, never in a job's.
"""

import dataclasses
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from closing import excerpt, why_silent
from tqdm import tqdm

_NOTHING = "Nothing to be done"
# what Snakemake says beside events that a person must know
_TOLD = ("Building DAG", "SLURM run ID", _NOTHING, "Trying to restart", "Terminating processes", "Will exit after")
# what it says of a failed job beside the event, and at the end: the same in other words
_TWICE = (
    "RuleException:\nCalledProcessError",
    "Exiting because a job execution failed",
    "WorkflowError:\nAt least one job did not complete",
)
_TICK = 1.0
_AT_LEAST_EVERY = 60.0
_NAMED = 10


def duration(seconds: float, units: int = 2) -> str:
    """Return a duration in words.

    Parameters
    ----------
    seconds : float
    units : int
        How many of days, hours, minutes and seconds are told, from the first that is not zero.

    Returns
    -------
    str
        For example ``2 minutes 41 seconds``.
    """
    seconds = round(seconds)
    parts = [("day", seconds // 86400), ("hour", seconds // 3600 % 24)]
    parts += [("minute", seconds // 60 % 60), ("second", seconds % 60)]
    first = next((position for position, (_, count) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(_count(count, unit) for unit, count in parts[first : first + units] if count) or "0 seconds"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _has_lines(stream: TextIO) -> bool:
    # a pseudo-terminal of a job runner has no size, and nobody who looks at it
    return stream.isatty() and os.get_terminal_size(stream.fileno()).lines > 0


@dataclasses.dataclass
class _Failure:
    job: str | int
    what: str
    logs: list[str]
    heard: str = ""

    def __post_init__(self) -> None:
        self.said = excerpt(self.logs) or self.heard or why_silent(self.logs)


class _FailureFormatter(logging.Formatter):
    """Format a failed job briefly, and all else as Snakemake does."""

    def __init__(self, usual: logging.Formatter | None):
        super().__init__()
        self._usual = usual or logging.Formatter()
        self._shown: dict[str | int, str] = {}

    def format(self, record: logging.LogRecord) -> str:
        if not hasattr(record, "failures"):
            return self._usual.format(record)
        return "\n".join(self._block(failure) for failure in record.failures)

    def _block(self, failure: _Failure) -> str:
        if self._shown.get(failure.job) == failure.said:
            return f"Failed again, in the same way: {failure.what}"
        self._shown[failure.job] = failure.said
        indented = "\n".join(f"  {line}" for line in failure.said.splitlines())
        return "\n".join([f"Failed: {failure.what}", indented, *(f"  log: {path}" for path in failure.logs)])


class Progress(logging.Handler):
    """Count the jobs of a call of Snakemake, and show one line of progress instead of its blocks for each job.

    Parameters
    ----------
    logger : logging.Logger
        Snakemake's. If it writes to a stream in Snakemake's own way, this takes over that
        handler, unless `settings` ask for what would be hidden.
    settings : object
        Snakemake's output settings: ``printshellcmds``, ``verbose``, ``debug_dag``, ``quiet``.
    jobs : callable
        Returns the jobs that are still to do, each with ``jobid`` and ``wildcards_dict``; called once that is known.
    touches : callable
        Returns whether jobs only make their outputs look new; called once that is known.
    queued : callable
        Returns whether jobs wait in a queue elsewhere, so that nobody here knows when they end; called once that is
        known.
    ending : callable
        Returns what is printed where nothing is to be done, for which Snakemake has no hook.
    """

    # logging makes one for every handler
    lock: threading.RLock

    def __init__(
        self,
        logger: logging.Logger,
        settings: Any,
        jobs: Callable[[], Iterable[Any]],
        touches: Callable[[], bool] = lambda: False,
        queued: Callable[[], bool] = lambda: False,
        ending: Callable[[], str] = str,
    ) -> None:
        super().__init__()
        self._jobs, self._touches, self._queued, self._ending = jobs, touches, queued, ending
        # by job: its runs, its message, its rule and start, its failure, what its executor says of that
        self._runs: dict[int, int] = {}
        self._said: dict[int, str] = {}
        self._begun: dict[int | str, tuple[str, float]] = {}
        self._failed: dict[int | str, _Failure] = {}
        self._heard: dict[int | str, tuple[str, bool]] = {}
        # by rule: the number of its jobs, and the seconds of each that ended
        self._count_of: dict[str, int] = {}
        self._seconds: dict[str, list[float]] = {}
        self._total = self._runs_total = self._done = self._runs_done = self._tenths = 0
        self._called = self._started = self._printed = time.monotonic()
        self._working, self._stopping, self._ended = False, False, threading.Event()
        self._bar: tqdm | None = None
        self._stream: TextIO | None = None
        handlers: list[Any] = [handler for handler in logger.handlers if handler.name == "DefaultStreamHandler"]
        self._usual = handlers[0] if handlers else None
        quiet = {choice.name for choice in settings.quiet or ()}
        if settings.printshellcmds or settings.verbose or settings.debug_dag or quiet & {"ALL", "PROGRESS"}:
            self._usual = None
        if self._usual:
            self._stream = self._usual.stream
            self._usual.setFormatter(_FailureFormatter(self._usual.formatter))
            logger.removeHandler(self._usual)
        logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Count an event of Snakemake and show what it changes.

        Parameters
        ----------
        record : logging.LogRecord
        """
        event = getattr(record, "event", None)
        note = getattr(self, f"_note_{event}", None)
        self._stopping |= event is None and str(record.msg).startswith("Terminating processes")
        try:
            if note:
                note(record)
            if self._usual and self._is_told(record, event):
                self._hide()
                self._usual.handle(record)
            if event is None and str(record.msg).startswith(_NOTHING):
                print(self._ending(), end="", file=sys.stderr, flush=True)
            if event in {"job_finished", "job_error", "group_error"}:
                self._show()
        except Exception:
            self.handleError(record)

    def hear(self, job: int | str, said: str, submitted: bool) -> None:
        """Keep what an executor says of a job or group that failed, whose failure is then logged without it.

        Parameters
        ----------
        job : int or str
            Number of the job, or name of the group.
        said : str
        submitted : bool
            Whether it had been submitted; if not, its logs are of another attempt.
        """
        self._heard[job] = (said, submitted)

    def close(self) -> None:
        """Take the line away and end."""
        self._end()
        if self._usual:
            self._usual.close()
        super().close()

    def _is_told(self, record: logging.LogRecord, event: str | None) -> bool:
        if not self._working:
            return True
        if hasattr(record, "failures"):
            return bool(record.failures)
        if record.levelno > logging.INFO:
            return not str(record.msg).startswith(_TWICE)
        return event is None and str(record.msg).startswith(_TOLD)

    # Snakemake's events: what each changes

    def _note_workflow_started(self, record: Any) -> None:
        self._working = True

    def _note_run_info(self, record: Any) -> None:
        self._started = self._printed = time.monotonic()
        self._count_of = {rule: count for rule, count in record.stats.items() if rule != "total"}
        self._total = record.stats["total"]
        # to touch is not to train
        for job in () if self._touches() else self._jobs():
            first, _, last = job.wildcards_dict.get("seeds", "").partition("-")
            if last:
                self._runs[job.jobid] = int(last) - int(first) + 1
        self._runs_total = sum(self._runs.values())
        if self._stream:
            trained = f", {_count(self._runs_total, 'run')} to train" if self._runs_total else ""
            self._write(f"{_count(self._total, 'job')}{trained} (snakemake --printshellcmds shows each job)")
            if _has_lines(self._stream):
                # the line is cut at the window's width, and taken away at the end
                self._bar = tqdm(
                    total=self._total, file=self._stream, leave=False, dynamic_ncols=True, bar_format="{bar:20} {desc}"
                )
                threading.Thread(target=self._tick, daemon=True).start()

    def _note_job_info(self, record: Any) -> None:
        self._said[record.jobid] = record.rule_msg
        self._begun[record.jobid] = (record.rule_name, time.monotonic())
        self._failed.pop(record.jobid, None)

    def _note_group_info(self, record: Any) -> None:
        self._failed.pop(record.group_id, None)

    def _note_job_finished(self, record: Any) -> None:
        # counted here: under --until, the total that Snakemake tells with its progress is another than that of its jobs
        self._done += 1
        self._runs_done += self._runs.get(record.job_id, 0)
        if record.job_id in self._begun:
            rule, begun = self._begun.pop(record.job_id)
            self._seconds.setdefault(rule, []).append(time.monotonic() - begun)

    def _note_job_error(self, record: Any) -> None:
        # the jobs of a group that failed come with the group
        self._note_failures(record, [] if record.indent else [vars(record)])

    def _note_group_error(self, record: Any) -> None:
        # which of them failed, a group does not tell: those that had something to say
        submitted = self._heard.get(record.groupid, ("", True))[1]
        jobs = [job for job in record.job_error_info if submitted and excerpt(job["log"])]
        name = f"a group of {_count(len(record.job_error_info), 'job')}"
        group = {"jobid": record.groupid, "rule_name": name, "log": record.aux_logs}
        self._note_failures(record, jobs or [group])

    def _note_failures(self, record: Any, jobs: list[dict[str, Any]]) -> None:
        failures = []
        for job in jobs:
            heard, submitted = self._heard.pop(job["jobid"], ("", True))
            logs = list(job["log"]) if submitted else []
            failures.append(_Failure(job["jobid"], self._describe(job), logs, heard))
        # Ctrl-C reaches the jobs too, whatever they say of it
        interrupted = [failure for failure in failures if self._stopping or failure.said.endswith("KeyboardInterrupt")]
        record.failures = [failure for failure in failures if failure not in interrupted]
        for failure in record.failures:
            self._begun.pop(failure.job, None)
            self._failed[failure.job] = failure

    # the line

    def _describe(self, job: dict[str, Any]) -> str:
        return self._said.get(job["jobid"]) or job["rule_name"]

    def _left(self) -> float | None:
        """Return the estimated seconds left: a job takes as long as its rule's, or all, did on average so far."""
        finished = [seconds for rule in self._seconds.values() for seconds in rule]
        # a batch system tells of a job neither when it begins nor how many run at once
        if not finished or self._done == self._total or self._queued():
            return None
        now = time.monotonic()
        overall = sum(finished) / len(finished)
        mean = {rule: sum(seconds) / len(seconds) for rule, seconds in self._seconds.items()}
        remaining = {rule: count - len(self._seconds.get(rule, ())) for rule, count in self._count_of.items()}
        left = sum(count * mean.get(rule, overall) for rule, count in remaining.items())
        running = [(mean.get(rule, overall), now - begun) for rule, begun in self._begun.values()]
        left -= sum(min(usual, spent) for usual, spent in running)
        at_a_time = (sum(finished) + sum(spent for _, spent in running)) / (now - self._started)
        return left / at_a_time

    def _line(self) -> str:
        parts = [f"{self._done:,} of {_count(self._total, 'job')}"]
        if self._runs_total:
            parts.append(f"{self._runs_done:,} of {_count(self._runs_total, 'run')} trained")
        left = self._left()
        if left is not None:
            parts.append(f"about {duration(left, 1)} left")
        if self._failed:
            parts.append(f"{len(self._failed):,} failed")
        return ", ".join(parts)

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.n = self._done
            self._bar.set_description_str(self._line(), refresh=True)
        elif self._stream and self._done and not self._ended.is_set():
            tenths, now = 10 * self._done // self._total, time.monotonic()
            if tenths > self._tenths or now - self._printed >= _AT_LEAST_EVERY:
                self._tenths, self._printed = tenths, now
                self._write(self._line())

    def _tick(self) -> None:
        while not self._ended.wait(_TICK):
            with self.lock:
                if self._bar is not None:
                    self._show()

    def _hide(self) -> None:
        if self._bar is not None:
            self._bar.clear()

    def _write(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def _end(self) -> None:
        self._ended.set()
        with self.lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    # the end

    def _so_far(self) -> str:
        # asked for quiet, Snakemake tells of no job that ended
        left = {job.jobid for job in self._jobs()}
        trained = sum(runs for job, runs in self._runs.items() if job not in left)
        done = f"{self._total - len(left):,} of {_count(self._total, 'job')}"
        done += " touched, nothing run" if self._touches() else ""
        done += f", {_count(trained, 'run')} trained" if self._runs_total else ""
        return f"{done}, {duration(time.monotonic() - self._called)}"

    def success(self) -> str:
        """Take the line away and return how much was done, in how long.

        Returns
        -------
        str
        """
        self._end()
        return f"Done: {self._so_far()}."

    def failure(self, logs: Iterable[str], keep_going: bool, heal: str = "") -> str:
        """Take the line away and return what was done, what failed and what to do next.

        Parameters
        ----------
        logs : iterable of str
            Log files of Snakemake.
        keep_going : bool
            Whether the jobs that do not need a failed one were done all the same.
        heal : str
            What must be done first, if anything.

        Returns
        -------
        str
            A few lines.
        """
        self._end()
        lines = [f"Stopped: {self._so_far()}."]
        advice = "give the same command again: what is done stays done."
        advice = f"{heal}; then {advice}" if heal else advice
        if self._failed:
            lines[0] = f"Stopped: {self._so_far()}; {_count(len(self._failed), 'job')} failed:"
            named = list(self._failed.values())[:_NAMED]
            lines += [f"  {failure.what}: {', '.join(failure.logs) or failure.said}" for failure in named]
            if len(self._failed) > _NAMED:
                lines.append(f"  and {len(self._failed) - _NAMED:,} more")
            advice = f"Mend what {'the logs name' if any(each.logs for each in named) else 'is said'}, then {advice}"
            if not keep_going:
                advice += " With --keep-going, a failed job stops only what needs it."
        lines.append(f"{advice[0].upper()}{advice[1:]}")
        lines += [f"All that Snakemake said: {path}" for path in logs]
        return "\n".join(lines)
