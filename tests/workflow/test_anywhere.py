"""The workflow called from elsewhere, by another Snakefile, by an interpreter that is not on PATH, and as a report."""

import json
import os
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath

import git
import pandas as pd
import pytest
import surroundings
import yaml
from builders import ROOT, need

SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))
TINY = {
    **{"study": "tiny", "results": "results/tiny", "datasets": ["iris"], "depths": [2], "freeze_ratios": [0.5]},
    **{"strategies": ["alternating"], "primary_depth": 2, "seeds": 6, "seeds_per_job": 6, "epochs_standard": 2},
    **{"epochs_alternating": 2, "calibration_seeds": 3, "timing_rounds": 6, "variations": [], "learning_rate": 0.003},
}
# what snakedeploy deploy-workflow writes
MODULE = """
configfile: "config/config.yaml"


module altfreeze:
    snakefile:
        {}
    config:
        config


use rule * from altfreeze
"""


def call(folder, *arguments, **variables):
    """Call Snakemake by its path, with neither its folder nor the package where they would be found."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    kept["PATH"] = os.pathsep.join(
        each for each in kept["PATH"].split(os.pathsep) if Path(each) != Path(SNAKEMAKE).parent
    )
    command = [SNAKEMAKE, *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=folder,
        env=kept | variables,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
        check=False,
    )


def deploy(folder, snakefile, **keys):
    """Make a folder with a Snakefile that uses the workflow as a module, and a configuration; return it."""
    (folder / "config").mkdir(parents=True)
    (folder / "config/config.yaml").write_text(yaml.safe_dump(TINY | keys), encoding="utf-8")
    (folder / "workflow").mkdir()
    (folder / "workflow/Snakefile").write_text(MODULE.format(snakefile), encoding="utf-8")
    return folder


def jobs(printed):
    """Return how many jobs of each rule a dry run tells."""
    table = printed.rpartition("Job stats:")[2].partition("\n\n")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, flags=re.M)}


PLANNED = {"data": 1, "page": 6, "timing": 1, "train": 3, "collect": 1, "compare": 1, "report": 1, "linked": 1}


@pytest.fixture(scope="module")
def clone(tmp_path_factory, copy_clone):
    """A clone, in a folder that no results may lie in."""
    return copy_clone(tmp_path_factory.mktemp("elsewhere") / "altfreeze")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory, clone):
    """A folder that uses the workflow as a module, with a table of its own beside it, and its study run to the end."""
    rows = [
        "width,height,kind",
        *(f"{index / 8},{index * 7 % 30 / 9},{'oak' if index % 2 else 'ash'}" for index in range(90)),
    ]
    folder = deploy(
        tmp_path_factory.mktemp("deployed") / "mine",
        f'"{clone}/workflow/Snakefile"',
        datasets=["trees"],
        sources={"trees": {"kind": "csv", "path": "trees.csv", "target": "kind"}},
    )
    (folder / "trees.csv").write_text("\n".join(rows), encoding="utf-8")
    done = call(folder, "--cores", "2")
    assert done.returncode == 0, done.stdout
    return folder


def test_a_module_runs_a_study_to_its_end_beside_its_caller(deployed, clone):
    results = deployed / "results/tiny"
    record = json.loads((results / "study.json").read_text(encoding="utf-8"))
    # what the caller's configuration leaves out
    assert record["batch_size"] == 64
    assert record["datasets"] == ["trees"]
    assert (results / "answer.txt").read_text(encoding="utf-8").strip()
    assert len(list(results.glob("notebooks/*.html"))) == 6
    assert not (clone / "results/tiny").exists()
    again = call(deployed, "--cores", "2", "--dry-run")
    assert "Nothing to be done" in again.stdout, again.stdout
    # the crate takes the workflow's files from where they are
    assert call(deployed, "--cores", "1", "crate").returncode == 0
    assert (results / "code/workflow/Snakefile").read_bytes() == (clone / "workflow/Snakefile").read_bytes()


def without_seconds(path):
    """Return a table without what two runs of the same code differ in."""
    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str, keep_default_na=False)
    return table.drop(columns=[name for name in table if "seconds" in name or "memory" in name])


# made of epochs, updates and operations alone
CERTAIN = ("epochs.parquet", "gradient_flow.parquet", "runs.csv", "targets.csv", "calibration.csv", "packs.csv")


def test_a_storage_gets_the_same_tables_and_nothing_else_is_written_but_what_calls_keep(deployed, clone, tmp_path):
    need(["rsync"], "install_rsync.sh")
    folder = deploy(
        tmp_path / "mine",
        f'"{clone}/workflow/Snakefile"',
        datasets=["trees"],
        sources={"trees": {"kind": "csv", "path": "trees.csv", "target": "kind"}},
    )
    (folder / "trees.csv").write_bytes((deployed / "trees.csv").read_bytes())
    given = ["--default-storage-provider", "fs", "--default-storage-prefix", tmp_path / "store"]
    given += ["--shared-fs-usage", "none", "--cores", "2"]
    done = call(folder, *given)
    assert done.returncode == 0, done.stdout
    stored = tmp_path / "store/results/tiny"
    assert (stored / "report.html").is_file()
    for name in CERTAIN:
        ours, usual = (without_seconds(results / "tables" / name) for results in (stored, deployed / "results/tiny"))
        pd.testing.assert_frame_equal(ours, usual)
    # the lock, and the study as jobs read it
    assert {path.name for path in (folder / "results/tiny").rglob("*") if path.is_file()} == {".lock", "study.json"}
    assert {path.name for path in folder.iterdir()} == {".snakemake", "config", "results", "trees.csv", "workflow"}
    again = call(folder, *given).stdout
    answer = (stored / "answer.txt").read_text(encoding="utf-8").strip()
    assert "Nothing to be done" in again
    assert again.endswith(f"{answer}\n\nThe report, in the storage: {stored}/report.html\n"), again
    # as its job's process is started on a machine that has neither the caller's folder nor its study.json
    elsewhere = deploy(tmp_path / "elsewhere", f'"{clone}/workflow/Snakefile"', datasets=["iris"])
    job = [
        "--mode",
        "remote",
        "--no-hooks",
        "--nolock",
        "--target-jobs",
        "data:dataset=iris",
        "--allowed-rules",
        "data",
    ]
    done = call(elsewhere, *given, *job)
    assert done.returncode == 0, done.stdout
    assert (stored / "data/iris.npz").is_file()


class Links(HTMLParser):
    """The files that a page links to."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attrs):
        self.found |= {value for name, value in attrs if name == "href" and not re.match("#|data:|https?:", value)}


