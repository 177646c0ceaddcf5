"""The teaching notebook: how it is stored, that it runs, that its conclusions are right, and what it refuses."""

import builtins
import importlib.util
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import altfreeze
import nbformat
import pandas as pd
import papermill
import pytest
import sklearn.datasets
import torch
from altfreeze.freezing.flow import FLOW_COLUMNS, GradientFlow
from altfreeze.study.cell import Cell
from altfreeze.support.errors import InputError
from altfreeze.training.trainer import train_pack
from builders import ROOT
from IPython.core.inputtransformer2 import TransformerManager
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

NOTEBOOK = ROOT / "workflow" / "notebooks" / "walkthrough.ipynb"
DEFAULTS = {
    "dataset": "digits",
    "num_layers": 6,
    "hidden_units": 64,
    "freeze_ratio": 0.5,
    "epochs_standard": 20,
    "epochs_alternating": 20,
    "batch_size": 32,
    "learning_rate": 0.001,
    "optimizer": "adam",
    "seed": 1,
}
SMALL = {"dataset": "iris", "num_layers": 4, "epochs_standard": 4, "epochs_alternating": 4, "learning_rate": 0.01}
# unequal groups, an odd number of epochs whose last phase is cut short, and an incomplete last batch
ODD = {"dataset": "wine", "num_layers": 5, "hidden_units": 16, "freeze_ratio": 0.7, "learning_rate": 0.01, "seed": 3}
ODD |= {"epochs_standard": 7, "epochs_alternating": 7}
EXERCISES = ("zero", "updates", "cache", "own")

# as many as the notebook takes: convolutions add up in an order that depends on it
pytestmark = pytest.mark.usefixtures("one_thread")


def code(cell_id):
    """Return a stored cell as plain Python, its magics turned into calls of get_ipython()."""
    (cell,) = (cell for cell in nbformat.read(NOTEBOOK, 4).cells if cell.id == cell_id)
    return TransformerManager().transform_cell(cell.source)


def execute(output, notebook=NOTEBOOK, **parameters):
    """Execute a notebook in a kernel that finds the package these tests import; return it with outputs."""
    with pytest.MonkeyPatch.context() as patch:
        package = str(Path(altfreeze.__file__).parents[1])
        patch.setenv("PYTHONPATH", os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])]))
        patch.delenv("MPLBACKEND", raising=False)
        node = papermill.execute_notebook(notebook, output, parameters, kernel_name="python3", progress_bar=False)
    # a kernel flushes what is printed when it likes
    return CoalesceStreamsPreprocessor().preprocess(node, {})[0]


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
    assert len(figures) == 6
    assert not any("image/png" in output.data for output in figures)


def test_every_figure_has_a_text_for_readers_who_do_not_see_it(executed):
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            if "image/svg+xml" in output.get("data", {}):
                assert output.metadata.get("image/svg+xml", {}).get("alt") or cell.metadata.get("alt"), cell.id


def words(notebook, cell_id):
    """Return the text of the sentences that a cell shows."""
    shown = [output for output in outputs(notebook, cell_id) if "text/markdown" in output.get("data", {})]
    return " ".join(shown[-1].data["text/markdown"].split())


def test_both_networks_start_from_the_same_bits(executed):
    table = outputs(executed, "build")[-1].data["text/plain"]
    assert table.count("True") == SMALL["num_layers"]
    assert "False" not in table


def test_no_frozen_layer_changed_and_every_active_one_did(executed):
    rows = re.findall(r"(active|frozen) +(\d+) +(\d+)", plain(executed, "check-frozen"))
    assert sorted(rows) == [("active", "16", "16"), ("active", "8", "8"), ("frozen", "8", "0")]


