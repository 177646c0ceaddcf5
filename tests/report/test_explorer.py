"""The report's explorer: what is packed into the page, and what a reader can do with it, in a real browser."""

import base64
import functools
import gzip
import io
import itertools
import json
import time
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest
from altfreeze.report import explorer
from altfreeze.report import page as report
from altfreeze.report.blocks import cells
from altfreeze.report.templates import content_hash
from altfreeze.tables import schema as tables
from altfreeze.vocabulary import NOT_ABOVE_CHANCE
from builders import (
    AXE,
    EFFECTS,
    REPORT_SCRIPTS,
    emulate,
    make_comparisons,
    make_default_study,
    make_epochs,
    make_packs,
    make_pairs,
    make_runs,
    make_small_study,
    make_tables,
    make_times,
    make_unchecked_study,
)
from scipy import stats
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

SCRIPT = '<script>alert("1, 2")</script>'
CELL = ("iris", "6", "alternating-0.5")
# Vega draws each as a path or a line of its own; the rule at 0 is the only one of its layer
DOTS, INTERVALS = ".layer_2_marks path", ".layer_3_marks line"


def unpacked(text):
    return gzip.decompress(base64.b64decode(text)).decode()


# what is packed


def test_a_curve_keeps_few_epochs_evenly_spread_with_both_ends():
    study = make_small_study()
    epochs = make_epochs(study, make_comparisons(study), epochs=50)
    found = explorer.thinned(epochs, points=4)
    assert len(found) * 50 == len(epochs) * 4
    assert set(found.groupby(tables.KEY)["epoch"].agg(list).map(tuple)) == {(1, 17, 34, 50)}
    pd.testing.assert_frame_equal(found, epochs.loc[found.index])
    pd.testing.assert_frame_equal(explorer.thinned(epochs, points=50), epochs)


def test_curves_of_other_lengths_are_thinned_by_their_own():
    study = make_small_study()
    long, short = (make_epochs(study, make_comparisons(study), epochs=epochs) for epochs in (9, 2))
    mixed = pd.concat([long[long["strategy"] == "standard"], short[short["strategy"] != "standard"]])
    sizes = explorer.thinned(mixed, points=3).groupby(tables.KEY).size()
    assert set(sizes.xs("standard", level="strategy")) == {3}
    assert set(sizes.drop("standard", level="strategy")) == {2}


def test_what_is_packed_is_the_text_of_the_tables(tmp_path):
    study = make_small_study()
    make_tables(tmp_path, study)
    names = ("runs", "comparisons", "pairs", "times_to_target", "packs")
    read = {name: tables.read_table(tmp_path / f"{name}.csv", name) for name in names}
    read["epochs"] = tables.read_table(tmp_path / "epochs.parquet", "epochs")
    data = explorer.explorer_data(study, read)
    shown = read["comparisons"][[*explorer.COMPARED]]
    assert unpacked(data["comparisons"]) == tables.table_csv(shown).decode()
    for name in ("runs", "pairs", "times_to_target", "packs"):
        header, *lines = (tmp_path / f"{name}.csv").read_text().splitlines(keepends=True)
        parts = [
            unpacked(cell[name])
            for dataset in study.datasets
            for cell in data["cells"][dataset]["6"].values()
            if name in cell
        ]
        assert all(part.startswith(header) for part in parts)
        assert sorted(line for part in parts for line in part.splitlines(keepends=True)[1:]) == sorted(lines)
    assert explorer.explorer_data(study, read) == data


def test_a_large_study_keeps_the_cells_of_the_primary_comparison_first():
    study = make_small_study()
    comparisons = make_comparisons(study)
    read = {"comparisons": comparisons, "epochs": make_epochs(study, comparisons), "runs": make_runs(study)}
    read |= {"pairs": make_pairs(study, comparisons), "packs": make_packs(study, comparisons)}
    read["times_to_target"] = make_times(study, read["epochs"])
    whole = explorer.explorer_data(study, read)
    assert whole["counts"]["held"] == whole["counts"]["all"]
    lengths = {
        (dataset, strategy): sum(map(len, cell.values()))
        for dataset, depths in whole["cells"].items()
        for strategy, cell in depths["6"].items()
    }
    strategy, reference, _ = study.primary
    wanted = (*explorer._first_strategies(study), strategy, reference)
    first = {key: length for key, length in lengths.items() if key[1] in wanted}
    assert len(first) < len(lengths)
    data = explorer.explorer_data(study, read, space=len(whole["comparisons"]) + sum(first.values()))
    assert {(dataset, label) for dataset, depths in data["cells"].items() for label in depths["6"]} == set(first)
    assert data["counts"] == {"held": len(first), "all": whole["counts"]["all"]}
    assert explorer.explorer_data(study, read, space=0)["cells"] == {}


