"""What a call says at its end beside what it did: the report's answer, why a job failed without a word, what heals.

The answer is printed only where the report is that of the study as it is configured.
"""

import itertools
import json
import os
import shlex
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# of the configuration, what changes no result
UNDECIDING = ("checkpoint_seconds", "fork")
# of a disk, where it counts as full: a job may have needed them
_FEW_BYTES = 64 * 2**20
# by which clocks of several machines may differ
_SKEW_SECONDS = 2.0
# of a log, how many lines are shown
_EXCERPT = 15
# where a terminal does not tell its width
_NO_WIDTH = 80


def last_lines(config: Mapping[str, Any], packs: Iterable[str]) -> str:
    """Return the answer of the report and where it is.

    Parameters
    ----------
    config : mapping
        The complete configuration.
    packs : iterable of str
        Paths of what trainings write, below ``runs`` and without suffix.

    Returns
    -------
    str
        The answer is left out unless the report is made of what there is, and of this configuration. Empty without
        a report.
    """
    results = Path(config["results"])
    report = results / "report.html"
    if not report.is_file():
        return ""
    path = report.resolve()
    if not _is_of(results / "tables" / "study.json", config):
        return f"The report is of another configuration than this one (after --touch, --forceall makes it anew): {path}"
    if not _is_newest(results, report, packs):
        return f"The report is older than what it is made of: {path}"
    answer = (results / "answer.txt").read_text(encoding="utf-8").strip()
    return f"{wrapped(answer)}\n\nThe report: {path}"


def _is_of(record: Path, config: Mapping[str, Any]) -> bool:
    """Return whether the tables were made of a configuration."""
    try:
        recorded = json.loads(record.read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    decides = {key: value for key, value in config.items() if key not in UNDECIDING}
    # as the record was written, so that tuples are lists and keys are texts
    decides = json.loads(json.dumps(decides))
    return {key: value for key, value in recorded.items() if key not in UNDECIDING} == decides


def _is_newest(results: Path, report: Path, packs: Iterable[str]) -> bool:
    """Return whether all is there, in the order in which it is made: runs, tables, report."""
    tables = results / "tables"
    collected = tables / "study.json"
    try:
        collected_at, made_at = collected.stat().st_mtime_ns, report.stat().st_mtime_ns
        trained = max((results / "runs" / f"{pack}.json").stat().st_mtime_ns for pack in packs)
        newest = max(path.stat().st_mtime_ns for path in tables.iterdir())
        return trained <= collected_at and newest <= made_at and (results / "answer.txt").is_file()
    except OSError:
        return False


def wrapped(text: str) -> str:
    """Return a text broken at words where it is read on a terminal, as it is elsewhere.

    Parameters
    ----------
    text : str
    """
    if not sys.stderr.isatty():
        return text
    width = os.get_terminal_size(sys.stderr.fileno()).columns or _NO_WIDTH
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def excerpt(logs: Iterable[str | Path]) -> str:
    """Return what the logs of a job say of its failure.

    Parameters
    ----------
    logs : iterable of path
        The rule's own log, and on a cluster that of its scheduler; one that is missing counts as empty.

    Returns
    -------
    str
        The lines that the package ends with on mistakes that it knows, or else the last
        lines of each log; empty if all are.
    """
    ends = []
    for path in logs:
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        mistakes = list(itertools.takewhile(lambda line: line.startswith("altfreeze: "), reversed(lines)))
        if mistakes:
            return "\n".join(reversed(mistakes))
        ends += lines[-_EXCERPT:]
    return "\n".join(ends)


def why_silent(logs: Iterable[Path | str]) -> str:
    """Return why a job that failed may have left an empty log.

    Parameters
    ----------
    logs : iterable of path

    Returns
    -------
    str
        That the disk is full, if it is.
    """
    for folder in {Path(log).resolve().parent for log in logs}:
        there = next(place for place in (folder, *folder.parents) if place.is_dir())
        free = shutil.disk_usage(there).free
        if free < _FEW_BYTES:
            return f"(its log is empty, and the disk of {there} is full: {free // 2**20} MiB are left; make room there)"
    return "(its log is empty: it was killed, or could not start)"


def clock_advice(results: Path | str) -> str:
    """Return what heals a folder of results that has files of the future, which fail all that is made of them.

    Parameters
    ----------
    results : path

    Returns
    -------
    str
        Empty where there are none.
    """
    now = time.time() + _SKEW_SECONDS
    later = [path for path in Path(results).rglob("*") if path.is_file() and path.stat().st_mtime > now]
    if not later:
        return ""
    heal = f"find {shlex.quote(str(results))} -newermt now -exec touch {{}} +"
    count = f"{len(later)} files are" if len(later) > 1 else "1 file is"
    return (
        f"{count} newer than now, as the clock went back: {later[0]}; set the clock right and make them old by {heal}"
    )
