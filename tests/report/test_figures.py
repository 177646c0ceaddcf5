"""Figures of finished tables, and the stored notebooks that show them."""

import base64
import io
import json
from xml.etree import ElementTree

import matplotlib
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from altfreeze.report.figures import animation, curves, diagnostics, differences, endpoints, style
from altfreeze.report.selection import paired_differences
from builders import ROOT, make_comparisons, make_epochs, make_runs, make_small_study, make_variations


def test_figures_are_the_same_text_again():
    study = make_small_study()
    tables_of_study = make_runs(study), make_comparisons(study)
    first, second = (
        style.figure_svg(differences.main_figure(*tables_of_study, 6, "alternating-0.5"), "A & B") for _ in range(2)
    )
    assert first == second
    assert "<title>A &amp; B</title>" in first


def test_what_a_users_matplotlibrc_sets_shows_in_no_figure():
    study = make_small_study()
    tables_of_study = make_runs(study), make_comparisons(study)

    def drawn():
        return style.figure_svg(differences.main_figure(*tables_of_study, 6, "alternating-0.5"), "A")

    usual = drawn()
    with matplotlib.rc_context({"text.usetex": True, "lines.linewidth": 9, "axes.facecolor": "red", "svg.id": "mine"}):
        assert drawn() == usual
        # it holds for what else is drawn here
        assert matplotlib.rcParams["text.usetex"]


@pytest.mark.parametrize("narrow", [False, True])
def test_the_figure_of_the_primary_comparison_cuts_no_words_however_long_its_names(narrow):
    study = make_small_study(datasets=["wine", "breast_cancer"])
    figure = differences.main_figure(
        make_runs(study), make_comparisons(study), 6, "alternating-0.5", margin=0.01, narrow=narrow
    )
    figure.draw_without_rendering()
    ticks = figure.axes[0].get_xticklabels()
    words = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text() and text not in ticks]
    assert {"breast_cancer", "← worse", "better →"} < {text.get_text() for text in words}
    for text in words:
        box = text.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width, text
    numbers = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert numbers == ["−2.00" if narrow else "−2.00 [−3.00, −1.00]"] * 3


def test_standard_training_against_itself_is_as_low_for_many_data_sets_as_for_few():
    rows = [
        (f"data{number}", 4, difference, difference - 0.05, difference + 0.05, "undecided")
        for number, difference in enumerate([0.03, -0.02, 0.01, 0.0])
    ]
    rows += [("alarming", 4, 0.02, 0.01, 0.03, "better"), ("all", 4, -0.04, -0.06, -0.02, "undecided")]
    table = pd.DataFrame(rows, columns=["dataset", "depth", "difference", "low", "high", "verdict"])
    figure = diagnostics.self_comparison_figure(table, 0.01)
    marks = [line for line in figure.axes[0].lines if line.get_marker() != "None"]
    # in order of the difference, the mean last
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in marks] == list(enumerate([-2, 0, 1, 2, 3, -4]))
    assert [line.get_marker() for line in marks] == ["o", "o", "o", "s", "o", "D"]
    many = pd.concat([table.iloc[:-1]] * 20 + [table.iloc[-1:]])
    assert diagnostics.self_comparison_figure(many, 0.01).get_figheight() == figure.get_figheight() < 4


def test_paths_of_lines_lose_what_no_pixel_shows():
    lines = 'd="M 1.23999 2 \nL 30.5 -4.04 \nL 5 6.12 \nz\n"'
    assert style._compact([lines]) == 'd="M 1.2 2 30.5 -4.0 5 6.1 \nz\n"'
    curve = 'd="M 1 2 \nQ 1 3.339 2 3 \nL 5 6 \nz\n"'
    assert style._compact([curve]) == curve