def test_of_comparisons_on_single_data_sets_those_survive_that_the_classical_steps_keep():
    generator, rows, pairs = np.random.default_rng(3), [], []
    for number in range(40):
        key = {"dataset": f"set{number}", "depth": 6, "strategy": "alternating-0.5", "recipe": "primary"}
        key |= {"reference": "standard", "budget": "own", "metric": "final_test_accuracy"}
        drawn = generator.normal(0.02 * (number % 4 == 0), 0.01, size=8)
        rows.append(key | {"verdict": "better" if drawn.mean() > 0 else "worse"})
        pairs += [key | {"difference": difference} for difference in drawn]
    # neither a mean over data sets nor a cost nor pairs that are all the same is among those that are tested
    rows += [rows[0] | {"dataset": "all"}, rows[0] | {"metric": "flops_ratio"}, rows[0] | {"dataset": "same"}]
    pairs += [rows[-1] | {"difference": 0.5}] * 8
    found = explorer.survivors(pd.DataFrame(rows), pd.DataFrame(pairs))
    differences = pd.DataFrame(pairs[:320]).groupby("dataset", sort=False)["difference"]
    p_values = [stats.ttest_1samp(drawn, 0).pvalue for _, drawn in differences]
    order = np.argsort(p_values)
    kept = np.flatnonzero(np.sort(p_values) <= 0.05 * np.arange(1, 41) / 40).max()
    assert found == sorted(order[: kept + 1])
    assert 5 < len(found) < sum(p < 0.05 for p in p_values)
    equivalent = pd.DataFrame(rows).assign(verdict="equivalent")
    assert explorer.survivors(equivalent, pd.DataFrame(pairs)) == []
    assert explorer.survivors(pd.DataFrame(rows), pd.DataFrame(pairs).iloc[:0]) == []


@pytest.mark.parametrize("text", ["</script>", "<!-- <script>", "a\u2028b", 'é "', "&lt;"])
def test_no_text_in_json_ends_its_element(text):
    found = explorer.json_in_html({text: [text]})
    assert json.loads(found) == {text: [text]}
    assert not set("<\u2028\u2029") & set(found)


def test_only_the_scripts_of_the_page_may_run():
    # the example of the standard: https://www.w3.org/TR/CSP3/#external-hash
    assert content_hash("alert('Hello, world.');") == "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"


@pytest.mark.parametrize("name", ["curves", "pairs", "times"])
def test_every_chart_is_one_that_vega_lite_draws(name):
    import vl_convert

    known = {"reference": "standard", "strategy": "a", "columns": 2, "width": 600, "panel": 250, "height": 100}
    known |= {"below": -1, "above": 1, "format": "~g", "title": "t", "subtitle": "s", "legend": explorer.LEGEND}
    known |= {"strategies": ["standard", "a"], "colours": ["black", "red"], "dashes": [[1, 0], [5, 3]]}
    known |= dict.fromkeys(("grey", "accent"), "#777777") | dict.fromkeys(("clock", "quantity", "difference"), "x")

    def filled(value):
        if isinstance(value, dict):
            return {key: filled(part) for key, part in value.items()}
        if isinstance(value, list):
            return [filled(part) for part in value]
        return known[value[1:]] if isinstance(value, str) and value.startswith("@") else value

    chart = filled(explorer.charts(3)[name]) | {
        "datasets": {
            "rows": [
                {
                    "strategy": strategy,
                    "seed": seed,
                    "at": seed,
                    "value": seed + (strategy == "a"),
                    "row": f"seed {seed}",
                }
                | {"difference": seed, "mean": seed == 2, "low": 0, "high": 2, "level": 0.9, "reached": 1, "run": 1}
                for strategy, seed in itertools.product(("standard", "a"), range(3))
            ]
        }
    }
    assert vl_convert.vegalite_to_svg(chart).count("<path") > 10


def test_the_interval_of_the_curves_is_the_t_interval():
    calculation = next(
        part["calculate"] for part in explorer.charts(10)["curves"]["layer"][0]["transform"] if part.get("as") == "half"
    )
    quantiles = json.loads(calculation.partition("[datum")[0])
    # a table of Student's distribution, two-sided 95 %, by degrees of freedom
    np.testing.assert_allclose(
        quantiles[2:], [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262], atol=6e-4
    )


# in a browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Report of a study with a diverged run and a data set whose name is a script."""
    folder = tmp_path_factory.mktemp("explored")
    names = ["iris", SCRIPT]
    study = make_unchecked_study(make_small_study(seeds=6), datasets=names)
    make_tables(folder / "tables", study, names=names, dropped=1)
    runs = make_runs(study, names)
    runs.loc[(runs["dataset"] == "iris") & (runs["seed"] == 4) & (runs["strategy"] == "standard"), "status"] = (
        "diverged"
    )
    tables.write_table(runs, folder / "tables" / "runs.csv")
    report.write_report(study, folder / "tables", [], folder / "report.html")
    return folder / "report.html"


