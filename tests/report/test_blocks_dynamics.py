"""The page on training dynamics: its tables and sentences are those of the runs."""

import numpy as np
import pandas as pd
import pytest
from altfreeze.report.blocks import dynamics
from builders import make_study

STUDY = make_study(
    datasets=["iris"],
    depths=[4, 6],
    primary_depth=4,
    freeze_ratios=[0.5, 0.25],
    strategies=["alternating", "standard_half_updates", "frozen_bottom"],
)
LABELS = ["standard", "alternating-0.5", "frozen_bottom-0.25", "frozen_bottom-0.5", "standard_half_updates"]


def make_epochs(labels=("standard", "alternating-0.5"), ends=(20, 20), flops=(100, 60), rate=lambda epoch: 0.1):
    """Return epochs of two seeds at depth 4, whose losses halve and whose accuracies rise with each epoch."""
    rows = []
    for label, end, cost in zip(labels, ends, flops, strict=True):
        for seed in (0, 1):
            for epoch in range(1, end + 1):
                accuracy = (0.5 + 0.01 * epoch) + 0.1 * seed
                rows.append(
                    {"dataset": "iris", "depth": 4, "strategy": label, "recipe": "primary", "seed": seed}
                    | {
                        "epoch": epoch,
                        "status": "ok",
                        "train_loss": 4.0 ** (seed + 1) / 2**epoch,
                        "flops": cost * epoch,
                    }
                    | {"validation_loss": 1.0, "validation_accuracy": accuracy, "test_accuracy": accuracy - 0.1}
                    | {"learning_rate": rate(epoch)}
                )
    return pd.DataFrame(rows)


def test_standard_training_is_drawn_with_the_ratios_and_with_the_controls_of_the_primary_one():
    epochs = pd.DataFrame({"strategy": [*LABELS, "alternating-0.25"]})
    assert dynamics.drawn_together(STUDY, epochs) == {
        "freeze ratios": ["standard", "alternating-0.5", "alternating-0.25"],
        "controls": ["standard", STUDY.primary_strategy, "frozen_bottom-0.5", "standard_half_updates"],
    }
    # no control, no figure of them
    assert set(dynamics.drawn_together(STUDY, make_epochs())) == {"freeze ratios"}


def test_diverged_runs_are_counted_with_what_they_do_to_the_means():
    epochs = make_epochs()
    assert dynamics.how_runs_ended(epochs) == "4 runs; 0 of them diverged."
    gone = (epochs["strategy"] == "standard") & (epochs["seed"] == 1) & (epochs["epoch"] > 3)
    epochs.loc[gone, "status"] = "diverged"
    assert dynamics.how_runs_ended(epochs).startswith("4 runs; 1 of them diverged and are missing from the means")


def test_losses_are_geometric_means_at_a_tenth_of_each_strategys_own_training():
    table = dynamics.losses_table(make_epochs(ends=(10, 20))).set_index("Strategy")
    # two seeds whose losses are 4 and 16 before they halve: 8 in the middle
    tenth, last = table.columns[1:]
    assert list(table[tenth]) == ["4", "2"]
    assert list(table[last]) == [f"{8 / 2**10:.3g}", f"{8 / 2**20:.3g}"]


def test_a_loss_of_zero_has_a_mean():
    epochs = make_epochs().assign(train_loss=0.0)
    assert set(dynamics.losses_table(epochs)["during the last epoch"]) == {"1e-09"}


def test_standard_training_is_cut_at_the_operations_that_alternating_training_spent():
    epochs = make_epochs(flops=(100, 62))
    table = dynamics.for_its_operations_table(STUDY, epochs)
    # 20 epochs at 62 pay for 12 whole epochs at 100
    assert table.to_numpy().tolist() == [[4, "alternating-0.5", "12", "67.00%", "75.00%"]]
    assert dynamics.for_its_operations(STUDY, epochs).endswith("ended above it in 1 of 1 case.")


def test_where_the_rate_decays_no_table_cuts_a_training():
    epochs = make_epochs(rate=lambda epoch: 0.1 / epoch)
    assert dynamics.for_its_operations_table(STUDY, epochs).empty
    assert "has not decayed yet" in dynamics.for_its_operations(STUDY, epochs)


