"""What Slurm says of the jobs that it is to run: asked before the first of them, and heard where it refuses one.

The executor's plugin and Snakemake keep most of that to themselves where a job is a group.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

# by a word of what sbatch says of a job that it refuses, the settings that may have caused it
_CAUSES = (
    ("time limit", ("runtime",)),
    ("account", ("SBATCH_ACCOUNT",)),
    ("partition", ("SBATCH_PARTITION", "SNAKEMAKE_SLURM_PARTITIONS")),
    ("GPU model", ("GPU_MODEL",)),
    ("gres", ("GPU_MODEL",)),
    ("node configuration", ("GPU_MODEL", "SBATCH_PARTITION", "SNAKEMAKE_SLURM_PARTITIONS", "mem_mb")),
)
# what is said of a job that no node fits, of one that only waits for nodes, and of one above a time limit
_AMBIGUOUS = "Requested node configuration is not available"
# whether a partition is up, and the state of a node there, in which jobs that ask for no more than it has can run
_USABLE = {("up", state) for state in ("idle", "mix", "alloc", "comp")}


def refusals(executor: Any, jobs: Iterable[Any]) -> list[str]:
    """Return what keeps sbatch from taking the jobs of a call, asking it once for each kind of them.

    Parameters
    ----------
    executor : Executor
        That of the Slurm plugin.
    jobs : iterable of job
        Groups and single jobs of Snakemake.

    Returns
    -------
    list of str
        One line for each reason, with the rules and the setting that may have caused it; empty where all would be
        taken, those included that then wait.
    """
    if not shutil.which("sbatch"):
        return ["sbatch: no such command here; call this where jobs are submitted, or without --profile slurm"]
    # sbatch reads SBATCH_ACCOUNT itself; the plugin's guess would stand before it, and fails where there is no sacct
    executor._fallback_account_arg = ""
    said: dict[str, str] = {}
    refused: dict[str, tuple[Any, list[str]]] = {}
    for job in jobs:
        try:
            command = _command(executor, job)
            said[command] = why = said[command] if command in said else _why_refused(command)
        except WorkflowError as error:
            why = str(error)
        if why:
            refused.setdefault(why, (job, []))[1].extend(each.rule.name for each in (job if job.is_group() else [job]))
    return [
        f"sbatch refuses what {', '.join(sorted(set(rules)))} asks for: {why}{_settings(why, job, min(rules))}"
        for why, (job, rules) in refused.items()
    ]


def _command(executor: Any, job: Any) -> str:
    """Return the call of sbatch by which the plugin would submit a job, with nothing to do."""
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    names = {"run_uuid": "altfreeze", "slurm_logfile": os.devnull, "comment_str": "test"}
    demands = {"account": next(executor.get_account_arg(job)), "partition": executor.get_partition_arg(job)}
    params = names | demands | {"workdir": executor.workflow.workdir_init}
    call = get_submit_command(job, params, settings=executor.workflow.executor_settings)
    return f"{call}{set_gres_string(job)} --wrap=true"


def _why_refused(command: str) -> str:
    """Return why Slurm would never run a job, empty if it would, be it after a wait."""
    from snakemake_executor_plugin_slurm.utils import parse_time_to_minutes

    done = subprocess.run(f"{command} --test-only", shell=True, capture_output=True, encoding="utf-8", errors="replace")
    why = (done.stderr.strip().splitlines() or ["it does not say why"])[-1] if done.returncode else ""
    why = re.sub(r"^(sbatch: error: )?(Batch job submission failed|allocation failure): ", "", why)
    if why and why != _AMBIGUOUS:
        return why
    asked = dict(re.findall(r" (-p|-t|--gpus)[ =](\S+)", command))
    nodes = [
        node for node in _nodes() if node["partition"].rstrip("*") == asked.get("-p", node["partition"].rstrip("*"))
    ]
    if not nodes:
        return ""
    # sinfo's 10:00 are minutes, which the plugin takes for hours
    limits = [
        limit if limit.count(":") == 2 else f"0:{limit}" for node in nodes if (limit := node["limit"]) != "infinite"
    ]
    longest = max(map(parse_time_to_minutes, limits), default=0)
    # by default, such a job is taken and waits for ever
    if "-t" in asked and len(limits) == len(nodes) and float(asked["-t"]) > longest:
        return f"Requested time limit of {asked['-t']} minutes exceeds that of the partition, {longest}"
    model = asked.get("--gpus", "").rpartition(":")[0]
    if why and model and all(model.lower() not in re.split(r"[:,()]", node["gres"].lower()) for node in nodes):
        return f"Requested GPU model {model} is that of no node"
    # where nodes are down for a while, it is they that may be waited for
    return why if all((node["is_up"], node["state"]) in _USABLE for node in nodes) else ""


def _nodes() -> list[dict[str, str]]:
    """Return the nodes that Slurm has, each kind once."""
    columns = {"partition": "%P", "is_up": "%a", "state": "%t", "limit": "%l", "gres": "%G"}
    command = ["sinfo", "--noheader", f"--format={'|'.join(columns.values())}"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    return [dict(zip(columns, line.split("|", 4), strict=True)) for line in done.stdout.splitlines()]


def _settings(why: str, job: Any, rule: str) -> str:
    """Return the settings that may have caused a refusal, with their values."""
    names = next((names for word, names in _CAUSES if word.lower() in why.lower()), ())
    given = [f"{name}={os.environ[name]}" for name in names if os.environ.get(name)]
    given += [
        f"--set-resources {rule}:{name}=, of the whole job {job.resources[name]}"
        for name in names
        if job.resources.get(name)
    ]
    if not given and names:
        given = [f"{names[0]} is not set"]
    return f" ({'; '.join(given)})" if given else ""


def hear(executor: Any, told: Callable[[Any, str, bool], Any]) -> None:
    """Let a function hear what an executor says of each job that failed, and let no job fail without a word.

    Snakemake drops what is said of a group. The plugin raises where it means to say that it could not submit one, in a
    thread where nobody hears it; the call would wait for that group for ever.

    Parameters
    ----------
    executor : Executor
        That of the Slurm plugin.
    told : callable
        Called with the job, what is said and whether the job had been submitted, before Snakemake logs the failure.
    """
    print_job_error, run_job = executor.print_job_error, executor.run_job

    def heard(job_info: SubmittedJobInfo, msg: str | None = None, **more: Any) -> None:
        # what was called may be longer than a screen
        told(job_info.job, (msg or "").partition("\n    sbatch call:")[0], job_info.external_jobid is not None)
        print_job_error(job_info, msg=msg, **more)

    def reported(job: Any) -> None:
        try:
            run_job(job)
        except Exception as error:
            why = f"Job submission failed with exception: {error.__context__ or error}"
            executor._report_job_error_threadsafe(SubmittedJobInfo(job), why)

    executor.print_job_error, executor.run_job = heard, reported