def wait(browser, condition):
    return WebDriverWait(browser, 30, poll_frequency=0.05).until(lambda _: condition())


def drawn(browser):
    """Return the view of the cell that is drawn, None while none is."""
    text = browser.execute_script("return document.getElementById('cell').dataset.ready ?? null")
    return None if text is None else json.loads(text)


# who opens the report sees the primary comparison, which is against the control of equal operations
VIEW = {"reference": "standard", "budget": "flops", "controls": "1", "cell": ""}


def open_address(browser, page, view, opens=True):
    """Open the report anew at a view, and wait until it is drawn."""
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(f"{page.as_uri()}#{urlencode(view)}")
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#matrix tbody tr"))
    if opens and view.get("cell", "all"):
        wait(browser, lambda: drawn(browser))


def open_report(browser, page, **view):
    """Open the report anew at a view of all strategies against standard training, without a cell."""
    open_address(browser, page, VIEW | view)


def open_cell(browser, page, cell=CELL, **view):
    open_report(browser, page, cell=json.dumps(cell), **view)


def choose(browser, name, value):
    select = Select(browser.find_element(By.ID, name))
    select.select_by_value(value)
    wait(browser, lambda: f"{name}={value}" in browser.current_url)
    wait(browser, lambda: browser.find_element(By.ID, name).get_property("value") == value)


def numbers(browser):
    """Return the matrix, by row and column."""
    return [
        [cell.text for cell in row.find_elements(By.TAG_NAME, "td")]
        for row in browser.find_elements(By.CSS_SELECTOR, "#matrix tbody tr")
    ]


def cell_button(browser, cell=CELL):
    buttons = browser.find_elements(By.CSS_SELECTOR, "#matrix button")
    return next(button for button in buttons if json.loads(button.get_attribute("data-cell")) == list(cell))


def alternative(browser, figure):
    chart = browser.find_element(By.CSS_SELECTOR, f"#{figure} .chart")
    assert chart.get_attribute("role") == "img"
    return chart.get_attribute("aria-label")


def test_it_opens_without_network_or_a_word_on_the_console(browser, page):
    emulate(browser)
    open_cell(browser, page)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    # that of the first screen and those of the cell
    assert len(browser.find_elements(By.CSS_SELECTOR, ".chart svg")) == 4


def test_a_cell_that_the_file_has_no_room_for_opens_with_its_table(browser, tmp_path, monkeypatch):
    study = make_small_study()
    make_tables(tmp_path / "tables", study)
    monkeypatch.setattr(report, "explorer_data", functools.partial(explorer.explorer_data, space=0))
    report.write_report(study, tmp_path / "tables", [], tmp_path / "report.html")
    emulate(browser)
    open_cell(browser, tmp_path / "report.html")
    shown = browser.find_element(By.ID, "cell").text
    every = len(study.datasets) * len(study.strategies)
    assert f"it has those of 0 of {every} cells" in shown
    assert "At every budget, by every metric" in shown
    assert "Learning curves" not in shown
    assert browser.find_elements(By.CSS_SELECTOR, ".chart svg") == []
    assert browser.get_log("browser") == []


def test_the_matrix_frames_what_survives_and_says_on_which_side_an_equivalence_lies(browser, page, tmp_path):
    emulate(browser)
    open_report(browser, page)
    single, mean = (cell_button(browser, (name, *CELL[1:])) for name in ("iris", "all"))
    assert single.get_attribute("aria-label").endswith(": worse, among all comparisons, too")
    assert "survives" in single.get_attribute("class").split()
    assert mean.get_attribute("aria-label").endswith(": worse")
    assert "survives" not in mean.get_attribute("class").split()
    study = make_small_study()
    make_tables(tmp_path / "tables", study, difference=-0.002, low=-0.003, high=-0.001)
    report.write_report(study, tmp_path / "tables", [], tmp_path / "report.html")
    open_report(browser, tmp_path / "report.html")
    assert cell_button(browser).get_attribute("aria-label").endswith(": worse, within the margin")
    assert "survives" not in cell_button(browser).get_attribute("class").split()


def test_the_matrix_has_a_row_for_each_data_set_and_the_difference_in_the_colour_of_its_verdict(browser, page):
    emulate(browser)
    open_report(browser, page)
    heads = [head.text for head in browser.find_elements(By.CSS_SELECTOR, "#matrix tbody th")]
    assert heads == ["mean of all", "iris", SCRIPT]
    # pairs were left out of iris alone, and so of the mean
    assert [row[0] for row in numbers(browser)] == ["−2.0*", "−2.0*", "−2.0"]
    assert all("worse" in cell_button(browser, (name, *CELL[1:])).get_attribute("class") for name in ("all", "iris"))
    assert not browser.find_element(By.ID, "cell").is_displayed()


