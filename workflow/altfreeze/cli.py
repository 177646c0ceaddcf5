"""Command line: `python -m altfreeze COMMAND`; the rules of the workflow call nothing else."""

import argparse
import json
import math
import os
import re
import sys
from pathlib import Path

from altfreeze.support.errors import InputError
from altfreeze.training.gpu import claim_gpu

# of one pack; the schema of the configuration says the same
MOST_SEEDS = 1_000_000


def _json(text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{text[:80]!r} is not JSON: {error}") from None


def _study(arguments):
    from altfreeze.study.configuration import validate
    from altfreeze.study.grid import Study

    return Study(validate(_json(arguments.study), origin="--study"))


def _seeds(text):
    match = re.fullmatch(r"([0-9]{1,9})-([0-9]{1,9})", text)
    if not match or not 0 <= int(match[2]) - int(match[1]) < MOST_SEEDS:
        raise InputError(
            f"--seeds: {text[:80]!r} is not allowed; allowed: FIRST-LAST, for example 0-9, {MOST_SEEDS} seeds at most"
        )
    return range(int(match[1]), int(match[2]) + 1)


def _data(arguments):
    from altfreeze.data.sources import load_dataset, save_dataset
    from altfreeze.study.configuration import validate_source

    source = _json(arguments.source)
    validate_source(arguments.name, source, arguments.study_seed)
    dataset = load_dataset(arguments.name, source, arguments.study_seed)
    save_dataset(dataset, arguments.name, source, arguments.output, arguments.manifest)


def _limit_threads(count):
    # torch reads these when it is imported
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(count)


def _cell_and_seeds(arguments):
    """Return what a job trains, checked, with its threads and its GPU set before torch is imported."""
    from altfreeze.study.cell import Cell
    from altfreeze.study.configuration import validate_cell

    seeds = _seeds(arguments.seeds)
    cell = Cell(**validate_cell(_json(arguments.cell)))
    _limit_threads(arguments.threads)
    claim_gpu(arguments.device)
    return cell, seeds


def _train(arguments):
    cell, seeds = _cell_and_seeds(arguments)
    from altfreeze.training.job import run
    from altfreeze.training.tuning import read_learning_rate

    if arguments.tuning:
        cell = cell.at(read_learning_rate(arguments.tuning, cell))
    outputs = (arguments.output, arguments.manifest, arguments.gradient_flow)
    kept = (arguments.checkpoint, arguments.checkpoint_seconds, arguments.memory)
    run(arguments.data, cell, seeds, arguments.device, arguments.threads, *outputs, *kept)


def _tune(arguments):
    cell, seeds = _cell_and_seeds(arguments)
    from altfreeze.training.job import run_tuning

    where = (arguments.device, arguments.threads)
    run_tuning(arguments.data, cell, arguments.learning_rates, seeds, *where, arguments.output, arguments.memory)


def _timing(arguments):
    study = _study(arguments)
    _limit_threads(arguments.threads)
    claim_gpu(arguments.device)
    from altfreeze.training.job import run_timing

    run_timing(study, arguments.data, arguments.output, arguments.device, arguments.threads)


def _collect(arguments):
    _limit_threads(1)
    from altfreeze.tables.collect import collect

    collect(_study(arguments), arguments.results, arguments.tables, arguments.threads, arguments.missing)


def _compare(arguments):
    _limit_threads(1)
    from altfreeze.comparison.compare import compare

    compare(_study(arguments), arguments.tables, arguments.threads)


def _notebook(arguments):
    # the kernel inherits them
    _limit_threads(arguments.threads)
    from altfreeze.report.notebook_pages import execute

    execute(arguments.notebook, _json(arguments.parameters), arguments.executed)


def _page(arguments):
    from altfreeze.report.page import write_page

    write_page(arguments.notebook, arguments.output)


def _report(arguments):
    from altfreeze.report.page import write_report

    write_report(_study(arguments), arguments.tables, arguments.pages, arguments.output)


def _crate(arguments):
    from altfreeze.report.crate import write_crate

    write_crate(_study(arguments), arguments.results, arguments.checkout)


def _count(text):
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: 1 to 9999")
    return int(text)


def _output_file(text):
    # before hours of work, not after
    if not text or Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder; allowed: a file to write")
    return Path(text)


def _whole(text):
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: a whole number ≥ 0")
    return int(text)


def _seconds(text):
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: a number ≥ 0")
    return seconds


def _learning_rate(text):
    try:
        rate = float(text)
    except ValueError:
        rate = 0
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: a number > 0")
    return rate


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        """Print one line, not the usage."""
        raise InputError(f"{message} (see {self.prog} --help)")


def parser():
    """Return the parser of the command line.

    Returns
    -------
    argparse.ArgumentParser
    """
    top = _Parser(prog="python -m altfreeze", description="The steps of the study, as the rules call them.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    def command(name, function, text):
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(function=function)
        return lambda *flags, **options: added.add_argument(*flags, **({"required": True} | options))

    argument = command("data", _data, "load or make a data set and store it")
    argument("--name", help="name of the data set")
    argument("--source", help="JSON: its entry under sources in the configuration")
    argument("--study-seed", type=int, help="seed of the study")
    argument("--output", type=_output_file, help="npz to write")
    argument("--manifest", type=_output_file, help="JSON to write: what was done to the data")

    argument = command("train", _train, "train one pack: seeds of one cell, stacked")
    argument("--data", type=Path, help="stored data set (npz)")
    argument("--cell", help="JSON: the cell, as in the manifest of a trained pack")
    argument("--seeds", help="first and last seed, for example 0-9")
    argument("--device", choices=["auto", "cpu", "cuda"], help="where to train")
    argument("--threads", type=_count, default=1, required=False, help="threads (1)")
    argument("--output", type=_output_file, help="per-epoch log to write (CSV)")
    argument("--manifest", type=_output_file, help="JSON to write: cell, versions, hashes, seconds")
    optional = {"type": Path, "nargs": "?", "required": False}
    argument("--tuning", **optional, help="JSON of a tuning: train at the learning rate that it chose")
    argument("--gradient-flow", **(optional | {"type": _output_file}), help="each layer's gradient flow to write (CSV)")
    argument("--checkpoint", **optional, help="where a training keeps its state and, if it was killed, goes on from")
    argument("--checkpoint-seconds", type=_seconds, default=0, required=False, help="between two checkpoints (0: none)")
    argument("--memory", type=_whole, required=False, help="MiB of memory that the process may take; any without")

    argument = command("tune", _tune, "choose a cell's learning rate on calibration seeds")
    argument("--data", type=Path, help="stored data set (npz)")
    argument("--cell", help="JSON: the cell at the configured learning rate")
    argument("--learning-rates", type=_learning_rate, nargs="+", help="what is tried")
    argument("--seeds", help="first and last seed of calibration")
    argument("--device", choices=["auto", "cpu", "cuda"], help="where to train")
    argument("--threads", type=_count, default=1, required=False, help="threads (1)")
    argument("--output", type=_output_file, help="JSON to write: the trials and the choice")
    argument("--memory", type=_whole, required=False, help="MiB of memory that the process may take; any without")

    argument = command("timing", _timing, "time each kind of work of a study, with nothing beside it")
    argument("--study", help="JSON: the whole configuration")
    argument("--data", type=Path, help="folder of the stored data sets")
    argument("--device", choices=["auto", "cpu", "cuda"], help="where to train")
    argument("--threads", type=_count, default=1, required=False, help="threads (1)")
    argument("--output", type=_output_file, help="timing.csv to write")

    argument = command("collect", _collect, "gather all logs of a study into tables and check that none is missing")
    argument("--study", help="JSON: the whole configuration")
    argument("--results", type=Path, help="folder of results, with runs, data and tables/timing.csv below it")
    argument("--tables", type=Path, help="folder of the tables to write")
    argument("--threads", type=_count, default=1, required=False, help="processes (1)")
    argument(
        "--missing",
        choices=["refuse", "mark"],
        default="refuse",
        required=False,
        help="what to do without a pack's result: end with an error, or mark its runs as missing (refuse)",
    )

    argument = command(
        "compare", _compare, "compare every strategy with standard training and with its controls, seed by seed"
    )
    argument("--study", help="JSON: the whole configuration")
    argument("--tables", type=Path, help="folder of the tables, read and written")
    argument("--threads", type=_count, default=1, required=False, help="processes (1)")

    argument = command("notebook", _notebook, "execute a notebook")
    argument("--notebook", type=Path, help="notebook with a cell that is tagged parameters")
    argument("--parameters", help="JSON: values of the names in that cell")
    argument("--threads", type=_count, default=1, required=False, help="threads (1)")
    argument("--executed", type=_output_file, help="executed copy to write; up to the failure, if a cell fails")

    argument = command("page", _page, "turn an executed notebook into a page that needs no network")
    argument("--notebook", type=Path, help="executed notebook; stored again without times and paths")
    argument("--output", type=_output_file, help="HTML to write")

    argument = command("report", _report, "write the report")
    argument("--study", help="JSON: the whole configuration")
    argument("--tables", type=Path, help="folder of the tables")
    argument("--pages", type=Path, nargs="*", help="pages to link")
    argument("--output", type=_output_file, help="HTML to write")

    argument = command("crate", _crate, "describe a finished study and its code as an RO-Crate")
    argument("--study", help="JSON: the whole configuration")
    argument("--results", type=Path, help="folder of results; ro-crate-metadata.json and code are written to it")
    argument("--checkout", type=Path, help="folder of the workflow, with the Snakefile")
    return top


def main(arguments=None):
    """Run one command; what goes wrong is one line on standard error.

    The exit status is 2 for a mistake of the user, and 1 for what the machine refuses: a
    full disk, a folder that may not be written, no memory.

    Parameters
    ----------
    arguments : list of str, optional
        Instead of the command line.
    """
    try:
        chosen = parser().parse_args(arguments)
        _refuse_same_outputs(chosen)
        chosen.function(chosen)
    except InputError as error:
        sys.exit(_failure(error, 2))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_failure(InputError(f"{where}{error.strerror or error}"), 1))
    except (MemoryError, RuntimeError) as error:
        # torch has no MemoryError of its own on a CPU, only the words
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        sys.exit(_failure(InputError(f"out of memory: {error}"), 1))


def _failure(error, status):
    print(f"altfreeze: {error}", file=sys.stderr)
    return status


def _refuse_same_outputs(arguments):
    outputs = [getattr(arguments, name, None) for name in ("output", "manifest", "gradient_flow")]
    for path in filter(None, outputs):
        if outputs.count(path) > 1:
            raise InputError(f"{str(path)!r} is written twice; allowed: a file of its own for each output")
