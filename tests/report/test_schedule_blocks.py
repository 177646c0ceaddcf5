"""Pages on schedules and methods: docstrings become HTML, and pictures, numbers and words are those of the plans."""

import re

import numpy as np
import pytest
from altfreeze.freezing.plan import Workload, plan
from altfreeze.freezing.schedules import STRATEGIES
from altfreeze.report import figures as plots
from altfreeze.report import methods
from altfreeze.study import grid as config
from altfreeze.support.provenance import DOCUMENTED_MODULES, PACKAGE, fingerprint
from altfreeze.training.trainer import train_pack
from sklearn.datasets import load_wine

DEPTH = 6
WORKLOAD = Workload((13, 16, 16, 16, 16, 16, 3), 106, 32)
BATCHES = 4
SCHEDULES = [strategy.schedule for strategy in STRATEGIES.values()]
SHOWN = [*SCHEDULES, *(each for topic in methods.PROCEDURES.values() for each in topic)]
SHOWN += [each for topic in methods.statistical_functions().values() for each in topic]


def make_cell(label="alternating-0.5", entry="alternating", **keys):
    """Return the cell of one entry of strategies, on wine."""
    entries = [entry] if entry == "alternating" else ["alternating", entry]
    study = {"datasets": ["wine"], "depths": [DEPTH], "freeze_ratios": [0.5], "strategies": entries, "width": 16}
    epochs = {"epochs_standard": 12, "epochs_alternating": 12}
    study["sources"] = {"wine": {"kind": "wine"}}
    return config.cell(config.validate(study | epochs | keys), "wine", DEPTH, label)


def label_of(name):
    return f"{name}-0.5" if "freeze_ratio" in STRATEGIES[name].parameters else name


CELLS = {name: make_cell(label_of(name), name) for name in STRATEGIES if name != "standard"}
CELLS["standard"] = make_cell("standard")
CELLS["by step"] = make_cell("by_step-0.5", {"name": "alternating", "label": "by_step", "unit": "step", "period": 1})
CELLS["long phases"] = make_cell(freeze_period=3)


# docstrings


@pytest.mark.parametrize("documented", SHOWN, ids=lambda documented: documented.__name__)
def test_every_docstring_that_is_shown_can_be_read_without_a_doubt(documented):
    text = methods.documented_as_html(documented)
    words = re.sub(r"[\W_]+", " ", methods.first_sentence(documented)).split()
    assert words
    # tags stand between words
    assert re.search(r"\W+".join(words), re.sub("<[^>]*>|_", " ", text).replace("&#x27;", "'"))
    parts = documented.__module__.split(".")
    assert parts[1] in DOCUMENTED_MODULES, "a change of this docstring would leave the pages as they are"


def example(x, *rest):
    """Do `this` & <b>that</b>.

    More of it: f_l = 2 * x.

    Parameters
    ----------
    x : ndarray, shape (`n`,)
    y, z : int
        Two of them.
    *rest : {'<i>', 'b'}
        See `x`.

    Returns
    -------
    float

    Notes
    -----
    A. Author (1999, https://doi.org/10.1/x).
    """


def test_a_docstring_becomes_html():
    found = methods.sections(example)
    assert list(found) == ["", "Parameters", "Returns", "Notes"]
    head = methods.as_html(found[""])
    assert '<span class="docutils literal">this</span> &amp; &lt;b&gt;that&lt;/b&gt;.</p>' in head
    assert "<p>More of it: f_l = 2 * x.</p>" in head
    listed = methods.listed_as_html(found["Parameters"])
    terms = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", listed, re.DOTALL)
    assert [term.partition("<")[0] for term, _ in terms] == ["x", "y, z", "*rest"]
    assert 'class="classifier">{&#x27;&lt;i&gt;&#x27;, &#x27;b&#x27;}<' in terms[2][0]
    assert [re.sub("<[^>]*>", "", body).strip() for _, body in terms] == ["", "Two of them.", "See x."]
    assert "<dt>z" in methods.listed_as_html(found["Parameters"], leave_out=("x", "y", "*rest"))
    assert methods.listed_as_html(found["Parameters"], leave_out=("x", "y", "z", "*rest")) == ""
    assert 'href="https://doi.org/10.1/x"' in methods.as_html(found["Notes"])


def test_a_docstring_cannot_bring_in_files_or_html():
    for text in (".. raw:: html\n\n   <script>", ".. include:: /etc/passwd"):
        with pytest.raises(Exception, match="disabled"):
            methods.as_html(text)


def test_statistics_are_all_shown():
    from altfreeze import statistics

    shown = {each.__name__ for topic in methods.statistical_functions().values() for each in topic}
    functions = {name for name in statistics.__all__ if not isinstance(getattr(statistics, name), type)}
    assert functions <= shown


