"""The plan of a training: budgets, the activation cache and the cost of both, to the last operation."""

from collections import Counter

import pytest
from altfreeze.freezing.cost import fill_flops, step_flops
from altfreeze.freezing.plan import Work, Workload, horizon, layer_ranges
from altfreeze.freezing.strategy import MASKED
from altfreeze.support.randomness import stream_seed
from builders import ENTRIES, make_study
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = list(ENTRIES.values())
# all layers cost the same, as in the closed forms
EQUAL = Workload((64,) * 7, 320, 32)


def make_cell(label, depth=6, **keys):
    small = {"datasets": ["wine"], "depths": [depth], "primary_depth": depth, "freeze_ratios": [0.5]}
    return make_study(**(small | {"strategies": NAMES} | keys)).cell("wine", depth, label)


def total(cell, workload):
    return sum(epoch.flops(workload) for epoch in cell.plan(workload))


def horizon_of(cell, workload):
    seed = stream_seed(cell.study_seed, cell.dataset, cell.depth, "schedule")
    return horizon(cell.strategy, cell.epochs, workload, seed, cell.cache_activations == "auto" and not cell.dropout)


def labels():
    return list(make_study(freeze_ratios=[0.5], strategies=NAMES).strategies)


def test_batches_hold_every_row_once():
    assert Workload((4, 3), 70, 32).batches == [32, 32, 6]
    assert Workload((4, 3), 64, 32).batches == [32, 32]
    assert Workload((4, 3), 5, 32).batches == [5]


@pytest.mark.parametrize(
    ("period", "cache", "ratio"),
    [
        # F = 6 f, r = 1/2: (3 F - f) over the mean of (2 F - f), top learns, and (5/2 F - f), bottom learns
        (1, "auto", 17 / ((11 + 14) / 2)),
        (2, "off", 17 / ((11 + 14) / 2)),
        # the top's forward through the bottom, 3 f, is made once in E epochs
        (2, "auto", 17 / ((8 + 3 / 2 + 14) / 2)),
        (5, "auto", 17 / ((8 + 3 / 5 + 14) / 2)),
    ],
)
def test_alternating_costs_its_closed_form(period, cache, ratio):
    keys = {"epochs_alternating": 20, "epochs_standard": 20, "freeze_period": period, "cache_activations": cache}
    found = total(make_cell("standard", **keys), EQUAL) / total(make_cell("alternating-0.5", **keys), EQUAL)
    assert found == pytest.approx(ratio, rel=1e-12)


workloads = st.builds(
    lambda depth, features, width, classes, rows, batch: Workload(
        (features, *[width] * (depth - 1), classes), rows, batch
    ),
    depth=st.integers(2, 7),
    features=st.integers(1, 30),
    width=st.integers(1, 40),
    classes=st.integers(2, 9),
    rows=st.integers(1, 200),
    batch=st.integers(1, 64),
)


@settings(deadline=None, max_examples=60)
@given(workloads, st.sampled_from(labels()), st.integers(1, 7), st.integers(1, 3), st.sampled_from(["epoch", "step"]))
def test_what_is_cached_is_frozen_and_was_filled_since_it_froze(workload, label, epochs, period, unit):
    keys = {"epochs_alternating": epochs, "freeze_period": period, "freeze_unit": unit}
    held = 0
    for number, epoch in enumerate(decided := make_cell(label, workload.depth, **keys).plan(workload)):
        lowest = min(step.active.index(True) for step in epoch.steps)
        assert epoch.cached <= lowest
        held = held if held <= lowest else 0
        if epoch.fill:
            assert epoch.fill[0] == held < epoch.fill[1] == epoch.cached
            assert min(step.active.index(True) for step in decided[number + 1].steps) >= epoch.cached
            held = epoch.fill[1]
        assert held == epoch.cached


@settings(deadline=None, max_examples=60)
@given(workloads, st.sampled_from(labels()), st.integers(1, 7))
def test_the_parts_of_a_plan_add_up(workload, label, epochs):
    cell = make_cell(label, workload.depth, epochs_alternating=epochs, epochs_standard=epochs)
    made = cell.plan(workload)
    steps = [step for epoch in made for step in epoch.steps]
    assert len(steps) == horizon_of(cell, workload)
    assert [step.rows for step in steps] == (workload.batches * epochs)[: len(steps)]
    assert all(0 <= step.progress < 1 for step in steps)
    for epoch in made:
        filled = fill_flops(workload.sizes, workload.rows, *epoch.fill) if epoch.fill else 0
        assert epoch.flops(workload) == filled + sum(
            step_flops(workload.sizes, step.rows, step.active, epoch.cached) for step in epoch.steps
        )
        work = epoch.work(workload)
        # steps that are alike may be made at once
        alike = len({step.active for step in epoch.steps}) == 1
        kinds = Counter({"step" if alike else "single": len(epoch.steps), "epoch": 1, "fill": epoch.fill is not None})
        assert sum((Counter({kind.kind: count}) for kind, count in work.items()), Counter()) == kinds
        learning = sum((kind.first + kind.inner + kind.last) * count for kind, count in work.items())
        assert learning == sum(sum(step.active) for step in epoch.steps)
        dropped = sum(step.factors.count(MASKED) for step in epoch.steps)
        assert sum(epoch.updates()) == learning - dropped
        assert not dropped or label == "masked"