def test_the_table_of_the_last_epochs_is_readable(executed):
    table = outputs(executed, "run")[-1].data["text/html"]
    assert len(re.findall(r"<td>\d+\.\d [MG]FLOP</td>", table)) == 2
    assert len(re.findall(r"<td>\d+\.\d m?s</td>", table)) == 2


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
    for name, cell in cells(SMALL["epochs_standard"]).items():
        flow = GradientFlow()
        train_pack(X, y, cell, [1], flow=flow)
        table = pd.DataFrame(flow.rows, columns=FLOW_COLUMNS)
        cosines[name] = f"{table['change_cosine'].mean():+.2f}".replace("-", "−")
        if name == "alternating":
            frozen = table["steps_since_update"].mean()
    text = words(executed, "gradients-picture")
    assert cosines["standard"] != cosines["alternating"], "with equal cosines this test could not tell the two apart"
    assert f"was frozen for {frozen:.0f} steps" in text
    assert f"before and after is {cosines['alternating']} on average" in text
    assert f"of consecutive epochs is {cosines['standard']}." in text


def test_its_words_on_the_data_are_those_of_the_data(executed):
    text = words(executed, "load")
    # 150 flowers, 50 of each of three kinds, four measures
    assert "is right in 33 % of the training rows" in text
    assert "in the other 2 of the 4 directions" in text
    (spread,) = re.findall(r"hold (\d+) % of the spread", text)
    assert 90 <= int(spread) <= 99


def test_its_words_on_the_schedule_count_the_turns_of_each_group(answered):
    # of 7 epochs the top, which begins, has 4; its group is the upper 1 of 5 layers, for 0.7 * 5 is 3.5, rounded to 4
    assert words(answered, "schedules-picture") == (
        "The bottom group has 4 of the 5 layers. With alternating training, the first layer learns in 3 of 7 epochs "
        "and the last in 4; with standard training, each in 7. So equal epochs are not equal updates."
    )


def test_the_gradient_passes_through_the_frozen_top_and_ends_at_the_lowest_layer_that_learns(answered):
    text = words(answered, "passing-picture")
    assert "reaches the outputs of 5 of 5 layers but the weights of only 4: it passes" in text
    assert "it reaches the outputs and the weights of 1 of 5 and goes no further" in text
    assert "its norm is, to the last bit, the one without freezing" in text


def test_its_words_on_the_curves_are_those_of_the_stacked_trainer(executed):
    X, y = sklearn.datasets.load_iris(return_X_y=True)
    text = words(executed, "curves-picture")
    losses = {
        name: pd.DataFrame(train_pack(X, y, cell, [1]).rows)["validation_loss"]
        for name, cell in cells(SMALL["epochs_standard"]).items()
    }
    lowest = {name: loss.idxmin() + 1 for name, loss in losses.items()}
    assert f"after epoch {lowest['standard']} of 4 with standard and after epoch {lowest['alternating']} with" in text
    change = losses["alternating"].diff()
    # the top learns in the first and the third epoch
    expected = {"bottom": (change[1] + change[3]) / 2, "top": change[2]}
    for group, value in expected.items():
        shown = re.search(rf"while the {group} learned, an epoch changed it by (\S+) on average", text)[1]
        assert float(shown.replace("−", "-")) == pytest.approx(value, rel=0.06), "two digits are shown"


def cells(epochs):
    """Return the cells of the two trainings of the small notebook."""
    strategies = {
        "standard": {"name": "standard"},
        "alternating": {"name": "alternating", "freeze_ratio": 0.5, "period": 1, "unit": "epoch", "first": "top"},
    }
    return {
        name: Cell(
            study_seed=1,
            dataset="iris",
            depth=4,
            width=64,
            dropout=0.0,
            strategy=strategy,
            epochs=epochs,
            batch_size=32,
            optimizer="adam",
            learning_rate=0.01,
            learning_rate_schedule="constant",
            weight_decay=0.0,
            cache_activations="off",
            state_on_thaw="keep",
        )
        for name, strategy in strategies.items()
    }


