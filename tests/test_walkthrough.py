"""The teaching notebook: how it is stored, that it runs, that its conclusions are right, and what it refuses."""

import builtins
import importlib.util
import math
import os
import re
from pathlib import Path

import altfreeze
import nbformat
import pandas as pd
import papermill
import pytest
import sklearn.datasets
import torch
from altfreeze import InputError
from altfreeze.gradient_flow import FLOW_COLUMNS, GradientFlow
from altfreeze.training import train_pack
from IPython.core.inputtransformer2 import TransformerManager

NOTEBOOK = Path(__file__).parents[1] / "workflow" / "notebooks" / "walkthrough.ipynb"
DEFAULTS = {
    "dataset": "digits",
    "depth": 6,
    "width": 64,
    "freeze_ratio": 0.5,
    "epochs": 20,
    "batch_size": 32,
    "learning_rate": 0.001,
    "optimizer": "adam",
    "seed": 1,
}
SMALL = {"dataset": "iris", "depth": 4, "epochs": 4, "learning_rate": 0.01}


def code(cell_id):
    """Return a stored cell as plain Python, its magics turned into calls of get_ipython()."""
    (cell,) = (cell for cell in nbformat.read(NOTEBOOK, 4).cells if cell.id == cell_id)
    return TransformerManager().transform_cell(cell.source)


def execute(output, **parameters):
    """Execute the notebook in a kernel that finds the package these tests import; return it with outputs."""
    with pytest.MonkeyPatch.context() as patch:
        package = str(Path(altfreeze.__file__).parents[1])
        patch.setenv("PYTHONPATH", os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])]))
        patch.delenv("MPLBACKEND", raising=False)
        return papermill.execute_notebook(NOTEBOOK, output, parameters, kernel_name="python3", progress_bar=False)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    return execute(tmp_path_factory.mktemp("walkthrough") / "executed.ipynb", **SMALL)


def outputs(notebook, cell_id):
    (cell,) = (cell for cell in notebook.cells if cell.get("id") == cell_id)
    return cell.outputs


def plain(notebook, cell_id):
    """Return all text that a cell shows."""
    shown = outputs(notebook, cell_id)
    return "\n".join(output.text if output.output_type == "stream" else output.data["text/plain"] for output in shown)


# as it is stored


