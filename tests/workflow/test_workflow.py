"""The workflow as a user calls it: a fresh clone, the smoke study, and what a change reruns."""

import csv
import io
import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pandas as pd
import pytest
import yaml
from altfreeze.study.grid import Study
from altfreeze.study.reading import load
from altfreeze.support.provenance import fingerprint
from builders import AXE, REPORT_SCRIPTS, ROOT, assert_loads_nothing, emulate, open_page
from selenium.webdriver.support.ui import WebDriverWait

SMOKE = "config/studies/smoke.yaml"
STUDY = Study(load(ROOT / "config/config.yaml", ROOT / SMOKE))
# standard and six strategies, two blocks of seeds
PACKS = len(STUDY.packs)
OF_PRIMARY = sum(pack.recipe == "primary" for pack in STUDY.packs)
COMPARED = sum(pack.recipe == "primary" and not pack.calibrates for pack in STUDY.packs)
# of the variation: standard training, the primary strategy and its two controls, on each data set
VARIED = 4 * len(STUDY.datasets)
PAGES = sorted(["budgets", "claims", "dynamics", "schedules", "statistics", "walkthrough"])


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
    assert answer.startswith("4-layer MLPs, 2 data sets, 6 seeds each: ")
    assert f"{answer}\nThe report: {folder / 'results/smoke/report.html'}\n" in done.stderr
    return folder


def stale(clone, *arguments, study=SMOKE):
    """Return what a call would do: the number of jobs of each rule, and each page by its name."""
    done = snakemake(clone, "--summary", "--configfile", study, *arguments)
    assert done.returncode == 0, done.stderr
    files = list(csv.DictReader(io.StringIO(done.stdout), delimiter="\t"))
    assert {file["plan"] for file in files} <= {"no update", "update pending"}
    jobs = {job_of(file["rule"], file["output_file"]) for file in files if file["plan"] == "update pending"}
    return dict(Counter(name for name, _ in jobs))


def job_of(rule, path):
    """Return a rule, or a page by its name, and which of the rule's jobs it is that writes a file."""
    if rule == "page":
        return Path(path).stem, ""
    # the others have one job
    which = re.sub(r"(\.flow)?\.(csv|json|npz)$", "", path) if rule in ("data", "train", "tune") else ""
    return rule, which


def test_a_study_that_nobody_ran_has_every_job_before_it(tmp_path, copy_clone):
    planned = stale(copy_clone(tmp_path / "altfreeze"))
    once = {name: 1 for name in ("timing", "collect", "compare", "report", "linked", *PAGES)}
    assert planned == once | {"data": len(STUDY.datasets), "train": PACKS, "tune": VARIED}


def test_the_smoke_study_has_its_tables_and_pages(clone):
    results = clone / "results" / "smoke"
    runs = pd.read_csv(results / "tables" / "runs.csv")
    assert len(runs) == len(STUDY.places) * len(STUDY.strategies) * STUDY.seeds + 2 * VARIED == 2 * 1 * (7 * 6 + 4 * 2)
    assert set(runs["status"]) == {"ok"}
    pages = sorted(path.name for path in (results / "notebooks").iterdir())
    assert pages == [f"{name}.{suffix}" for name in PAGES for suffix in ("html", "ipynb")]
    report = (results / "report.html").read_text()
    difference = pd.read_csv(results / "tables" / "comparisons.csv").query(
        "dataset == 'all' and metric == 'final_test_accuracy' and strategy == 'alternating-0.5' and family == 'primary'"
    )["difference"]
    assert f"{abs(100 * difference.item()):.1f}" in report
    assert [path.name for path in (results / "tables").glob("epochs.*")] == ["epochs.parquet"]
    assert not list(results.rglob("*.tmp"))
    assert not [path.name for path in results.rglob("epochs*")][1:]


