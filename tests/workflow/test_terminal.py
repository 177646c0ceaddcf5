"""What a person sees of a call of Snakemake: one line of progress, each failure once, how it ended."""

import contextlib
import fcntl
import io
import json
import logging
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import SimpleNamespace

import altfreeze.report.notebook_pages
import pandas as pd
import psutil
import pytest
import yaml
from altfreeze.report.words import signed_points
from altfreeze.support.errors import InputError
from builders import ROOT, make_study, wait_until
from closing import clock_advice, excerpt, last_lines, why_silent
from guard import hold, unusable_place
from progress import Progress, duration
from submission import hear

STUDY = {
    "results": "results/terminal",
    "datasets": ["iris"],
    "depths": [4],
    "freeze_ratios": [0.5],
    "strategies": ["alternating"],
    "seeds": 4,
    "seeds_per_job": 2,
    "epochs_standard": 3,
    "epochs_alternating": 3,
    "primary_depth": 4,
    "variations": [],
    "calibration_seeds": 3,
    "timing_rounds": 6,
    "learning_rate": 0.003,
}
WORKFLOW = str(ROOT / "workflow")
COMMAND = ["snakemake", "--cores", "2", "--configfile", "study.yaml"]


def call(folder, *arguments):
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)


@pytest.fixture(scope="module")
def clone(tmp_path_factory, copy_clone):
    """A copy of what a clone holds, with a small study run once."""
    folder = copy_clone(tmp_path_factory.mktemp("terminal") / "altfreeze")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    planned = call(folder, "--dry-run")
    assert planned.returncode == 0, planned.stdout
    done = call(folder)
    assert done.returncode == 0, done.stdout
    return SimpleNamespace(folder=folder, planned=planned.stdout, printed=done.stdout)


@pytest.fixture
def edited(clone):
    """Change a file of the clone for one test."""
    kept = {}

    def edit(name, change):
        path = clone.folder / name
        kept[path] = path.read_text()
        path.write_text(change(kept[path]))

    yield edit
    for path, text in kept.items():
        path.write_text(text)


def test_a_call_without_a_terminal_prints_few_lines_with_right_counts_and_the_answer_last(clone):
    jobs = int(re.search(r"^total +(\d+)$", clone.planned, flags=re.M)[1])
    packs = int(re.search(r"^train +(\d+)$", clone.planned, flags=re.M)[1])
    assert "Job stats" in clone.planned
    results = clone.folder / "results/terminal"
    assert len(list(results.glob("runs/**/seeds*.json"))) == packs
    planned = make_study(**STUDY).packs
    assert packs == len(planned)
    runs = sum(pack.last_seed - pack.first_seed + 1 for pack in planned)
    lines = clone.printed.splitlines()
    assert len(lines) < 40
    assert f"{jobs} jobs, {runs} runs to train (snakemake --printshellcmds shows each job)" in lines
    shown = [tuple(map(int, found)) for found in re.findall(r"(\d+) of (\d+) jobs, (\d+) of", clone.printed)]
    assert [done for done, _, _ in shown] == sorted({done for done, _, _ in shown})
    assert shown[-1] == (jobs, jobs, runs)
    assert re.search(r"^[\d,]+ of \d+ jobs, \d+ of \d+ runs trained, about .* left$", clone.printed, flags=re.M)
    answer = (results / "answer.txt").read_text()
    done, rest = clone.printed.split("Done: ")[1].split("\n", 1)
    assert re.fullmatch(rf"{jobs} of {jobs} jobs, {runs} runs trained, [\d a-z]+ (minutes?|seconds?)\.", done)
    assert rest == f"{answer}\n\nThe report: {results / 'report.html'}\n".replace("\n\n\n", "\n\n")
    assert "Job 1:" not in clone.printed


