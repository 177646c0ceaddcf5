"""Command line: `python -m altfreeze COMMAND`; the rules of the workflow call nothing else."""

import argparse
import json
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from altfreeze.arguments import Command, Parser, output_file, seeds, share, whole
from altfreeze.study.cell import Cell
from altfreeze.study.grid import Study
from altfreeze.study.mistakes import meant, quoted
from altfreeze.study.reading import check_schedules, load, read_study
from altfreeze.support.errors import InputError
from altfreeze.training.gpu import claim_gpu

# where Snakemake reads it
_DEFAULT_STUDY = Path("config", "config.yaml")


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


def _verify(arguments: Namespace) -> None:
    _limit_threads(1)
    study = read_study(arguments.results / "study.json")
    claim_gpu(study.device)
    from altfreeze.tables.verify import report

    if report(study, arguments.results, arguments.share, arguments.seed):
        sys.exit(1)


def _merge(arguments: Namespace) -> None:
    _limit_threads(1)
    from altfreeze.tables.merge import merge

    print(merge(arguments.one, arguments.other, arguments.into))


def _schema(arguments: Namespace) -> None:
    from altfreeze.study.documents import write_documents

    write_documents(arguments.checkout)


def _add_schedule(commands: Any) -> None:
    text = "show which layers learn when under each strategy of a study, before anything is trained"
    schedule = Command(commands, "schedule", _schedule, text)
    files = "configuration files, laid over config/config.yaml as Snakemake does"
    schedule.option("--configfile", type=Path, nargs="+", default=[], required=False, help=files)
    schedule.option("--dataset", required=False, help="whose epochs are counted in steps (the first)")
    schedule.option("--depth", type=whole, required=False, help="number of weight layers (primary_depth)")
    schedule.option("--strategy", nargs="+", required=False, help="labels of strategies (all)")
    schedule.option("--pictures", type=Path, required=False, help="folder to write LABEL.svg to")


def _add_stages_before_tables(commands: Any) -> None:
    data = Command(commands, "data", _data, "load or make a data set and store it")
    data.study()
    data.option("--name", help="name of the data set in the study")
    data.option("--output", type=output_file, help="npz to write")
    data.option("--manifest", type=output_file, help="JSON to write: what was done to the data")

    train = Command(commands, "train", _train, "train one pack: seeds of one cell, stacked")
    train.cell()
    train.option("--seeds", type=seeds, help="first and last seed, for example 0-9")
    train.option("--output", type=output_file, help="per-epoch log to write (CSV)")
    train.option("--manifest", type=output_file, help="JSON to write: cell, versions, hashes, seconds")
    optional: dict[str, Any] = {"type": Path, "nargs": "?", "required": False}
    train.option("--tuning", **optional, help="JSON of a tuning, for a recipe whose learning rate is tuned")
    flow = "each layer's gradient flow to write (CSV)"
    train.option("--gradient-flow", **(optional | {"type": output_file}), help=flow)
    train.option(
        "--checkpoint", **optional, help="where a training keeps its state and, if it was killed, goes on from"
    )

    tune = Command(commands, "tune", _tune, "choose a cell's learning rate on calibration seeds")
    tune.cell()
    tune.option("--output", type=output_file, help="JSON to write: the trials and the choice")

    timing = Command(commands, "timing", _timing, "time each kind of work of a study, with nothing beside it")
    timing.study()
    timing.option("--data", type=Path, help="folder of the stored data sets")
    timing.machine()
    timing.option("--output", type=output_file, help="timing.csv to write")


def _add_tables_and_report(commands: Any) -> None:
    text = "gather all logs of a study into tables and check that none is missing"
    collect = Command(commands, "collect", _collect, text)
    collect.study()
    collect.option("--results", type=Path, help="folder of results, with runs, data and tables/timing.csv below it")
    collect.option("--tables", type=Path, help="folder of the tables to write")
    collect.threads("processes")
    words = "what to do without a pack's result: end with an error, or mark its runs as missing (refuse)"
    collect.option("--missing", choices=["refuse", "mark"], default="refuse", required=False, help=words)

    text = "compare every strategy with standard training and with its controls, seed by seed"
    compare = Command(commands, "compare", _compare, text)
    compare.study()
    compare.option("--tables", type=Path, help="folder of the tables, read and written")
    compare.threads("processes")

    notebook = Command(commands, "notebook", _notebook, "execute a notebook")
    notebook.option("--notebook", type=Path, help="notebook with a cell that is tagged parameters")
    notebook.option("--parameters", help="JSON: values of the names in that cell")
    notebook.threads("threads")
    notebook.option("--executed", type=output_file, help="executed copy to write; up to the failure, if a cell fails")

    kernel = Command(commands, "kernel", _kernel, "run the kernel of a notebook, as the command notebook starts it")
    kernel.option("--connection", help="connection file of Jupyter")

    page = Command(commands, "page", _page, "turn an executed notebook into a page that needs no network")
    page.option("--notebook", type=Path, help="executed notebook; stored again without times and paths")
    page.option("--output", type=output_file, help="HTML to write")

    report = Command(commands, "report", _report, "write the report")
    report.study()
    report.option("--tables", type=Path, help="folder of the tables")
    report.option("--pages", type=Path, nargs="*", help="pages to link")
    report.option("--output", type=output_file, help="HTML to write")

    crate = Command(commands, "crate", _crate, "describe a finished study and its code as an RO-Crate")
    crate.study()
    crate.option("--results", type=Path, help="folder of results; ro-crate-metadata.json and code are written to it")
    files = "what the study made there, beside its data sets, packs and tunings"
    crate.option("--files", type=Path, nargs="*", help=files)
    crate.option("--checkout", type=Path, help="folder of the workflow, with the Snakefile")

    text = "write what is generated from the keys' definition: tables of config/README.md, JSON Schema"
    schema = Command(commands, "schema", _schema, text)
    schema.option("--checkout", type=Path, default=Path(), required=False, help="folder of the workflow (.)")


def _add_checks(commands: Any) -> None:
    text = "train a random share of a study's packs again and compare; the exit status is 1 where one differs"
    verify = Command(commands, "verify", _verify, text)
    verify.folders("results", text="folder of results")
    verify.option("--share", type=share, default=0.02, required=False, help="of the packs, at least one (0.02)")
    verify.option("--seed", type=whole, default=0, required=False, help="of the draw (0)")

    text = "join the seeds of two folders of results of one study into a new folder"
    merge = Command(commands, "merge", _merge, text)
    merge.folders("one", "other", text="folder of results")
    merge.option("--into", type=Path, help="folder to write")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = Parser(prog="python -m altfreeze", description="The steps of the study, as the rules call them.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    _add_schedule(commands)
    _add_stages_before_tables(commands)
    _add_tables_and_report(commands)
    _add_checks(commands)
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