def test_the_report_and_every_page_load_nothing_and_open_without_a_word_on_the_console(clone, browser):
    results = clone / "results" / "smoke"
    pages = sorted((results / "notebooks").glob("*.html"))
    for path in (results / "report.html", *pages):
        scripts = REPORT_SCRIPTS if path.name == "report.html" else 1
        assert_loads_nothing(path, scripts, cites=path.stem == "claims")
        open_page(browser, path)
    browser.get((results / "report.html").as_uri())
    links = [link.get_attribute("href") for link in browser.find_elements("tag name", "a")]
    # beside the pages only parts of the report itself, and the configuration in it
    assert {link for link in links if link.startswith("file:") and "#" not in link} == {page.as_uri() for page in pages}
    others = [link for link in links if not link.startswith("file:")]
    assert len(others) == 1 and others[0].startswith("data:application/json;base64,")


def test_a_claim_links_the_cell_that_it_read(clone, browser):
    open_page(browser, clone / "results" / "smoke" / "notebooks" / "claims.html")
    found = [link.get_attribute("href") for link in browser.find_elements("tag name", "a")]
    cells = [link for link in found if "/report.html#cell=" in link]
    assert cells
    for link in cells:
        browser.get("about:blank")
        browser.get(link)
        cell = WebDriverWait(browser, 30).until(lambda at: at.find_element("css selector", "#cell[data-ready]"))
        assert cell.is_displayed()
        shown = json.loads(cell.get_attribute("data-ready"))
        asked = dict(parse_qsl(urlsplit(link).fragment))
        assert shown["cell"] == list(map(str, json.loads(asked.pop("cell"))))
        assert {name: shown[name] for name in asked} == asked


@pytest.mark.parametrize("name", ["schedules"])
@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_nothing_serious_keeps_anyone_out_of_the_pages_on_what_was_done(clone, browser, name, width, theme):
    emulate(browser, width, theme)
    open_page(browser, clone / "results" / "smoke" / "notebooks" / f"{name}.html")
    browser.execute_script(AXE)
    violations = browser.execute_async_script("axe.run(document).then((found) => arguments[0](found.violations))")
    assert [violation["id"] for violation in violations if violation["impact"] in ("serious", "critical")] == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_page_on_schedules_counts_the_operations_that_the_runs_spent(clone):
    results = clone / "results" / "smoke"
    text = (results / "notebooks" / "schedules.html").read_text()
    spent = pd.read_csv(results / "tables" / "runs.csv").query("dataset == 'moons'").groupby("strategy")["flops"].mean()
    assert len(spent) == 7
    for label, share in (100 * spent / spent["standard"]).items():
        assert (
            f"{share:.1f} % of the operations of standard training" in text.partition(f'<h2 id="{label}">')[2][:50_000]
        )
        (row,) = re.findall(rf"<th>{label}</th>(.*?)</tr>", text, re.DOTALL)
        assert re.findall(r"[\d.]+ %", row)[0] == f"{share:.1f} %"
        assert re.search(rf'alt="Layers that learn under {label} on moons, 4 layers by [^"]*{share:.1f} % of', text)


def test_the_second_call_has_nothing_to_do(clone):
    assert "Nothing to be done" in snakemake(clone, "--configfile", SMOKE).stderr


def test_the_crate_is_made_where_it_is_asked_for_and_only_there(clone):
    crate = clone / "results" / "smoke" / "ro-crate-metadata.json"
    assert not crate.exists()
    done = snakemake(clone, "crate", "--configfile", SMOKE)
    assert done.returncode == 0, done.stderr
    assert "Done: 1 of 1 job, " in done.stderr
    described = {item["@id"] for item in json.loads(crate.read_text())["@graph"]}
    assert {"report.html", "tables/runs.csv", "runs/iris/depth4/standard/primary/seeds0-2.csv"} <= described
    for target in ((), ("crate",)):
        assert "Nothing to be done" in snakemake(clone, *target, "--configfile", SMOKE).stderr


def study_with(clone, **keys):
    path = clone / "changed.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load((clone / SMOKE).read_text()) | keys))
    return path.name


