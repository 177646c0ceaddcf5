"""Tuning: the same trials for everyone, chosen by validation data on seeds that no comparison sees."""

import json

import numpy as np
import pytest
from altfreeze.cli import main
from altfreeze.support.errors import InputError
from altfreeze.training import tuning
from altfreeze.training.trainer import train_pack
from builders import cell_options, make_study
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris

trials = st.lists(
    st.fixed_dictionaries(
        {
            "learning_rate": st.sampled_from([0.001, 0.01, 0.1]),
            "median": st.sampled_from([0.0, 0.5, 0.9]),
            "validation_loss": st.one_of(st.none(), st.sampled_from([0.1, 0.2])),
        }
    ),
    min_size=1,
    max_size=6,
)


def trial(rate, accuracy, loss):
    return {"learning_rate": rate, "median": accuracy, "validation_loss": loss}


@pytest.mark.parametrize(
    ("found", "rate"),
    [
        ([trial(0.1, 0.8, 0.1), trial(0.01, 0.9, 0.9)], 0.01),
        ([trial(0.1, 0.9, 0.2), trial(0.01, 0.9, 0.1)], 0.01),
        ([trial(0.1, 0.9, 0.1), trial(0.01, 0.9, 0.1)], 0.01),
        ([trial(0.1, 0.0, None), trial(1.0, 0.0, None)], 0.1),
        ([trial(0.1, 0.0, None), trial(1.0, 0.0, 3.0)], 1.0),
    ],
)
def test_accuracy_decides_then_loss_then_the_lower_rate(found, rate):
    assert tuning.choose(found) == rate


@given(trials, st.randoms())
def test_the_order_of_the_trials_does_not_matter(found, random):
    shuffled = random.sample(found, len(found))
    assert tuning.choose(shuffled) == tuning.choose(found)


@pytest.fixture
def stored(tmp_path):
    X, y = load_iris(return_X_y=True)
    np.savez(tmp_path / "iris.npz", X=X, y=y)
    return tmp_path / "iris.npz"


def tuned_study(**keys):
    small = {"datasets": ["iris"], "depths": [3], "primary_depth": 3, "epochs_alternating": 3, "width": 8}
    return make_study(
        **(
            small
            | {
                "optimizer": "sgd",
                "learning_rate": "tuned",
                "learning_rates_to_try": [0.0001, 0.01, 1e30],
                "calibration_seeds": 3,
            }
            | keys
        )
    )


def cell():
    return tuned_study().cell("iris", 3, "alternating-0.5")


def test_a_tuning_is_one_training_per_rate_and_the_job_trains_at_its_choice(stored, tmp_path):
    chosen = tmp_path / "tuned.json"
    common = cell_options(tmp_path, tuned_study(), "alternating-0.5", stored)
    main(["tune", *common, "--output", str(chosen)])
    said = json.loads(chosen.read_text())
    assert [trial["learning_rate"] for trial in said["trials"]] == [0.0001, 0.01, 1e30]
    assert said["trials"][2]["diverged"] == 3
    assert said["trials"][2]["validation_accuracy"] == 0
    expected = train_pack(*load_iris(return_X_y=True), cell().at(0.01), range(1000000, 1000003))
    accuracies = sorted(row["validation_accuracy"] for row in expected.rows[-3:])
    assert said["trials"][1]["validation_accuracy"] == accuracies[1]
    assert said["learning_rate"] == 0.01
    log, manifest = tmp_path / "a.csv", tmp_path / "a.json"
    outputs = ["--output", str(log), "--manifest", str(manifest)]
    main(["train", *common, "--seeds", "0-1", *outputs, "--tuning", str(chosen), "--gradient-flow"])
    assert json.loads(manifest.read_text())["cell"] == cell().at(0.01).as_dict()
    assert not list(tmp_path.glob("*.flow.csv"))


def test_a_choice_for_another_cell_or_no_choice_is_one_line(tmp_path):
    path = tmp_path / "tuned.json"
    path.write_text(json.dumps({"cell": cell().as_dict() | {"width": 9}, "learning_rate": 0.1}))
    with pytest.raises(InputError, match="another cell"):
        tuning.read_learning_rate(path, cell())
    path.write_text("[]")
    with pytest.raises(InputError, match="not the record of a tuning"):
        tuning.read_learning_rate(path, cell())


def test_a_study_without_rates_to_try_is_one_line(stored, tmp_path, capsys):
    options = cell_options(
        tmp_path, tuned_study(learning_rate=0.1, learning_rates_to_try=[]), "alternating-0.5", stored
    )
    with pytest.raises(SystemExit) as stopped:
        main(["tune", *options, "--output", str(tmp_path / "t.json")])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
