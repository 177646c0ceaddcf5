"""Published claims: a register that is checked, and what the tables of a finished study say of each."""

import math
import re
from collections import Counter

import pandas as pd
import pytest
import yaml
from altfreeze.freezing.strategy import STRATEGIES
from altfreeze.report.blocks.display import table_html
from altfreeze.report.claims.findings import ABSENT, FAILS, HOLDS, OPEN, SAYINGS, UNTESTED, judge_all
from altfreeze.report.claims.register import Claim, Expectation, read_claims
from altfreeze.report.claims.said import claim_in_words, claims_table, tally_of_claims
from altfreeze.statistics import across_datasets
from altfreeze.support.errors import InputError
from builders import RESULTS_CONFIG, ROOT, compare_results, make_study, read_tables, results_accuracies

REGISTER = ROOT / "workflow" / "claims.yaml"
STRATEGIES_OF_STUDY = ["alternating", "standard_half_updates", "random_half", "lisa", "hift"]
STUDY = make_study(**RESULTS_CONFIG | {"strategies": STRATEGIES_OF_STUDY})
# over standard training, and what wine adds to it in ten thousandths
GAINS = {"lisa": (0.1, 1), "hift": (0.0, 2), "random_half": (0.09, 3), "standard_half_updates": (-0.1, 2)}
GAINS |= {"alternating-0.5": (-0.05, 1)}
TEXTS = {name: "Words." for name in ("title", "where", "claim", "networks", "untested", "caveat")}
ENTRY = TEXTS | {"name": "one", "who": "A. One, B. Two", "year": 2020, "read": ["code"], "address": "https://a.org/"}


def accuracies(dataset, strategy, seed, epoch):
    """Return those of a study in which lisa ends better than standard training, hift alike, and others worse."""
    validation, test = results_accuracies(dataset, "standard", seed, epoch)
    if strategy == "standard":
        return validation, test
    gain, of_wine = GAINS[strategy]
    # runs and data sets differ a little, so that intervals have a width
    return validation, test + gain + 0.0001 * (seed % 3 + of_wine * (dataset == "wine"))


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("claims")
    compare_results(folder, STUDY, accuracies=accuracies)
    return folder / "results" / "tables"


def claim(*tests, **keys):
    """Return a claim with tests of lisa's end against standard training's, with keys changed."""
    usual = {"strategy": "lisa", "measure": "end", "budget": "own", "expects": "better"}
    return Claim.model_validate(ENTRY | {"tests": [usual | test for test in tests]} | keys)


def said_of(tables, *tests, **keys):
    (judged,) = judge_all(STUDY, tables, [claim(*tests, **keys)])
    return judged


def test_the_register_has_claims_that_are_tested_and_says_what_was_read():
    claims = read_claims(REGISTER)
    assert len(claims) >= 12
    assert sum(bool(each.tests) for each in claims) >= 12
    for test in (test for each in claims for test in each.tests):
        # of strategies that are there, the parameters
        if known := STRATEGIES.get(test.strategy["name"]):
            assert test.strategy.keys() - {"name"} <= known.parameters.keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.pop("caveat"), "claims[0]: the key caveat is missing"),
        (lambda one: one.update(yaer=2020), "claims[0].yaer: unknown key; did you mean year? allowed: name, who,"),
        (lambda one: one.update(year="2020"), 'claims[0].year: "2020" is not allowed; input should be a valid integer'),
        (lambda one: one.update(address="ftp://x"), 'claims[0].address: "ftp://x" is not allowed; string should match'),
        (
            lambda one: one.update(read=["title"]),
            "claims[0].read[0]: \"title\" is not allowed; input should be 'paper',",
        ),
        (lambda one: one.update(read=["code", "code"]), "claims[0].read: names an entry twice; allowed: each once"),
        (lambda one: one["tests"][0].update(expects="lower"), 'claims[0].tests[0]: expects is "lower", which is not'),
        (lambda one: one["tests"][0].update(measure="cost", expects="lower"), 'claims[0].tests[0]: budget is "own"'),
        (lambda one: one["tests"][0].update(control="hift", budget="flops"), 'claims[0].tests[0]: control is "hift"'),
        (lambda one: one["tests"][0].update(by=1.5), "claims[0].tests[0].by: 1.5 is not allowed; input should be less"),
        (lambda one: one["tests"][0].update(strategy={"layers": 2}), "claims[0].tests[0]: strategy is"),
        (
            lambda one: one["tests"][0].update(pannel="all"),
            "claims[0].tests[0].pannel: unknown key; did you mean panel?",
        ),
    ],
)
def test_a_mistake_in_the_register_is_one_line_with_file_and_key(tmp_path, change, words):
    one = claim({}).model_dump()
    one["tests"] = [{"strategy": "lisa", "measure": "end", "budget": "own", "expects": "better"}]
    change(one)
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump({"claims": [one]}))
    with pytest.raises(InputError) as error:
        read_claims(path)
    (line,) = error.value.args
    assert line.startswith(f"{path}: {words}")


