"""Command line: `python -m altfreeze COMMAND`; the rules of the workflow call nothing else."""

import argparse
import json
import os
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from altfreeze.study.cell import Cell
from altfreeze.study.grid import Study
from altfreeze.study.mistakes import meant, quoted
from altfreeze.study.reading import check_schedules, load, read_study
from altfreeze.support.errors import InputError
from altfreeze.training.gpu import claim_gpu

# where Snakemake reads it
_DEFAULT_STUDY = Path("config", "config.yaml")
# of one pack, as a study may have of a cell
MOST_SEEDS = 1_000_000


def _seeds(text: str) -> range:
    match = re.fullmatch(r"([0-9]{1,9})-([0-9]{1,9})", text)
    if not match or not 0 <= int(match[2]) - int(match[1]) < MOST_SEEDS:
        raise argparse.ArgumentTypeError(
            f"{text[:80]!r} is not allowed; allowed: FIRST-LAST, for example 0-9, {MOST_SEEDS} seeds at most"
        )
    return range(int(match[1]), int(match[2]) + 1)


def _refuse_foreign(study: Study, arguments: Namespace) -> None:
    """Refuse data sets, depths, strategies and recipes that the study does not have."""
    known = {"name": study.datasets, "dataset": study.datasets, "depth": study.depths}
    known |= {"strategy": [*study.strategies], "recipe": [*study.recipes]}
    given = {option: getattr(arguments, option) for option in known if option in arguments}
    messages = [
        f"--{option}: {quoted(value)} is not of the study in {arguments.study}; "
        f"{meant(value, known[option])}allowed: {', '.join(map(str, known[option]))}"
        for option, value in given.items()
        if value not in known[option]
    ]
    if messages:
        raise InputError(*messages)


def _prepare(arguments: Namespace) -> tuple[Study, Cell]:
    """Return what a job trains, with its threads and its GPU set before torch is imported."""
    _limit_threads(arguments.threads)
    study = read_study(arguments.study)
    _refuse_foreign(study, arguments)
    claim_gpu(arguments.device)
    try:
        return study, study.cell(arguments.dataset, arguments.depth, arguments.strategy, arguments.recipe)
    except KeyError:
        depths, labels = study.depths_of(arguments.recipe), study.labels_of(arguments.recipe)
        allowed = f"depth {', '.join(map(str, depths))} and {', '.join(labels)}"
        message = f"--recipe: {quoted(arguments.recipe)} trains not all of the study; allowed: {allowed}"
        raise InputError(message) from None


def _limit_threads(count: int) -> None:
    # torch reads these when it is imported
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(count)


def _data(arguments: Namespace) -> None:
    from altfreeze.data.dataset import save_dataset
    from altfreeze.data.sources import load_dataset

    study = read_study(arguments.study)
    _refuse_foreign(study, arguments)
    source = study.sources[arguments.name]
    dataset = load_dataset(arguments.name, source, study.seed)
    save_dataset(dataset, arguments.name, source, arguments.output, arguments.manifest)


def _train(arguments: Namespace) -> None:
    study, cell = _prepare(arguments)
    tuned_by = study.tuned_by(arguments.recipe)
    if bool(tuned_by) != bool(arguments.tuning):
        raise InputError("--tuning: is needed for a recipe whose learning rate is tuned, and for no other")
    from altfreeze.training.job import run
    from altfreeze.training.tuning import read_learning_rate

    if tuned_by:
        tuned = study.cell(cell.dataset, cell.depth, arguments.strategy, tuned_by)
        cell = cell.at(read_learning_rate(arguments.tuning, tuned))
    outputs = (arguments.output, arguments.manifest, arguments.gradient_flow)
    kept = (arguments.checkpoint, study.checkpoint_seconds, arguments.memory)
    run(arguments.data, cell, arguments.seeds, arguments.device, arguments.threads, *outputs, *kept)


