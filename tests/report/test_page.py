"""Report, pages and notebooks: the words of the answer, and files that load nothing."""

import base64
import html
import json
import os
import re

import numpy as np
import pandas as pd
import pytest
from altfreeze.report import discussion
from altfreeze.report import page as report
from altfreeze.support.errors import InputError
from altfreeze.tables import schema as tables
from builders import (
    REPORT_SCRIPTS,
    References,
    assert_loads_nothing,
    make_across,
    make_calibration,
    make_comparisons,
    make_page,
    make_runs,
    make_small_study,
    make_tables,
    open_page,
)
from selenium.webdriver.common.by import By

HOSTILE = "<img src=x onerror=alert(1)>&\"'$x_1$"

# the answer


def test_answer_that_lost_names_effect_reference_interval_and_pairs():
    study = make_small_study()
    assert report.answer(study, make_comparisons(study)) == (
        "Alternating freezing lost: with the lower and the upper half of the layers frozen in turn, depth-6 networks "
        "ended 2.00 accuracy points below standard training that stops at the same number of operations "
        "(95 % interval 1.00 to 3.00 below; 6 pairs: 2 data sets × 3 seeds)."
    )


def test_answer_that_won():
    study = make_small_study()
    sentence = report.answer(study, make_comparisons(study, difference=0.02, low=0.01, high=0.03))
    assert sentence.startswith("Alternating freezing won: ")
    assert (
        "ended 2.00 accuracy points above standard training that stops at the same number of operations (95 %"
        in sentence
    )


@pytest.mark.parametrize(
    ("low", "high", "opening"),
    [
        (-0.009, -0.001, "Alternating freezing lost, by less than 1 accuracy point: "),
        (0.001, 0.009, "Alternating freezing won, by less than 1 accuracy point: "),
        (-0.009, 0.009, "Alternating freezing made no difference of 1 accuracy point or more: "),
    ],
)
def test_answer_within_the_margin_says_so(low, high, opening):
    study = make_small_study()
    assert report.answer(study, make_comparisons(study, low=low, high=high)).startswith(opening)


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ("epochs", "standard training at equal epochs"),
        ("updates", "standard training for half of the steps"),
        ("flops", "standard training that stops at the same number of operations"),
        ("seconds", "standard training at equal reference seconds"),
    ],
)
def test_answer_is_about_the_configured_budget_and_reason_about_the_others(budget, words):
    study = make_small_study(primary_budget=budget)
    table = make_comparisons(study)
    assert f"below {words}" in report.answer(study, table)
    assert words not in report.reason(study, table)


def test_without_its_control_the_budget_is_read_on_standard_training():
    study = make_small_study(strategies=["alternating"])
    table = make_comparisons(study)
    assert "below standard training at equal operations (95 %" in report.answer(study, table)


def test_reason_names_every_other_budget_and_what_was_spent():
    study = make_small_study()
    assert report.reason(study, make_comparisons(study)) == (
        "It ended 2.00 points below standard training at equal epochs (95 % interval 1.00 to 3.00 below: worse), "
        "and 2.00 points below standard training for half of the steps "
        "(95 % interval 1.00 to 3.00 below: worse). "
        "Its whole training took 75 % of the operations of standard training (50 and 50 epochs)."
    )
    # a control that matches another period is no reference of it
    other = make_comparisons(study)
    assert "half of the steps" not in report.reason(study, other[other["reference"] != "standard_half_updates"])
    only = make_small_study(strategies=["alternating"], epochs_standard=20)
    assert report.reason(only, make_comparisons(only)) == (
        "It ended 2.00 points below standard training at equal epochs (95 % interval 1.00 to 3.00 below: worse). "
        "Its whole training took 75 % of the operations of standard training (50 and 20 epochs)."
    )


