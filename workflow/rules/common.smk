import functools
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

# jobs run the package of this checkout, installed or not, and notebooks a kernel of its environment
PACKAGE_ROOT = str(Path(workflow.basedir) / "workflow")
sys.path.insert(0, PACKAGE_ROOT)

from guard import hold, interrupt_once, unusable_place

if told := unusable_place(PACKAGE_ROOT):
    sys.exit(f"altfreeze: {told}")

shell.prefix(
    f"set -euo pipefail; export JUPYTER_PREFER_ENV_PATH=1 PYTHONPATH={shlex.quote(PACKAGE_ROOT)}${{{{PYTHONPATH:+:$PYTHONPATH}}}}; "
)

from altfreeze.study import reading
from altfreeze.study.grid import Study
from altfreeze.study.sources import paths_of
from altfreeze.support.errors import InputError
from altfreeze.support.files import write_json
from altfreeze.support.provenance import fingerprint, gpu_is_here

try:
    config_files = ["config/config.yaml", *workflow.overwrite_configfiles]
    layers = [*map(reading.read, config_files), workflow.config_settings.config]
    config = reading.complete(reading.whole_sources(config, layers), config_files)
    reading.check_files(config, config_files)
    reading.check_schedules(config, config_files)
except InputError as error:
    # a WorkflowError would print three lines
    sys.exit("\n".join(f"altfreeze: {message}" for message in error.args))


# one line of progress for the person who called; a job's process and a dry run print as Snakemake does
if workflow.is_main_process and not workflow.output_settings.dryrun:
    from closing import clock_advice, last_lines
    from progress import Progress

    progress = Progress(
        workflow.logger_manager.logger,
        workflow.output_settings,
        jobs=lambda: workflow.dag.needrun_jobs(),
        touches=lambda: workflow.touch,
        ending=lambda: ending(),
    )


study = Study(config)


def as_json(value):
    """Return a param as JSON; by a function alone, as Snakemake takes a column's name in braces for a wildcard."""
    return json.dumps(value, sort_keys=True)


# where jobs read the study; written when they start, and what each depends on stands in its params. Were it the
# ancient output of another, a new one would hide from Snakemake 9.27 all that has changed for its readers
STUDY_FILE = f"{config['results']}/study.json"
# how often a job keeps its state changes no result, so that is left out
STUDY = as_json({key: value for key, value in config.items() if key != "checkpoint_seconds"})


# what a training job writes beside its log
GRADIENT_FLOW = (
    {"flow": "<results>/runs/{dataset}/depth{depth}/{strategy}/{recipe}/seeds{seeds}.flow.csv"}
    if config["gradient_flow"]
    else {}
)
PACKS = study.packs
GPU_IS_HERE = gpu_is_here()


wildcard_constraints:
    dataset="|".join(map(re.escape, config["datasets"])),
    depth="|".join(map(str, config["depths"])),
    strategy="|".join(map(re.escape, study.strategies)),
    recipe="configured|tuned",
    seeds=r"\d+-\d+",


def write_study():
    """Write the study where jobs read it, once no other call works there."""
    try:
        hold(config["results"], workflow.non_local_exec)
        interrupt_once()
        write_json(STUDY_FILE, config)
    except InputError as error:
        sys.exit(f"altfreeze: {error}")
    except OSError as error:
        sys.exit(f"altfreeze: {error.filename}: {error.strerror}")


def source_files(wildcards):
    """Return the user's files that a data set is read from, if there are some."""
    return paths_of(config["sources"][wildcards.dataset])


@functools.cache
def _cell(dataset, depth, strategy):
    """Return a cell once for all of its packs."""
    return as_json(study.cell(dataset, int(depth), strategy).as_dict())


def cell_of(wildcards):
    """Return all that decides a cell's numbers as JSON."""
    return _cell(wildcards.dataset, wildcards.depth, wildcards.strategy)


def chosen_learning_rate(wildcards):
    """Return the file of a tuning, if the pack trains at the learning rate that it chose."""
    return "<results>/tuning/{dataset}/depth{depth}/{strategy}.json" if wildcards.recipe == "tuned" else []


def gpus(wildcards):
    """Return how many GPUs a training job asks for; where jobs run is known only after this file was read."""
    return int(config["device"] == "cuda" or (config["device"] == "auto" and (GPU_IS_HERE or workflow.non_local_exec)))


def pack_files(suffix):
    """Return the files of all packs of the study."""
    return [f"<results>/runs/{pack.stem}{suffix}" for pack in PACKS]


def tuning_files():
    """Return the file of every strategy's tuning, none without tuning."""
    cells = {(pack.dataset, pack.depth, pack.strategy) for pack in PACKS if pack.recipe == "tuned"}
    return [f"<results>/tuning/{dataset}/depth{depth}/{strategy}.json" for dataset, depth, strategy in sorted(cells)]


def partial_report():
    """Write tables and report of what there is to a folder of their own; return what to print."""
    folder = Path(config["results"], "partial")
    python = [sys.executable, "-m", "altfreeze"]
    given = ["--study", STUDY_FILE, "--tables", str(folder / "tables")]
    commands = [
        ["collect", *given, "--results", config["results"], "--missing", "mark", "--threads", str(workflow.cores or 1)],
        ["compare", *given, "--threads", str(workflow.cores or 1)],
        ["report", *given, "--pages", "--output", str(folder / "report.html")],
    ]
    shutil.rmtree(folder, ignore_errors=True)
    for command in commands:
        done = subprocess.run(
            [*python, *command], env=os.environ | {"PYTHONPATH": PACKAGE_ROOT}, capture_output=True, text=True
        )
        if done.returncode:
            return f"No partial report: {(done.stderr.strip().splitlines() or ['it was stopped'])[-1]}"
    missing = json.loads((folder / "tables" / "study.json").read_text())["provenance"]["missing_packs"]
    count = f"{missing} of {len(PACKS)} training jobs have no result"
    return f"A partial report, {count}: {(folder / 'report.html').resolve()}"


def forget_partial_report():
    """Remove the partial report of a study that is whole by now."""
    whole, partial = Path(config["results"], "report.html"), Path(config["results"], "partial", "report.html")
    if partial.exists() and whole.exists() and whole.stat().st_mtime > partial.stat().st_mtime:
        shutil.rmtree(partial.parent)


def failed(logs):
    """Return what a call that failed did and what to do next."""
    return progress.failure(logs, workflow.execution_settings.keep_going, clock_advice(config["results"]))


def ending():
    """Return the last lines of a call, each with its end."""
    lines = last_lines(config, [pack.stem for pack in PACKS])
    return f"{lines}\n" if lines else ""


def page_notebook(wildcards):
    """Return the notebook of a page."""
    return f"workflow/notebooks/{PAGES[wildcards.page]['notebook']}.ipynb"


def page_parameters(wildcards, input):
    """Return the parameters of a page's notebook as JSON: its values, and where what it reads lies."""
    folders = {
        name: str(Path(files[0]).parent) for name, files in (("tables", input.tables), ("data", input.data)) if files
    }
    study_file = {"study_file": STUDY_FILE} if "study" in PAGES[wildcards.page] else {}
    return as_json(PAGES[wildcards.page].get("values", {}) | study_file | folders)


def code_of_the_workflow(wildcards):
    """Return the files that the crate copies, which are looked for only where it is asked for."""
    from altfreeze.report.crate import code_files

    return list(map(str, code_files(Path())))