def test_it_is_stored_without_outputs_and_for_no_machine_in_particular():
    notebook = nbformat.read(NOTEBOOK, 4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None, cell.id
    assert notebook.metadata.get("kernelspec", {}).get("name", "python3") == "python3"
    assert set(notebook.metadata.get("language_info", {})) <= {"name"}
    assert all(re.fullmatch(r"[a-z-]+", cell.id) for cell in notebook.cells), "ids are names, not random"


def test_its_parameters_are_in_the_tagged_cell():
    tagged = [cell for cell in nbformat.read(NOTEBOOK, 4).cells if "parameters" in cell.metadata.get("tags", [])]
    values = {}
    exec(tagged[0].source, {"__builtins__": {}}, values)
    assert len(tagged) == 1
    assert values == DEFAULTS
    assert list(values) == list(DEFAULTS)


# as it runs


def test_it_runs_without_errors_and_warnings_and_draws_its_figures(executed):
    shown = [output for cell in executed.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output for output in shown if output.output_type == "error" or output.get("name") == "stderr"] == []
    figures = [output for output in shown if "image/svg+xml" in output.get("data", {})]
    assert len(figures) == 4
    assert not any("image/png" in output.data for output in figures)


def test_both_networks_start_from_the_same_bits(executed):
    table = outputs(executed, "build")[-1].data["text/plain"]
    assert table.count("True") == SMALL["depth"]
    assert "False" not in table


def test_no_frozen_layer_changed_and_every_active_one_did(executed):
    rows = re.findall(r"(active|frozen) +(\d+) +(\d+)", plain(executed, "check-frozen"))
    assert sorted(rows) == [("active", "16", "16"), ("active", "8", "8"), ("frozen", "8", "0")]


def test_its_plain_loop_gives_the_numbers_of_the_stacked_trainer(executed):
    line = re.search(r"Largest difference: (\S+) in validation loss, (\S+) in", plain(executed, "check-stacked"))
    assert float(line[1]) < 1e-5
    assert float(line[2]) == 0


def test_its_gradient_flow_is_that_of_the_stacked_trainer(executed):
    line = re.search(
        r"Gradient flow: (\S+) in a norm, relative to it, (\S+) in a cosine", plain(executed, "check-stacked")
    )
    assert float(line[1]) < 1e-3
    assert 0 < float(line[2]) < 1e-4


def test_its_gradient_flow_in_words_is_that_of_the_stacked_trainer(executed):
    X, y = sklearn.datasets.load_iris(return_X_y=True)
    cosines = {}
    for name, cell in cells(SMALL["epochs"]).items():
        flow = GradientFlow()
        train_pack(X, y, cell, [1], flow=flow)
        table = pd.DataFrame(flow.rows, columns=FLOW_COLUMNS)
        cosines[name] = f"{table['change_cosine'].mean():+.2f}".replace("-", "−")
        if name == "alternating":
            frozen = table["steps_since_update"].mean()
    text = " ".join(outputs(executed, "gradients-picture")[-1].data["text/markdown"].split())
    assert cosines["standard"] != cosines["alternating"], "with equal cosines this test could not tell the two apart"
    assert f"was frozen for {frozen:.0f} steps" in text
    assert f"before and after is {cosines['alternating']} on average" in text
    assert f"of consecutive epochs is {cosines['standard']}." in text


def cells(epochs):
    """Return the cells of the two trainings of the small notebook."""
    common = {
        "study_seed": 1,
        "dataset": "iris",
        "depth": 4,
        "width": 64,
        "dropout": 0.0,
        "epochs": epochs,
        "batch_size": 32,
        "optimizer": "adam",
        "learning_rate": 0.01,
        "learning_rate_schedule": "constant",
        "weight_decay": 0.0,
        "cache_activations": "off",
        "state_on_thaw": "keep",
    }
    strategies = {
        "standard": {"name": "standard"},
        "alternating": {"name": "alternating", "freeze_ratio": 0.5, "period": 1, "unit": "epoch", "first": "top"},
    }
    return {name: common | {"strategy": strategy} for name, strategy in strategies.items()}


def test_its_conclusions_are_those_of_the_stacked_trainer(executed):
    X, y = sklearn.datasets.load_iris(return_X_y=True)
    standard, alternating = (train_pack(X, y, cell, [1]).rows[-1] for cell in cells(SMALL["epochs"]).values())
    text = " ".join(outputs(executed, "findings")[-1].data["text/markdown"].split())
    difference = alternating["test_accuracy"] - standard["test_accuracy"]
    assert abs(difference) > 0.01, "with equal accuracies this test could not tell the two apart"
    for part in (
        f"standard training has a test accuracy of {standard['test_accuracy']:.4f}, ",
        f"alternating training of {alternating['test_accuracy']:.4f}: ",
        f"a difference of {difference:+.4f}, that is {round(30 * difference):+d} of 30 test rows".replace("-", "−"),
        f"takes {alternating['flops'] / standard['flops']:.3f} times the operations",
        f"({alternating['flops']:.3e} against {standard['flops']:.3e} FLOPs)",
        f"first layer is updated {alternating['updates'].split()[0]} times",
        f"its last {alternating['updates'].split()[-1]} times; ",
        f"each is updated {standard['updates_minimum']} times.",
        f"ends at a validation accuracy of {alternating['validation_accuracy']:.4f}; ",
        "One seed proves nothing",
        "report of the study",
    ):
        assert part in text


# what it refuses


def test_a_bad_parameter_stops_it_with_one_line(tmp_path):
    with pytest.raises(papermill.PapermillExecutionError) as error:
        execute(tmp_path / "refused.ipynb", dataset="mnist")
    assert error.value.ename == "InputError"
    assert error.value.evalue == "dataset is 'mnist'; allowed: iris, wine, breast_cancer, digits"


def validate(**parameters):
    known = vars(sklearn.datasets) | {"math": math, "torch": torch, "InputError": InputError}
    exec(code("validate"), known | DEFAULTS | parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"dataset": "breast_cancer", "optimizer": "sgd"},
        {"freeze_ratio": 0},
        {"freeze_ratio": 1, "optimizer": "adamw"},
        {"depth": 2, "width": 1, "epochs": 1, "batch_size": 1, "seed": 0},
    ],
)
def test_good_parameters_are_accepted(parameters):
    validate(**parameters)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("dataset", "Iris", "iris, wine, breast_cancer, digits"),
        ("optimizer", "rmsprop", "sgd, adam, adamw"),
        ("depth", 1, "a whole number ≥ 2"),
        ("depth", 4.0, "a whole number ≥ 2"),
        ("width", 0, "a whole number ≥ 1"),
        ("epochs", 0, "a whole number ≥ 1"),
        ("epochs", True, "a whole number ≥ 1"),
        ("batch_size", "32", "a whole number ≥ 1"),
        ("seed", -1, "a whole number ≥ 0"),
        ("freeze_ratio", 1.01, "a number from 0 to 1"),
        ("freeze_ratio", math.nan, "a number from 0 to 1"),
        ("learning_rate", 0, "a number > 0"),
        ("learning_rate", math.inf, "a number > 0"),
        ("learning_rate", "0.1", "a number > 0"),
    ],
)
def test_bad_parameters_are_refused(name, value, allowed):
    with pytest.raises(InputError) as error:
        validate(**{name: value})
    assert str(error.value) == f"{name} is {value!r}; allowed: {allowed}"


# the first cell


class RecordingShell:
    def __init__(self):
        self.calls = []

    def run_line_magic(self, *call):
        self.calls.append(call)


@pytest.fixture
def first_cell(tmp_path, monkeypatch):
    """Run the first code cell in an empty folder; return the magics it called and what it added to the path."""
    folder = tmp_path / "work" / "notebooks"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)

    def run(importable):
        shell, path = RecordingShell(), []
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: "a spec" if importable else None)
        monkeypatch.setattr("sys.path", path)
        monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
        exec(compile(code("install"), "install", "exec"), {})
        return shell.calls, path

    return run


def make_clone(folder, name):
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n', encoding="utf-8")


def test_the_first_cell_does_nothing_where_the_package_is(first_cell, tmp_path):
    make_clone(tmp_path / "work", "altfreeze")
    assert first_cell(importable=True) == ([], [])


@pytest.mark.parametrize("place", ["work/notebooks", "work", "work/notebooks/altfreeze"])
def test_the_first_cell_installs_the_clone_it_finds(first_cell, tmp_path, place):
    make_clone(tmp_path, "another")
    make_clone(tmp_path / place, "altfreeze")
    calls, path = first_cell(importable=False)
    # IPython fills in the braces
    assert calls == [("pip", 'install --quiet --editable "{clone}"')]
    assert path == [str(tmp_path / place / "workflow")]


def test_the_first_cell_says_what_to_do_where_there_is_no_clone(first_cell, tmp_path):
    make_clone(tmp_path, "another")
    with pytest.raises(ModuleNotFoundError) as error:
        first_cell(importable=False)
    assert str(error.value).isprintable()
    assert "clone its repository and open this notebook inside the clone (on Colab" in str(error.value)