def _tune(arguments: Namespace) -> None:
    study, cell = _prepare(arguments)
    if not study.is_tuned(arguments.recipe):
        tuned = [recipe for recipe in study.recipes if study.is_tuned(recipe)]
        allowed = ", ".join(tuned) or "none, as no learning_rate of the study is tuned"
        raise InputError(f"--recipe: {quoted(arguments.recipe)} has a learning rate; allowed: {allowed}")
    from altfreeze.training.job import run_tuning

    seeds = study.calibration_seeds_of(arguments.recipe)
    where = (arguments.device, arguments.threads)
    tried = study.learning_rates_to_try
    run_tuning(arguments.data, cell, tried, seeds, *where, arguments.output, arguments.memory, study.metric)


def _timing(arguments: Namespace) -> None:
    _limit_threads(arguments.threads)
    study = read_study(arguments.study)
    claim_gpu(arguments.device)
    from altfreeze.training.job import run_timing

    run_timing(study, arguments.data, arguments.output, arguments.device, arguments.threads)


def _schedule(arguments: Namespace) -> None:
    # the caller's own, or the one of the workflow
    own = _DEFAULT_STUDY if _DEFAULT_STUDY.exists() else Path(__file__).parents[2] / _DEFAULT_STUDY
    files = [own, *arguments.configfile]
    config = load(*files)
    check_schedules(config, files)
    study, wrong = Study(config), list[str]()
    dataset = config["datasets"][0] if arguments.dataset is None else arguments.dataset
    depth = config["primary_depth"] if arguments.depth is None else arguments.depth
    labels = arguments.strategy or list(study.strategies)
    for label in labels:
        try:
            _refuse_foreign(study, Namespace(study=files[-1], dataset=dataset, depth=depth, strategy=label))
        except InputError as error:
            wrong += error.args
    if wrong:
        raise InputError(*dict.fromkeys(wrong))
    from altfreeze.report.blocks.schedules import picture_in_words, plan_before, schedule_in_text
    from altfreeze.report.figures.schedule import schedule_figure
    from altfreeze.report.figures.style import figure_svg
    from altfreeze.support.files import atomic_output

    shown, planned = plan_before(study, dataset, depth)
    print("\n\n".join(schedule_in_text(shown, planned, label) for label in labels))
    for label in filter(planned.plans.get, labels if arguments.pictures else ()):
        figure = schedule_figure(planned.plans[label], planned.workload, planned.until)
        with atomic_output(arguments.pictures / f"{label}.svg") as file:
            file.write(figure_svg(figure, picture_in_words(planned, label)))


def _collect(arguments: Namespace) -> None:
    _limit_threads(1)
    from altfreeze.tables.collect import collect

    study = read_study(arguments.study)
    collect(study, arguments.results, arguments.tables, arguments.threads, arguments.missing)


def _compare(arguments: Namespace) -> None:
    _limit_threads(1)
    from altfreeze.comparison.compare import compare

    compare(read_study(arguments.study), arguments.tables, arguments.threads)


def _notebook(arguments: Namespace) -> None:
    # the kernel inherits them
    _limit_threads(arguments.threads)
    from altfreeze.report.notebook_pages import execute

    try:
        parameters = json.loads(arguments.parameters)
    except (ValueError, RecursionError) as error:
        raise InputError(f"--parameters: {arguments.parameters[:80]!r} is not JSON: {error}") from None
    execute(arguments.notebook, parameters, arguments.executed)


def _kernel(arguments: Namespace) -> None:
    from altfreeze.report.kernels import run_kernel

    run_kernel(arguments.connection)


def _page(arguments: Namespace) -> None:
    from altfreeze.report.notebook_pages import write_page

    write_page(arguments.notebook, arguments.output)


def _report(arguments: Namespace) -> None:
    from altfreeze.report.page import write_report

    write_report(read_study(arguments.study), arguments.tables, arguments.pages, arguments.output)


