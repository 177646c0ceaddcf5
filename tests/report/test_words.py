"""Numbers and intervals in words, and one wording for each thing that is named in a report."""

import html
import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from altfreeze import vocabulary
from altfreeze.report import page, words
from builders import make_small_study, make_tables

# what was once said of the budgets and clocks of the vocabulary
OLD_WORDINGS = (
    r"[Ee]qual updates(?! per parameter)",
    r"[Ee]qual seconds(?!, measured alone)",
    r"[Rr]eference seconds",
    r"[Ee]qual FLOPs",
    r"[Ee]qual steps",
    r"seconds of one run trained alone",
    r"(?<!equal )updates, operations and seconds",
)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 pairs"), (1, "1 pair"), (90, "90 pairs"), (2430, "2,430 pairs"), (10**6, "1,000,000 pairs")],
)
def test_a_number_has_its_plural_and_commas_at_thousands(number, text):
    assert words.count(number, "pair") == text


def test_a_word_may_have_a_plural_of_its_own():
    assert [words.count(number, "strategy", "strategies") for number in (1, 2)] == ["1 strategy", "2 strategies"]


@pytest.mark.parametrize(("parts", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_a_list_ends_with_a_word(parts, text):
    assert words.listed(parts) == text
    assert words.listed(parts, "or") == text.replace(" and ", " or ")


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (-0.0125, "−1.25"),
        (0.0125, "+1.25"),
        (0.0, "0.00"),
        (-1e-9, "0.00"),
        (-0.00002, "−0.002"),
        (0.000001, "+0.0001"),
    ],
)
def test_points_have_a_real_minus_and_never_show_a_number_as_zero(share, text):
    assert words.points(share) == text


def test_signed_points_keep_their_decimals():
    assert words.signed_points(-0.00002) == "0.00"
    assert words.signed_points(0.0125, places=1) in ("+1.2", "+1.3")


def test_an_interval_that_is_not_there_is_said_so():
    assert words.interval(-0.0063, 0.0015) == "[−0.63, +0.15]"
    assert words.interval(np.nan, np.nan) == "no interval"


@pytest.mark.parametrize(
    ("value", "text"), [(0.31, "0.31"), (0.0123, "0.012"), (0.05, "0.05"), (0.050016, "0.05002"), (0.0496, "0.05")]
)
def test_a_p_value_is_not_rounded_across_the_level(value, text):
    assert words.p_value(value) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (-0.0069, 0.0007, "0.69 below to 0.07 above"),
        (-0.03, -0.01, "1.00 to 3.00 below"),
        (0.01, 0.03, "1.00 to 3.00 above"),
        (-0.03, 0.0, "3.00 below to 0.00"),
        (-0.014, -0.00002, "0.002 to 1.400 below"),
    ],
)
def test_an_interval_of_distances_says_its_side_once(low, high, text):
    assert words.interval_of_distances(low, high) == text


def test_distances_and_sides_agree_to_the_digits_of_the_logs():
    for share in (-0.0032, 0.0032, 1e-9, 0.0):
        word = {-1: "below", 0: "from", 1: "above"}[words.side(share)]
        assert words.distance(share, "points").endswith(f" points {word}")
    assert words.side(-0.02, 0.01) == 0


@pytest.mark.parametrize(
    ("margin", "text"), [(0.01, "1 accuracy point"), (0.005, "0.5 accuracy points"), (0.02, "2 accuracy points")]
)
def test_a_margin_has_its_plural(margin, text):
    assert words.margin_in_words(margin, vocabulary.METRICS["accuracy"]) == text


def test_a_share_is_a_percentage_or_nothing():
    assert [words.percent(share) for share in (0.714, np.nan)] == ["71 %", ""]


def text_of_report(folder):
    """Return all that a reader of a made report may see: its page, and the words that its script shows."""
    study = make_small_study()
    make_tables(folder / "tables", study)
    page.write_report(study, folder / "tables", [], folder / "report.html")
    text = (folder / "report.html").read_text(encoding="utf-8")
    # the charting library says nothing of a study
    return " ".join(html.unescape(re.sub(r"<script>.*?</script>", "", text, count=1, flags=re.DOTALL)).split())


def test_a_report_has_one_wording_for_each_budget(tmp_path):
    text = text_of_report(tmp_path)
    assert [old for old in OLD_WORDINGS if re.search(old, re.sub(r"<br>", " ", text))] == []
    for budget in vocabulary.BUDGETS.values():
        assert budget.words in text


def test_a_report_takes_every_word_for_a_budget_a_clock_and_a_metric_from_the_vocabulary(tmp_path, monkeypatch):
    changed = {"CLOCKS": {}, "BUDGETS": {}, "EQUAL_BUDGETS": {}, "METRICS": {}, "MEASURES": {}}
    for name, registry in changed.items():
        for key, entry in getattr(vocabulary, name).items():
            registry[key] = replace(entry, words=f"@{name.lower()}-{key}")
            monkeypatch.setitem(getattr(vocabulary, name), key, registry[key])
    text = text_of_report(tmp_path)
    typed = (
        r"equal (epochs|updates|operations|seconds)|measured alone|final test accuracy|chosen on validation(?! data)"
    )
    assert re.findall(typed, text) == []
    # of the metrics, the study's alone is named
    changed["METRICS"] = {"accuracy": changed["METRICS"]["accuracy"]}
    for entry in itertools.chain.from_iterable(registry.values() for registry in changed.values()):
        assert entry.words in text
