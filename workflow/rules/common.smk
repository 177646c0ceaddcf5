import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def repository():
    """Return the folder of this workflow: a clone, or one made here of a repository that a module names by its host."""
    source = workflow.current_basedir
    if not hasattr(source, "hosted_repo"):
        return Path(source.get_path_or_uri(secret_free=True)).parents[1]
    # Snakemake reads single files of it, but the package is a folder
    hosted = source.hosted_repo.repo
    commit = hosted.commit(source.ref).hexsha
    clone = Path(".snakemake", "altfreeze", commit).absolute()
    if not clone.exists():
        clone.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=clone.parent) as folder:
            made = Path(folder, "clone")
            hosted.clone(str(made), no_checkout=True).git.checkout(commit)
            # a call beside this one may have been first
            with contextlib.suppress(OSError):
                made.rename(clone)
    return clone


REPOSITORY = repository()
PACKAGE_ROOT = str(REPOSITORY / "workflow")
sys.path.insert(0, PACKAGE_ROOT)

from guard import hold, interrupt_once, unusable_place

if told := unusable_place(PACKAGE_ROOT):
    sys.exit(f"altfreeze: {told}")


# whether outputs go to a storage, where Snakemake looks for inputs too
IN_STORAGE = workflow.storage_settings.default_storage_provider is not None


def repository_path(path):
    """Return where a file of this workflow lies: as it is named where it is called in its own folder, or from anywhere."""
    return path if Path.cwd() == REPOSITORY else str(REPOSITORY / path)


def repository_file(path):
    """Return a file of this workflow as an input of a job, which a storage does not have."""
    # local() would keep all jobs that read it on this machine
    return workflow.source_path(f"../../{path}") if IN_STORAGE else repository_path(path)


# the caller's own, or the default one
configfile: "config/config.yaml" if Path("config", "config.yaml").exists() else repository_path("config/config.yaml")


from snakemake.settings.types import DeploymentMethod, SharedFSUsage
from closing import UNDECIDING
from forked import FEWEST_JOBS, remove_leftovers, start_server
from surroundings import BeforeJobs, refuse_missing_packages, shell_prefix

# jobs run the package of this workflow, installed or not, with what runs Snakemake or else an environment of their own
OWN_INTERPRETER = DeploymentMethod.CONDA not in workflow.deployment_settings.deployment_method
shell.prefix(shell_prefix(REPOSITORY / "workflow", OWN_INTERPRETER))
if workflow.is_main_process and OWN_INTERPRETER:
    refuse_missing_packages(REPOSITORY)

from altfreeze.study import reading
from altfreeze.study.grid import Study, tuning_file
from altfreeze.study.sources import paths_of
from altfreeze.support.errors import InputError
from altfreeze.support.files import write_json
from altfreeze.support.provenance import code_of_factory, fingerprint, gpu_is_here

try:
    config_files = [file for file in workflow.configfiles if file not in workflow.overwrite_configfiles]
    config_files += workflow.overwrite_configfiles
    layers = [*map(reading.read, config_files), workflow.config_settings.config]
    config = reading.complete(reading.whole_sources(config, layers), config_files)
    if workflow.is_main_process:
        # elsewhere, the files of data sets need not be: those are made here
        reading.check_files(config, config_files)
        reading.check_schedules(config, config_files)
except InputError as error:
    # a WorkflowError would print three lines
    sys.exit("\n".join(f"altfreeze: {message}" for message in error.args))


# one line of progress for the person who called; a job's process and a dry run print as Snakemake does
if workflow.is_main_process and not workflow.output_settings.dryrun:
    from closing import clock_advice, last_lines, wrapped
    from progress import Progress

    BeforeJobs(
        workflow.logger_manager.logger,
        lambda: (ask_slurm(), write_study(), lift_rate_limit(), fork_jobs(len([*workflow.dag.needrun_jobs()]))),
    )
    progress = Progress(
        workflow.logger_manager.logger,
        workflow.output_settings,
        jobs=lambda: workflow.dag.needrun_jobs(),
        touches=lambda: workflow.touch,
        queued=lambda: workflow.non_local_exec,
        ending=lambda: ending(),
    )


study = Study(config)


def as_json(value):
    """Return a param as JSON; by a function alone, as Snakemake takes a column's name in braces for a wildcard."""
    return json.dumps(value, sort_keys=True)


# where jobs read the study; written when they start, and what each depends on stands in its params. Were it the
# ancient output of another, a new one would hide from Snakemake 9.27 all that has changed for its readers
STUDY_FILE = f"{config['results']}/study.json"
if workflow.remote_exec and SharedFSUsage.INPUT_OUTPUT not in workflow.storage_settings.shared_fs_usage:
    # on a machine that does not have the main process's
    write_json(STUDY_FILE, config)
STUDY = as_json({key: value for key, value in config.items() if key not in UNDECIDING})


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
    recipe="|".join(map(re.escape, study.recipes)),
    seeds=r"\d+-\d+",


def ask_slurm():
    """End with one line for each reason for which Slurm would refuse jobs; if none, listen to what it says of them."""
    dag = workflow.dag
    jobs = dict.fromkeys(dag.get_job_group(job) or job for job in dag.needrun_jobs() if not job.is_local)
    executors = {type(executor).__module__: executor for executor in map(workflow.scheduler.get_executor, jobs)}
    slurm = executors.get("snakemake_executor_plugin_slurm")
    if slurm is None:
        return
    from submission import hear, refusals

    if refused := refusals(slurm, jobs):
        sys.exit("\n".join(f"altfreeze: {line}" for line in refused))
    hear(slurm, lambda job, *said: progress.hear(job.groupid if job.is_group() else job.jobid, *said))


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