def test_snakemakes_own_report_labels_every_figure_and_table_and_draws_the_rules(clone, browser):
    done = call(clone.folder, "--report", "own.zip")
    assert done.returncode == 0, done.stdout
    results = clone.folder / "results/terminal"
    (figure,) = results.glob("figures/*.svg")
    assert figure.name == "main.svg"
    comparisons = pd.read_csv(results / "tables/comparisons.csv").query(
        "dataset == 'all' and metric == 'final_test_accuracy' and family == 'primary'"
    )
    assert signed_points(comparisons["difference"].item()) in figure.read_text()
    # the report with its pages, every table in CSV but that with a row for each pair, every figure
    expected = {path.name for path in results.glob("figures/*.svg")} | {"linked.html"}
    expected |= {path.name for path in results.glob("tables/*.csv")} - {"pairs.csv"}
    assert set(re.findall(r"^Adding (\S+) \(", done.stdout, flags=re.M)) == expected
    shutil.unpack_archive(clone.folder / "own.zip", clone.folder)
    browser.get((clone.folder / "own/report.html").as_uri())
    described = browser.execute_script("return Object.values(results)")
    assert {Path(item["name"]).name for item in described} == expected
    for item in described:
        assert item["caption"].strip()
        assert "{{" not in item["caption"]
    labels = {Path(item["name"]).name: item["labels"] for item in described}
    assert labels[figure.name] == {"item": "primary comparison"}
    assert labels["linked.html"] == {"item": "report and pages"}
    rules = set(re.findall(r"^(\w+) +\d+$", clone.planned, flags=re.M)) - {"total"}
    assert set(browser.execute_script("return rulegraph_spec.data[0].values.map((node) => node.rule)")) == rules
    browser.find_element("xpath", "//a[normalize-space(.)='Workflow']").click()
    end = time.monotonic() + 20
    while not browser.find_elements("css selector", "canvas, svg.marks"):
        assert time.monotonic() < end
        time.sleep(0.2)


