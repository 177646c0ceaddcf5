"""The workflow as a user calls it: a fresh clone, the smoke study, and what a change reruns."""

import json
import os
import re
import shutil
import subprocess

import pandas as pd
import pytest
import yaml
from altfreeze.support.provenance import NUMERIC_MODULES
from builders import ROOT
from test_explorer import AXE, emulate
from test_report import REPORT_SCRIPTS, assert_loads_nothing, open_page

SMOKE = "config/studies/smoke.yaml"
# two data sets, one depth, standard and six strategies, two blocks of seeds
COMPARED = 2 * 7 * 2
PACKS = COMPARED + 2


def snakemake(folder, *arguments):
    command = ["snakemake", "--cores", "2", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def clone(tmp_path_factory, copy_clone):
    """A copy of what a clone holds, with the smoke study run once."""
    folder = copy_clone(tmp_path_factory.mktemp("clone") / "altfreeze")
    done = snakemake(folder, "--configfile", SMOKE)
    assert done.returncode == 0, done.stderr
    answer = (folder / "results/smoke/answer.txt").read_text()
    assert answer.startswith(("Alternating freezing ", "Undecided: "))
    assert f"{answer}\nThe report: {folder / 'results/smoke/report.html'}\n" in done.stderr
    return folder


def stale(clone, *arguments, study=SMOKE):
    """Return the jobs that a dry run would do: rule to the wildcards of its outputs."""
    done = snakemake(clone, "--dry-run", "--configfile", study, *arguments)
    assert done.returncode == 0, done.stderr
    text = done.stdout + done.stderr
    counts = re.findall(r"^(\w+) +(\d+)$", text, flags=re.M)
    return {rule: int(count) for rule, count in counts if rule not in {"total", "all"}}


def test_the_smoke_study_has_its_tables_and_pages(clone):
    results = clone / "results" / "smoke"
    runs = pd.read_csv(results / "tables" / "runs.csv")
    assert len(runs) == 2 * 1 * 7 * 6
    assert set(runs["status"]) == {"ok"}
    pages = sorted(path.name for path in (results / "notebooks").iterdir())
    names = ("budgets", "comparison", "dynamics-iris", "dynamics-moons", "methods", "schedules", "statistics")
    names = (*names, "walkthrough")
    assert pages == [f"{name}.{suffix}" for name in names for suffix in ("html", "ipynb")]
    report = (results / "report.html").read_text()
    difference = pd.read_csv(results / "tables" / "comparisons.csv").query(
        "dataset == 'all' and metric == 'final_test_accuracy' and strategy == 'alternating-0.5' and family == 'primary'"
    )["difference"]
    assert f"{abs(100 * difference.item()):.1f}" in report
    assert not list(results.rglob("*.tmp"))


def test_the_report_and_every_page_load_nothing_and_open_without_a_word_on_the_console(clone, browser):
    results = clone / "results" / "smoke"
    pages = sorted((results / "notebooks").glob("*.html"))
    for path in (results / "report.html", *pages):
        scripts = REPORT_SCRIPTS if path.name == "report.html" else 0
        assert_loads_nothing(path, scripts, cites=path.name == "methods.html")
        open_page(browser, path)
    browser.get((results / "report.html").as_uri())
    links = [link.get_attribute("href") for link in browser.find_elements("tag name", "a")]
    # beside the pages only parts of the report itself, and the configuration in it
    assert {link for link in links if link.startswith("file:") and "#" not in link} == {page.as_uri() for page in pages}
    others = [link for link in links if not link.startswith("file:")]
    assert len(others) == 1 and others[0].startswith("data:application/json;base64,")


@pytest.mark.parametrize("name", ["methods", "schedules"])
@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_nothing_serious_keeps_anyone_out_of_the_pages_on_what_was_done(clone, browser, name, width, theme):
    emulate(browser, width, theme)
    open_page(browser, clone / "results" / "smoke" / "notebooks" / f"{name}.html")
    browser.execute_script(AXE)
    violations = browser.execute_async_script("axe.run(document).then((found) => arguments[0](found.violations))")
    assert [each["id"] for each in violations if each["impact"] in ("serious", "critical")] == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_page_on_schedules_counts_the_operations_that_the_runs_spent(clone):
    results = clone / "results" / "smoke"
    text = (results / "notebooks" / "schedules.html").read_text()
    spent = pd.read_csv(results / "tables" / "runs.csv").query("dataset == 'moons'").groupby("strategy")["flops"].mean()
    assert len(spent) == 7
    for label, share in (100 * spent / spent["standard"]).items():
        assert (
            f"{share:.1f} % of the operations of standard training" in text.partition(f"<h2>{label}</h2>")[2][:50_000]
        )
        (row,) = re.findall(rf"<th>{label}</th>(.*?)</tr>", text, re.DOTALL)
        assert re.findall(r"[\d.]+ %", row)[0] == f"{share:.1f} %"
        assert re.search(rf'alt="Layers that learn under {label} on moons, 4 layers by [^"]*{share:.1f} % of', text)


def test_the_page_on_methods_names_every_strategy_source_and_version(clone):
    results = clone / "results" / "smoke"
    text = (results / "notebooks" / "methods.html").read_text()
    study = json.loads((results / "tables" / "study.json").read_text())
    for label in pd.read_csv(results / "tables" / "runs.csv")["strategy"].unique():
        assert f"<th>{label}</th>" in text
    for key in study["config"].keys() - {"study", "results", "sources", "strategies"}:
        assert f"<th>{key}</th>" in text
    for name, version in study["provenance"]["versions"][0].items():
        assert f"{name} {version}" in text
    cited = [url for path in ("paired", "across", "reach", "diagnostics") for url in sources_of(f"statistics/{path}")]
    assert len(cited) > 20
    assert [url for url in cited if f'href="{url}"' not in text] == []


def sources_of(module):
    """Return the addresses that a module's docstrings cite."""
    text = (ROOT / "workflow" / "altfreeze" / f"{module}.py").read_text()
    docstrings = "".join(re.findall(r'^    """.*?"""', text, re.DOTALL | re.MULTILINE))
    return [url.rstrip(".,;:)") for url in re.findall(r"https://[^\s)]+", docstrings)]


def test_the_second_call_has_nothing_to_do(clone):
    assert "Nothing to be done" in snakemake(clone, "--configfile", SMOKE).stderr


def study_with(clone, **keys):
    path = clone / "changed.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load((clone / SMOKE).read_text()) | keys))
    return path.name


described = {"report": 1, "crate": 1}
after_tables = {"collect": 1, "compare": 1, "comparison": 1, "budgets": 1, "statistics": 1, "methods": 1} | described
# it is drawn of the configuration alone, so any change of it draws it again
after_tables |= {"schedules": 1, "figures": 1}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"seeds": 9}, {"train": 14}),
        ({"datasets": ["iris", "moons", "wine"]}, {"data": 1, "train": PACKS // 2, "timing": 1, "dynamics": 3}),
        ({"freeze_ratios": [0.5, 0.3]}, {"train": 4, "timing": 1}),
        ({"strategies": ["alternating", "lisa"]}, {"train": 4, "timing": 1}),
        ({"depths": [4, 5]}, {"train": PACKS, "timing": 1}),
        ({"epochs_alternating": 7}, {"train": COMPARED * 6 // 7, "timing": 1}),
        ({"freeze_unit": "step"}, {"train": 12, "timing": 1}),
        ({"state_on_thaw": "decay"}, {"train": 8, "timing": 1}),
        ({"calibration_seeds": 6}, {"train": 2}),
        ({"tune": [0.001, 0.01]}, {"tune": 14, "train": COMPARED}),
        ({"timing_rounds": 7}, {"timing": 1}),
        ({"momentum": 0.5}, {}),
        ({"equivalence_margin": 0.02}, {}),
        ({"primary_budget": "epochs", "family": ["random_half"]}, {}),
    ],
    ids=lambda value: next(iter(value), "nothing"),
)
def test_a_change_of_the_study_trains_only_what_it_affects(clone, keys, expected):
    assert stale(clone, study=study_with(clone, **keys)) == {"dynamics": 2} | after_tables | expected


def test_a_change_of_a_training_key_trains_everything_and_makes_no_data(clone):
    jobs = stale(clone, study=study_with(clone, learning_rate=0.01))
    assert jobs == {"train": PACKS, "timing": 1, **after_tables, "dynamics": 2, "walkthrough": 1}


def test_a_change_of_the_study_seed_draws_all_anew(clone):
    jobs = stale(clone, study=study_with(clone, seed=2))
    assert (jobs["data"], jobs["train"]) == (2, PACKS)


@pytest.fixture
def edited(clone):
    """Change a file of the clone for one test."""
    kept = {}

    def edit(name, change):
        path = clone / name
        kept[path] = path.read_text()
        path.write_text(change(kept[path]))

    yield edit
    for path, text in kept.items():
        path.write_text(text)


def test_touching_or_editing_a_notebook_trains_nothing(clone, edited):
    edited("workflow/notebooks/comparison.ipynb", lambda text: text.replace("differ", "Differ", 1) + "\n")
    assert stale(clone) == {"comparison": 1} | described


@pytest.mark.parametrize("module", NUMERIC_MODULES)
def test_a_change_of_code_that_decides_numbers_trains_again(clone, edited, module):
    edited(f"workflow/altfreeze/{module}.py", lambda text: text + "\nUNUSED = 1\n")
    assert stale(clone)["train"] == PACKS


@pytest.mark.parametrize("module", NUMERIC_MODULES)
def test_a_change_of_a_docstring_rewrites_the_pages_that_show_docstrings(clone, edited, module):
    edited(f"workflow/altfreeze/{module}.py", lambda text: text.replace('"""', '"""Changed. ', 1))
    assert stale(clone) == {"methods": 1, "schedules": 1} | described


@pytest.mark.parametrize("module", NUMERIC_MODULES)
def test_a_change_of_a_comment_reruns_nothing(clone, edited, module):
    edited(f"workflow/altfreeze/{module}.py", lambda text: text + "\n# a comment\n")
    assert stale(clone) == {}


def test_numbers_that_are_equal_are_the_same_study(clone):
    assert stale(clone, study=study_with(clone, dropout=0, weight_decay=0, freeze_ratios=[5e-1])) == {}


def test_how_often_a_checkpoint_is_kept_makes_nothing_stale(clone):
    assert stale(clone, study=study_with(clone, checkpoint_every=3)) == {}


def test_the_statistics_are_computed_anew_without_training(clone, edited):
    edited("workflow/altfreeze/statistics/paired.py", lambda text: text + "\nUNUSED = 1\n")
    assert stale(clone) == after_tables | {"dynamics": 2}


def test_a_log_that_was_edited_stops_the_collection(clone):
    log = clone / "results" / "smoke" / "runs" / "iris" / "depth4" / "standard" / "configured" / "seeds0-2.csv"
    text, times = log.read_text(), log.stat()
    try:
        log.write_text(text.replace("ok", "OK", 1))
        done = snakemake(clone, "--configfile", SMOKE)
        assert done.returncode != 0
        message = (clone / "results" / "smoke" / "logs" / "collect.log").read_text()
        assert message.count("\n") == 1
        assert "iris/depth4/standard/configured/seeds0-2.csv" in message
        assert "delete both files" in message
        assert message.strip() in done.stdout + done.stderr
    finally:
        log.write_text(text)
        os.utime(log, ns=(times.st_atime_ns, times.st_mtime_ns))
        done = snakemake(clone, "--configfile", SMOKE)
        assert done.returncode == 0, done.stderr
        assert (clone / "results" / "smoke" / "tables" / "runs.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "optimizer=lion"], '--config: optimizer: "lion" is not allowed; allowed: sgd, adam, adamw'),
        (["--config", "epoch=3"], "--config: epoch: unknown key"),
        (["--configfile", "wrong.yaml"], 'wrong.yaml: seeds: "many" is not allowed; allowed: a whole number ≥ 1'),
    ],
)
def test_a_wrong_configuration_is_one_line_before_anything_runs(clone, arguments, words):
    (clone / "wrong.yaml").write_text("seeds: many\n")
    done = snakemake(clone, *arguments)
    assert done.returncode != 0
    ours = [line for line in done.stderr.splitlines() if line.startswith("altfreeze: ")]
    assert len(ours) == 1
    assert words in ours[0]
    assert "Traceback" not in done.stderr


def test_a_data_file_that_cannot_be_used_is_one_line_in_the_log(clone):
    (clone / "mine.csv").write_text("a,b\n1,x\n")
    study = clone / "mine.yaml"
    study.write_text(
        "results: results/mine\ndatasets: [mine]\nsources: {mine: {kind: csv, path: mine.csv, target: c}}\n"
    )
    done = snakemake(clone, "--configfile", study.name)
    assert done.returncode != 0
    message = (clone / "results" / "mine" / "logs" / "data" / "mine.log").read_text()
    assert message.count("\n") == 1
    assert "mine.csv" in message
    assert '"c"' in message or "'c'" in message


@pytest.mark.parametrize(("device", "gpus"), [("cpu", "0"), ("cuda", "1")])
def test_a_training_job_asks_for_a_gpu_when_the_device_is_cuda(clone, device, gpus):
    done = snakemake(clone, "--dry-run", "--forceall", "--configfile", SMOKE, "--config", f"device={device}")
    assert done.returncode == 0, done.stderr
    assert re.findall(r"(?:Train|Time) .* \(GPUs: (\d)\)", done.stdout + done.stderr) == [gpus] * (PACKS + 1)


def test_a_tuned_study_trains_every_strategy_at_its_own_learning_rate(clone):
    study = study_with(
        clone,
        results="results/tuned",
        datasets=["iris"],
        strategies=["alternating"],
        seeds_per_job=6,
        tune=[0.001, 0.01],
    )
    done = snakemake(clone, "--configfile", study)
    assert done.returncode == 0, done.stderr
    tables = clone / "results" / "tuned" / "tables"
    tuning = pd.read_csv(tables / "tuning.csv")
    assert sorted(tuning["strategy"]) == ["alternating-0.5"] * 2 + ["standard"] * 2
    runs = pd.read_csv(tables / "runs.csv")
    assert runs.groupby(["strategy", "recipe"]).size().to_dict() == {
        (strategy, recipe): 6 for strategy in ("standard", "alternating-0.5") for recipe in ("configured", "tuned")
    }
    epochs = pd.read_parquet(tables / "epochs.parquet")
    chosen = tuning[tuning["chosen"] == 1].set_index("strategy")["learning_rate"]
    for strategy, rows in epochs[epochs["recipe"] == "tuned"].groupby("strategy"):
        assert set(rows["learning_rate"]) == {chosen[strategy]}


def test_snakemakes_own_report_is_written(clone):
    done = snakemake(clone, "--configfile", SMOKE, "--report", "snakemake-report.html")
    assert done.returncode == 0, done.stderr
    text = (clone / "snakemake-report.html").read_text()
    for label in ("Tables", "comparisons", "runs", "dynamics"):
        assert label in text


def test_what_is_there_is_reported_apart_when_a_job_fails_and_the_others_go_on(clone):
    study = study_with(
        clone, results="results/holes", datasets=["iris"], strategies=["alternating"], gradient_flow=False
    )
    programs = clone / "programs"
    programs.mkdir()
    python = shutil.which("python")
    lines = [
        "#!/bin/sh",
        'case "$*" in',
        '*" train "*"--seeds 3-5"*) echo "altfreeze: out of luck" >&2; exit 1;;',
        "esac",
    ]
    (programs / "python").write_text("\n".join([*lines, f'exec "{python}" "$@"\n']))
    (programs / "python").chmod(0o755)
    done = subprocess.run(
        ["snakemake", "--cores", "2", "--keep-going", "--configfile", study],
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
    )
    assert done.returncode != 0
    results = clone / "results" / "holes"
    report = results / "partial" / "report.html"
    assert f"A partial report, 2 of 5 training jobs have no result: {report}\n" in done.stderr
    runs = pd.read_csv(results / "partial" / "tables" / "runs.csv")
    assert runs.groupby("status")["seed"].agg(set).to_dict() == {"ok": {0, 1, 2}, "missing": {3, 4, 5}}
    packs = pd.read_csv(results / "partial" / "tables" / "packs.csv", keep_default_na=False)
    assert packs["reason"].value_counts().to_dict() == {"": 3, "altfreeze: out of luck": 2}
    answer = (results / "partial" / "answer.txt").read_text()
    assert "3 of 6 pairs: 1 data set × 6 seeds, 3 left out, 6 runs missing" in answer
    assert answer.strip() in report.read_text()
    assert_loads_nothing(report, scripts=REPORT_SCRIPTS)
    # the study's own tables and report are made of whole studies alone
    assert [path.name for path in (results / "tables").iterdir()] == ["timing.csv"]
    assert not (results / "report.html").exists()
    done = snakemake(clone, "--configfile", study)
    assert done.returncode == 0, done.stderr
    assert (results / "report.html").exists()
    assert not (results / "partial").exists()