def lift_rate_limit():
    """Let jobs that run here start as soon as a core is free, and not as many a second as a cluster stands."""
    if not workflow.non_local_exec:
        # with a limit each choice of jobs has another one made a second later, which does the same
        workflow.scheduler.job_rate_limiter = None


def fork_jobs(count):
    """Let jobs that run here be forked from a server, where there are enough of them."""
    remove_leftovers()
    if count < FEWEST_JOBS or workflow.non_local_exec or workflow.touch or not OWN_INTERPRETER:
        return
    if not config["fork"]:
        workflow.logger_manager.logger.warning("altfreeze: fork is false: each job starts by itself")
        return
    start_server(shell_prefix(REPOSITORY / "workflow", True).format(), workflow.logger_manager.logger.warning)


def source_files(wildcards):
    """Return the user's files that a data set is read from, if there are some."""
    return [local(path) for path in paths_of(config["sources"][wildcards.dataset])]


@functools.cache
def _cell(dataset, depth, strategy, recipe):
    """Return a cell once for all of its packs."""
    return as_json(study.cell(dataset, int(depth), strategy, recipe).as_dict())


def cell_of(wildcards):
    """Return all that decides a cell's numbers as JSON."""
    return _cell(wildcards.dataset, wildcards.depth, wildcards.strategy, wildcards.recipe)


def chosen_learning_rate(wildcards):
    """Return the file of a tuning, if the pack trains at the learning rate that it chose."""
    tuned_by = study.tuned_by(wildcards.recipe)
    where = (wildcards.dataset, wildcards.depth, wildcards.strategy, tuned_by)
    return f"<results>/{tuning_file(where)}" if tuned_by else []


def gpus(wildcards):
    """Return how many GPUs a training job asks for; where jobs run is known only after this file was read."""
    # a dry run has an executor of its own; of the one that it stands for it knows whether jobs are started by threads
    elsewhere = workflow.use_threads if workflow.dryrun else workflow.non_local_exec
    return int(config["device"] == "cuda" or (config["device"] == "auto" and (GPU_IS_HERE or elsewhere)))


def all_cores(wildcards=None):
    """Return how many cores this call has; one where it runs nothing, as for a report."""
    return workflow.resource_settings.cores or 1


def pack_files(suffix):
    """Return the files of all packs of the study."""
    return [f"<results>/runs/{pack.stem}{suffix}" for pack in PACKS]


def tuning_files():
    """Return the file of each cell's tuning, where its recipe is tuned."""
    return [f"<results>/{tuning_file(where)}" for where in study.tunings]


def partial_report():
    """Write tables and report of what there is to a folder of their own; return what to print."""
    if IN_STORAGE:
        return "No partial report: it is made of files on this machine, and the results are in the storage."
    folder = Path(config["results"], "partial")
    python = [sys.executable, "-m", "altfreeze"]
    given = ["--study", STUDY_FILE, "--tables", str(folder / "tables")]
    commands = [
        ["collect", *given, "--results", config["results"], "--missing", "mark", "--threads", str(all_cores())],
        ["compare", *given, "--threads", str(all_cores())],
        ["report", *given, "--pages", "--output", str(folder / "report.html")],
    ]
    shutil.rmtree(folder, ignore_errors=True)
    for command in commands:
        environment = os.environ | {"PYTHONPATH": PACKAGE_ROOT, "PYTHONUTF8": "1"}
        done = subprocess.run([*python, *command], env=environment, capture_output=True, encoding="utf-8")
        if done.returncode:
            return f"No partial report: {(done.stderr.strip().splitlines() or ['it was stopped'])[-1]}"
    missing = json.loads((folder / "tables" / "study.json").read_text(encoding="utf-8"))["provenance"]["missing_packs"]
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
    lines = stored_lines() if IN_STORAGE else last_lines(config, [pack.stem for pack in PACKS])
    return f"{lines}\n" if lines else ""


def stored_lines():
    """Return the answer and where the report is, if the storage has that of the study as it is configured."""
    dag = workflow.dag
    there = [job for job in dag.jobs if job.rule.name == rules.report.rule.name]
    if workflow.touch or not there or (dag.needrun(there[0]) and not dag.finished(there[0])):
        return ""
    made = there[0].output
    if not workflow.async_run(made.answer.exists_in_storage()):
        return ""
    workflow.async_run(made.answer.retrieve_from_storage())
    text = Path(made.answer).read_text(encoding="utf-8").strip()
    return f"{wrapped(text)}\n\nThe report, in the storage: {made.report.storage_object.print_query}"


def page_notebook(wildcards):
    """Return the notebook of a page."""
    return repository_file(f"workflow/notebooks/{PAGES[wildcards.page]['notebook']}.ipynb")


def page_parameters(wildcards, input):
    """Return the parameters of a page's notebook as JSON: its values, and where what it reads lies."""
    folders = {
        name: str(Path(files[0]).parent) for name, files in (("tables", input.tables), ("data", input.data)) if files
    }
    study_file = {"study_file": STUDY_FILE} if "study" in PAGES[wildcards.page] else {}
    files = dict(zip(PAGES[wildcards.page].get("files", {}), map(str, input.files)))
    return as_json(PAGES[wildcards.page].get("values", {}) | study_file | folders | files)


def code_of_the_workflow(wildcards):
    """Return the files that the crate copies, which are looked for only where it is asked for."""
    from altfreeze.report.crate import code_files

    return [local(repository_path(str(path))) for path in code_files(REPOSITORY)]