def test_all_mistakes_are_told_at_once_and_a_name_stands_once(tmp_path):
    path = tmp_path / "claims.yaml"
    one = claim().model_dump()
    path.write_text(yaml.safe_dump({"claims": [one | {"year": 1}, one | {"read": []}]}))
    with pytest.raises(InputError) as error:
        read_claims(path)
    assert len(error.value.args) == 2
    path.write_text(yaml.safe_dump({"claims": [one, one]}))
    with pytest.raises(InputError, match="claims: one stands twice; allowed: each name once"):
        read_claims(path)


@pytest.mark.parametrize(
    ("test", "saying"),
    [
        ({}, HOLDS),
        ({"by": 0.05}, HOLDS),
        ({"by": 0.2}, FAILS),
        ({"expects": "not better"}, FAILS),
        ({"expects": "not worse"}, HOLDS),
        ({"expects": "worse"}, FAILS),
        ({"strategy": "alternating"}, FAILS),
        ({"strategy": "alternating", "expects": "worse"}, HOLDS),
        ({"strategy": "alternating", "expects": "not worse", "by": 0.03}, FAILS),
        ({"strategy": "alternating", "expects": "not worse", "by": 0.2}, HOLDS),
        ({"strategy": "hift"}, FAILS),
        ({"strategy": "hift", "expects": "not worse"}, HOLDS),
        ({"control": "random_half", "by": 0.01}, OPEN),
        ({"control": "standard_half_updates"}, HOLDS),
        ({"strategy": "freezeout"}, ABSENT),
        ({"strategy": {"name": "lisa", "layers": 2}}, HOLDS),
        ({"strategy": {"name": "lisa", "layers": 1}}, ABSENT),
        ({"panel": "others"}, ABSENT),
        ({"strategy": "hift", "measure": "cost", "budget": "flops", "expects": "lower"}, HOLDS),
        ({"strategy": "hift", "measure": "cost", "budget": "flops", "expects": "lower", "by": 0.9}, FAILS),
        # at this depth all layers are drawn
        ({"measure": "cost", "budget": "flops", "expects": "lower"}, FAILS),
        ({"strategy": "standard_half_updates", "measure": "cost", "budget": "seconds", "expects": "not lower"}, FAILS),
    ],
)
def test_a_claim_is_judged_by_where_the_whole_interval_lies(tables, test, saying):
    assert said_of(tables, test).saying == saying


def test_a_claim_of_several_parts_holds_where_each_does(tables):
    holds, fails, absent = {}, {"by": 0.2}, {"strategy": "freezeout"}
    assert said_of(tables, holds, holds).saying == HOLDS
    assert said_of(tables, holds, fails).saying == FAILS
    assert said_of(tables, holds, absent).saying == OPEN
    assert said_of(tables, fails, absent).saying == FAILS
    assert said_of(tables, absent, absent).saying == ABSENT
    assert said_of(tables).saying == UNTESTED


def test_an_effect_is_that_of_the_tables(tables):
    across = read_tables(tables, ["across_datasets"])["across_datasets"]
    for label in ("lisa", "hift", "alternating-0.5"):
        for budget in ("own", "epochs", "flops"):
            (found,) = said_of(tables, {"strategy": label.partition("-")[0], "budget": budget}).found
            row = across.query("strategy == @label and reference == 'standard' and budget == @budget")
            row = row[row["metric"] == "final_test_accuracy"].iloc[0]
            expected = [row["mean"], row["low"], row["high"], row["datasets"]]
            assert [found.effect, found.low, found.high, found.datasets] == pytest.approx(expected, abs=1e-8)
    times = read_tables(tables, ["times"])["times"].query("strategy == 'lisa' and level == 0.9 and clock == 'flops'")
    logs = [math.log(row.strategy_restricted_mean / row.reference_restricted_mean) for row in times.itertuples()]
    (found,) = said_of(tables, {"measure": "time", "budget": "flops", "expects": "lower"}).found
    expected = across_datasets([round(value, 8) for value in logs])
    assert [found.effect, found.low, found.high] == [
        math.exp(value) for value in (expected.mean, expected.low, expected.high)
    ]


