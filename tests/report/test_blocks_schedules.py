"""The page on schedules: pictures, numbers and words are those of the plans."""

import re
from dataclasses import replace

import numpy as np
import pytest
from altfreeze.freezing.plan import Workload
from altfreeze.freezing.strategy import STRATEGIES
from altfreeze.report.blocks import schedules as blocks
from altfreeze.report.figures.schedule import schedule_figure
from altfreeze.report.figures.style import figure_svg
from altfreeze.training.trainer import train_pack
from builders import ENTRIES, make_cell, make_study
from sklearn.datasets import load_wine

DEPTH = 6
WORKLOAD = Workload((13, 16, 16, 16, 16, 16, 3), 106, 32)
BATCHES = 4


def cell_of(label="alternating-0.5", entry="alternating", **keys):
    """Return the cell of one entry of strategies, on wine."""
    entries = [entry] if entry == "alternating" else ["alternating", entry]
    of_study = {"datasets": ["wine"], "depths": [DEPTH], "freeze_ratios": [0.5], "strategies": entries, "width": 16}
    epochs = {"epochs_standard": 12, "epochs_alternating": 12}
    return make_cell(label, make_study(**(of_study | epochs | keys)))


def label_of(name):
    return f"{name}-0.5" if "freeze_ratio" in STRATEGIES[name].parameters else name


CELLS = {name: cell_of(label_of(name), entry) for name, entry in ENTRIES.items()}
CELLS["standard"] = cell_of("standard")
CELLS["by step"] = cell_of("by_step-0.5", {"name": "alternating", "label": "by_step", "unit": "step", "period": 1})
CELLS["long phases"] = cell_of(freeze_period=3)


# plans


@pytest.mark.parametrize("name", ["standard", "alternating", "by step", "standard_matched_flops", "freezeout", "lisa"])
def test_totals_are_what_training_logs(name):
    cell = CELLS[name]
    trained = train_pack(*load_wine(return_X_y=True), cell, [0])
    last = trained.rows[-1]
    found = blocks.totals(cell.plan(trained.workload), trained.workload)
    assert found.flops == last["flops"]
    assert " ".join(map(str, found.updates)) == last["updates"]
    assert found.updates_mean == pytest.approx(last["updates_mean"], rel=1e-12)
    assert found.steps == round(last["epoch"] * len(trained.workload.batches))


def test_alternating_in_words():
    assert blocks.in_words(CELLS["alternating"].plan(WORKLOAD)) == (
        "of 48 steps, layers 1-3 learn in 24 (in 6 of the epochs 2 to 12); "
        "layers 4-6 learn in 24 (in 6 of the epochs 1 to 11)"
    )
    assert blocks.in_words(CELLS["frozen_top"].plan(WORKLOAD)) == (
        "of 48 steps, layers 1-3 learn in 48 (in epochs 1 to 12); layers 4-6 never learn"
    )


@pytest.mark.parametrize("name", CELLS)
def test_words_count_every_update_of_every_layer(name):
    epochs = CELLS[name].plan(WORKLOAD)
    words = blocks.in_words(epochs)
    updates = dict.fromkeys(range(1, DEPTH + 1), 0)
    for numbers, count in re.findall(r"layers? ([\d, -]+) learns? in ([\d,]+)", words):
        for part in numbers.split(", "):
            first, _, last = part.partition("-")
            for layer in range(int(first), int(last or first) + 1):
                updates[layer] += int(count.replace(",", ""))
    assert tuple(updates.values()) == blocks.totals(epochs, WORKLOAD).updates


def test_many_groups_of_layers_are_told_as_a_range():
    workload = Workload((13, *[16] * 39, 3), 106, 32)
    cell = replace(CELLS["progressive"], depth=40, epochs=100)
    assert blocks.in_words(cell.plan(workload)) == "of 400 steps, each layer learns in 208 to 400"


# a whole study


STUDY_KEYS = {"datasets": ["wine"], "depths": [DEPTH], "freeze_ratios": [0.5], "width": 16}
STUDY_KEYS |= {"epochs_standard": 12, "epochs_alternating": 12}
STUDY = make_study(
    datasets=["iris", "wine"],
    depths=[DEPTH],
    freeze_ratios=[0.5],
    strategies=["alternating", "standard_half_updates", "frozen_bottom"],
    epochs_standard=12,
    epochs_alternating=12,
    width=16,
)
PLANNED = blocks.plan_all(STUDY, {("iris", DEPTH): WORKLOAD._replace(rows=64), ("wine", DEPTH): WORKLOAD})


def test_the_data_set_whose_epochs_have_the_most_steps_is_shown():
    assert (PLANNED.shown, PLANNED.until) == ("wine", 12)
    assert PLANNED.workload == WORKLOAD
    assert f"on *wine*, whose epochs have the most steps, {BATCHES}." in blocks.what_is_drawn(STUDY, PLANNED)