def test_it_opens_on_the_primary_comparison_with_controls_folded(browser, page):
    emulate(browser)
    open_address(browser, page, {})
    study = make_small_study()
    strategy, reference, budget = study.primary
    assert drawn(browser)["cell"] == ["all", "6", strategy]
    assert (drawn(browser)["reference"], drawn(browser)["budget"]) == (reference, budget)
    pressed = browser.find_elements(By.CSS_SELECTOR, "#matrix [aria-pressed=true]")
    assert pressed == [cell_button(browser, ("all", "6", strategy))]
    # a reader who opens it stays at its top
    assert browser.execute_script("return scrollY") == 0
    open_address(browser, page, {"reference": "standard"})
    heads = [head.get_attribute("title") for head in browser.find_elements(By.CSS_SELECTOR, "#matrix thead th[title]")]
    assert heads == list(study.alternating)
    browser.find_element(By.ID, "controls").click()
    wait(browser, lambda: len(numbers(browser)[0]) == len(study.strategies) - 1)
    assert browser.get_log("browser") == []


def test_an_opened_cell_is_scrolled_to_and_closed_by_escape(browser, page):
    emulate(browser)
    open_report(browser, page)
    cell_button(browser).click()
    wait(browser, lambda: drawn(browser))
    title = "return document.getElementById('cell-title').getBoundingClientRect().top"
    # a page scrolls by whole pixels
    wait(browser, lambda: 0 <= round(browser.execute_script(title)) < 100)
    browser.find_element(By.CSS_SELECTOR, "#packs summary").send_keys(Keys.ESCAPE)
    wait(browser, lambda: not browser.find_element(By.ID, "cell").is_displayed())
    assert browser.switch_to.active_element == cell_button(browser)


def test_the_first_screen_overlays_strategies_where_they_differ_most(browser, page):
    emulate(browser)
    open_address(browser, page, {})
    study = make_small_study()

    def view():
        return json.loads(browser.find_element(By.ID, "first-curves").get_attribute("data-ready"))

    wait(browser, lambda: browser.find_element(By.ID, "first-curves").get_attribute("data-ready"))
    boxes = browser.find_elements(By.CSS_SELECTOR, "#first-legend input")
    assert [box.get_attribute("value") for box in boxes if box.is_selected()] == explorer._first_strategies(study)
    assert view() == {"dataset": "iris", "clock": "flops", "quantity": "test_accuracy"}
    said = browser.find_element(By.ID, "first-ends")
    assert all(label in said.text for label in ("standard ", "alternating-0.5 "))
    boxes[0].click()
    wait(browser, lambda: "standard " not in said.text)
    Select(browser.find_element(By.ID, "first-dataset")).select_by_value(SCRIPT)
    Select(browser.find_element(By.ID, "first-clock")).select_by_value("seconds")
    wait(browser, lambda: view() == {"dataset": SCRIPT, "clock": "seconds", "quantity": "test_accuracy"})
    assert "over Seconds" in browser.find_element(By.CSS_SELECTOR, "#first-curves .chart svg").get_attribute(
        "innerHTML"
    )
    assert browser.get_log("browser") == []


def test_the_data_set_of_the_first_screen_is_that_of_the_largest_difference():
    study = make_small_study()
    comparisons = make_comparisons(study)
    rows = comparisons["dataset"] == "wine"
    comparisons.loc[rows, "difference"] *= -3
    assert explorer.most_different(study, comparisons) == "wine"
    comparisons.loc[rows, "verdict"] = NOT_ABOVE_CHANCE
    assert explorer.most_different(study, comparisons) == "iris"


def test_filters_change_what_is_shown(browser, page):
    emulate(browser)
    open_report(browser, page)
    columns = len(numbers(browser)[0])
    assert columns == len(cells.whole_trainings(make_small_study()))
    choose(browser, "dataset", "iris")
    wait(browser, lambda: len(numbers(browser)) == 1)
    choose(browser, "strategy", "alternating-0.5")
    wait(browser, lambda: numbers(browser) == [["−2.0*"]])
    choose(browser, "budget", "own")
    choose(browser, "metric", "flops_ratio")
    wait(browser, lambda: numbers(browser) == [["−25*"]])
    assert "lower" in cell_button(browser).get_attribute("class")
    browser.find_element(By.ID, "reset").click()
    wait(browser, lambda: len(numbers(browser)) == 3 and len(numbers(browser)[0]) == 1)
    assert browser.get_log("browser") == []