def _crate(arguments: Namespace) -> None:
    from altfreeze.report.crate import write_crate

    write_crate(read_study(arguments.study), arguments.results, arguments.files, arguments.checkout)


def _schema(arguments: Namespace) -> None:
    from altfreeze.study.documents import write_documents

    write_documents(arguments.checkout)


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: 1 to 9999")
    return int(text)


def _output_file(text: str) -> Path:
    # before hours of work, not after
    if not text or Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder; allowed: a file to write")
    return Path(text)


def _whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: a whole number ≥ 0")
    return int(text)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print one line, not the usage."""
        raise InputError(f"{message} (see {self.prog} --help)")


class _Command:
    """A command of the command line; `option` adds one of its options, needed unless it says otherwise."""

    def __init__(self, commands: Any, name: str, function: Callable[[Namespace], None], text: str) -> None:
        self.parser = commands.add_parser(name, help=text, description=text)
        self.parser.set_defaults(function=function)

    def option(self, *flags: str, **options: Any) -> None:
        self.parser.add_argument(*flags, **({"required": True} | options))

    def study(self) -> None:
        self.option("--study", type=Path, help="JSON: the study, as the rule study writes it")

    def machine(self) -> None:
        self.option("--device", choices=["auto", "cpu", "cuda"], help="where to train")
        self.threads("threads")

    def threads(self, of: str) -> None:
        self.option("--threads", type=_count, default=1, required=False, help=f"{of} (1)")

    def cell(self) -> None:
        self.study()
        self.option("--data", type=Path, help="stored data set (npz)")
        self.option("--dataset", help="its name in the study")
        self.option("--depth", type=_whole, help="number of weight layers, one of the study's")
        self.option("--strategy", help="label of a strategy of the study")
        self.option("--recipe", help="primary, or the name of a variation's: its changes, as width=16")
        self.machine()
        memory = "MiB of memory that the process may take; any without"
        self.option("--memory", type=_whole, required=False, help=memory)


def _add_schedule(commands: Any) -> None:
    text = "show which layers learn when under each strategy of a study, before anything is trained"
    schedule = _Command(commands, "schedule", _schedule, text)
    files = "configuration files, laid over config/config.yaml as Snakemake does"
    schedule.option("--configfile", type=Path, nargs="+", default=[], required=False, help=files)
    schedule.option("--dataset", required=False, help="whose epochs are counted in steps (the first)")
    schedule.option("--depth", type=_whole, required=False, help="number of weight layers (primary_depth)")
    schedule.option("--strategy", nargs="+", required=False, help="labels of strategies (all)")
    schedule.option("--pictures", type=Path, required=False, help="folder to write LABEL.svg to")


def _add_stages_before_tables(commands: Any) -> None:
    data = _Command(commands, "data", _data, "load or make a data set and store it")
    data.study()
    data.option("--name", help="name of the data set in the study")
    data.option("--output", type=_output_file, help="npz to write")
    data.option("--manifest", type=_output_file, help="JSON to write: what was done to the data")

    train = _Command(commands, "train", _train, "train one pack: seeds of one cell, stacked")
    train.cell()
    train.option("--seeds", type=_seeds, help="first and last seed, for example 0-9")
    train.option("--output", type=_output_file, help="per-epoch log to write (CSV)")
    train.option("--manifest", type=_output_file, help="JSON to write: cell, versions, hashes, seconds")
    optional: dict[str, Any] = {"type": Path, "nargs": "?", "required": False}
    train.option("--tuning", **optional, help="JSON of a tuning, for a recipe whose learning rate is tuned")
    flow = "each layer's gradient flow to write (CSV)"
    train.option("--gradient-flow", **(optional | {"type": _output_file}), help=flow)
    train.option(
        "--checkpoint", **optional, help="where a training keeps its state and, if it was killed, goes on from"
    )

    tune = _Command(commands, "tune", _tune, "choose a cell's learning rate on calibration seeds")
    tune.cell()
    tune.option("--output", type=_output_file, help="JSON to write: the trials and the choice")

    timing = _Command(commands, "timing", _timing, "time each kind of work of a study, with nothing beside it")
    timing.study()
    timing.option("--data", type=Path, help="folder of the stored data sets")
    timing.machine()
    timing.option("--output", type=_output_file, help="timing.csv to write")


def _add_tables_and_report(commands: Any) -> None:
    text = "gather all logs of a study into tables and check that none is missing"
    collect = _Command(commands, "collect", _collect, text)
    collect.study()
    collect.option("--results", type=Path, help="folder of results, with runs, data and tables/timing.csv below it")
    collect.option("--tables", type=Path, help="folder of the tables to write")
    collect.threads("processes")
    words = "what to do without a pack's result: end with an error, or mark its runs as missing (refuse)"
    collect.option("--missing", choices=["refuse", "mark"], default="refuse", required=False, help=words)

    text = "compare every strategy with standard training and with its controls, seed by seed"
    compare = _Command(commands, "compare", _compare, text)
    compare.study()
    compare.option("--tables", type=Path, help="folder of the tables, read and written")
    compare.threads("processes")

    notebook = _Command(commands, "notebook", _notebook, "execute a notebook")
    notebook.option("--notebook", type=Path, help="notebook with a cell that is tagged parameters")
    notebook.option("--parameters", help="JSON: values of the names in that cell")
    notebook.threads("threads")
    notebook.option("--executed", type=_output_file, help="executed copy to write; up to the failure, if a cell fails")

    kernel = _Command(commands, "kernel", _kernel, "run the kernel of a notebook, as the command notebook starts it")
    kernel.option("--connection", help="connection file of Jupyter")

    page = _Command(commands, "page", _page, "turn an executed notebook into a page that needs no network")
    page.option("--notebook", type=Path, help="executed notebook; stored again without times and paths")
    page.option("--output", type=_output_file, help="HTML to write")

    report = _Command(commands, "report", _report, "write the report")
    report.study()
    report.option("--tables", type=Path, help="folder of the tables")
    report.option("--pages", type=Path, nargs="*", help="pages to link")
    report.option("--output", type=_output_file, help="HTML to write")

    crate = _Command(commands, "crate", _crate, "describe a finished study and its code as an RO-Crate")
    crate.study()
    crate.option("--results", type=Path, help="folder of results; ro-crate-metadata.json and code are written to it")
    files = "what the study made there, beside its data sets, packs and tunings"
    crate.option("--files", type=Path, nargs="*", help=files)
    crate.option("--checkout", type=Path, help="folder of the workflow, with the Snakefile")

    text = "write what is generated from the keys' definition: tables of config/README.md, JSON Schema"
    schema = _Command(commands, "schema", _schema, text)
    schema.option("--checkout", type=Path, default=Path(), required=False, help="folder of the workflow (.)")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = _Parser(prog="python -m altfreeze", description="The steps of the study, as the rules call them.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    _add_schedule(commands)
    _add_stages_before_tables(commands)
    _add_tables_and_report(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; each thing that is wrong is one line on standard error.

    The exit status is 2 for a mistake of the user, and 1 for what the machine refuses: a
    full disk, a folder that may not be written, no memory.

    Parameters
    ----------
    arguments : list of str, optional
        Instead of the command line.
    """
    try:
        parsed = parser().parse_args(arguments)
        _refuse_same_outputs(parsed)
        parsed.function(parsed)
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


def _failure(error: InputError, status: int) -> int:
    for message in error.args:
        print(f"altfreeze: {message}", file=sys.stderr)
    return status


def _refuse_same_outputs(arguments: Namespace) -> None:
    outputs = [getattr(arguments, name, None) for name in ("output", "manifest", "gradient_flow")]
    for path in filter(None, outputs):
        if outputs.count(path) > 1:
            raise InputError(f"{str(path)!r} is written twice; allowed: a file of its own for each output")