def on_a_terminal(folder, *arguments):
    """Return what a call writes to a pseudo-terminal of 40 lines and 100 columns, and its exit status."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        os.execvp("snakemake", [*COMMAND, *arguments])
    written, end = b"", time.monotonic() + 300
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            new = os.read(terminal, 65536)
        except OSError:
            break
        if not new:
            break
        written += new
    return written.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def screen(text):
    """Return the lines that stay on a terminal: a carriage return goes back to the first column."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in re.sub(r"\x1b\[[\d;]*m", "", line).split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_on_a_terminal_one_line_is_redrawn_and_gone_at_the_end(clone):
    written, status = on_a_terminal(clone.folder, "--forcerun", "train", "--until", "collect")
    assert status == 0, written
    assert len(set(re.findall(r"(\d+) of \d+ jobs, \d+ of \d+ runs trained", written))) > 5
    assert re.search(r"\r[^\n]*about \d+ (second|minute)s? left", written)
    # each drawing goes back to the start of the line, and none is followed by a new line
    assert not re.search(r"\d of \d+ runs trained[^\r\n]*\r?\n", written)
    left = [line for line in screen(written) if line]
    assert not [line for line in left if re.search(r"\d of \d+ runs trained", line)]
    assert left[-1].startswith("The report is older than what it is made of: ")
    assert re.match(r"Done: (\d+) of \1 jobs, \d+ runs trained, ", left[-2])


def test_the_answer_of_another_configuration_is_not_printed_and_nothing_is_trained_that_was_not(clone, tmp_path):
    assert call(clone.folder).returncode == 0
    # what is touched counts as made of its configuration
    folder = shutil.copytree(clone.folder, tmp_path / "clone")
    (folder / "more.yaml").write_text(yaml.safe_dump(STUDY | {"seeds": 6, "learning_rate": 0.05}))
    results = folder / "results/terminal"
    answer = (results / "answer.txt").read_text().strip()
    nothing = call(folder)
    assert f"Nothing to be done (all requested files are present and up to date).\n{answer}" in nothing.stdout
    assert nothing.stdout.endswith(f"\n\nThe report: {results / 'report.html'}\n")
    for arguments in (["--until", "data"], ["--touch"]):
        done = call(folder, "--configfile", "more.yaml", *arguments)
        assert done.returncode == 0, done.stdout
        assert answer not in done.stdout
        assert "trained" not in done.stdout
        said = "The report is of another configuration than this one (after --touch, --forceall makes it anew): "
        assert done.stdout.endswith(f"{said}{results / 'report.html'}\n")
    assert re.search(r"^Done: (\d+) of \1 jobs touched, nothing run, ", done.stdout, flags=re.M)


def test_the_answer_is_of_the_newest_tables_and_runs(clone, tmp_path):
    config = make_study(**STUDY).config | {"results": str(tmp_path)}
    packs = [pack.stem for pack in make_study(**STUDY).packs]
    assert last_lines(config, packs) == ""
    shutil.copytree(clone.folder / "results/terminal", tmp_path, dirs_exist_ok=True)
    record = tmp_path / "tables" / "study.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"config": config}))
    report = tmp_path / "report.html"
    now = time.time()
    in_order = [*(tmp_path / "runs" / f"{pack}.json" for pack in packs), *tmp_path.glob("tables/*"), report]
    for place, path in enumerate(sorted(in_order, key=in_order.index)):
        os.utime(path, (now + place, now + place))
    os.utime(record, (now + len(packs), now + len(packs)))
    current = f"{(tmp_path / 'answer.txt').read_text().strip()}\n\nThe report: {report}"
    assert last_lines(config | {"checkpoint_seconds": 7.0}, packs) == current
    assert "another configuration" in last_lines(config | {"seeds": 5}, packs)
    for path in (tmp_path / "tables" / "pairs.csv", tmp_path / "runs" / f"{packs[-1]}.json"):
        before = path.stat()
        os.utime(path, (now + 9999, now + 9999))
        assert last_lines(config, packs) == f"The report is older than what it is made of: {report}"
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert last_lines(config, packs) == current
    path.unlink()
    assert last_lines(config, packs) == f"The report is older than what it is made of: {report}"


def test_on_a_terminal_the_answer_is_broken_at_words(clone):
    written, status = on_a_terminal(clone.folder, "--forcerun", "compare")
    assert status == 0, written
    answer = (clone.folder / "results/terminal/answer.txt").read_text()
    lines = screen(written)
    first = next(place for place, line in enumerate(lines) if answer.startswith(line) and line)
    said = lines[first : lines.index("", first)]
    assert " ".join(said) == answer.strip()
    assert 80 < max(map(len, said)) <= 100


def start(folder, *arguments):
    """Start a call in a session of its own."""
    command = [*COMMAND, *map(str, arguments)]
    where = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
    return subprocess.Popen(command, cwd=folder, **where)


def holder(folder):
    """Start a process that locks a folder of results, and return when it did."""
    code = f"import guard, time; guard.hold({str(folder)!r}); print('held', flush=True); time.sleep(600)"
    environment = os.environ | {"PYTHONPATH": WORKFLOW}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_folder_of_results_has_one_call_at_a_time_until_that_dies(clone):
    forced = ("--forcerun", "data", "--until", "data")
    process = holder(clone.folder / "results/terminal")
    try:
        before = (clone.folder / "results/terminal/data/iris.npz").stat().st_mtime_ns
        refused = call(clone.folder, *forced)
        (said,) = [line for line in refused.stdout.splitlines() if line.startswith("altfreeze: ")]
        assert refused.returncode != 0
        assert said.startswith("altfreeze: results/terminal: another call works on this folder of results (process ")
        assert f"(process {process.pid} on " in said
        assert "Traceback" not in refused.stdout
        assert (clone.folder / "results/terminal/data/iris.npz").stat().st_mtime_ns == before
        # what writes nothing may look on
        assert call(clone.folder, "--summary").returncode == 0
        assert call(clone.folder, *forced, "--dry-run").returncode == 0
    finally:
        process.kill()
        process.wait()
    assert call(clone.folder, *forced).returncode == 0


def test_two_studies_run_beside_each_other_in_one_clone(clone):
    (clone.folder / "beside.yaml").write_text(yaml.safe_dump(STUDY | {"results": "results/beside"}))
    forced = ("--forcerun", "data", "--until", "data")
    others = [start(clone.folder, *forced), start(clone.folder, "--configfile", "beside.yaml", *forced)]
    assert [(other.communicate()[0], other.returncode)[1] for other in others] == [0, 0]
    # nothing is left behind that another call would have to unlock
    assert not list((clone.folder / ".snakemake").glob("locks/*"))


def is_training(process):
    # it may have ended
    with contextlib.suppress(psutil.Error):
        return "train" in process.cmdline()


def test_a_second_interruption_is_a_line(clone):
    # trainings that outlast the presses
    long = STUDY | {"results": "results/long", "epochs_standard": 4000, "epochs_alternating": 4000}
    (clone.folder / "long.yaml").write_text(yaml.safe_dump(long))
    given = ("--configfile", "long.yaml", "--until", "train")
    process = start(clone.folder, *given)
    printed = ""
    while "runs to train" not in printed:
        printed += process.stdout.readline()
    children = psutil.Process(process.pid).children
    jobs = wait_until(lambda: [one for one in children(recursive=True) if is_training(one)], "starting to train")
    # else they may be gone before the second press
    for job in jobs:
        job.suspend()
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(1)
    for job in jobs:
        job.resume()
    printed += process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert printed.count("The jobs that run are being ended; once more, and this call ends") == 1
    assert "Traceback" not in printed
    assert "{" not in printed
    assert "failed" not in printed
    assert "Give the same command again: what is done stays done." in printed
    assert call(clone.folder, *given).returncode == 0
    assert call(clone.folder).returncode == 0


def test_an_interruption_while_python_ends_changes_nothing():
    # what is still there goes after Python has given its signals back
    code = "import os, guard\nclass Last:\n def __del__(self): self.kill(self.process, self.signal)\n"
    code += "guard.interrupt_once()\nlast = Last()\nlast.kill, last.process, last.signal = os.kill, os.getpid(), 2\n"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": WORKFLOW}, timeout=60)
    assert done.returncode == 0


def test_a_failed_job_is_told_once_with_its_log_and_what_to_do(clone):
    (clone.folder / "mine.csv").write_text("a,b\n1,x\n")
    sources = {"mine": {"kind": "csv", "path": "mine.csv", "target": "c"}}
    study = STUDY | {"results": "results/failing", "datasets": ["iris", "mine"], "sources": sources}
    (clone.folder / "failing.yaml").write_text(yaml.safe_dump(study))
    target = "results/failing/tables/timing.csv"
    done = call(clone.folder, "--configfile", "failing.yaml", "--retries", "1", "--", target)
    assert done.returncode != 0
    log = "results/failing/logs/data/mine.log"
    message = (clone.folder / log).read_text().strip()
    assert message.startswith("altfreeze: ")
    assert done.stdout.count(message) == 1
    assert f"Failed: Store data set mine\n  {message}\n  log: {log}\n" in done.stdout
    assert done.stdout.count("Failed again, in the same way: Store data set mine\n") == 1
    assert done.stdout.count("Trying to restart job") == 1
    end = done.stdout[done.stdout.index("Stopped: ") :].splitlines()
    assert re.fullmatch(r"Stopped: 1 of 3 jobs, [\d a-z]+; 1 job failed:", end[0])
    assert end[1] == f"  Store data set mine: {log}"
    assert end[2].startswith("Mend what the logs name, then give the same command again")
    assert "--keep-going" in end[2]
    assert end[3].endswith(".snakemake.log")
    assert len(end) == 4
    assert "CalledProcessError" not in done.stdout


def test_a_failed_notebook_names_its_cell_and_error_and_keeps_its_copy(clone, edited):
    def break_it(text):
        notebook = json.loads(text)
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        code[2]["source"] = ["print('seen')\n", "{}['reached']"]
        return json.dumps(notebook)

    edited("workflow/notebooks/budgets.ipynb", break_it)
    done = call(clone.folder, "--", "results/terminal/notebooks/budgets.html")
    assert done.returncode != 0
    log = "results/terminal/logs/notebooks/budgets.log"
    told = done.stdout[done.stdout.index("Failed: ") : done.stdout.index("Stopped: ")].splitlines()
    assert told == [
        "Failed: Write the page budgets",
        f"  altfreeze: budgets.ipynb, cell In [4]: KeyError: 'reached' (the executed copy up to there: {log}.ipynb)",
        f"  log: {log}",
    ]
    kept = (clone.folder / log).read_text()
    assert "seen" in kept
    assert kept.count("Traceback") == 1
    copy = json.loads((clone.folder / f"{log}.ipynb").read_text())
    assert any(output.get("ename") == "KeyError" for cell in copy["cells"] for output in cell.get("outputs", []))


def test_snakemakes_usual_output_can_be_had_back(clone):
    forced = ("--forcerun", "compare", "--until", "compare")
    usual = call(clone.folder, *forced, "--printshellcmds")
    assert usual.returncode == 0, usual.stdout
    assert re.search(r"^Job \d+: Compare every strategy", usual.stdout, flags=re.M)
    assert "Shell command: python -m altfreeze compare" in usual.stdout
    assert re.search(r"^\d+ of \d+ steps \(\d+%\) done$", usual.stdout, flags=re.M)
    assert "Job stats:" in usual.stdout
    assert "Done: 1 of 1 job, " in usual.stdout
    quiet = call(clone.folder, *forced, "--quiet")
    assert quiet.returncode == 0, quiet.stdout
    assert re.findall(r"^(\w+:? ?\d) of \d jobs?, ", quiet.stdout, flags=re.M) == ["Done: 1"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1.2, "1 second"),
        (59.6, "1 minute"),
        (161, "2 minutes 41 seconds"),
        (3600, "1 hour"),
        (3661, "1 hour 1 minute"),
        (90000, "1 day 1 hour"),
    ],
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words
    assert duration(seconds, 1) == " ".join(words.split()[:2])