def test_snakemakes_report_needs_no_cores_opens_on_the_answer_and_its_links_lead_somewhere(deployed):
    done = call(deployed, "--report", "report.zip")
    assert done.returncode == 0, done.stdout
    assert "System Message" not in done.stdout and "WARNING" not in done.stdout
    with zipfile.ZipFile(deployed / "report.zip") as archive:
        names = set(archive.namelist())
        front = archive.read("report/report.html").decode()
        links = {}
        for name in names - {"report/report.html"}:
            if name.endswith(".html"):
                page = Links()
                page.feed(archive.read(name).decode())
                links[name] = page.found
    described = json.loads(re.search('var workflow_desc = (".*");', front)[1])
    answer = (deployed / "results/tiny/answer.txt").read_text(encoding="utf-8")
    assert answer.split(":")[0].strip() in described
    assert "showResultInfo('results/tiny/linked/report.html')" in described
    assert "system-message" not in described
    assert len(links) == 7 and all(links.values())
    for name, found in links.items():
        for link in found:
            assert os.path.normpath(PurePosixPath(name).parent / link) in names, (name, link)


@pytest.mark.parametrize("form", ["-s", "--directory", "module", "prefixed module"])
def test_a_dry_run_from_another_folder_plans_the_study(tmp_path, clone, form):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY), encoding="utf-8")
    folder = tmp_path / "empty"
    given = ["--cores", "1", "--dry-run"]
    if form == "-s":
        folder.mkdir()
        done = call(folder, *given, "-s", clone / "Snakefile", "--configfile", tmp_path / "tiny.yaml")
    elif form == "--directory":
        done = call(clone, *given, "--directory", folder, "--configfile", tmp_path / "tiny.yaml")
    else:
        deploy(folder, f'"{clone}/Snakefile"')
        snakefile = folder / "workflow/Snakefile"
        if form == "prefixed module":
            snakefile.write_text(f"{snakefile.read_text().rstrip()} as altfreeze_*\n")
        done = call(folder, *given)
    assert done.returncode == 0, done.stdout
    planned = {rule.removeprefix("altfreeze_"): count for rule, count in jobs(done.stdout).items()}
    assert {rule: planned.get(rule) for rule in PLANNED} == PLANNED
    assert not (folder / "results").exists()