def test_ends_are_means_over_the_runs_that_did_not_diverge():
    epochs = make_epochs()
    epochs.loc[(epochs["strategy"] == "standard") & (epochs["seed"] == 1) & (epochs["epoch"] > 3), "status"] = (
        "diverged"
    )
    table = dynamics.ends_table(epochs).set_index("Strategy")
    assert list(table.loc["standard"]) == [4, "1", "70.00%", "60.00%", 1]
    assert list(table.loc["alternating-0.5"]) == [4, "1", "75.00%", "65.00%", 2]


def make_flow():
    """Return the flow of one seed of a four-layer network that alternates by epochs, the top first, for six epochs.

    A frozen layer's norm is 1; the bottom's grows twofold over each freeze, and by 1.5 in standard training.
    """
    rows = []
    for epoch in range(1, 7):
        for layer in range(1, 5):
            learns = (epoch % 2 == 0) == (layer <= 2)
            thawed = learns and epoch > 2
            flow = {"gradient_norm": 2.0 ** (epoch / 2) if learns else 1.0, "change_norm": 1.0 if learns else np.nan}
            flow |= {"change_cosine": 0.4 if thawed else np.nan, "steps_since_update": 3.0 if thawed else np.nan}
            rows.append({"strategy": "alternating-0.5", "epoch": epoch, "layer": layer} | flow)
            steady = {"gradient_norm": 1.5 ** (epoch / 2), "change_norm": 1.0, "change_cosine": 0.9}
            rows.append({"strategy": "standard", "epoch": epoch, "layer": layer, "steps_since_update": np.nan} | steady)
    return pd.DataFrame(rows).assign(seed=0)


def test_a_thaw_is_compared_with_the_epoch_before_the_freeze_and_with_standard_training():
    study = make_study(datasets=["iris"], depths=[4], primary_depth=4, freeze_ratios=[0.5])
    text = dynamics.seen_at_thaws(study, make_flow())
    # two bottom layers thaw in epochs 4 and 6; in epoch 2 they learn for the first time
    assert "the bottom (layers 1 to 2) thaws under *alternating-0.5*" in text
    assert "a layer is 2.00 times what it was" in text
    assert "geometric mean of 4 thaws" in text
    assert "it becomes 1.50 times as large" in text
    assert text.endswith(
        "is 0.40 on average; between its changes in consecutive epochs of standard training it is 0.90."
    )


@pytest.mark.parametrize("columns", ["gradient_norm", "change_cosine"])
def test_a_number_that_is_not_finite_makes_no_traceback(columns):
    study = make_study(datasets=["iris"], depths=[4], primary_depth=4, freeze_ratios=[0.5])
    flow = make_flow()
    flow[columns] = np.inf
    assert "thaws under" in dynamics.seen_at_thaws(study, flow)


def test_without_a_thaw_or_an_observation_the_page_says_so():
    study = make_study(datasets=["iris"], depths=[4], primary_depth=4, freeze_ratios=[0.5])
    flow = make_flow()
    assert dynamics.seen_at_thaws(study, flow[flow["epoch"] < 4]) == (
        "Under *alternating-0.5* no bottom layer thawed that had learned in an earlier epoch."
    )
    assert dynamics.seen_at_thaws(study, flow.iloc[:0]).startswith("Not observed in this study")


def test_a_page_reads_the_rows_of_its_data_set_under_the_configured_recipe(tmp_path):
    epochs = pd.concat([make_epochs(), make_epochs().assign(dataset="wine"), make_epochs().assign(recipe="tuned")])
    epochs.to_parquet(tmp_path / "epochs.parquet")
    flow = make_flow().assign(dataset="iris", depth=4, recipe="primary")
    pd.concat([flow, flow.assign(depth=6)]).to_parquet(tmp_path / "gradient_flow.parquet")
    read, flow_read = dynamics.read_dynamics(tmp_path, STUDY, "iris")
    pd.testing.assert_frame_equal(read.reset_index(drop=True), make_epochs())
    assert set(flow_read["depth"]) == {4}


def test_every_data_set_is_linked():
    assert dynamics.contents(make_study(datasets=["iris", "wine"])) == "[iris](#iris) · [wine](#wine)"