@settings(deadline=None, max_examples=100)
@given(workloads, st.integers(1, 7), st.integers(1, 3), st.floats(0, 1))
def test_matched_flops_lack_less_than_one_step(workload, epochs, period, ratio):
    keys = {
        "epochs_alternating": epochs,
        "freeze_period": period,
        "freeze_ratios": [ratio],
        "primary_freeze_ratio": ratio,
    }
    available = total(make_cell(f"alternating-{ratio:g}", workload.depth, **keys), workload)
    cell = make_cell(f"standard_matched_flops-{ratio:g}", workload.depth, **keys)
    taken = total(cell, workload)
    following = workload.batches[horizon_of(cell, workload) % len(workload.batches)]
    dearer = step_flops(workload.sizes, following, (True,) * workload.depth)
    assert taken <= available < taken + dearer or horizon_of(cell, workload) == 1


@pytest.mark.parametrize("epochs", [1, 2, 5, 50])
def test_half_updates_are_half_of_the_steps(epochs):
    cell = make_cell("standard_half_updates", epochs_alternating=epochs)
    assert horizon_of(cell, EQUAL) == 10 * epochs // 2
    if epochs % 2 == 0:
        alternating = make_cell("alternating-0.5", epochs_alternating=epochs).plan(EQUAL)
        assert [sum(layer) for layer in zip(*(epoch.updates() for epoch in alternating), strict=True)] == [
            5 * epochs
        ] * 6


def test_at_least_one_step_is_made():
    assert horizon_of(make_cell("standard_half_updates", epochs_alternating=1), Workload((4,) * 7, 5, 32)) == 1


def test_dropout_and_a_cache_too_large_are_trained_without_it():
    cached = make_cell("frozen_bottom-0.5")
    assert {epoch.cached for epoch in cached.plan(EQUAL)} == {3}
    assert {epoch.cached for epoch in make_cell("frozen_bottom-0.5", dropout=0.1).plan(EQUAL)} == {0}
    # 64 MiB are 262,144 rows of 64 float32
    assert cached.plan(Workload((64,) * 7, 2**18, 2**16))[0].cached == 3
    assert cached.plan(Workload((64,) * 7, 2**18 + 1, 2**16))[0].cached == 0


def test_a_growing_frozen_prefix_deepens_the_cache_from_what_it_holds():
    made = make_cell("progressive", epochs_alternating=20).plan(EQUAL)
    fills = [epoch.fill for epoch in made if epoch.fill]
    assert fills == [(depth, depth + 1) for depth in range(len(fills))]
    assert len(fills) >= 4


def test_the_learning_rate_decays_over_the_strategys_own_budget():
    for label, steps in (("standard", 500), ("standard_half_updates", 250)):
        made = make_cell(label).plan(EQUAL)
        assert [epoch.steps[0].progress for epoch in made] == [10 * number / steps for number in range(steps // 10)]


def test_work_does_not_say_which_inner_layers_learn():
    found = make_cell("random_half").plan(EQUAL)
    patterns = {step.active for epoch in found for step in epoch.steps}
    work = {work for epoch in found for work in epoch.work(EQUAL) if work.kind == "step"}
    assert len(work) < len(patterns)
    first, *inner, last = found[0].steps[0].active
    lowest = found[0].steps[0].active.index(True) + 1
    assert found[0].work(EQUAL) == {
        Work("epoch", 0, 0, 0, 0, 0, 320): 1,
        Work("step", lowest, first, sum(inner), last, 0, 32): 10,
    }


@pytest.mark.parametrize(
    ("active", "text"), [((1, 1, 1), "1-3"), ((0, 1, 0), "2"), ((1, 0, 1, 1), "1 3-4"), ((True, False, True), "1 3")]
)
def test_layer_ranges(active, text):
    assert layer_ranges(active) == text