def test_the_table_of_schedules_counts_what_the_plans_do():
    table = blocks.schedules_table(PLANNED).set_index("Strategy")
    assert list(table.index) == list(STUDY.strategies)
    for label in STUDY.strategies:
        made = blocks.totals(STUDY.cell("wine", DEPTH, label).plan(WORKLOAD), WORKLOAD)
        standard = blocks.totals(STUDY.cell("wine", DEPTH, "standard").plan(WORKLOAD), WORKLOAD)
        row = table.loc[label]
        assert row["Steps"] == str(made.steps)
        assert row["Fewest updates of a layer"] == str(min(made.updates))
        share = f"{100 * made.flops / standard.flops:.1f} %"
        assert row["Operations on wine, of standard training's"] == share
        assert f"{share} of the operations of standard training" in blocks.plan_in_words(PLANNED, label)
        assert f"{share} of the operations" in blocks.picture_in_words(PLANNED, label)
    assert table.loc["frozen_bottom-0.5", "Data sets where a layer never learns"] == 2
    assert table.loc["standard", "Data sets where a layer never learns"] == 0


def test_the_rule_of_a_strategy_is_its_first_sentence_parameters_and_length():
    text = blocks.rule_in_words(STUDY, PLANNED, "alternating-0.5")
    first = blocks.first_sentence(STRATEGIES["alternating"].schedule)
    assert text.startswith(f"## alternating-0.5\n\n{first} With ")
    assert "freeze_ratio 0.5" in text
    assert "It trains for the epochs of the configuration." in text
    assert "State of the optimizer when a layer thaws: keep." in text
    # nothing thaws in standard training
    standard = blocks.rule_in_words(STUDY, PLANNED, "standard")
    assert "thaws" not in standard and "With" not in standard
    assert "It trains for half of the steps." in blocks.rule_in_words(STUDY, PLANNED, "standard_half_updates")


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
    epochs = CELLS[name].plan(WORKLOAD)
    figure = schedule_figure(epochs, WORKLOAD, 12)
    panels = [panel for panel in figure.axes if panel.get_xlabel()]
    found, edges = drawn(panels[0])
    for column, epoch in zip(found.T, epochs, strict=True):
        np.testing.assert_allclose(column, np.mean([step.factors for step in epoch.steps], axis=0), rtol=1e-12)
    made = np.cumsum([0, *(len(epoch.steps) for epoch in epochs)]) / BATCHES
    np.testing.assert_allclose(edges, made + 0.5)
    assert panels[0].get_xlim() == (0.5, 12.5)
    hatched = [each for each in panels[0].collections if each.get_hatch()]
    assert bool(hatched) == any(epoch.cached for epoch in epochs)
    assert len(panels) == 1 + (name in ("by step", "hift", "random_suffix", "masked"))
    if len(panels) > 1:
        steps, edges = drawn(panels[1])
        factors = [step.factors for epoch in epochs for step in epoch.steps]
        np.testing.assert_allclose(steps.T, factors[: steps.shape[1]])
        assert panels[1].get_xlabel() == f"The first {steps.shape[1]} steps"
        # two draws in a row can be alike
        assert steps.shape[1] == 2 * DEPTH or name in ("random_suffix", "masked")


def test_a_picture_of_a_deep_network_and_a_long_training_stays_small():
    workload = Workload((64, *[64] * 99, 10), 1078, 32)
    for name in ("hift", "freezeout"):
        cell = replace(CELLS[name], depth=100, epochs=100)
        svg = figure_svg(schedule_figure(cell.plan(workload), workload, 100), name)
        assert len(svg) < 150_000
        assert svg == figure_svg(schedule_figure(cell.plan(workload), workload, 100), name)


def test_the_picture_of_characters_is_the_plan_as_far_as_it_has_room():
    study = make_study(**STUDY_KEYS | {"strategies": ["alternating", ENTRIES["phases"]]})
    planned = blocks.plan_all(study, {("wine", DEPTH): WORKLOAD})
    text = blocks.schedule_in_text(study, planned, "phases")
    rows = {line.split()[1]: line.split()[2] for line in text.splitlines() if line.startswith("layer ")}
    assert list(rows) == ["6", "5", "4", "3", "2", "1"]
    # 12 epochs of 4 steps, a column each; phases end after 0.3 and 0.7 of the 48 steps
    assert rows["6"] == "█" * 15 + "·" * 19 + "█" * 14
    assert rows["1"] == "·" * 15 + "▒" * 19 + "█" * 14
    assert rows["5"] == "·" * 34 + "█" * 14
    assert "With unit share, repeat False, layers last for 0.3, then layers 1 for 0.4 factor 0.5" in text
    assert text.endswith(blocks.plan_in_words(planned, "phases"))


@pytest.mark.parametrize("epochs", [1, 7, 60, 61, 150])
def test_the_picture_of_characters_is_no_wider_than_a_terminal(epochs):
    study = make_study(**STUDY_KEYS | {"epochs_standard": epochs, "epochs_alternating": max(2, epochs)})
    planned = blocks.plan_all(study, {("wine", DEPTH): WORKLOAD})
    widths = {len(line) for line in blocks.picture_in_text(planned, "alternating-0.5").splitlines()[:-1]}
    assert len(widths) == 1 and max(widths) <= 70