def test_where_half_of_a_training_is_not_noticed_no_difference_cannot_be_told(tables, tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    for path in tables.glob("*.csv"):
        text = path.read_text()
        (folder / path.name).write_text(text.replace(",yes\n", ",no\n") if path.stem == "sensitivity" else text)
    alike = {"strategy": "hift", "expects": "not worse"}
    assert said_of(tables, alike).saying == HOLDS
    judged = said_of(folder, alike)
    assert judged.saying == OPEN
    assert "does not notice" in judged.found[0].reason
    # what is there to be seen needs no noticing
    assert said_of(folder, {}).saying == HOLDS
    assert said_of(folder, {"strategy": "alternating"}).saying == FAILS


def test_a_control_that_does_as_well_is_named(tables):
    judged = said_of(tables, {"budget": "flops"}, explained_by="standard_half_updates")
    assert judged.control.saying == HOLDS
    assert "it does not explain a gain" in claim_in_words(STUDY, judged)
    judged = said_of(tables, {"strategy": "hift"}, explained_by="random_half")
    assert judged.control.saying == FAILS
    assert "`hift` against `random_half`" in claim_in_words(STUDY, judged)
    assert ": the control is better." in claim_in_words(STUDY, judged)
    judged = said_of(tables, {"strategy": "hift"}, explained_by="standard")
    assert ": the control does as well." in claim_in_words(STUDY, judged)
    assert said_of(tables, {}, explained_by="frozen_top").control is None


def test_a_comparison_with_a_control_is_that_of_the_tables_where_they_have_it(tables):
    (found,) = said_of(tables, {"strategy": "alternating", "control": "standard_half_updates"}).found
    across = read_tables(tables, ["across_datasets"])["across_datasets"]
    row = across.query("strategy == 'alternating-0.5' and reference == 'standard_half_updates' and budget == 'own'")
    row = row[row["metric"] == "final_test_accuracy"].iloc[0]
    assert [found.effect, found.low, found.high] == pytest.approx([row["mean"], row["low"], row["high"]], abs=1e-8)
    assert "reference=standard_half_updates" in found.link
    # the tables do not compare these two
    (found,) = said_of(tables, {"control": "hift"}).found
    assert (found.saying, found.link) == (HOLDS, "")


def test_words_state_effect_interval_data_sets_and_the_cell_and_no_nan(tables):
    judged = judge_all(STUDY, tables, read_claims(REGISTER))
    assert {each.saying for each in judged} <= set(SAYINGS)
    text = tally_of_claims(STUDY, judged)
    counted = dict(re.findall(r"([a-z ]+): (\d+)", text.partition(".")[0].partition("claims: ")[2]))
    assert {saying.strip(): int(number) for saying, number in counted.items()} == Counter(
        each.saying for each in judged
    )
    tested = [each.saying not in (ABSENT, UNTESTED) for each in judged]
    assert tested == sorted(tested, reverse=True)
    assert f" {sum(tested)} claims are tested, on {STUDY.primary_depth}-layer MLPs" in text
    one = tested.index(True)
    assert " 1 claim is tested, on " in tally_of_claims(STUDY, judged[one : one + 1])
    assert tally_of_claims(STUDY, judged[-1:]) == f"Of 1 claim: {judged[-1].saying}: 1."
    table = claims_table(STUDY, judged)
    assert len(table) == len(judged)
    assert "nan" not in re.findall(r"\w+", table_html(table))
    for each in judged:
        words = claim_in_words(STUDY, each)
        assert words.startswith("## ") and each.saying in words.splitlines()[0]
        assert each.claim.claim in words and each.claim.caveat in words and each.claim.untested in words
        assert f"]({each.claim.address})" in words
        assert "nan" not in re.findall(r"\w+", words)
    words = claim_in_words(STUDY, next(each for each in judged if each.claim.name == "lisa"))
    assert re.search(r"Found: \+\d+\.\d+ points \[\+\d+\.\d+, \+\d+\.\d+\], 2 data sets: holds\.", words)
    assert "](../report.html#cell=%5B%22all%22%2C4%2C%22lisa%22%5D&recipe=primary&" in words


def test_the_table_says_of_each_part_of_a_claim_what_was_claimed_and_found(tables):
    judged = [said_of(tables, {}), said_of(tables, {}, {"strategy": "hift", "by": 0.2}), said_of(tables)]
    judged += [said_of(tables, {"strategy": "freezeout"}, name="freezeout", who="A. de One")]
    one, two, none, absent = claims_table(STUDY, judged).to_dict("records")
    assert (one["Claimed"], one["Here"], one["Data sets"]) == ("lisa: end better", HOLDS, "2")
    assert two["Claimed"] == "lisa: end better\nhift: end better by at least 20 points"
    assert (two["Here"], two["Data sets"]) == (f"{HOLDS}\n{FAILS}", "2\n2")
    assert two["Effect and 95 % interval"].splitlines()[0] == one["Effect and 95 % interval"]
    assert (none["Claimed"], none["Here"]) == ("", UNTESTED)
    assert (absent["Claimed"], absent["Here"], absent["Data sets"]) == ("end better", ABSENT, "")
    assert (one["Claim"], absent["Claim"]) == ("one\nOne et al. 2020", "freezeout\nOne 2020")


def test_a_study_of_one_data_set_has_no_interval(tmp_path):
    study = make_study(**RESULTS_CONFIG | {"datasets": ["iris"], "strategies": ["alternating"]})
    compare_results(tmp_path, study)
    one = claim({"strategy": "alternating"})
    (judged,) = judge_all(study, tmp_path / "results" / "tables", [one])
    assert judged.saying == OPEN
    assert "no interval" in claim_in_words(study, judged)
    assert isinstance(claims_table(study, [judged]), pd.DataFrame)


def test_a_test_of_a_strategy_may_be_a_name_alone():
    assert Expectation(strategy="lisa", measure="end", budget="own", expects="better").strategy == {"name": "lisa"}