def test_a_place_where_snakemake_cannot_work_is_one_line(tmp_path, monkeypatch):
    assert unusable_place("/home/me/altfreeze", tmp_path) == ""
    assert unusable_place("/home/{b}/altfreeze", tmp_path).startswith("/home/{b}/altfreeze: its name has a brace, ")
    monkeypatch.setattr(os, "access", lambda path, _: False)
    said = unusable_place("/home/me/altfreeze", tmp_path)
    assert said.startswith(f"{tmp_path / '.snakemake'}: this user may not write there")


def test_the_folder_of_a_killed_call_that_sent_jobs_is_free_only_when_its_lock_is_deleted(tmp_path):
    """Jobs in a queue outlive the call that waits for them."""
    code = f"import guard; guard.hold({str(tmp_path)!r}, True); {{}}"
    for ending, left in (("print()", False), ("import os; os.kill(os.getpid(), 9)", True)):
        subprocess.run([sys.executable, "-c", code.format(ending)], env=os.environ | {"PYTHONPATH": WORKFLOW})
        assert bool((tmp_path / ".lock").read_text()) == left
    with pytest.raises(InputError, match=r"\.lock: a call that was killed \(process \d+ on .*\) may have left jobs"):
        hold(tmp_path)
    (tmp_path / ".lock").unlink()
    code = f"import guard; guard.hold({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": WORKFLOW}, check=True)