def test_its_conclusions_are_those_of_the_stacked_trainer(executed):
    X, y = sklearn.datasets.load_iris(return_X_y=True)
    standard, alternating = (train_pack(X, y, cell, [1]).rows[-1] for cell in cells(SMALL["epochs_standard"]).values())
    text = words(executed, "findings")
    difference = alternating["test_accuracy"] - standard["test_accuracy"]
    assert abs(difference) > 0.01, "with equal accuracies this test could not tell the two apart"
    for part in (
        f"standard training has a test accuracy of {100 * standard['test_accuracy']:.1f} %, ",
        f"alternating training of {100 * alternating['test_accuracy']:.1f} %: ",
        f"a difference of {100 * difference:+.1f} points, that is {round(30 * difference):+d} of 30 test rows".replace(
            "-", "−"
        ),
        f"takes {alternating['flops'] / standard['flops']:.3f} times the operations",
        f"({alternating['flops'] / 1e6:.1f} MFLOP against {standard['flops'] / 1e6:.1f} MFLOP)",
        f"first layer is updated {alternating['updates'].split()[0]} times",
        f"its last {alternating['updates'].split()[-1]} times; ",
        f"each is updated {standard['updates_minimum']} times.",
        f"ends at a validation accuracy of {100 * alternating['validation_accuracy']:.1f} %; ",
        "One seed proves nothing",
        "report of the study",
    ):
        assert part in text


# its exercises


def stored_answer(exercise):
    """Return the answer that the notebook keeps folded in below the task."""
    (cell,) = (cell for cell in nbformat.read(NOTEBOOK, 4).cells if cell.id == f"exercise-{exercise}")
    return re.search(r"<summary>Answer</summary>\n\n```python\n(.*?)```\n\n</details>", cell.source, re.DOTALL)[1]


# of each exercise: an answer that looks right and is not, and what its check says to that
WRONG = {
    "zero-by-plain-descent": (
        "def second_step(zero):\n    return (flat(weight_layers(new_network())[-1].parameters()),) * 2",
        "the largest move is 0.00e+00; Adam makes one of 6.7",
    ),
    "zero-for-none": (
        stored_answer("zero").replace("set_to_none=not zero", "set_to_none=False"),
        "a layer without a gradient must not move",
    ),
    "updates-at-equal-epochs": (
        'third_table = epoch_tables["standard"]',
        "it has 7 epochs; the layers of the other learned in [3, 3, 3, 3, 3]",
    ),
    "updates-of-the-other-network": (
        'third_table = epoch_tables["alternating"].head(3)',
        "it must start from the same weights",
    ),
    "cache-without-filling": (
        stored_answer("cache").replace(" - fill_flops(sizes, len(x_train), 0, k)", ""),
        "phases of 1: the plan of the study saves 0 operations",
    ),
    "cache-of-whole-phases": (
        stored_answer("cache").replace("min(period, epochs_alternating - start)", "period"),
        "phases of 3: the plan of the study saves",
    ),
    "own-of-too-many-layers": (
        stored_answer("own").replace("layers.append(nn.Sequential(", "layers.extend(("),
        "network: __main__:own_network, called with ((1, 8, 8), 10, 4, 16), has 7 layers, which are its children",
    ),
    "own-without-the-classes": (
        stored_answer("own").replace("channels, classes", "channels, channels"),
        "network: __main__:own_network, called with ((1, 8, 8), 10, 4, 16), puts out (3, 16) for 3 rows",
    ),
}


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """Execute the notebook with its stored answers in their place, and then wrong ones, each with its check."""
    folder = tmp_path_factory.mktemp("answered")
    notebook = nbformat.read(NOTEBOOK, 4)
    sources = {cell.id: cell.source for cell in notebook.cells}
    for cell in notebook.cells:
        if cell.id in [f"answer-{exercise}" for exercise in EXERCISES]:
            cell.source = stored_answer(cell.id.removeprefix("answer-"))
    for name, (answer, _) in WRONG.items():
        check = sources[f"check-{name.split('-')[0]}"]
        guarded = f"try:\n    exec({check!r})\nexcept AssertionError as error:\n    print(error)"
        notebook.cells.append(nbformat.v4.new_code_cell(f"{answer}\n{guarded}", id=f"wrong-{name}"))
    nbformat.write(notebook, folder / "answered.ipynb")
    return execute(folder / "executed.ipynb", folder / "answered.ipynb", **ODD)