def test_learning_curves_draw_few_seeds_and_epochs_but_average_all():
    study = make_small_study(seeds=12)
    epochs = make_epochs(study, make_comparisons(study), epochs=60)
    iris = epochs[(epochs["dataset"] == "iris") & (epochs["strategy"] == "standard")]
    figure = curves.learning_curves(epochs, "iris", 6, ["validation_accuracy"], ["epoch"], ["standard"])
    thin, mean = figure.axes[0].lines
    drawn = pd.DataFrame({"epoch": thin.get_xdata(), "value": thin.get_ydata()})
    # a gap ends each line
    drawn["seed"] = drawn["value"].isna().cumsum()
    table = iris.assign(value=100 * iris["validation_accuracy"]).set_index(["seed", "epoch"])["value"]
    drawn = drawn.dropna().set_index(["seed", "epoch"])["value"]
    assert drawn.groupby("seed").size().to_dict() == dict.fromkeys(range(10), 25)
    assert set(drawn.index.get_level_values("epoch")) >= {1, 60}
    pd.testing.assert_series_equal(drawn, table.loc[drawn.index], check_names=False)
    np.testing.assert_allclose(mean.get_ydata(), table.groupby("epoch").mean())
    assert "Thin: seeds, the first 10, at 25 epochs each." in figure.legends[0].get_title().get_text()
    few = curves.learning_curves(epochs[(epochs["seed"] < 2) & (epochs["epoch"] < 9)], "iris", 6)
    assert few.legends[0].get_title().get_text().partition("\n")[0].endswith("Thin: seeds.")
    assert np.isfinite(few.axes[0].lines[0].get_xdata()).sum() == 2 * 8
    assert [panel.get_xlabel() for panel in few.axes[2:]] == [
        "Epochs",
        style.LABELS["flops"].replace(")", ";\nk: 10³, M: 10⁶, G: 10⁹, T: 10¹²)"),
    ]
    none = curves.learning_curves(epochs, "iris", 6, ["validation_accuracy"], ["epoch"], ["standard"], seed_lines=0)
    assert "Thin" not in none.legends[0].get_title().get_text()


def test_an_axis_of_accuracies_begins_where_the_last_three_quarters_of_training_do():
    study = make_small_study()
    epochs = make_epochs(study, make_comparisons(study), epochs=40)
    epochs["validation_accuracy"] = 0.3 + 0.015 * epochs["epoch"]
    figure = curves.learning_curves(epochs, "iris", 6, ["train_loss", "validation_accuracy"], ["epoch"])
    low, high = figure.axes[1].get_ylim()
    # the mean after a quarter of training is 45 %, the highest 90 %
    assert low == pytest.approx(45 - (high - 45) / 20)
    assert 90 < high < 102


def test_recipes_are_sorted_by_the_end_above_what_each_changes():
    sgd = {"optimizer": "sgd", "learning_rate": 0.03}
    study = make_small_study(variations=[{"width": 16}, sgd, {"width": 32}])
    table = make_variations(study)
    table.loc[2, "cripples"] = "yes"
    table.loc[3, ["time_effect", "time_low", "time_high"]] = np.nan
    figure = endpoints.recipes_figure(study, table)
    end, time, matrix = figure.axes
    names = ["width=32", "optimizer=sgd+learning_rate=0.03", "width=16", "primary"]
    drawn, times = ([line for line in axes.lines if line.get_marker() != "None"] for axes in (end, time))
    assert [line.get_ydata()[0] for line in drawn] == pytest.approx([100 * -0.01 * number for number in (3, 2, 1, 0)])
    assert [line.get_marker() for line in drawn] == ["o", "s", "o", "D"]
    assert [line.get_ydata()[0] for line in times[1:]] == pytest.approx([1.2, 1.1, 1])
    # a dot for each change, and for nothing else
    rows = [label.get_text() for label in matrix.get_yticklabels()]
    assert rows == ["width 16", "width 32", "optimizer sgd", "learning rate 0.03"]
    dots = {(rows[line.get_ydata()[0]], names[x]) for line in matrix.lines[::2] for x in line.get_xdata()}
    assert dots == {
        ("width 16", "width=16"),
        ("width 32", "width=32"),
        ("optimizer sgd", names[1]),
        ("learning rate 0.03", names[1]),
    }
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["the primary recipe", "a variation", "a variation that cripples standard training"]
    again = endpoints.recipes_figure(study, table)
    assert style.figure_svg(figure, "A") == style.figure_svg(again, "A")