# what reads the tables
after_tables = ["collect", "compare", "budgets", "claims", "dynamics", "statistics", "report", "linked"]
after_tables = dict.fromkeys(after_tables, 1)
# what is made of the configuration alone
configured = {"schedules": 1}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"seeds": 9}, {"train": 14}),
        (
            {"datasets": ["iris", "moons", "wine"]},
            {"data": 1, "train": PACKS // 2, "tune": 4, "timing": 1},
        ),
        ({"freeze_ratios": [0.5, 0.3]}, {"train": 4, "timing": 1}),
        ({"strategies": ["alternating", "lisa"]}, {"train": 4, "timing": 1}),
        ({"depths": [4, 5]}, {"train": OF_PRIMARY, "timing": 1}),
        ({"epochs_alternating": 7}, {"train": COMPARED * 6 // 7 + 6, "tune": 6, "timing": 1, "walkthrough": 1}),
        ({"freeze_unit": "step"}, {"train": 12 + 4, "tune": 4, "timing": 1}),
        ({"state_on_thaw": "decay"}, {"train": 8 + 2, "tune": 2, "timing": 1}),
        ({"calibration_seeds": 6}, {"train": 2}),
        ({"variations": [{"learning_rate": "tuned"}, {"width": 16}]}, {"train": 10}),
        ({"variation_seeds": 3}, {"train": 10, "tune": VARIED}),
        ({"learning_rates_to_try": [0.003, 0.01]}, {"train": 10, "tune": VARIED}),
        ({"timing_rounds": 7}, {"timing": 1}),
        ({"momentum": 0.5}, {}),
        ({"equivalence_margin": 0.02}, {}),
        ({"primary_budget": "epochs", "family": ["random_half"]}, {}),
    ],
    ids=lambda value: next(iter(value), "nothing"),
)
def test_a_change_of_the_study_trains_only_what_it_affects(clone, keys, expected):
    assert stale(clone, study=study_with(clone, **keys)) == after_tables | configured | expected


def test_a_change_of_a_training_key_trains_everything_and_makes_no_data(clone):
    jobs = stale(clone, study=study_with(clone, learning_rate=0.01))
    # but what is tuned is not read off it
    assert jobs == {"train": OF_PRIMARY, "timing": 1, **after_tables, **configured, "walkthrough": 1}


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


def test_editing_a_notebook_executes_it_again_and_trains_nothing(clone, edited):
    edited("workflow/notebooks/budgets.ipynb", lambda text: text.replace("equal", "Equal", 1) + "\n")
    assert stale(clone) == {"budgets": 1, "report": 1, "linked": 1}


def test_another_claim_writes_the_page_on_claims_again(clone, edited):
    edited("workflow/claims.yaml", lambda text: text + "\n")
    assert stale(clone) == {"claims": 1, "report": 1, "linked": 1}


def package_files(clone):
    files = (clone / "workflow" / "altfreeze").rglob("*.py")
    return sorted(str(path.relative_to(clone)) for path in files if path.stat().st_size)


def test_comments_and_docstrings_of_the_whole_package_rerun_nothing(clone, edited):
    for name in package_files(clone):
        edited(name, lambda text: text.replace('"""', '"""Changed. ', 1) + "\n\n# a comment\n")
    assert stale(clone) == {}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("training/network", {"train": PACKS, "timing": 1, **after_tables}),
        ("statistics/paired", after_tables),
    ],
)
def test_a_change_of_code_that_decides_numbers_makes_them_anew(clone, edited, module, expected):
    edited(f"workflow/altfreeze/{module}.py", lambda text: f"{text}\nUNUSED = 1\n")
    jobs = stale(clone)
    assert {name: jobs.get(name) for name in expected} == expected
    assert jobs.get("train", 0) == expected.get("train", 0)


def test_another_digit_of_a_log_trains_everything_again(clone, edited):
    writers = [name for name in package_files(clone) if ":.9g" in (clone / name).read_text()]
    assert writers
    for name in writers:
        edited(name, lambda text: text.replace(":.9g", ":.4g"))
    assert stale(clone)["train"] == PACKS


def test_another_message_of_progress_makes_nothing_stale(clone, edited):
    messages = {
        "workflow/progress.py": " to train",
        "workflow/altfreeze/training/job.py": r'print\(\s*f"',
    }
    for name, words in messages.items():
        assert re.search(words, (clone / name).read_text())
        edited(name, lambda text, words=words: re.sub(words, r"\g<0>once more ", text))
    assert stale(clone) == {}