def test_open_exercises_stop_nothing(executed):
    for number, exercise in enumerate(EXERCISES, 1):
        assert plain(executed, f"check-{exercise}") == f"Exercise {number} is open.\n"


def test_every_exercise_has_a_folded_hint_and_a_folded_answer():
    for exercise in EXERCISES:
        (cell,) = (cell for cell in nbformat.read(NOTEBOOK, 4).cells if cell.id == f"exercise-{exercise}")
        assert re.findall(r"<details>(.*?)</summary>", cell.source) == ["<summary>Hint", "<summary>Answer"]
        assert "None" in code(f"answer-{exercise}")


def test_the_answer_to_exercise_one_moves_a_frozen_looking_parameter_by_what_adam_makes_of_its_averages(answered):
    text = plain(answered, "check-zero")
    # the corrected average of the gradient over the root of that of its square, the second of both gradients being zero
    share = (0.9 * 0.1 / 0.19) / math.sqrt(0.999 * 0.001 / (1 - 0.999**2))
    assert f"Adam moved a parameter by {0.001 * share:.2e}, that is {share:.2f} of its learning rate" in text


def test_the_answer_to_exercise_two_compares_at_equal_updates(answered):
    X, y = sklearn.datasets.load_wine(return_X_y=True)
    standard, alternating = (replace(cell, dataset="wine", depth=5, width=16) for cell in cells(6).values())
    alternating = replace(alternating, strategy=alternating.strategy | {"freeze_ratio": 0.7})
    third, other = (train_pack(X, y, cell, [3]).rows for cell in (replace(standard, epochs=3), alternating))
    assert third[-1]["validation_accuracy"] != other[-1]["validation_accuracy"], (
        "else the test could not tell them apart"
    )
    text = plain(answered, "check-updates")
    # 106 training rows in batches of 32 make 4 steps, the standard network learns in 3 epochs
    assert "after 12 updates of each layer" in text
    assert (
        f"{100 * third[-1]['validation_accuracy']:.1f} % with standard and "
        f"{100 * other[-1]['validation_accuracy']:.1f} % with"
    ) in text
    assert f"took {other[-1]['flops'] / third[-1]['flops']:.3f} times" in text


def test_the_answer_to_exercise_three_saves_the_bottom_in_all_but_the_first_epoch_of_a_phase(answered):
    # forward products of 13 features, 16 wide, in the 4 layers of the bottom, of all 106 training rows
    bottom = 2 * 106 * (13 * 16 + 3 * 16 * 16)
    text = plain(answered, "check-cache")
    # 7 epochs: phases of 2 have tops of 2 and 2 and a bottom cut short; phases of 3, a top of 3 and one of 1
    for period, saved in {1: 0, 2: 2 * bottom, 3: 2 * bottom}.items():
        assert f"Phases of {period}: the cache saves {saved} of" in text


def test_the_answer_to_exercise_four_is_trained_as_the_study_trains_it(answered, tmp_path, monkeypatch):
    (tmp_path / "answer_own.py").write_text(f"from torch import nn\n\n\n{stored_answer('own')}")
    monkeypatch.syspath_prepend(tmp_path)
    X, y = (rows[:600] for rows in sklearn.datasets.load_digits(return_X_y=True))
    own = {"dataset": "digits", "width": 16, "shape": [1, 8, 8], "frozen_normalisation": "train"}
    own |= {"network": "answer_own:own_network"}
    ends = {name: train_pack(X, y, replace(cell, **own), [3]).rows[-1] for name, cell in cells(10).items()}
    text = plain(answered, "check-own")
    accuracies = [f"{100 * ends[name]['test_accuracy']:.1f} % with {name}" for name in ("standard", "alternating")]
    assert f"a test accuracy of {' and '.join(accuracies)} training" in text
    assert f"{ends['alternating']['flops'] / ends['standard']['flops']:.3f} times the operations" in text


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(answered, name):
    assert plain(answered, f"wrong-{name}").splitlines()[-1].startswith(WRONG[name][1])