def test_a_module_named_by_its_host_plans_the_study_at_that_version(tmp_path, copy_clone):
    """As on GitHub, but Snakemake finds the repository in its cache, so that no network is needed."""
    made = copy_clone(tmp_path / "made")
    repository = git.Repo.init(made)
    repository.git.add("--all")
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    repository.git.execute(["git", *author, "commit", "--quiet", "--message", "first"])
    repository.create_tag("v1")
    cache = tmp_path / "cache"
    kept = cache / "snakemake/snakemake/source-cache/snakemake-git-cache/github.com/someone/altfreeze"
    repository.clone(str(kept), bare=True)
    folder = deploy(tmp_path / "mine", 'github("someone/altfreeze", path="workflow/Snakefile", tag="v1")')
    done = call(folder, "--cores", "1", "--dry-run", XDG_CACHE_HOME=str(cache))
    assert done.returncode == 0, done.stdout
    assert {rule: jobs(done.stdout).get(rule) for rule in PLANNED} == PLANNED
    (unpacked,) = (folder / ".snakemake/altfreeze").iterdir()
    assert unpacked.name == repository.head.commit.hexsha
    assert git.Repo(unpacked).head.commit == repository.head.commit


def test_a_mistake_in_a_callers_configuration_names_its_file(tmp_path, clone):
    done = call(deploy(tmp_path / "mine", f'"{clone}/Snakefile"', depths=["x"]), "--cores", "1", "--dry-run")
    assert done.returncode
    assert re.search(r"^altfreeze: config/config.yaml: depths", done.stdout, flags=re.M), done.stdout


def test_jobs_run_with_the_interpreter_that_runs_snakemake_but_not_in_environments_of_their_own():
    own = surroundings.shell_prefix(Path("/a {b} 'c'"), own_interpreter=True)
    # as Snakemake formats it
    command = f"{own.format()} echo $PATH; echo $PYTHONPATH"
    done = subprocess.run(["bash", "-c", command], env={"PATH": os.defpath}, capture_output=True, text=True, check=True)
    path, modules = done.stdout.splitlines()
    assert path.split(":")[0] == str(Path(sys.executable).parent)
    assert modules == "/a {b} 'c'"
    assert "PATH=$" not in surroundings.shell_prefix(Path("/a"), own_interpreter=False).replace("PYTHONPATH", "")
    assert str(Path(sys.executable).parent) not in surroundings.shell_prefix(Path("/a"), own_interpreter=False)


def test_a_missing_package_is_one_line_with_the_command_that_installs_it(tmp_path, copy_clone):
    clone = copy_clone(tmp_path / "altfreeze")
    project = clone / "pyproject.toml"
    assert surroundings.missing_packages(project) == []
    project.write_text(project.read_text().replace('"tqdm",', '"tqdm", "not-there >=1",'), encoding="utf-8")
    done = call(clone, "--cores", "1", "--quiet")
    assert done.returncode
    (line,) = [line for line in done.stdout.splitlines() if not line.startswith("Using ")]
    install = f"{sys.executable} -m pip install -r {clone}/requirements.txt"
    assert line == f"altfreeze: {sys.executable} lacks not-there; this installs what is needed: {install}"
    assert not (clone / "results/study.json").exists()


@pytest.mark.skipif(any(Path("/dev").glob("nvidia[0-9]*")), reason="this machine has a GPU")
def test_a_dry_run_for_a_cluster_shows_the_gpus_that_its_jobs_will_ask_for(clone):
    # the profile without Slurm's own settings, which ask Slurm
    profile = clone / "elsewhere"
    profile.mkdir()
    (profile / "config.yaml").write_text("executor: slurm\njobs: 10\n", encoding="utf-8")
    for given, expected in [(["--profile", profile], {"1"}), (["--cores", "1"], {"0"})]:
        done = call(clone, "--dry-run", *given, "--configfile", "config/studies/smoke.yaml")
        assert set(re.findall(r"\(GPUs: (\d+)\)", done.stdout)) == expected, done.stdout


def test_the_catalog_finds_what_it_looks_for():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    for name in ("workflow/Snakefile", "config/README.md", "config/config.yaml", "README.md", "LICENSE"):
        assert (ROOT / name).is_file()