def test_another_label_of_the_explorer_writes_the_report_alone_again(clone, edited):
    name, label = "workflow/altfreeze/report/explorer.py", '"Data set"'
    assert label in (clone / name).read_text()
    edited(name, lambda text: text.replace(label, '"Data"'))
    assert stale(clone) == {"report": 1, "linked": 1}


def test_a_manifest_names_the_code_whose_change_trains_its_pack_again(clone):
    rule = (clone / "workflow/rules/train.smk").read_text().partition("rule tune:")[0]
    roots = re.findall(r'"(.*?)"', re.search(r"code=fingerprint\((.*?)\)", rule, re.DOTALL)[1])
    manifests = (clone / "results/smoke/runs").rglob("seeds*.json")
    assert {json.loads(path.read_text())["code"] for path in manifests} == {fingerprint(*roots)}


def test_numbers_that_are_equal_are_the_same_study(clone):
    assert stale(clone, study=study_with(clone, dropout=0, weight_decay=0, freeze_ratios=[5e-1])) == {}


def test_how_often_a_checkpoint_is_kept_makes_nothing_stale(clone):
    assert stale(clone, study=study_with(clone, checkpoint_seconds=3)) == {}


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
        learning_rate="tuned",
        learning_rate_schedule="constant",
        variations=[],
    )
    # its pages are those of any study
    done = snakemake(clone, "--configfile", study, "--", "results/tuned/tables/comparisons.csv")
    assert done.returncode == 0, done.stderr
    tables = clone / "results" / "tuned" / "tables"
    tuning = pd.read_csv(tables / "tuning.csv")
    assert sorted(tuning["strategy"]) == ["alternating-0.5"] * 2 + ["standard"] * 2
    runs = pd.read_csv(tables / "runs.csv")
    assert runs.groupby(["strategy", "recipe"]).size().to_dict() == {
        (strategy, "primary"): 6 for strategy in ("standard", "alternating-0.5")
    }
    epochs = pd.read_parquet(tables / "epochs.parquet")
    chosen = tuning[tuning["chosen"] == 1].set_index("strategy")["learning_rate"]
    for strategy, rows in epochs.groupby("strategy"):
        assert set(rows["learning_rate"]) == {chosen[strategy]}


def test_what_is_there_is_reported_apart_when_a_job_fails_and_the_others_go_on(clone):
    study = study_with(
        clone,
        results="results/holes",
        datasets=["iris"],
        strategies=["alternating"],
        gradient_flow=False,
        variations=[],
    )
    entry = clone / "workflow" / "altfreeze" / "__main__.py"
    whole = entry.read_text()
    unlucky = 'import sys\n\nif "train" in sys.argv and "3-5" in sys.argv:\n    sys.exit("altfreeze: out of luck")\n'
    entry.write_text(unlucky + whole)
    try:
        done = snakemake(clone, "--keep-going", "--configfile", study)
    finally:
        entry.write_text(whole)
    assert done.returncode != 0
    results = clone / "results" / "holes"
    report = results / "partial" / "report.html"
    assert f"A partial report, 2 of 5 training jobs have no result: {report}\n" in done.stderr
    runs = pd.read_csv(results / "partial" / "tables" / "runs.csv")
    assert runs.groupby("status")["seed"].agg(set).to_dict() == {"ok": {0, 1, 2}, "missing": {3, 4, 5}}
    packs = pd.read_csv(results / "partial" / "tables" / "packs.csv", keep_default_na=False)
    assert packs["reason"].value_counts().to_dict() == {"": 3, "altfreeze: out of luck": 2}
    answer = (results / "partial" / "answer.txt").read_text()
    assert answer.startswith("4-layer MLPs, 1 data set, 6 seeds each (3 of 6 pairs, the others left out): ")
    assert answer.strip() in report.read_text()
    assert_loads_nothing(report, scripts=REPORT_SCRIPTS)
    # the study's own tables and report are made of whole studies alone
    assert {path.name for path in (results / "tables").iterdir()} == {"timing.csv", "timing.json"}
    assert not (results / "report.html").exists()
    done = snakemake(clone, "--configfile", study)
    assert done.returncode == 0, done.stderr
    assert (results / "report.html").exists()
    assert not (results / "partial").exists()
