"""The seeds of two folders of one study are joined, or refused with every reason in a line of its own."""

import shutil

import numpy as np
import pytest
from altfreeze.cli import main
from altfreeze.study.reading import read_study
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file, write_json
from altfreeze.tables.merge import merge
from altfreeze.tables.verify import verify
from builders import (
    RESULTS_CONFIG,
    change_json,
    change_text,
    collect_tables,
    compare_tables,
    make_study,
    make_wine_study,
    remove_pack,
    train_results,
    write_results,
)

WINE = {"freeze_ratios": [0.5], "strategies": ["alternating"], "seeds": 2, "seeds_per_job": 2, "calibration_seeds": 2}
WINE |= {"epochs_standard": 2, "epochs_alternating": 2, "timing_rounds": 6, "gradient_flow": True}
WRITTEN = RESULTS_CONFIG | {"strategies": ["alternating"]}
VARIED = {"seeds": 3, "variations": [{"width": 16}], "variation_seeds": 3}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two folders of one study, trained: seeds 0-1 and 2-3."""
    folder = tmp_path_factory.mktemp("trained")
    return [
        train_results(folder / name, make_wine_study(**WINE, first_seed=first)) for name, first in (("a", 0), ("b", 2))
    ]


def written(folder, name, **keys):
    """Return a folder of results that nothing was trained for."""
    study = make_study(**WRITTEN | keys)
    results = write_results(folder / name, study)
    write_json(results / "study.json", study.config)
    return results


@pytest.fixture
def pair(tmp_path):
    return written(tmp_path, "a", **VARIED), written(tmp_path, "b", **VARIED, first_seed=3)


def test_joined_seeds_are_those_of_one_study(trained, tmp_path, capsys):
    one, other = trained
    main(["merge", str(one), str(other), "--into", str(tmp_path / "c")])
    printed = capsys.readouterr().out
    assert printed.startswith(f"{tmp_path / 'c'}: seeds 0-3, 5 packs (1 in both, alike), seconds not measured yet. ")
    assert printed.endswith(f": snakemake --cores all --configfile {tmp_path / 'c' / 'study.json'}\n")
    study = read_study(tmp_path / "c" / "study.json")
    whole = make_wine_study(**WINE | {"seeds": 4}, results=str(tmp_path / "c"), variation_seeds=4)
    assert study.config == whole.config
    files = {path.relative_to(tmp_path / "c") for path in (tmp_path / "c").rglob("*") if path.is_file()}
    assert len(files) == 1 + 2 + 3 * len(study.packs)
    for path in files - {(tmp_path / "c" / "study.json").relative_to(tmp_path / "c")}:
        source = next(sha256_of_file(part / path) for part in trained if (part / path).exists())
        assert sha256_of_file(tmp_path / "c" / path) == source
    # packs of other seeds, trained as those of one study, are the same bits
    assert {(found.exact, found.differs) for found in verify(study, tmp_path / "c", 1, 0)} == {(True, None)}


def test_tables_are_made_of_joined_results(pair, tmp_path):
    merge(*pair, tmp_path / "c")
    study = read_study(tmp_path / "c" / "study.json")
    joined = collect_tables(tmp_path / "c", study)["runs"]
    whole = make_study(**WRITTEN | VARIED | {"seeds": 6, "variation_seeds": 6})
    expected = collect_tables(write_results(tmp_path / "whole", whole), whole)["runs"]
    assert joined.equals(expected)
    assert (compare_tables(tmp_path / "c", study)["comparisons"].query("dataset == 'iris'")["pairs"] == 6).all()


def test_a_study_whose_seeds_begin_later_is_compared_by_itself(pair):
    study = read_study(pair[1] / "study.json")
    runs = collect_tables(pair[1], study)["runs"]
    assert set(runs["seed"]) == {3, 4, 5}
    pairs = compare_tables(pair[1], study)["comparisons"].query("dataset == 'iris' and budget == 'flops'")["pairs"]
    assert (pairs == 3).all()


def test_what_neither_has_is_left_to_train_and_what_both_have_is_taken_once(pair, tmp_path):
    one, other = pair
    pack = next(pack for pack in read_study(one / "study.json").packs if not pack.calibrates)
    remove_pack(one, pack)
    shutil.rmtree(other / "tables")
    said = merge(other, one, tmp_path / "c")
    assert "1 still to train" in said
    assert "(4 in both, alike)" in said
    assert f"seconds measured in {one}" in said
    assert not (tmp_path / "c" / "runs" / f"{pack.stem}.csv").exists()


def test_variations_whose_seeds_would_leave_a_gap_are_left_out(tmp_path):
    keys = {"variations": [{"width": 16}], "variation_seeds": 2, "seeds": 3}
    said = merge(written(tmp_path, "a", **keys), written(tmp_path, "b", **keys, first_seed=3), tmp_path / "c")
    study = read_study(tmp_path / "c" / "study.json")
    assert (study.seeds, study.variation_seeds, study.seeds_per_job) == (6, 2, 3)
    # alternating and standard on two data sets
    assert "4 of variations left out" in said
    assert len(collect_tables(tmp_path / "c", study)["runs"].query("recipe != 'primary'")) == 2 * 2 * 2


def refused(one, other, into):
    """Return the lines by which two folders are refused, and check that nothing was written."""
    before = sorted(into.parent.iterdir())
    with pytest.raises(InputError) as error:
        merge(one, other, into)
    assert sorted(into.parent.iterdir()) == before
    return error.value.args


def test_every_reason_against_it_is_a_line_and_all_are_told_at_once(pair, tmp_path):
    one, other = pair
    change_json(other / "study.json", learning_rate=0.5, seed=7)
    first, second, third = [pack for pack in read_study(one / "study.json").packs if not pack.calibrates][:3]
    change_text(one / "runs" / f"{first.stem}.csv", lambda text: text.replace("ok", "OK", 1))
    (one / "runs" / f"{second.stem}.json").unlink()
    change_json(one / "runs" / f"{third.stem}.json", seeds=[0])
    (one / "data" / "iris.npz").rename(one / "iris.npz")
    shutil.copyfile(one / "data" / "wine.npz", one / "data" / "iris.npz")
    lines = refused(one, other, tmp_path / "c")
    keys = [line.partition(":")[0] for line in lines[:2]]
    assert sorted(keys) == ["learning_rate", "seed"]
    assert "0.001 in" in lines[keys.index("learning_rate")] and "0.5 in" in lines[keys.index("learning_rate")]
    assert all("two folders of one study" in line for line in lines[:2])
    for pack in (first, second, third):
        assert any(pack.stem in line for line in lines)
    assert any(line.startswith("data/iris.npz: is not the same file") for line in lines)
    assert all("\n" not in line for line in lines)


@pytest.mark.parametrize("device", ["same", "another"])
def test_a_pack_in_both_has_to_have_the_same_numbers(pair, tmp_path, device):
    one, other = pair
    pack = read_study(one / "study.json").packs[0]
    assert pack.calibrates
    stem = other / "runs" / pack.stem
    change_text(stem.with_suffix(".csv"), lambda text: text.replace("0.65", "0.66", 1))
    change_json(stem.with_suffix(".json"), log_sha256=sha256_of_file(stem.with_suffix(".csv")), device_name=device)
    if device == "another":
        merge(one, other, tmp_path / "c")
        return
    (line,) = refused(one, other, tmp_path / "c")
    assert line.startswith(f"{pack.stem}: is in both folders, with other numbers: validation_accuracy of seed 1000000")


def test_packs_of_different_code_are_no_one_study(pair, tmp_path):
    one, other = pair
    for path in (other / "runs").rglob("*.json"):
        change_json(path, code="other")
    lines = refused(one, other, tmp_path / "c")
    assert [line for line in lines if "(other, same)" in line] == [lines[0]]


@pytest.mark.parametrize(("keys", "words"), [({"first_seed": 4}, "leave out 3-3"), ({"first_seed": 2}, "0-2, 2-4 are")])
def test_seeds_that_leave_a_gap_or_overlap_in_part_are_refused(tmp_path, keys, words):
    one, other = written(tmp_path, "a", seeds=3), written(tmp_path, "b", seeds=3, **keys)
    (line,) = refused(one, other, tmp_path / "c")
    assert words in line


def test_a_folder_that_is_there_is_not_written_to(pair, tmp_path):
    np.savetxt(tmp_path / "a" / "notes.txt", [])
    (line,) = refused(*pair, pair[0])
    assert "allowed: a new folder" in line