def test_the_network_of_the_primary_recipe_is_named_where_others_are():
    study = make_small_study(datasets=["digits"], variations=[{"network": "cnn"}])
    figure = endpoints.recipes_figure(study, make_variations(study))
    assert figure.legends[0].get_texts()[0].get_text() == "the primary recipe, of MLPs"
    assert [label.get_text() for label in figure.axes[2].get_yticklabels()] == ["network cnn"]


def test_paired_differences_leave_out_runs_that_diverged():
    runs = make_runs(make_small_study())
    runs.loc[(runs["dataset"] == "iris") & (runs["seed"] == 1) & (runs["strategy"] == "standard"), "status"] = (
        "diverged"
    )
    pairs = paired_differences(runs, 6, "alternating-0.5").set_index(["dataset", "seed"])["difference"]
    assert ("iris", 1) not in pairs.index
    assert len(pairs) == 5
    np.testing.assert_allclose(pairs["iris", 2], -0.022)


def test_mean_interval_is_the_t_interval():
    mean, low, high = curves.mean_interval(pd.DataFrame([[1.0, 2.0, 3.0], [4.0, np.nan, np.nan]]))
    assert list(mean) == [2.0, 4.0]
    np.testing.assert_allclose(high - mean, [4.302653 / np.sqrt(3), np.nan], rtol=1e-6)
    np.testing.assert_allclose(mean - low, high - mean)


@pytest.mark.parametrize("path", sorted((ROOT / "workflow" / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_stored_notebooks_hold_no_results(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    for cell in code:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in code) == 1
    assert "papermill" not in notebook["metadata"]


def test_an_animation_shows_each_moment_once_and_the_last_where_nothing_moves():
    moments = [
        animation.Frame(f"epoch {number}", (number % 2 == 0, number % 2 == 1), np.full((4, 4), number))
        for number in (0, 1)
    ]
    points = np.array([[-1, 1], [1, -1]])
    text = animation.learning_animation({"a & b": moments, "c": moments}, points, np.array([0, 1]), "<what is seen>")
    assert text == animation.learning_animation(
        {"a & b": moments, "c": moments}, points, np.array([0, 1]), "<what is seen>"
    )
    root = ElementTree.fromstring(text)
    of = "{http://www.w3.org/2000/svg}"
    assert [part.text for part in root.iter(f"{of}title")] == ["<what is seen>"]
    drawn = [group for group in root.iter(f"{of}g") if "moment" in group.get("class", "")]
    assert [group.get("class") for group in drawn] == 2 * ["moment", "moment last"]
    # two moments of half a second each: each begins when the one before it ends
    assert [group.get("style") for group in drawn] == 2 * ["animation-delay: -1s", "animation-delay: -0.5s"]
    layers = [[part.get("fill") != style.LIGHT_GREY for part in group.iter(f"{of}rect")] for group in drawn[:2]]
    assert layers == [[True, False], [False, True]]
    picture = drawn[1].find(f"{of}image").get("href").partition("base64,")[2]
    color = matplotlib.image.imread(io.BytesIO(base64.b64decode(picture)))[0, 0, :3]
    light = 1 - 0.45 * (1 - np.array(matplotlib.colors.to_rgb(style.COLORS[1])))
    np.testing.assert_allclose(color, light, atol=1 / 255)
    dots = [(part.get("cx"), part.get("cy")) for part in root.iter(f"{of}circle")]
    assert dots[:2] == [("0.0", "46.0"), ("280.0", "326.0")]