def test_docstrings_are_part_of_a_fingerprint_where_they_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("altfreeze.support.provenance.PACKAGE", tmp_path)
    found = []
    for text in ('"""One."""\n', '"""Two."""\n', '"""Two."""\n# a comment\n'):
        (tmp_path / "module.py").write_text(text)
        found.append((fingerprint("module"), fingerprint("module", docstrings=True)))
    assert len({plain for plain, _ in found}) == 1
    assert found[0][1] != found[1][1] == found[2][1]
    assert (PACKAGE / "methods.py").exists()


# plans


@pytest.mark.parametrize("name", ["standard", "alternating", "by step", "standard_matched_flops", "freezeout", "lisa"])
def test_totals_are_what_training_logs(name):
    cell = CELLS[name]
    trained = train_pack(*load_wine(return_X_y=True), cell, [0])
    last = trained.rows[-1]
    found = methods.totals(plan(cell, trained.workload), trained.workload)
    assert found.flops == last["flops"]
    assert " ".join(map(str, found.updates)) == last["updates"]
    assert found.updates_mean == pytest.approx(last["updates_mean"], rel=1e-12)
    assert found.steps == round(last["epoch"] * len(trained.workload.batches))


def test_alternating_in_words():
    assert methods.in_words(plan(CELLS["alternating"], WORKLOAD)) == (
        "of 48 steps, layers 1-3 learn in 24 (in 6 of the epochs 2 to 12); "
        "layers 4-6 learn in 24 (in 6 of the epochs 1 to 11)"
    )
    assert methods.in_words(plan(CELLS["frozen_top"], WORKLOAD)) == (
        "of 48 steps, layers 1-3 learn in 48 (in epochs 1 to 12); layers 4-6 never learn"
    )


@pytest.mark.parametrize("name", CELLS)
def test_words_count_every_update_of_every_layer(name):
    epochs = plan(CELLS[name], WORKLOAD)
    words = methods.in_words(epochs)
    updates = dict.fromkeys(range(1, DEPTH + 1), 0)
    for numbers, count in re.findall(r"layers? ([\d, -]+) learns? in ([\d,]+)", words):
        for part in numbers.split(", "):
            first, _, last = part.partition("-")
            for layer in range(int(first), int(last or first) + 1):
                updates[layer] += int(count.replace(",", ""))
    assert tuple(updates.values()) == methods.totals(epochs, WORKLOAD).updates


def test_many_groups_of_layers_are_told_as_a_range():
    workload = Workload((13, *[16] * 39, 3), 106, 32)
    cell = CELLS["progressive"] | {"depth": 40, "epochs": 100}
    assert methods.in_words(plan(cell, workload)) == "of 400 steps, each layer learns in 208 to 400"


# pictures


def drawn(panel):
    """Return the factors that a panel shows, shape (layers, times), 0 where it is grey, and the edges of the times."""
    frozen, learning = panel.collections[:2]
    shape = np.array(learning.get_coordinates().shape[:2]) - 1
    grey, factors = (np.ma.getmaskarray(mesh.get_array()).reshape(shape) for mesh in (frozen, learning))
    assert (grey != factors).all(), "each place is either grey or coloured"
    return learning.get_array().filled(0).reshape(shape), learning.get_coordinates()[0, :, 0]


@pytest.mark.parametrize("name", CELLS)
def test_the_picture_is_the_plan(name):
    epochs = plan(CELLS[name], WORKLOAD)
    figure = plots.schedule_figure(epochs, WORKLOAD, 12)
    panels = [panel for panel in figure.axes if panel.get_xlabel()]
    found, edges = drawn(panels[0])
    for column, epoch in zip(found.T, epochs, strict=True):
        np.testing.assert_allclose(column, np.mean([step.factors for step in epoch.steps], axis=0), rtol=1e-12)
    made = np.cumsum([0, *(len(epoch.steps) for epoch in epochs)]) / BATCHES
    np.testing.assert_allclose(edges, made + 0.5)
    assert panels[0].get_xlim() == (0.5, 12.5)
    hatched = [each for each in panels[0].collections if each.get_hatch()]
    assert bool(hatched) == any(epoch.cached for epoch in epochs)
    assert len(panels) == 1 + (name in ("by step", "hift"))
    if len(panels) > 1:
        steps, edges = drawn(panels[1])
        factors = [step.factors for epoch in epochs for step in epoch.steps]
        np.testing.assert_allclose(steps.T, factors[: steps.shape[1]])
        assert panels[1].get_xlabel() == f"The first {steps.shape[1]} steps"
        assert steps.shape[1] == 2 * DEPTH


def test_a_picture_of_a_deep_network_and_a_long_training_stays_small():
    workload = Workload((64, *[64] * 99, 10), 1078, 32)
    for name in ("hift", "freezeout"):
        cell = CELLS[name] | {"depth": 100, "epochs": 100}
        svg = plots.figure_svg(plots.schedule_figure(plan(cell, workload), workload, 100), name)
        assert len(svg) < 150_000
        assert svg == plots.figure_svg(plots.schedule_figure(plan(cell, workload), workload, 100), name)