def test_generalisation_takes_the_data_set_as_the_unit_and_warns_where_nothing_could_be_significant():
    study = make_small_study()
    assert report.generalisation(study, make_across(study)) == (
        "On data sets like these, of which 9 are a small sample, the mean difference is −0.40 points "
        "(95 % t interval −1.20 to 0.40; exact Wilcoxon p = 0.82): undecided."
    ).replace("to 0.40", "to +0.40")
    few = make_across(study, datasets=4, smallest_wilcoxon_p=0.125, can_be_significant=0)
    assert "no result could be significant (the smallest p-value that they permit is 0.12)" in report.generalisation(
        study, few
    )
    family = make_small_study(family=["random_half"])
    assert "p = 0.82, 0.9 after Holm's adjustment" in report.generalisation(family, make_across(family, adjusted_p=0.9))
    assert report.generalisation(study, make_across(study, datasets=1)) == ""


@pytest.mark.parametrize(
    ("low", "high", "interval"),
    [(-0.03, 0.01, "3.00 below to 1.00 above"), (-0.03, 0.0, "3.00 below to 0.00"), (0.0, 0.03, "0.00 to 3.00 above")],
)
def test_answer_is_undecided_where_the_interval_meets_zero(low, high, interval):
    study = make_small_study()
    sentence = report.answer(study, make_comparisons(study, difference=-0.01, low=low, high=high))
    assert sentence.startswith("Undecided: ")
    assert f"(95 % interval {interval};" in sentence


def test_answer_takes_rounding_of_the_logs_for_no_difference():
    study = make_small_study()
    sentence = report.answer(study, make_comparisons(study, difference=-1e-10, low=-2e-10, high=-1e-11))
    assert sentence.startswith("Alternating freezing made no difference of 1 accuracy point or more: ")
    assert "ended 0.00 accuracy points from standard training that stops" in sentence
    assert "(95 % interval 0.00 to 0.00;" in sentence


def test_answer_never_shows_an_end_that_decides_as_zero():
    study = make_small_study()
    sentence = report.answer(study, make_comparisons(study, difference=-0.002, low=-0.014, high=-0.00002))
    assert sentence.startswith("Alternating freezing lost: ")
    assert "(95 % interval 0.002 to 1.400 below;" in sentence


def test_answer_without_interval_says_so():
    study = make_small_study(seeds=1)
    sentence = report.answer(study, make_comparisons(study, low=np.nan, high=np.nan, pairs=2))
    assert sentence.startswith("Undecided: ")
    assert "(no interval: a data set has fewer than five pairs; 2 pairs: 2 data sets × 1 seed)" in sentence


def test_answer_without_a_usable_pair_claims_nothing():
    study = make_small_study()
    table = make_comparisons(study, difference=np.nan, low=np.nan, high=np.nan, pairs=3, dropped=3)
    sentence = report.answer(study, table)
    assert sentence.startswith("Undecided: ")
    assert "cannot be compared" in sentence
    assert "3 of 6 pairs" in sentence
    assert "nan" not in sentence


def test_dropped_pairs_are_counted_in_the_answer_and_in_the_sentence_after():
    study = make_small_study()
    table, runs = make_comparisons(study, pairs=4, dropped=2), make_runs(study)
    runs.loc[(runs["strategy"] == "standard") & (runs["dataset"] == "iris") & (runs["seed"] < 2), "status"] = "diverged"
    assert "4 of 6 pairs: 2 data sets × 3 seeds, 2 left out" in report.answer(study, table)
    # against its control, and against standard training itself
    assert report.left_out(study, runs, table) == (
        "Left out (diverged runs: 2 of standard training, 0 of the other strategies): "
        "2 pairs in 1 cell of this comparison, and 2 pairs in 1 cell of the others."
    )
    primary = table[table["family"] == "primary"]
    assert report.left_out(study, runs, primary).endswith(": 2 pairs in 1 cell of this comparison.")
    both = pd.concat([table, table.assign(depth=8, family="secondary")])
    assert "2 pairs in 1 cell of this comparison, and 4 pairs in 2 cells of the others." in report.left_out(
        study, runs, both
    )
    assert report.left_out(study, make_runs(study), make_comparisons(study)) == ""


@pytest.mark.parametrize(
    ("ratio", "words"), [(0.3, "with the lower 2 and the upper 4 layers frozen in turn"), (0, "no layer ever frozen")]
)
def test_answer_names_the_groups(ratio, words):
    study = make_small_study(freeze_ratios=[ratio], primary_freeze_ratio=ratio)
    assert words in report.answer(study, make_comparisons(study))


