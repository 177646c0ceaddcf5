"""Packs of a finished study are trained again, and what differs is told in a line."""

import shutil

import pytest
from altfreeze.cli import main
from altfreeze.support.files import sha256_of_file
from altfreeze.tables.agreement import PLATFORM
from altfreeze.tables.verify import chosen, verify
from builders import change_json, change_text, make_wine_study, train_results

STUDY = make_wine_study(
    **{"freeze_ratios": [0.5], "strategies": ["alternating"], "seeds": 4, "seeds_per_job": 2, "calibration_seeds": 2},
    **{"gradient_flow": True, "epochs_standard": 2, "epochs_alternating": 2},
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_results(tmp_path_factory.mktemp("trained") / "results", STUDY)


@pytest.fixture
def results(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "results")


def said(capsys, results, *options):
    """Return what the command prints on standard output, by line, and its exit status."""
    status = 0
    try:
        main(["verify", str(results), "--share", "1", *options])
    except SystemExit as error:
        status = error.code
    return capsys.readouterr().out.splitlines(), status


def test_what_nobody_touched_gives_the_same_bits(results, capsys):
    packs = len(STUDY.packs)
    assert packs == 1 + 2 * 2
    assert said(capsys, results) == (
        [f"{packs} of {packs} packs trained again (--seed 0): {packs} gave the same bits, 0 differ"],
        0,
    )


def edited(stem, sealed):
    """Change one number of a log, and the seal with it where `sealed`; return what was and is recorded."""
    log = stem.with_suffix(".csv")
    header, first, *others = log.read_text().splitlines()
    column = header.split(",").index("test_accuracy")
    values = first.split(",")
    was, values[column] = values[column], "0.99"
    log.write_text("\n".join([header, ",".join(values), *others, ""]))
    if sealed:
        change_json(stem.with_suffix(".json"), log_sha256=sha256_of_file(log))
    return was


def test_each_pack_that_differs_is_one_line(results, capsys):
    first, second, third = (results / "runs" / pack.stem for pack in STUDY.packs[1:4])
    was = edited(first, sealed=True)
    edited(second, sealed=False)
    change_text(third.with_suffix(".flow.csv"), lambda text: text.replace("0.", "0.1", 1))
    (results / "runs" / f"{STUDY.packs[4].stem}.json").unlink()
    (*lines, summary), status = said(capsys, results)
    assert [line.partition(": ")[0] for line in lines] == [pack.stem for pack in STUDY.packs[1:]]
    assert lines[0].endswith(f": test_accuracy of seed 0, epoch 1 was recorded as 0.99 and is {float(was):.9g}")
    assert "the log was changed" in lines[1]
    assert lines[2].endswith("is not the gradient flow that is observed")
    assert "missing" in lines[3]
    assert summary == "5 of 5 packs trained again (--seed 0): 1 gave the same bits, 4 differ"
    assert status == 1


# as many threads as were recorded train again
@pytest.mark.parametrize("name", [name for name in PLATFORM if name != "threads"])
def test_numbers_that_were_made_elsewhere_are_compared_within_the_tolerance(results, name):
    pack = chosen(STUDY, 0.1, 0)[0]
    manifest = results / "runs" / f"{pack.stem}.json"
    change_json(manifest, **{name: "another"})
    (found,) = verify(STUDY, results, 0.1, 0)
    assert (found.pack, found.exact, found.differs) == (pack, False, None)


def test_the_tolerance_is_of_means_and_not_of_the_plan(results):
    pack = STUDY.packs[1]
    stem = results / "runs" / pack.stem
    edited(stem, sealed=True)
    change_json(stem.with_suffix(".json"), device_name="another")
    found = {verified.pack: verified.differs for verified in verify(STUDY, results, 1, 0)}
    assert "the mean test_accuracy of 2 runs after epoch 1 was recorded as" in found[pack]
    assert "allowed elsewhere: 0.0707" in found[pack]
    assert set(found.values()) == {None, found[pack]}


def test_a_share_is_drawn_by_its_seed_and_is_at_least_one():
    assert len(chosen(STUDY, 0.001, 0)) == 1
    assert chosen(STUDY, 0.4, 3) == chosen(STUDY, 0.4, 3)
    assert {pack for seed in range(20) for pack in chosen(STUDY, 0.4, seed)} == set(STUDY.packs)
    assert chosen(STUDY, 1, 5) == STUDY.packs


@pytest.mark.parametrize("share", ["0", "1.5", "half", "nan"])
def test_a_share_that_is_none_is_one_line(results, share, capsys):
    with pytest.raises(SystemExit) as error:
        main(["verify", str(results), "--share", share])
    assert error.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