# in a fresh environment

FRESH = {"dataset": "breast_cancer", "num_layers": 3, "hidden_units": 8, "optimizer": "sgd", "freeze_ratio": 0.34}
FRESH |= {"epochs_standard": 3, "epochs_alternating": 3}


@pytest.fixture(scope="module")
def fresh():
    """Execute the notebook in a clone with a new virtual environment that has no more than a kernel and papermill.

    The first cell has to install everything else, in the versions of requirements.txt.
    """
    with tempfile.TemporaryDirectory() as folder:
        clone, environment = Path(folder, "clone"), Path(folder, "environment")
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / "workflow", clone / "workflow", ignore=ignored)
        for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.txt"):
            shutil.copy(ROOT / name, clone)
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        kept = ("PATH", "HOME", "LANG", "TMPDIR", "PIP_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
        variables = {name: value for name, value in os.environ.items() if name.upper().startswith(kept)}
        variables |= {"PYTHONNOUSERSITE": "1", "PIP_CONSTRAINT": str(clone / "requirements.txt")}
        # half as many files to write and to remove
        variables["PIP_NO_COMPILE"] = "1"
        # a kernel of the user must not take the place of the one that was just installed
        variables |= {
            "JUPYTER_PREFER_ENV_PATH": "1",
            "JUPYTER_NO_CONFIG": "1",
            "IPYTHONDIR": str(Path(folder, "ipython")),
        }

        def python(*arguments):
            return subprocess.run(
                [environment / "bin" / "python", *map(str, arguments)],
                cwd=clone / "workflow" / "notebooks",
                env=variables,
                capture_output=True,
                text=True,
                timeout=900,
            )

        installed = python("-m", "pip", "install", "--quiet", "--only-binary", ":all:", "ipykernel", "papermill")
        if installed.returncode:
            reason = f"pip installs nothing into a new environment: {installed.stderr.strip().splitlines()[-1]}"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        assert python("-c", "import torch").returncode, "the first cell would have nothing to install"

        notebook = nbformat.read(NOTEBOOK, 4)
        where = "print(sys.prefix, sys.modules['altfreeze'].__file__, sep='\\n')"
        notebook.cells.append(nbformat.v4.new_code_cell(where, id="where"))
        nbformat.write(notebook, clone / "workflow" / "notebooks" / "walkthrough.ipynb")
        parameters = [part for name, value in FRESH.items() for part in ("-p", name, value)]
        ran = python(
            *("-m", "papermill", "-k", "python3", "--no-progress-bar"), "walkthrough.ipynb", "mine.ipynb", *parameters
        )
        assert ran.returncode == 0, ran.stderr[-2000:]
        versions = python("-m", "pip", "list", "--format", "freeze").stdout.splitlines()
        yield nbformat.read(clone / "workflow" / "notebooks" / "mine.ipynb", 4), clone, environment, versions


def test_in_a_fresh_environment_the_first_cell_installs_what_it_needs(fresh):
    notebook, clone, environment, versions = fresh
    package = clone / "workflow" / "altfreeze" / "__init__.py"
    assert [Path(line).resolve() for line in plain(notebook, "where").split()] == [
        environment.resolve(),
        package.resolve(),
    ]
    pins = (ROOT / "requirements.txt").read_text("utf-8").split("\n")
    installed = {line.partition("==")[0].lower().replace("_", "-") for line in versions}
    for pin in pins:
        name = pin.partition("==")[0]
        if name in installed:
            assert any(line.lower().replace("_", "-").partition("+")[0] == pin for line in versions), pin
    assert {"torch", "scikit-learn", "seaborn", "altfreeze"} <= installed
    assert "pytest" not in installed


def test_in_a_fresh_environment_it_runs_with_other_parameters(fresh):
    shown = [output for cell in fresh[0].cells for output in cell.get("outputs", [])]
    assert [output for output in shown if output.output_type == "error"] == []
    assert sum("image/svg+xml" in output.get("data", {}) for output in shown) == 6
    assert "After epoch 3 on breast_cancer, standard training" in words(fresh[0], "findings")


# what it refuses


def test_a_bad_parameter_stops_it_with_one_line(tmp_path):
    with pytest.raises(papermill.PapermillExecutionError) as error:
        execute(tmp_path / "refused.ipynb", dataset="mnist")
    assert error.value.ename == "InputError"
    assert error.value.evalue == "dataset is 'mnist'; allowed: iris, wine, breast_cancer, digits"


def validate(**parameters):
    known = vars(sklearn.datasets) | {"math": math, "torch": torch, "InputError": InputError, "given": {*parameters}}
    exec(code("validate"), known | DEFAULTS | parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"dataset": "breast_cancer", "optimizer": "sgd"},
        {"freeze_ratio": 0},
        {"freeze_ratio": 1, "optimizer": "adamw"},
        {"num_layers": 2, "hidden_units": 1, "epochs_standard": 1, "epochs_alternating": 1, "batch_size": 1, "seed": 0},
    ],
)
def test_good_parameters_are_accepted(parameters):
    validate(**parameters)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("dataset", "Iris", "iris, wine, breast_cancer, digits"),
        ("optimizer", "rmsprop", "sgd, adam, adamw"),
        ("num_layers", 1, "a whole number ≥ 2"),
        ("num_layers", 4.0, "a whole number ≥ 2"),
        ("hidden_units", 0, "a whole number ≥ 1"),
        ("epochs_standard", 0, "a whole number ≥ 1"),
        ("epochs_alternating", True, "a whole number ≥ 1"),
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