def test_answer_without_the_primary_row_is_refused():
    study = make_small_study()
    table = make_comparisons(study)
    with pytest.raises(InputError, match="depth 6"):
        report.answer(study, table[table["depth"] == 4])
    with pytest.raises(InputError, match="0 rows 'all'"):
        report.answer(study, table[table["dataset"] != "all"])


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
    """Folder with the report and a page, made of small tables."""
    folder = tmp_path_factory.mktemp("results")
    study = make_small_study()
    make_tables(folder / "tables", study)
    page = make_page(folder / "notebooks", "How networks learn")
    report.write_report(study, folder / "tables", [page], folder / "report.html")
    return folder


def test_report_and_page_load_nothing(results):
    assert_loads_nothing(results / "report.html", scripts=REPORT_SCRIPTS)
    assert_loads_nothing(results / "notebooks" / "small.html")


def test_report_states_answer_figure_and_what_was_run(results):
    text = (results / "report.html").read_text(encoding="utf-8")
    study = make_small_study()
    assert report.answer(study, make_comparisons(study)) in text
    assert "<svg" in text
    assert 'href="notebooks/small.html">How networks learn</a>' in text
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
    names = ("comparisons", "pairs", "trends", "speedups")
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
    assert text.count("40 of 40") == report._LISTED
    # two strategies on two data sets at 128 depths
    rest = 2 * 2 * 128 - report._LISTED
    assert f"And {rest} more cells with {40 * rest} runs" in said
    assert len(said) < 30_000


def test_report_says_where_it_ran_and_how_to_repeat_it(results):
    text = (results / "report.html").read_text(encoding="utf-8")
    said = html.unescape(text_of(text, "environment"))
    for words in (
        "Machine 1 host, cpu (x86_64), 1 thread a job",
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
    assert json.loads(saved) == json.loads(json.dumps(make_small_study()))
    assert config.validate(json.loads(saved)) == make_small_study()


def test_what_was_run_stands_beside_the_answer(results):
    text = (results / "report.html").read_text(encoding="utf-8")
    study = make_small_study()
    grid = f"2 data sets × 1 depth × {len(study.strategies)} strategies × 3 seeds: 12 runs"
    assert grid in text_of(text, "headline")
    assert "50 epochs; compared at equal operations" in text_of(text, "headline")
    assert "012345678901 with changes" in text_of(text, "headline")


def test_a_report_is_the_same_bytes_again(results, tmp_path):
    page = results / "notebooks" / "small.html"
    report.write_report(make_small_study(), results / "tables", [page], tmp_path / "report.html")
    again = (tmp_path / "report.html").read_bytes().replace(os.path.relpath(page, tmp_path).encode(), b"PAGE")
    first = (results / "report.html").read_bytes().replace(b"notebooks/small.html", b"PAGE")
    assert again == first


def test_names_are_text(tmp_path):
    study = make_small_study() | {"study": HOSTILE, "datasets": [HOSTILE, "wine"]}
    make_tables(tmp_path / "tables", study, names=[HOSTILE, "wine"])
    page = tmp_path / "page.html"
    page.write_text("<title>&lt;img src=x onerror=alert(1)&gt;</title>", encoding="utf-8")
    report.write_report(study, tmp_path / "tables", [page], tmp_path / "report.html")
    assert_loads_nothing(tmp_path / "report.html", scripts=REPORT_SCRIPTS)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "img" not in References(text).tags
    assert text.count("&lt;img src=x onerror") >= 4


# in a browser


@pytest.mark.parametrize("width", [390, 1280])
def test_report_in_a_browser(browser, results, width):
    device = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
    open_page(browser, results / "report.html")
    answer = browser.find_element(By.ID, "answer")
    assert answer.is_displayed()
    assert answer.text.startswith("Alternating freezing lost: ")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.find_element(By.LINK_TEXT, "How networks learn").click()
    assert browser.title == "How networks learn"
    browser.find_element(By.PARTIAL_LINK_TEXT, "Report").click()
    assert browser.find_element(By.ID, "answer").is_displayed()
    assert browser.get_log("browser") == []
