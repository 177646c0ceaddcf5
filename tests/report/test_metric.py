"""The study's metric is what is compared, aimed at and said; where lower is better, better is still positive."""

import json

import numpy as np
import pytest
from altfreeze.report.answer.first import answer
from altfreeze.report.page import write_report
from altfreeze.study.reading import complete
from altfreeze.support.errors import InputError
from altfreeze.support.files import write_json
from altfreeze.tables.collect import collect
from altfreeze.vocabulary import METRICS
from builders import RESULTS_CONFIG, compare_tables, make_study, open_page, read_tables, write_results
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

NUMBERS = ["difference", "low", "high", "probability_of_improvement", "cliffs_delta", "verdict"]


def improved(dataset, strategy, seed, epoch):
    """Return accuracies of which those of alternating training are the highest."""
    score = 0.6 + 0.01 * (seed % 7) + 0.05 * min(epoch, 2) + (0.1 + 0.002 * seed) * strategy.startswith("alternating")
    return score, score


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """By metric a study, the folder of its tables and what it compares; its losses mirror its accuracies."""
    found = {}
    for name in METRICS:
        study = make_study(**RESULTS_CONFIG | {"metric": name})
        results = write_results(tmp_path_factory.mktemp(name), study, accuracies=improved)
        collect(study, results, results / "tables")
        # what the report says of the machine
        record = json.loads((results / "tables" / "study.json").read_text())
        record["provenance"] |= {"git": [{"commit": "c" * 40, "dirty": False}], "versions": [{"torch": "2"}]}
        write_json(results / "tables" / "study.json", record)
        found[name] = study, results / "tables", compare_tables(results, study)
    return found


@pytest.mark.parametrize("name", METRICS)
def test_a_better_strategy_is_called_better_by_every_metric(studies, name):
    study, _, tables = studies[name]
    primary = tables["comparisons"].query("family == 'primary'").set_index("dataset")
    assert (primary["verdict"] == "better").all()
    assert (primary[["difference", "low"]] > 0).all(axis=None)
    assert primary["metric"].unique().tolist() == [study.metric.final]
    lower = primary["strategy_mean"] < primary["reference_mean"]
    assert lower.all() if study.metric.lower_is_better else not lower.any()
    across = tables["across_datasets"].query("family == 'primary'")
    assert (across["mean"] > 0).all()
    assert tables["matrix"].iloc[0]["row"].startswith("alternating")


def test_a_loss_that_mirrors_the_accuracy_gives_the_same_figures(studies):
    keys = ["dataset", "strategy", "reference", "budget"]
    one, other = (
        tables["comparisons"][tables["comparisons"]["metric"] == study.metric.final].set_index(keys)[NUMBERS]
        for study, _, tables in (studies["accuracy"], studies["log_loss"])
    )
    assert (one["verdict"] == other["verdict"]).all()
    numbers = NUMBERS[:-1]
    np.testing.assert_allclose(one[numbers], other[numbers], atol=2e-8)


def test_each_metric_is_read_at_the_ends_and_the_study_s_at_every_budget(studies):
    for study, _, tables in studies.values():
        rows = tables["comparisons"].query("reference == 'standard'")
        assert {metric.final for metric in METRICS.values()} <= set(rows.query("budget == 'own'")["metric"])
        assert set(rows.query("budget == 'flops'")["metric"]) == {study.metric.final}


def test_a_target_lies_between_chance_and_standard_training_in_the_direction_of_the_metric(studies):
    shares = np.array([13, 7, 6, 6]) / 32
    chance = {"accuracy": 13 / 32, "balanced_accuracy": 1 / 4, "log_loss": -(shares * np.log(shares)).sum()}
    for name, (study, folder, _) in studies.items():
        targets, times, runs = read_tables(folder, ["targets", "times_to_target", "runs"]).values()
        assert targets["chance"].to_numpy() == pytest.approx([chance[name]] * len(targets))
        assert (targets["above_chance"] == "yes").all()
        way = (targets["target"] - targets["chance"]) / (targets["calibration_median"] - targets["chance"])
        assert way.to_numpy() == pytest.approx(targets["level"].to_numpy())
        assert (study.metric.sign * (targets["calibration_median"] - targets["chance"]) > 0).all()
        # alternating training is better than standard training after its first epoch already
        assert times.query("strategy == 'alternating-0.5'")["reached"].all()
        assert (runs.query("strategy in ('standard', 'alternating-0.5')")["best_epoch"] == 2).all()


@pytest.mark.parametrize(
    ("name", "units"),
    [("accuracy", "accuracy points"), ("balanced_accuracy", "balanced accuracy points"), ("log_loss", "of a nat")],
)
def test_the_report_says_it_in_the_words_of_the_metric(browser, studies, name, units, tmp_path):
    study, folder, tables = studies[name]
    said = answer(study, tables["endpoints"])
    assert ": Yes, better" in said or ": It depends" in said or ": Yes, faster and better" in said
    assert units in said
    write_report(study, folder, [], tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"final test {study.metric.words}" in html
    if name == "log_loss":
        assert "better than standard" in said
        assert "points" not in said
    open_page(browser, tmp_path / "report.html")
    cells = WebDriverWait(browser, 30).until(lambda _: browser.find_elements(By.CSS_SELECTOR, "#rows tr"))
    rows = [[cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in cells]
    shown = {metric: difference.partition(" ")[2] for metric, _, _, difference, *_ in rows}
    # whatever the study's is, each metric has its unit
    units = {"final test accuracy": "points", "final test balanced accuracy": "points"}
    assert shown.items() >= (units | {"final test log loss": "× 0.01 nat"}).items()


@pytest.mark.parametrize("name", ["f1", 3, None])
def test_a_wrong_metric_is_one_line(name):
    with pytest.raises(InputError) as refused:
        complete({"metric": name}, [])
    (line,) = refused.value.args
    assert "metric" in line and "accuracy, balanced_accuracy, log_loss" in line.replace("'", "")