def test_only_what_was_compared_can_be_chosen(browser, page):
    emulate(browser)
    open_report(browser, page, budget="flops")
    metrics = [option.get_attribute("value") for option in Select(browser.find_element(By.ID, "metric")).options]
    assert metrics == ["final_test_accuracy"]
    open_report(browser, page, budget="flops", reference=make_small_study().primary.reference)
    budgets = [option.get_attribute("value") for option in Select(browser.find_element(By.ID, "budget")).options]
    assert budgets == ["own"]
    # one learning rate leaves nothing to choose
    assert not browser.find_element(By.ID, "recipe").is_displayed()


def test_a_control_that_only_ends_earlier_has_no_column_at_a_common_budget(browser, page):
    shorter = cells.shorter_trainings(make_small_study())
    assert shorter
    emulate(browser)
    for budget, expected in (("flops", set()), ("own", set(shorter))):
        open_report(browser, page, budget=budget)
        heads = browser.find_elements(By.CSS_SELECTOR, "#matrix thead th[title]")
        assert {head.get_attribute("title") for head in heads} & set(shorter) == expected
    open_report(browser, page, budget="flops", strategy=shorter[0])
    assert [each.get_attribute("value") for each in Select(browser.find_element(By.ID, "budget")).options] == ["own"]


def test_a_cell_opens_by_a_click(browser, page):
    emulate(browser)
    open_report(browser, page)
    cell_button(browser).click()
    assert wait(browser, lambda: drawn(browser))["cell"] == list(CELL)
    assert browser.find_element(By.ID, "cell-title").text == "iris, depth 6: alternating-0.5 against standard"
    assert cell_button(browser).get_attribute("aria-pressed") == "true"


def test_a_cell_opens_by_the_keyboard_and_arrows_move_in_the_matrix(browser, page):
    emulate(browser)
    open_report(browser, page)
    stops = [
        button
        for button in browser.find_elements(By.CSS_SELECTOR, "#matrix button")
        if button.get_property("tabIndex") == 0
    ]
    assert len(stops) == 1
    browser.find_element(By.CSS_SELECTOR, "[aria-label='Matrix of differences']").send_keys(Keys.TAB)
    assert browser.switch_to.active_element == stops[0]
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    opened = wait(browser, lambda: drawn(browser))["cell"]
    assert opened == ["iris", "6", cells.whole_trainings(make_small_study())[1]]
    # the focus stays where the reader was
    assert json.loads(browser.switch_to.active_element.get_attribute("data-cell")) == opened
    first, last = ([*make_small_study().strategies][place] for place in (1, -1))
    for key, cell in ((Keys.END, ("iris", last)), (Keys.PAGE_DOWN, (SCRIPT, last)), (Keys.HOME, (SCRIPT, first))):
        browser.switch_to.active_element.send_keys(key)
        assert json.loads(browser.switch_to.active_element.get_attribute("data-cell")) == [cell[0], "6", cell[1]]
    browser.switch_to.active_element.send_keys(Keys.PAGE_UP)
    assert json.loads(browser.switch_to.active_element.get_attribute("data-cell")) == ["all", "6", first]


def test_the_address_restores_the_view(browser, page):
    emulate(browser)
    view = {"dataset": "iris", "depth": "6", "budget": "own", "metric": "best_test_accuracy", "clock": "seconds"}
    open_cell(browser, page, **view, quantity="train_loss")
    for name, value in (view | {"quantity": "train_loss", "reference": "standard"}).items():
        assert browser.find_element(By.ID, name).get_property("value") == value
    assert len(numbers(browser)) == 1
    assert "Training loss (nat) over Seconds, measured alone" in alternative(browser, "curves")
    choose(browser, "clock", "updates")
    wait(browser, lambda: "over Updates per parameter" in alternative(browser, "curves"))
    browser.back()
    wait(browser, lambda: "over Seconds, measured alone" in alternative(browser, "curves"))


@pytest.mark.parametrize(
    "view", [{"cell": "7"}, {"cell": "[["}, {"cell": '["x","6","y"]'}, {"budget": "x", "clock": "x"}]
)
def test_an_address_that_says_nothing_shows_the_usual_view(browser, page, view):
    emulate(browser)
    open_address(browser, page, {"cell": ""} | view, opens=False)
    assert not browser.find_element(By.ID, "cell").is_displayed()
    assert browser.find_element(By.ID, "budget").get_property("value") == make_small_study().primary.budget
    assert browser.get_log("browser") == []


def test_pictures_say_their_number_in_words(browser, page):
    emulate(browser)
    open_cell(browser, page)
    words = "mean difference −2.00 points (95 % interval −3.00 to −1.00, 3 pairs, 1 left out): worse"
    assert words in alternative(browser, "curves")
    assert words in alternative(browser, "pairs")
    assert "90 %: 5 of 6 runs of standard; 90 %: 5 of 6 runs of alternating-0.5" in alternative(browser, "times")
    assert browser.find_element(By.ID, "margin").text == "±1 point"
    differences = [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "#rows td:nth-child(4)")]
    assert {text.partition(" ")[2] for text in differences} == {"points", "%"}