def test_a_parameter_of_another_name_is_refused():
    with pytest.raises(InputError) as error:
        validate(epochs=3)
    assert str(error.value) == f"epochs is no parameter; allowed: {', '.join(DEFAULTS)}"


def test_epochs_may_differ_and_a_network_that_learns_nothing_is_told(tmp_path):
    deep = {"dataset": "iris", "num_layers": 40, "hidden_units": 8, "epochs_standard": 2, "epochs_alternating": 3}
    notebook = execute(tmp_path / "deep.ipynb", **deep)
    text = " ".join(
        output.data["text/markdown"] for output in outputs(notebook, "findings") if "text/markdown" in output.data
    )
    assert "**Nothing was learned.** After 40 layers" in text
    assert "After all epochs on iris" in text
    # nothing has no sign
    assert "a difference of 0.0 points, that is 0 of 30 test rows" in words(notebook, "findings")
    turns = "in 1 of 3 epochs and the last in 2; with standard training, each in 2."
    assert turns in words(notebook, "schedules-picture")
    assert "the same to the last bit" in plain(notebook, "check-frozen")


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

    def run(importable, package=""):
        shell, path = RecordingShell(), []
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: "a spec" if importable else None)
        monkeypatch.setattr("sys.path", path)
        monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
        source = code("install").replace('package = ""', f"package = {package!r}", 1)
        exec(compile(source, "install", "exec"), {})
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
    calls, path = first_cell(importable=False, package="git+https://example.org/altfreeze")
    # IPython fills in the braces
    assert calls == [("pip", 'install --quiet --only-binary :all: --editable "{package}"')]
    assert path == [str(tmp_path / place / "workflow")]


def test_the_first_cell_installs_what_it_is_told_to(first_cell):
    calls, path = first_cell(importable=False, package="git+https://example.org/altfreeze")
    assert calls == [("pip", 'install --quiet --only-binary :all: "{package}"')]
    assert path == []


def test_the_first_cell_says_what_to_do_where_there_is_no_clone(first_cell, tmp_path):
    make_clone(tmp_path, "another")
    with pytest.raises(ModuleNotFoundError) as error:
        first_cell(importable=False)
    assert str(error.value).isprintable()
    assert "write the address of its repository between the quotes" in str(error.value)
    assert "open this notebook inside a clone" in str(error.value)