def test_files_of_the_future_are_told_with_the_command_that_heals(tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "now.csv").write_text("")
    assert clock_advice(folder) == ""
    (folder / "later.csv").write_text("")
    os.utime(folder / "later.csv", (time.time() + 86400, time.time() + 86400))
    said = clock_advice(folder)
    assert said.startswith(f"1 file is newer than now, as the clock went back: {folder / 'later.csv'}; ")
    command = said.partition("make them old by ")[2]
    subprocess.run(command, shell=True, check=True)
    assert clock_advice(folder) == ""


def test_a_job_without_a_word_is_said_to_lack_room_where_the_disk_is_full(tmp_path, monkeypatch):
    log = tmp_path / "logs" / "train.log"
    assert why_silent([log]) == "(its log is empty: it was killed, or could not start)"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    assert why_silent([log]) == (
        f"(its log is empty, and the disk of {tmp_path} is full: 1 MiB are left; make room there)"
    )


def test_an_excerpt_is_the_known_mistakes_or_the_end_of_each_log(tmp_path):
    known, crash = tmp_path / "known.log", tmp_path / "crash.log"
    known.write_text("Executing\nTraceback ...\naltfreeze: seeds: wrong\n")
    crash.write_text("".join(f"line {number}\n" for number in range(100)))
    assert excerpt([known, crash]) == "altfreeze: seeds: wrong"
    known.write_text("altfreeze: earlier\nTraceback ...\naltfreeze: seeds: wrong\naltfreeze: depths: wrong\n")
    assert excerpt([known, crash]) == "altfreeze: seeds: wrong\naltfreeze: depths: wrong"
    lines = excerpt([tmp_path / "missing.log", crash]).splitlines()
    assert lines[-1] == "line 99"
    assert len(lines) < 30
    assert excerpt([tmp_path / "missing.log"]) == ""


