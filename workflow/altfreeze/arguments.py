"""What the commands of the command line take: their options, and what may stand in each."""

import argparse
import re
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from altfreeze.support.errors import InputError

# of one pack, as a study may have of a cell
MOST_SEEDS = 1_000_000


def seeds(text: str) -> range:
    """Return the seeds of a text: ``0-9``."""
    match = re.fullmatch(r"([0-9]{1,9})-([0-9]{1,9})", text)
    if not match or not 0 <= int(match[2]) - int(match[1]) < MOST_SEEDS:
        raise argparse.ArgumentTypeError(
            f"{text[:80]!r} is not allowed; allowed: FIRST-LAST, for example 0-9, {MOST_SEEDS} seeds at most"
        )
    return range(int(match[1]), int(match[2]) + 1)


def share(text: str) -> float:
    """Return a share above 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not allowed; allowed: a number above 0 to 1")
    return value


def count(text: str) -> int:
    """Return a number of 1 to 9999."""
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: 1 to 9999")
    return int(text)


def output_file(text: str) -> Path:
    """Return a file to write, which is no folder."""
    # before hours of work, not after
    if not text or Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder; allowed: a file to write")
    return Path(text)


def whole(text: str) -> int:
    """Return a whole number of at most nine digits."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: a whole number ≥ 0")
    return int(text)


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are lines of their own."""

    def error(self, message: str) -> NoReturn:
        """Print one line, not the usage."""
        raise InputError(f"{message} (see {self.prog} --help)")


class Command:
    """A command of the command line; `option` adds one of its options, needed unless it says otherwise."""

    def __init__(self, commands: Any, name: str, function: Callable[[Namespace], None], text: str) -> None:
        self.parser = commands.add_parser(name, help=text, description=text)
        self.parser.set_defaults(function=function)

    def option(self, *flags: str, **options: Any) -> None:
        self.parser.add_argument(*flags, **({"required": True} | options))

    def folders(self, *names: str, text: str) -> None:
        """Add folders, in their order and without the names of options."""
        for name in names:
            self.parser.add_argument(name, type=Path, help=text)

    def study(self) -> None:
        self.option("--study", type=Path, help="JSON: the study, as a call of Snakemake writes it")

    def machine(self) -> None:
        self.option("--device", choices=["auto", "cpu", "cuda"], help="where to train")
        self.threads("threads")

    def threads(self, of: str) -> None:
        self.option("--threads", type=count, default=1, required=False, help=f"{of} (1)")

    def cell(self) -> None:
        self.study()
        self.option("--data", type=Path, help="stored data set (npz)")
        self.option("--dataset", help="its name in the study")
        self.option("--depth", type=whole, help="number of weight layers, one of the study's")
        self.option("--strategy", help="label of a strategy of the study")
        self.option("--recipe", help="primary, or the name of a variation's: its changes, as width=16")
        self.machine()
        memory = "MiB of memory that the process may take; any without"
        self.option("--memory", type=whole, required=False, help=memory)