ALL = ("all", *CELL[1:])


def test_the_mean_of_all_opens_data_set_by_data_set(browser, page):
    emulate(browser)
    open_report(browser, page)
    cell_button(browser, ALL).click()
    assert wait(browser, lambda: drawn(browser))["cell"] == list(ALL)
    title = "Mean of all data sets, depth 6: alternating-0.5 against standard"
    assert browser.find_element(By.ID, "cell-title").text == title
    rows = browser.find_elements(By.CSS_SELECTOR, "#dataset-rows tr")
    shown = ["worse", "−2.00 points", "−3.00 to −1.00", "90.00 %", "88.00 %", "3"]
    found = [[cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in rows]
    assert found == [["iris", *shown, "1"], [SCRIPT, *shown, "0"]]
    # of two data sets and their mean: dots, and an interval each
    marks = {name: len(browser.find_elements(By.CSS_SELECTOR, f"#pairs {name}")) for name in (DOTS, INTERVALS)}
    assert marks == {DOTS: 2, INTERVALS: 3}
    assert "Paired differences, final test accuracy, equal operations: mean difference −2.00" in alternative(
        browser, "pairs"
    )
    assert browser.find_element(By.ID, "failures").text == (
        "1 of 7 pairs are left out. Diverged: standard 1; alternating-0.5 0."
    )
    for part in ("curves", "times", "provenance"):
        assert not browser.find_element(By.ID, part).is_displayed()
    assert browser.get_log("browser") == []


def test_a_data_set_of_the_mean_opens_and_the_way_back_too(browser, page):
    emulate(browser)
    open_cell(browser, page, cell=ALL, budget="own")
    browser.find_element(By.CSS_SELECTOR, "#dataset-rows a").click()
    wait(browser, lambda: drawn(browser)["cell"] == list(CELL))
    assert drawn(browser)["budget"] == "own"
    assert browser.find_element(By.ID, "curves").is_displayed()
    assert not browser.find_element(By.ID, "datasets").is_displayed()
    browser.back()
    wait(browser, lambda: drawn(browser)["cell"] == list(ALL))


def test_a_link_to_a_part_of_the_page_leaves_the_view(browser, page):
    emulate(browser)
    open_cell(browser, page, budget="own")
    browser.find_element(By.LINK_TEXT, "Environment").click()
    wait(browser, lambda: browser.current_url.endswith("#environment"))
    assert browser.find_element(By.ID, "cell").is_displayed()
    assert browser.find_element(By.ID, "budget").get_property("value") == "own"
    choose(browser, "clock", "updates")
    wait(browser, lambda: "over Updates per parameter" in alternative(browser, "curves"))
    assert drawn(browser)["cell"] == list(CELL)


def test_the_parts_of_the_page_are_there_and_named(browser, page):
    emulate(browser)
    open_report(browser, page)
    assert browser.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"
    assert len(browser.find_elements(By.TAG_NAME, "main")) == 1
    links = browser.find_elements(By.CSS_SELECTOR, "nav a")
    # no page stands beside this report
    assert len(links) == 8
    for link in links:
        target = link.get_attribute("href").partition("#")[2]
        assert browser.find_element(By.ID, target).tag_name == "h2"


def test_the_first_screen_has_question_answer_curves_and_effects(browser, tmp_path):
    study = make_default_study(depths=[6])
    make_tables(tmp_path / "tables", study)
    report.write_report(study, tmp_path / "tables", [], tmp_path / "report.html")
    emulate(browser)
    open_report(browser, tmp_path / "report.html")
    for part in ("h1", "#answer", "#first-curves svg", "#effects svg"):
        place = browser.find_element(By.CSS_SELECTOR, part).rect
        assert place["y"] >= 0
        assert place["y"] + place["height"] <= 900


def printed(browser):
    """Return the page as PDF, without the background that a reader's printer leaves out."""
    return base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"])


def test_on_paper_it_is_light_and_nothing_is_cut(browser, page):
    emulate(browser, theme="dark")
    open_cell(browser, page)
    assert printed(browser).startswith(b"%PDF-")
    # the width of A4 between its margins, in pixels
    emulate(browser, 680, "dark")
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": dark})
    try:
        ground = browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
        assert ground == "rgba(255, 255, 255, 1)"
        chart = browser.find_element(By.CSS_SELECTOR, "#curves svg")
        assert chart.value_of_css_property("filter").startswith("invert(1)")
        for part in ("nav", ".filters", ".take", "#choose"):
            assert not browser.find_element(By.CSS_SELECTOR, part).is_displayed()
        assert browser.find_element(By.ID, "cell").is_displayed()
        # what explains a sentence is printed, be it open or not
        shown = "return [...document.querySelectorAll('.why table')].every((table) => table.checkVisibility())"
        assert browser.execute_script(shown)
        wide = "return [...document.querySelectorAll('table')].filter((table) => table.offsetWidth > 680).length"
        assert browser.execute_script(wide) == 0
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_names_stay_text(browser, page):
    emulate(browser)
    open_cell(browser, page, cell=(SCRIPT, "6", "alternating-0.5"))
    assert browser.find_element(By.ID, "cell-title").text.startswith(SCRIPT)
    assert SCRIPT in alternative(browser, "curves")
    assert len(browser.find_elements(By.TAG_NAME, "script")) == REPORT_SCRIPTS
    assert browser.get_log("browser") == []
    assert "<script>alert" not in page.read_text(encoding="utf-8")


def test_runs_that_failed_are_shown(browser, page):
    emulate(browser)
    open_cell(browser, page)
    said = browser.find_element(By.ID, "failures")
    assert said.is_displayed()
    assert (
        said.text == "1 of 4 pairs are left out. Runs that failed: standard seeds 4 (diverged); alternating-0.5 none."
    )
    open_cell(browser, page, cell=(SCRIPT, "6", "alternating-0.5"))
    assert not browser.find_element(By.ID, "failures").is_displayed()
    listed = browser.find_element(By.ID, "failed-runs").text
    assert "iris, depth 6, standard diverged 1 of 6 4" in listed


def test_jobs_that_were_done_again_are_listed_with_a_link_to_their_logs(browser, tmp_path):
    study = make_small_study()
    make_tables(tmp_path / "tables", study)
    packs = make_packs(study, make_comparisons(study))
    packs.loc[0, "attempt"], packs.loc[1, "resumed_at_epochs"] = 2, "50"
    tables.write_table(packs, tmp_path / "tables" / "packs.csv")
    study = make_unchecked_study(study, results=str(tmp_path))
    report.write_report(study, tmp_path / "tables", [], tmp_path / "partial" / "report.html")
    browser.get((tmp_path / "partial" / "report.html").as_uri())
    rows = browser.find_elements(By.CSS_SELECTOR, "#retried-jobs tbody tr")
    first, second = packs["strategy"][:2]
    assert [row.text.split(" 0-")[0] for row in rows] == [f"iris, depth 6, {name}" for name in (first, second)]
    assert ["2 –" in rows[0].text, "1 50" in rows[1].text] == [True, True]
    links = [row.find_element(By.TAG_NAME, "a").get_attribute("href") for row in rows]
    assert links == [(tmp_path / log).as_uri() for log in packs["log"][:2]]


def test_provenance_is_that_of_the_packs(browser, page):
    emulate(browser)
    open_cell(browser, page)
    text = browser.find_element(By.ID, "packs").text
    for words in ("d" * 64, "c0de", "logs/train/alternating-0.5.log", "1.50 s", "250 MiB", "threads: 1"):
        assert words in text
    assert json.loads(browser.find_element(By.CSS_SELECTOR, "#packs pre").get_property("textContent")) == {"width": 64}


def taken(browser, folder, part, form, dataset="iris"):
    """Press a button of an opened cell and return the bytes of the file that it saves."""
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    button = browser.find_element(By.CSS_SELECTOR, f"#{part} [data-format={form}]")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    path = folder / f"{part}-{dataset}-depth6-alternating-0.5.{form}"
    deadline = time.monotonic() + 30
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < deadline, f"{path} was not saved"
        time.sleep(0.05)
    return path.read_bytes()


def test_csv_files_are_the_rows_of_the_tables(browser, page, tmp_path):
    emulate(browser)
    open_cell(browser, page)
    own = {"dataset": "iris", "depth": 6, "strategy": "alternating-0.5", "reference": "standard"}
    both = own | {"strategy": ["standard", "alternating-0.5"]}
    budget = {"budget": make_small_study().primary_budget, "metric": "final_test_accuracy"}

    def rows(name, **values):
        path = page.parent / "tables" / f"{name}.csv"
        frame = tables.read_table(path, name)
        header, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        chosen = np.logical_and.reduce(
            [frame[key].isin(np.atleast_1d(value)) for key, value in values.items() if key in frame]
        )
        assert chosen.any()
        return header + "".join(itertools.compress(lines, chosen))

    def shown(name, **values):
        frame = tables.read_table(page.parent / "tables" / f"{name}.csv", name)
        chosen = np.logical_and.reduce([frame[key].isin(np.atleast_1d(value)) for key, value in values.items()])
        return tables.table_csv(frame.loc[chosen, [*explorer.COMPARED]]).decode()

    def saved(part):
        return taken(browser, tmp_path, part, "csv").decode()

    assert saved("comparison") == shown("comparisons", **own)
    assert saved("pairs") == rows("pairs", **own, **budget)
    assert saved("times") == rows("times_to_target", **both)
    assert saved("provenance") == rows("packs", **both)
    # of all data sets: those that its mean is taken of
    open_cell(browser, page, cell=ALL)
    for part in ("datasets", "pairs"):
        text = taken(browser, tmp_path, part, "csv", dataset="all").decode()
        assert text == shown("comparisons", **own | budget | {"dataset": ["iris", SCRIPT]})
    open_cell(browser, page)
    found = pd.read_csv(io.StringIO(saved("curves")))
    table = tables.read_table(page.parent / "tables" / "epochs.parquet", "epochs")
    table = table[(table["dataset"] == "iris") & table["strategy"].isin(both["strategy"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, table[found.columns], check_dtype=False)


@pytest.mark.parametrize("part", ["curves", "pairs", "times"])
def test_figures_are_saved_as_pictures(browser, page, tmp_path, part):
    emulate(browser)
    open_cell(browser, page)
    assert taken(browser, tmp_path, part, "svg").startswith(b"<svg ")
    assert taken(browser, tmp_path, part, "png").startswith(b"\x89PNG\r\n")
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("part", ["curves", "pairs", "times"])
def test_charts_are_saved_as_vega_lite_with_their_data(browser, page, tmp_path, part):
    import vl_convert

    emulate(browser)
    open_cell(browser, page)
    chart = json.loads(taken(browser, tmp_path, part, "json"))
    assert chart["$schema"] == explorer.grammar()
    # another program draws as many marks of it as the page does
    svg = vl_convert.vegalite_to_svg(chart)
    shown = browser.execute_script(f"return document.querySelectorAll('#{part} .chart svg path').length")
    assert svg.count("<path") == shown > 10


@pytest.mark.parametrize("dataset", [CELL[0], "all"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_serious_keeps_anyone_out(browser, page, width, theme, dataset):
    emulate(browser, width, theme)
    open_cell(browser, page, cell=(dataset, *CELL[1:]))
    browser.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")
    browser.execute_script(AXE)
    # what a phone has no room for stands on a line of its own
    lines = [line.text for line in browser.find_elements(By.CSS_SELECTOR, "#pairs .role-title-text tspan")]
    assert lines[1:] == (["alternating-0.5", "against standard"] if width < 400 else [])
    violations = browser.execute_async_script("axe.run(document).then((found) => arguments[0](found.violations))")
    serious = [(each["id"], each["nodes"]) for each in violations if each["impact"] in ("serious", "critical")]
    assert serious == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_charts_follow_the_colours_of_the_reader(browser, page):
    grounds = []
    for theme in ("light", "dark"):
        emulate(browser, theme=theme)
        open_cell(browser, page)
        svg = browser.find_element(By.CSS_SELECTOR, "#curves svg")
        grounds.append(svg.value_of_css_property("background-color"))
    assert grounds == ["rgba(255, 255, 255, 1)", "rgba(20, 24, 28, 1)"]


def test_the_report_of_a_study_of_the_default_size_is_five_megabytes_at_most(tmp_path):
    study = make_default_study()
    generator = np.random.default_rng(0)

    def noisy(frame, names, digits):
        return frame.assign(**{name: generator.random(len(frame)).round(digits) for name in names})

    # logs hold nine digits, what is computed from them more
    comparisons = pd.concat([make_comparisons(make_default_study(primary_depth=depth)) for depth in study.depths])
    key = ["dataset", "depth", "strategy", "reference", "budget", "metric"]
    comparisons = noisy(comparisons.drop_duplicates(key), EFFECTS, 15)
    epochs = noisy(
        make_epochs(study, comparisons, 50),
        ["train_loss", "validation_accuracy", "test_accuracy", "reference_seconds"],
        9,
    )
    written = {
        "comparisons": comparisons,
        "pairs": noisy(make_pairs(study, comparisons), ["reference_value", "strategy_value", "difference"], 9),
        "times_to_target": noisy(make_times(study, epochs), ["updates", "seconds"], 9),
        "packs": make_packs(study, comparisons),
    }
    make_tables(tmp_path / "tables", study)
    for name, table in written.items():
        tables.write_table(table, tmp_path / "tables" / f"{name}.csv")
    epochs.to_parquet(tmp_path / "tables" / "epochs.parquet", index=False)
    report.write_report(study, tmp_path / "tables", [], tmp_path / "report.html")
    assert len(epochs) == 9 * 3 * 9 * 10 * 50
    assert (tmp_path / "report.html").stat().st_size <= 5_000_000