class Usual(logging.Handler):
    """Snakemake's own handler of a stream, as far as it matters."""

    def __init__(self):
        super().__init__()
        self.name, self.lines = "DefaultStreamHandler", []
        self.stream = io.StringIO()
        self.setFormatter(logging.Formatter())

    def emit(self, record):
        self.lines.append(self.format(record))


@pytest.fixture
def watched():
    """A logger with a progress handler on it: what is shown of each event."""
    logger = logging.Logger("watched")
    usual = Usual()
    logger.addHandler(usual)
    jobs = [SimpleNamespace(jobid=number, wildcards_dict={"seeds": f"{number}-{number + 4}"}) for number in range(1, 4)]
    settings = SimpleNamespace(printshellcmds=False, verbose=False, debug_dag=False, quiet=None)
    progress = Progress(logger, settings, lambda: jobs)

    def tell(event, message="", level=logging.INFO, **fields):
        logger.log(level, message, extra={"event": event, **fields})
        shown = list(usual.lines)
        usual.lines.clear()
        return shown

    tell("workflow_started")
    tell("run_info", stats={"train": 3, "total": 3})
    yield SimpleNamespace(tell=tell, progress=progress, jobs=jobs)
    progress.close()


def error(jobid, log, **fields):
    return {"jobid": jobid, "rule_name": "train", "log": [str(log)], "indent": False, **fields}


def test_a_group_that_failed_tells_of_the_jobs_that_say_why(watched, tmp_path):
    for number in range(1, 4):
        watched.tell("job_info", jobid=number, rule_name="train", rule_msg=f"Train {number}")
    logs = [tmp_path / f"{number}.log" for number in range(1, 4)]
    for log in logs:
        log.write_text("")
    logs[1].write_text("altfreeze: no memory\n")
    jobs = [error(number, log) for number, log in enumerate(logs, start=1)]
    group = {"groupid": "packs", "aux_logs": ["slurm.log"], "job_error_info": jobs}
    shown = watched.tell("group_error", level=logging.ERROR, **group)
    assert shown == [f"Failed: Train 2\n  altfreeze: no memory\n  log: {logs[1]}"]
    for job in jobs:
        assert watched.tell("job_error", level=logging.ERROR, **job | {"indent": True}) == []
    assert "1 job failed:\n  Train 2: " in watched.progress.failure([], keep_going=True)
    # where none says why, it is the group's scheduler that may
    logs[1].write_text("")
    shown = watched.tell("group_error", level=logging.ERROR, **group)
    assert shown[0].splitlines()[0] == "Failed: a group of 3 jobs"
    assert shown[0].splitlines()[-1] == "  log: slurm.log"


