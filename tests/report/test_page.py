"""The report as a whole: what it says, that it loads nothing, and how it looks in a browser."""

import base64
import html
import json
import os
import re
from xml.etree import ElementTree

import pandas as pd
import pytest
from altfreeze.report import discussion, failures
from altfreeze.report import page as report
from altfreeze.report.answer.first import answer
from altfreeze.report.words import ANSWERS, GLOSSARY
from altfreeze.study.reading import study_of
from altfreeze.tables import schema as tables
from builders import (
    REPORT_SCRIPTS,
    References,
    assert_loads_nothing,
    make_calibration,
    make_endpoints,
    make_runs,
    make_small_study,
    make_tables,
    make_unchecked_study,
    open_page,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

HOSTILE = "<img src=x onerror=alert(1)>&\"'$x_1$"


# files that load nothing


@pytest.mark.parametrize(
    "text",
    [
        "<img src='//a.org/b.png'>",
        "<a href=https://a.org>x</a>",
        "<style>@import 'a.css';</style>",
        "<p style='background:url(http://a.org/x)'>",
        "<object data='http://a.org'>",
        "<img srcset='http://a.org/x 2x'>",
        "<meta http-equiv=refresh content='0;url=http://a.org'>",
    ],
)
def test_reference_parser_finds(text):
    assert References(text).external()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Folder with the report of small tables, and a page that it links."""
    folder = tmp_path_factory.mktemp("results")
    study = make_small_study()
    make_tables(folder / "tables", study)
    page = folder / "notebooks" / "budgets.html"
    page.parent.mkdir()
    page.write_text("<title>A fair fight</title><a href='../report.html'>Report</a>", encoding="utf-8")
    report.write_report(study, folder / "tables", [page], folder / "report.html")
    return folder


def test_a_report_draws_its_recipes_where_something_varies(results, tmp_path):
    assert 'id="recipes"' not in (results / "report.html").read_text(encoding="utf-8")
    varied = write(tmp_path, make_small_study(variations=[{"width": 16}]))
    first_screen = varied.partition('id="answer"')[2].partition('id="explore"')[0]
    assert first_screen.count("<svg") == 3
    assert "width 16" in first_screen.partition('id="recipes"')[2]


def test_report_loads_nothing(results):
    assert_loads_nothing(results / "report.html", scripts=REPORT_SCRIPTS)


def test_report_states_answer_figure_and_what_was_run(results):
    text = (results / "report.html").read_text(encoding="utf-8")
    study = make_small_study()
    assert answer(study, make_endpoints(study)) in text
    assert "<svg" in text
    assert 'href="notebooks/budgets.html">A fair fight</a>' in text
    assert "0123456789" * 4 + " with changes" in text
    assert (results / "figures" / "main.svg").read_text(encoding="utf-8") in text


def text_of(html, start, end="<h2"):
    """Return the text of a part of a page, from an id to the next heading."""
    part = html.partition(f'id="{start}"')[2].partition(">")[2].partition(end)[0]
    return " ".join(re.sub(r"<[^>]+>", " ", part).split())


def write(folder, study, **changed):
    """Write a report of made tables, some of them exchanged, and return it as text."""
    make_tables(folder / "tables", study)
    for name, table in changed.items():
        tables.write_table(table, folder / "tables" / f"{name}.csv")
    report.write_report(study, folder / "tables", [], folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


def test_report_discusses_every_rule_and_shows_the_rows_it_read(results):
    text = (results / "report.html").read_text(encoding="utf-8")
    said = html.unescape(text_of(text, "discussion"))
    study = make_small_study()
    names = ("comparisons", "pairs", "trends", "speedups", "endpoints")
    read = {name: tables.read_table(results / "tables" / f"{name}.csv", name) for name in names}
    found = discussion.discuss(study, read)
    assert any(finding is None for _, finding in found)
    for rule, finding in found:
        assert rule.question in said
        if finding:
            assert finding.sentence in said
            assert f"Chosen because {finding.because}. Read from tables/{rule.table}.csv :" in said
    assert text.count('<details class="why">') == sum(finding is not None for _, finding in found)


def test_report_says_in_words_that_nothing_failed(results):
    text = (results / "report.html").read_text(encoding="utf-8")
    assert text_of(text, "failed").startswith("Failures None: every run of the study")
    assert "12 runs, all of which ended well" in text


def test_report_lists_what_failed_with_reason_and_log(tmp_path):
    study = make_small_study()
    runs, calibration = make_runs(study), make_calibration(study)
    runs.loc[(runs["dataset"] == "wine") & (runs["seed"] > 0) & (runs["strategy"] == "standard"), "status"] = "diverged"
    calibration.loc[0, "status"] = "diverged"
    text = write(tmp_path, study, runs=runs, calibration=calibration)
    said = text_of(text, "failed")
    assert "standard 6 2 alternating-0.5 6 0" in said
    assert "wine, depth 6, standard diverged 2 of 3 1-2 logs/train/standard.log" in said
    assert "iris, depth 6, standard diverged 1 of 10 1000000" in said
    assert '<a href="logs/train/standard.log">logs/train/standard.log</a>' in text
    assert "12 runs, 10 of which ended well" in text
    assert "None: every run" not in text
    assert_loads_nothing(tmp_path / "report.html", scripts=REPORT_SCRIPTS)


def test_a_study_in_which_all_failed_has_a_small_list(tmp_path):
    study = make_small_study(seeds=40)
    runs = make_runs(study).assign(status="diverged")
    runs = pd.concat([runs.assign(depth=depth) for depth in range(2, 130)])
    text = write(tmp_path, study, runs=runs)
    said = text_of(text, "failed")
    assert text.count("40 of 40") == failures.LISTED
    # two strategies on two data sets at 128 depths
    rest = 2 * 2 * 128 - failures.LISTED
    assert f"And {rest} more cells with {40 * rest:,} runs" in said
    assert len(said) < 30_000


def test_report_says_where_it_ran_and_how_to_repeat_it(results):
    text = (results / "report.html").read_text(encoding="utf-8")
    said = html.unescape(text_of(text, "environment"))
    for words in (
        "Machine 1 host, cpu (x86_64), 1 thread a job",
        "Date 2026-01-30 to 2026-02-01",
        "python 3.11.0, torch 2.0.0",
        "0123456789" * 4 + " with changes that are not in it",
        "c0de",
        "4 packs",
        "12 s of training, 20 s with start and evaluation, 18 CPU seconds",
        "250 MiB at most",
        f"git checkout {'0123456789' * 4} snakemake --cores all --configfile default.json",
    ):
        assert words in said
    saved = base64.b64decode(re.search(r'href="data:application/json;base64,([^"]*)" download="default.json"', text)[1])
    # what is saved is the study again, and what it makes of the defaults is nothing new
    assert json.loads(saved) == json.loads(json.dumps(make_small_study().config))
    assert study_of(json.loads(saved)).config == make_small_study().config


def test_what_was_run_stands_beside_the_answer(results):
    text = (results / "report.html").read_text(encoding="utf-8")
    study = make_small_study()
    grid = f"2 data sets × 1 depth × {len(study.strategies)} strategies × 3 seeds: 12 runs"
    assert grid in text_of(text, "headline")
    assert "50 epochs; compared at equal operations" in text_of(text, "headline")
    assert "012345678901 with changes" in text_of(text, "headline")


def test_report_is_the_same_bytes_again(results, tmp_path):
    page = results / "notebooks" / "budgets.html"
    report.write_report(make_small_study(), results / "tables", [page], tmp_path / "report.html")
    again = (tmp_path / "report.html").read_bytes().replace(os.path.relpath(page, tmp_path).encode(), b"PAGE")
    first = (results / "report.html").read_bytes().replace(b"notebooks/budgets.html", b"PAGE")
    assert again == first


def test_names_are_text(tmp_path):
    study = make_unchecked_study(make_small_study(), study=HOSTILE, datasets=[HOSTILE, "wine"])
    make_tables(tmp_path / "tables", study, names=[HOSTILE, "wine"])
    page = tmp_path / "page.html"
    page.write_text("<title>&lt;img src=x onerror=alert(1)&gt;</title>", encoding="utf-8")
    report.write_report(study, tmp_path / "tables", [page], tmp_path / "report.html")
    assert_loads_nothing(tmp_path / "report.html", scripts=REPORT_SCRIPTS)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "img" not in References(text).tags
    assert text.count("&lt;img src=x onerror") >= 4


def test_pages_are_linked_in_the_order_of_reading_each_with_what_it_answers(tmp_path):
    study = make_small_study()
    make_tables(tmp_path / "tables", study)
    names = ("mine", "dynamics", "budgets", "walkthrough")
    for name in names:
        (tmp_path / f"{name}.html").write_text(f"<title>The {name}</title>", encoding="utf-8")
    report.write_report(study, tmp_path / "tables", [tmp_path / f"{name}.html" for name in names], tmp_path / "r.html")
    said = text_of((tmp_path / "r.html").read_text(encoding="utf-8"), "pages")
    places = [said.index(text) for name in ("walkthrough", "budgets", "dynamics") for text in (ANSWERS[name],)]
    assert places == sorted(places)
    assert f"The walkthrough : {ANSWERS['walkthrough']}" in said
    assert said.index("The mine") > places[-1]


# in a browser


def test_tables_sort_by_their_heads_and_are_saved_as_csv_as_the_figure_is_as_svg(browser, results, tmp_path):
    open_page(browser, results / "report.html")
    table = browser.find_element(By.ID, "budgets")
    script = (
        "return [...arguments[0].tBodies[0].rows].map((row) => parseFloat(row.cells[1].innerText.replace('−', '-')))"
    )
    for reverse in (False, True):
        table.find_elements(By.CSS_SELECTOR, "thead .sort")[1].click()
        numbers = browser.execute_script(script, table)
        assert numbers == sorted(numbers, reverse=reverse)
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    browser.find_element(By.CSS_SELECTOR, "[aria-label='Table: strategies at equal budgets: save as CSV']").click()
    saved = tmp_path / "strategies-at-equal-budgets.csv"
    WebDriverWait(browser, 30, poll_frequency=0.05).until(lambda _: saved.exists() and saved.stat().st_size)
    assert len(saved.read_text(encoding="utf-8").splitlines()) == len(numbers) + 1
    browser.find_element(By.CSS_SELECTOR, "#effects .take button").click()
    saved = tmp_path / "effects.svg"
    WebDriverWait(browser, 30, poll_frequency=0.05).until(lambda _: saved.exists() and saved.stat().st_size)
    texts = [
        [text.text for text in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]
        for path in (saved, results / "figures" / "main.svg")
    ]
    assert texts[0] == texts[1]


def test_the_meaning_of_a_word_is_shown_on_hover_and_on_a_tap(browser, results):
    open_page(browser, results / "report.html")
    word = next(each for each in browser.find_elements(By.CSS_SELECTOR, "#answer .term") if each.text == "operations")
    assert word.get_attribute("title") == GLOSSARY["operations"]
    word.click()
    meaning = browser.find_element(By.ID, "meaning")
    assert meaning.is_displayed()
    assert meaning.text == f"operations: {GLOSSARY['operations']}"
    word.send_keys(Keys.ESCAPE)
    assert not meaning.is_displayed()


@pytest.mark.parametrize("width", [390, 1280])
def test_report_in_a_browser(browser, results, width):
    device = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
    open_page(browser, results / "report.html")
    answer = browser.find_element(By.ID, "answer")
    assert answer.is_displayed()
    assert answer.text.startswith("6-layer MLPs, 2 data sets, 3 seeds each: No. ")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    (figure,) = [each for each in browser.find_elements(By.CSS_SELECTOR, "#effects svg") if each.is_displayed()]
    letters = "return [...arguments[0].querySelectorAll('text')].map((text) => text.getBoundingClientRect().height)"
    assert min(browser.execute_script(letters, figure)) >= 10
    # nor does it scroll by itself
    card = "const card = arguments[0].parentElement; return card.scrollWidth - card.clientWidth"
    assert browser.execute_script(card, figure) <= 0
    browser.find_element(By.LINK_TEXT, "A fair fight").click()
    assert browser.title == "A fair fight"
    browser.find_element(By.PARTIAL_LINK_TEXT, "Report").click()
    assert browser.find_element(By.ID, "answer").is_displayed()
    assert browser.get_log("browser") == []
