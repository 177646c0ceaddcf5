"""Schedules that decide: by what rule, for whom, at what cost, and what they decided can be trained again."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from altfreeze.freezing.adaptive import deciding_flops, possible_work, written_down
from altfreeze.freezing.cost import dense_layers
from altfreeze.freezing.flow import GradientFlow, NormObserver
from altfreeze.freezing.plan import OBSERVE, Work, Workload, plan, plan_work
from altfreeze.freezing.strategy import STRATEGIES, History, Position, defaults, factors
from altfreeze.tables.reference_seconds import reference_seconds, speedups
from altfreeze.training import job
from altfreeze.training.batches import workload_of
from altfreeze.training.checkpoints import Checkpoint
from altfreeze.training.stacks import DECIDERS, decide, train_seeds
from altfreeze.training.trainer import train_pack
from builders import make_wine_study, train_plainly
from hypothesis import given
from hypothesis import strategies as st

EPOCHS = 10
ADAPTIVE = [name for name, strategy in STRATEGIES.items() if strategy.adaptive]
# with which each of them freezes layers on wine
ENTRIES = {"grades": {"threshold": 0.6, "grace": 0.2}, "autofreeze": {"interval": 1, "quantile": 0.8}}


def study_of(name, **keys):
    entry = {"name": name, "label": "tried", **ENTRIES[name]}
    of_study = {"freeze_ratios": [0.5], "strategies": ["alternating", entry], "depths": [4]}
    return make_wine_study(**(of_study | {"epochs_standard": EPOCHS, "epochs_alternating": EPOCHS} | keys))


def cell_of(name, **keys):
    return study_of(name, **keys).cell("wine", 4, "tried")


def layers(step):
    return "".join(str(layer) for layer, factor in enumerate(step, 1) if factor)


def decided_by(name, gradients=(), changes=(), epochs=8, **parameters):
    """Return the layers that learn in each epoch, as a strategy decides by what it is shown of those before."""
    found = []
    for epoch in range(epochs):
        history = History(tuple(map(tuple, gradients[:epoch])), tuple(map(tuple, changes[:epoch])))
        chosen = {"name": name, **parameters}
        depth = len((gradients or changes)[0])
        found.append(layers(factors(chosen, Position(epoch, 0, 3, 3 * epochs), depth, history)))
    return found


def losses(rows):
    return [[row[name] for name in ("seed", "epoch", "train_loss", "validation_loss", "test_loss")] for row in rows]


# the rules


def test_grades_freezes_below_a_share_of_the_largest_norm_once_the_grace_is_over():
    nan = math.nan
    norms = [(4, 1, 1), (1, 8, 1), (4, 4, 1), (4, 3.9, 1), (1.9, nan, 0.1), (nan, nan, 0), (nan, nan, 9), (9, 9, 9)]
    # of 8 epochs the grace is the first two: in the second, layer 1 is low already
    assert decided_by("grades", norms, threshold=0.5, grace=0.25) == ["123"] * 2 + ["23"] * 2 + ["3"] * 4
    assert decided_by("grades", norms, threshold=0.5, grace=0.26) == ["123"] * 4 + ["13", "3", "3", "3"]
    assert decided_by("grades", norms, threshold=0.0, grace=0.0) == ["123"] * 8


def test_autofreeze_freezes_below_the_first_layer_that_changes_as_fast_as_the_middle_one():
    # rates of change after the second interval: 0.1, 0.2, 0.5, whose median the second layer has
    changes = [(5, 5, 5, 1), (5, 5, 5, 1), (4.5, 4, 2.5, 9), (4.5, 4, 2.5, 9)]
    # then, of the two layers that are left but the last, 0.5 and 0.2
    changes += [(math.nan, 2, 2, 0), (math.nan, 2, 2, 0)]
    # and then 0.1 and 0.8
    changes += [(math.nan, 1.8, 0.4, 5), (math.nan, 1.8, 0.4, 5)]
    expected = ["1234"] * 4 + ["234"] * 4 + ["34"]
    assert decided_by("autofreeze", (), changes, epochs=9, interval=2, quantile=0.5) == expected
    assert decided_by("autofreeze", (), changes, epochs=9, interval=2, quantile=0.0) == ["1234"] * 9
    assert decided_by("autofreeze", (), changes, epochs=9, interval=2, quantile=1.0) == ["1234"] * 4 + ["34"] * 5


@pytest.mark.parametrize("name", ADAPTIVE)
def test_what_is_not_known_freezes_nothing(name):
    unknown = [(math.nan,) * 3] * 8
    whole = defaults(name) | ENTRIES[name]
    assert decided_by(name, unknown, unknown, **whole) == ["123"] * 8


def test_what_was_decided_is_written_down_as_phases():
    active = [(True,) * 4] * 3 + [(False, True, True, True)] + [(False, True, False, True)] * 2
    assert written_down(active) == {
        "name": "phases",
        "phases": [{"layers": "1-4", "for": 3.0}, {"layers": "2-4", "for": 1.0}, {"layers": "2 4", "for": 2.0}],
        "unit": "epoch",
        "repeat": False,
    }


def test_observing_costs_five_operations_of_each_parameter_that_learned():
    assert deciding_flops(dense_layers((13, 16, 3)), (True, True)) == 5 * (14 * 16 + 17 * 3)
    assert deciding_flops(dense_layers((13, 16, 3)), (False, True)) == 5 * 17 * 3


# who decides


def test_the_norms_are_those_of_the_gradient_flow_of_all_members_together(wine):
    cell, flow, observer = cell_of("grades"), GradientFlow(), NormObserver()
    followed = cell.following(written_down([(True,) * 4] * 6 + [(False, True, False, True)] * 4))
    for each in (flow, observer):
        train_pack(*wine, followed, range(3), flow=each)
    norms = np.array([row[3:5] for row in flow.rows]).reshape(EPOCHS, 4, 3, 2)
    together = np.sqrt((norms**2).sum(axis=2))
    for index, found in enumerate(observer.history):
        np.testing.assert_allclose(found, together[:, :, index], rtol=1e-5)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_it_freezes_for_good_and_the_last_layer_learns(name, wine):
    decided = decide(*wine, cell_of(name)).strategy
    named = [phase["layers"] for phase in decided["phases"]]
    assert len(named) > 1 and named[0] == "1-4" and named[-1].endswith("4")
    assert sum(phase["for"] for phase in decided["phases"]) == EPOCHS


@pytest.mark.parametrize("name", ADAPTIVE)
def test_a_run_has_the_same_bits_whatever_its_pack_and_the_study_has_seeds(name, wine):
    together = train_seeds(*wine, cell_of(name), [4, 0, 7])
    alone = train_seeds(*wine, cell_of(name, seeds=3, calibration_seeds=1), [7])
    assert together.decided == alone.decided
    assert losses(row for row in together.rows if row["seed"] == 7) == losses(alone.rows)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_who_decides_would_decide_the_same_along_what_was_decided(name, wine):
    cell = cell_of(name)
    decided, observer = decide(*wine, cell).strategy, NormObserver()
    plan = cell.following(decided).plan(workload_of(*wine, cell))
    train_pack(*wine, cell.following(decided), DECIDERS, flow=observer)
    whole = observer.history
    for epoch, planned in enumerate(plan):
        history = History(whole.gradients[:epoch], whole.changes[:epoch])
        found = factors(cell.strategy, Position(epoch, 0, 4, 4 * EPOCHS), 4, history)
        # nothing is decided before the last epoch
        assert found == planned.steps[0].factors or epoch == EPOCHS - 1


def test_no_comparison_sees_who_decides():
    assert len(DECIDERS) == 3 and not set(DECIDERS) & set(make_wine_study(seeds=10**6).seeds_of("primary"))


def test_deciders_that_diverge_freeze_nothing(wine):
    for name in ADAPTIVE:
        trained = train_seeds(*wine, cell_of(name, optimizer="sgd", learning_rate=1e6), [0])
        assert [phase["layers"] for phase in trained.decided["phases"]] == ["1-4"]


# what was decided can be trained again


@pytest.mark.parametrize(("name", "optimizer"), [("grades", "adam"), ("autofreeze", "sgd")])
def test_the_log_of_decisions_trained_again_gives_the_same_run(name, optimizer, wine, stored_wine, tmp_path):
    log, manifest = tmp_path / "a.csv", tmp_path / "a.json"
    cell = cell_of(name, optimizer=optimizer)
    job.run(stored_wine, cell, [5, 3], "cpu", torch.get_num_threads(), log, manifest)
    said = json.loads(manifest.read_text())
    # what the manifest says is an entry of the key strategies
    again = make_wine_study(
        freeze_ratios=[0.5],
        strategies=["alternating", said["decided"] | {"label": "again"}],
        epochs_standard=EPOCHS,
        epochs_alternating=EPOCHS,
        optimizer=optimizer,
    ).cell("wine", 4, "again")
    assert again.strategy == said["decided"]
    trained, adaptive = train_pack(*wine, again, [5, 3]), train_seeds(*wine, cell, [5, 3])
    assert losses(trained.rows) == losses(adaptive.rows)
    # in plain PyTorch too
    plain = train_plainly(*wine, again, 3, trained.workload)
    for found, parameter in zip(trained.network.member(1).parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found, parameter, rtol=1e-3, atol=1e-4)
    # it costs what it costs to train, and to decide
    active = [epoch.steps[0].active for epoch in again.plan(trained.workload)]
    cost = np.cumsum([deciding_flops(trained.workload.layers, layers) for layers in active])
    paid = [row["flops"] for row in adaptive.rows[::2]]
    assert paid == [row["flops"] + spent for row, spent in zip(trained.rows[::2], cost, strict=True)]
    assert adaptive.seconds > 0 and all(row["seconds"] > 0 for row in adaptive.rows)


def test_other_strategies_decide_nothing(wine):
    assert train_seeds(*wine, study_of("grades").cell("wine", 4, "alternating-0.5"), [0]).decided is None


# the work that is timed before it is known what is decided


@st.composite
def frozen_for_good(draw):
    """Draw what may be decided: which layers learn in each epoch, ever fewer, the last one always."""
    depth, epochs = draw(st.integers(2, 6)), draw(st.integers(2, 6))
    until = [draw(st.integers(1, epochs - 1)) for _ in range(depth - 1)]
    never = [draw(st.booleans()) for _ in range(depth - 1)]
    ends = [epochs if stays else end for stays, end in zip(never, until, strict=True)] + [epochs]
    # before the last epoch nothing is decided
    return [tuple(epoch < end or end == epochs - 1 for end in ends) for epoch in range(epochs)]


@given(frozen_for_good(), st.integers(1, 40), st.integers(1, 16), st.booleans())
def test_whatever_is_decided_is_made_of_the_work_that_is_timed(active, rows, batch, cache):
    depth = len(active[0])
    workload = Workload((3, *[8] * (depth - 1), 2), rows, batch)
    done = plan_work(plan(written_down(active), len(active), workload, cache=cache), workload)
    assert {*done, OBSERVE} <= possible_work(workload, cache)


def test_few_kinds_of_work_are_timed_for_what_may_be_decided():
    workload = Workload((20, *[64] * 5, 3), 1000, 64)
    kinds = possible_work(workload, True)
    # 16 states of two kinds of batches, six starts of an epoch, 15 fills, and observing
    assert len(kinds) == 16 * 2 + 6 + 15 + 1
    assert {kind.cached for kind in possible_work(workload, False)} == {0}


@pytest.mark.parametrize("name", ADAPTIVE)
def test_its_seconds_and_its_speed_count_what_it_decided_and_observing(name):
    study = study_of(name, datasets=["wine"])
    workload = Workload((13, 16, 16, 16, 3), 106, 32)
    active = [(True,) * 4] * 4 + [(False, False, True, True)] * 6
    decided = {("wine", 4, "tried"): written_down(active)}
    cell = study.cell("wine", 4, "tried").following(written_down(active))
    kinds = set().union(*(study.cell("wine", 4, label).work(workload) for label in study.strategies))
    # a step takes as long as layers learn; observing takes 100
    taken = {kind: 100.0 if kind == OBSERVE else 1.0 + kind.first + kind.inner + kind.last for kind in kinds}
    observed, plain = (reference_seconds(cell.plan(workload), workload, taken, each) for each in (True, False))
    assert observed == [each + 100 * (number + 1) for number, each in enumerate(plain)]
    rows = [("wine", 4, *kind, number, seconds) for kind, seconds in taken.items() for number in range(1, 7)]
    timing = pd.DataFrame(rows, columns=["dataset", "depth", *Work._fields, "round", "seconds"])
    found = speedups(study, timing, {("wine", 4): workload}, decided).set_index("strategy")
    whole = study.cell("wine", 4, "standard").plan(workload)
    expected = reference_seconds(whole, workload, taken)[-1] / observed[-1]
    assert found.loc["tried", "measured"] == pytest.approx(expected, rel=1e-12)
    assert "tried" not in set(speedups(study, timing, {("wine", 4): workload})["strategy"])


def test_a_training_that_was_stopped_goes_on_along_what_was_decided(wine, tmp_path):
    def stopping(seeds):
        def progress(rows, number, epochs):
            if number == 7:
                raise KeyboardInterrupt

        return progress

    cell = cell_of("autofreeze")
    expected = train_seeds(*wine, cell, [0, 1])
    checkpoint = Checkpoint(tmp_path / "state.pt", 1e-9, {"cell": cell.as_dict()})
    with pytest.raises(KeyboardInterrupt):
        train_seeds(*wine, cell, [0, 1], progress=stopping, checkpoint=checkpoint)
    resumed = train_seeds(*wine, cell, [0, 1], checkpoint=Checkpoint(tmp_path / "state.pt", 0, checkpoint.job))
    assert resumed.resumed_at == [6] and resumed.decided == expected.decided
    assert losses(resumed.rows) == losses(expected.rows)
    assert [row["flops"] for row in resumed.rows] == [row["flops"] for row in expected.rows]