def test_what_is_said_of_a_job_that_was_not_submitted_is_shown_in_place_of_older_logs(watched, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("altfreeze: of an earlier attempt\n")
    said = "SLURM sbatch failed. The error message was 'QOS of all'."
    group = {"groupid": "packs", "aux_logs": [], "job_error_info": [error(1, log)]}
    for event, name, fields, what in (
        ("group_error", "packs", group, "a group of 1 job"),
        ("job_error", 1, error(1, log), "train"),
    ):
        watched.progress.hear(name, said, False)
        assert watched.tell(event, level=logging.ERROR, **fields) == [f"Failed: {what}\n  {said}"]
        assert f"  {what}: {said}\nMend what is said, then" in watched.progress.failure([], keep_going=True)
        watched.tell("group_info", group_id="packs")
    # one that was has logs, which say more; where they are empty, that is all
    for text, shown in (("altfreeze: no memory\n", "altfreeze: no memory"), ("", "SLURM status is: 'TIMEOUT'")):
        log.write_text(text)
        watched.progress.hear(1, "SLURM status is: 'TIMEOUT'", True)
        assert watched.tell("job_error", level=logging.ERROR, **error(1, log)) == [
            f"Failed: train\n  {shown}\n  log: {log}"
        ]


def test_a_group_that_cannot_be_submitted_fails_and_is_heard():
    """The plugin means to report what it raises, and raises at that where a job is a group: it has no rule."""
    heard, logged, reported = [], [], []

    def run_job(job):
        try:
            raise OSError("Argument list too long")
        except OSError:
            return job.rule

    def report(job_info, said):
        reported.append(job_info.job)
        executor.print_job_error(job_info, said, aux_logs=[])

    executor = SimpleNamespace(
        run_job=run_job,
        print_job_error=lambda job_info, msg, **more: logged.append(msg),
        _report_job_error_threadsafe=report,
    )
    hear(executor, lambda *said: heard.append(said))
    group = SimpleNamespace()
    executor.run_job(group)
    said = "Job submission failed with exception: Argument list too long"
    assert (reported, heard, logged) == ([group], [(group, said, False)], [said])


@pytest.mark.parametrize("queued", [False, True])
def test_the_time_left_is_told_where_jobs_run_here_and_not_where_they_wait_in_a_queue(watched, monkeypatch, queued):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watched.progress._queued = lambda: queued
    watched.tell("run_info", stats={"train": 3, "total": 3})
    watched.tell("job_info", jobid=1, rule_name="train", rule_msg="Train 1")
    now[0] = 10.0
    watched.tell("job_finished", job_id=1)
    said = watched.progress._line()
    assert said == "1 of 3 jobs, 5 of 15 runs trained" + ("" if queued else ", about 20 seconds left")


def test_a_job_that_was_interrupted_has_not_failed(watched, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("Traceback (most recent call last):\nKeyboardInterrupt\n")
    assert watched.tell("job_error", level=logging.ERROR, **error(1, log)) == []
    assert "failed" not in watched.progress.failure([], keep_going=False)


def test_a_job_that_succeeds_when_tried_again_has_not_failed(watched, tmp_path):
    assert watched.tell("job_error", level=logging.ERROR, **error(1, tmp_path / "none.log"))
    watched.tell("job_info", jobid=1, rule_name="train", rule_msg="Train 1")
    watched.jobs.pop(0)
    assert watched.progress.failure([], keep_going=False).startswith("Stopped: 1 of 3 jobs, 5 runs trained, ")
    assert "failed" not in watched.progress.failure([], keep_going=False).splitlines()[0]


def test_warnings_and_errors_are_always_shown_and_what_informs_is_not(watched):
    assert watched.tell(None, "Select jobs to execute...") == []
    assert watched.tell("shellcmd", "python -m altfreeze") == []
    assert watched.tell(None, "the disk is full", level=logging.WARNING) == ["the disk is full"]
    assert watched.tell("error", "MissingOutputException in rule train", level=logging.ERROR)
    assert watched.tell(None, "Terminating processes on user request") != []


def executing(monkeypatch, *errors):
    """Let papermill raise these, one a call, and count the calls."""
    left = list(errors)

    def execute_notebook(*arguments, **options):
        if left:
            raise left.pop(0)

    monkeypatch.setattr(altfreeze.report.notebook_pages.papermill, "execute_notebook", execute_notebook)
    return left


def test_a_kernel_that_does_not_start_is_started_again_a_few_times(monkeypatch, tmp_path, capsys):
    dead = RuntimeError("Kernel died before replying to kernel_info")
    left = executing(monkeypatch, dead, dead)
    altfreeze.report.notebook_pages.execute(tmp_path / "a.ipynb", {}, tmp_path / "b.ipynb")
    assert left == []
    assert capsys.readouterr().err.count("starting it again") == 2
    left = executing(monkeypatch, *[dead] * 9)
    with pytest.raises(InputError, match=r"a\.ipynb: its kernel did not start: Kernel died"):
        altfreeze.report.notebook_pages.execute(tmp_path / "a.ipynb", {}, tmp_path / "b.ipynb")
    assert len(left) == 9 - altfreeze.report.notebook_pages.STARTS


def test_a_missing_kernel_and_one_that_dies_are_one_line_and_not_tried_again(monkeypatch, tmp_path):
    for raised, words in (
        (
            altfreeze.report.notebook_pages.NoSuchKernel("python3"),
            "has no Jupyter kernel python3; make it with: .* -m ipykernel",
        ),
        (
            altfreeze.report.notebook_pages.DeadKernelError("Kernel died"),
            "its kernel died, most often for want of memory",
        ),
    ):
        left = executing(monkeypatch, raised, raised)
        with pytest.raises(InputError, match=words):
            altfreeze.report.notebook_pages.execute(tmp_path / "a.ipynb", {}, tmp_path / "b.ipynb")
        assert len(left) == 1
