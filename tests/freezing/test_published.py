"""The published schedules follow their papers, by numbers worked out from the papers' formulas."""

import itertools
import math
from fractions import Fraction

import pytest
from altfreeze.freezing.strategy import STRATEGIES, Position, factors, learning_rate_position
from hypothesis import example, given
from hypothesis import strategies as st

depths = st.integers(2, 12)
counts = st.integers(1, 5)


def walk(name, depth, epochs, steps_per_epoch=1, seed=0, **parameters):
    horizon = epochs * steps_per_epoch
    return [
        factors(
            {"name": name} | parameters,
            Position(*divmod(step, steps_per_epoch), steps_per_epoch, horizon, seed),
            depth,
        )
        for step in range(horizon)
    ]


def learning(*args, **kwargs):
    """Return which layers learn at each step of `walk`, as strings of their numbers."""
    seen = walk(*args, **kwargs)
    assert {factor for step in seen for factor in step} <= {0.0, 1.0}
    return ["".join(str(layer) for layer, factor in enumerate(step) if factor) for step in seen]


def runs(seen):
    return [(key, len(list(group))) for key, group in itertools.groupby(seen)]


# progressive: floor(level * (done - start) / (1 - start) * (depth - 1)) layers are frozen


def test_progressive_ramps_from_the_middle_to_all_but_the_last_layer():
    # done 0.5, 0.625, 0.75, 0.875 is 0, 1/4, 1/2, 3/4 of the ramp: 0, 1, 2, 3 of 4 layers
    assert learning("progressive", 5, 8) == ["01234"] * 5 + ["1234", "234", "34"]


def test_progressive_stops_at_its_level_and_rounds_down():
    # 0.6 * (0, 1, ..., 9) / 10 * 3 = 0, 0.18, ..., 1.62: from 6/10 on at least 1.08, one layer
    assert learning("progressive", 4, 10, freeze_start=0.0, freeze_level=0.6) == ["0123"] * 6 + ["123"] * 4


def test_progressive_freezes_between_epochs_only():
    assert runs(learning("progressive", 3, 4, 5, freeze_start=0.0)) == [("012", 10), ("12", 10)]
    assert set(learning("progressive", 3, 1, 100)) == {"012"}


@given(depths, st.integers(1, 12), st.integers(1, 4), st.integers(0, 9), st.integers(0, 10))
@example(6, 10, 1, 5, 10)
def test_progressive_is_the_ramp_in_exact_fractions(depth, epochs, steps_per_epoch, start, level):
    def frozen(epoch):
        ramp = (Fraction(epoch, epochs) - Fraction(start, 10)) / (1 - Fraction(start, 10))
        return math.floor(Fraction(level, 10) * max(ramp, Fraction(0)) * (depth - 1))

    seen = walk("progressive", depth, epochs, steps_per_epoch, freeze_start=start / 10, freeze_level=level / 10)
    expected = [(0.0,) * frozen(epoch) + (1.0,) * (depth - frozen(epoch)) for epoch in range(epochs)]
    assert seen == [step for step in expected for _ in range(steps_per_epoch)]


# freezeout: 0.5 * alpha_i(0) * (1 + cos(pi * t / t_i)) up to t_i


def test_freezeout_scaled_and_cubic():
    # t_i = 0.8^3, 0.9^3, 1 = 0.512, 0.729, 1
    seen = walk("freezeout", 3, 1, 1000)
    assert seen[0] == pytest.approx((1.953125, 1.3717421, 1.0))
    assert seen[256] == pytest.approx(
        (0.9765625, 0.5 / 0.729 * (1 + math.cos(math.pi * 256 / 729)), 0.846827), abs=1e-6
    )
    assert seen[511][0] > 0 and seen[512][0] == 0.0
    assert seen[728][:2] == (0.0, pytest.approx(0.5 / 0.729 * (1 + math.cos(math.pi * 728 / 729))))
    assert seen[729][:2] == (0.0, 0.0)
    assert seen[500][2] == pytest.approx(0.5) and seen[999][2] > 0


def test_freezeout_unscaled_and_linear():
    # t_i = 0.5, 0.75, 1; cos(pi / 2) = 0, cos(pi / 3) = 1/2, cos(pi / 4) = 1/sqrt(2)
    seen = walk("freezeout", 3, 8, t_0=0.5, how="linear", scaled=False)
    assert seen[0] == (1.0, 1.0, 1.0)
    assert seen[2] == pytest.approx((0.5, 0.75, 0.8535534))
    assert seen[4] == pytest.approx((0.0, 0.25, 0.5)) and seen[4][0] == 0.0
    assert seen[6] == pytest.approx((0.0, 0.0, 0.1464466)) and seen[6][1] == 0.0


@pytest.mark.parametrize("how", ["linear", "cubic"])
@pytest.mark.parametrize("t_0", [0.3, 0.8, 1.0])
def test_freezeout_gives_each_layer_the_same_sum_of_learning_rates_if_scaled(t_0, how):
    sums = [sum(layer) / 2000 for layer in zip(*walk("freezeout", 4, 1, 2000, t_0=t_0, how=how), strict=True)]
    # the integral of 0.5 / t_i * (1 + cos(pi * t / t_i)) from 0 to t_i is 1/2; the rest is the grid's
    assert sums == pytest.approx([0.5] * 4, abs=0.02)


def test_freezeout_brings_its_own_learning_rate_schedule():
    assert [name for name, strategy in STRATEGIES.items() if strategy.anneals] == ["freezeout"]


# block_cyclic: K steps per block


def test_block_cyclic_gives_every_block_its_steps_the_first_too():
    assert learning("block_cyclic", 3, 1, 9, switch_every=2) == ["2", "2", "1", "1", "0", "0", "2", "2", "1"]


def test_block_cyclic_counts_through_the_epochs_and_the_last_block_may_be_smaller():
    seen = learning("block_cyclic", 5, 4, 5, switch_every=3, order="ascending", layers_per_block=2)
    assert runs(seen) == [("01", 3), ("23", 3), ("4", 3), ("01", 3), ("23", 3), ("4", 3), ("01", 2)]


def test_block_cyclic_of_one_block_is_standard():
    assert set(learning("block_cyclic", 4, 3, 5, switch_every=1, layers_per_block=7)) == {"0123"}


@given(depths, counts, counts, st.integers(0, 99))
def test_block_cyclic_random_visits_every_block_once_per_sweep(depth, size, switch_every, seed):
    blocks = [tuple(range(depth))[start : start + size] for start in range(0, depth, size)]
    length = len(blocks) * switch_every
    parameters = {"switch_every": switch_every, "order": "random", "layers_per_block": size}
    seen = walk("block_cyclic", depth, 3, length, seed, **parameters)
    active = [tuple(layer for layer, factor in enumerate(step) if factor) for step in seen]
    for sweep in range(3):
        turns = [active[start : start + switch_every] for start in range(sweep * length, (sweep + 1) * length)]
        turns = turns[::switch_every]
        assert all(len(set(turn)) == 1 for turn in turns)
        assert sorted(turn[0] for turn in turns) == blocks


def test_block_cyclic_random_is_drawn_anew_for_each_sweep_and_seed():
    one, other = (learning("block_cyclic", 5, 60, 5, seed, switch_every=1, order="random") for seed in (1, 2))
    assert len({tuple(one[start : start + 5]) for start in range(0, 300, 5)}) > 20
    assert one != other


# lisa: the first, the last and gamma random layers between


@given(depths, counts, counts, st.integers(0, 99))
def test_lisa_has_the_outer_layers_and_its_number_of_inner_ones(depth, layers, switch_every, seed):
    seen = walk("lisa", depth, 1, 4 * switch_every, seed, layers=layers, switch_every=switch_every)
    for start in range(0, len(seen), switch_every):
        assert len(set(seen[start : start + switch_every])) == 1
    for step in seen:
        assert step[0] == step[-1] == 1.0
        assert sum(step) == 2 + min(layers, depth - 2)


@pytest.mark.parametrize(("depth", "layers", "expected"), [(2, 2, "01"), (3, 2, "012"), (4, 2, "0123"), (4, 9, "0123")])
def test_lisa_of_few_layers_is_standard(depth, layers, expected):
    assert set(learning("lisa", depth, 5, layers=layers, switch_every=1)) == {expected}


def test_lisa_draws_uniformly_and_anew():
    seen = learning("lisa", 5, 1, 1800, layers=1, switch_every=2)
    draws = seen[::2]
    assert set(draws) == {"014", "024", "034"}
    # 900 draws of 3: 300 each, standard deviation 14
    assert all(230 < draws.count(draw) < 370 for draw in set(draws))
    assert draws != learning("lisa", 5, 1, 1800, seed=1, layers=1, switch_every=2)[::2]


def test_lisa_redraws_after_its_steps():
    one = learning("lisa", 12, 1, 100)
    assert [one[start : start + 20] for start in range(0, 100, 20)] == [
        [one[start]] * 20 for start in range(0, 100, 20)
    ]
    assert len(set(one)) > 1


# gradual_unfreezing: one more layer per epoch from the top


def test_gradual_unfreezing_adds_a_layer_each_epoch():
    assert learning("gradual_unfreezing", 3, 5, 2) == ["2", "2", "12", "12"] + ["012"] * 6


def test_gradual_unfreezing_waits_its_epochs():
    assert learning("gradual_unfreezing", 4, 8, epochs_per_layer=3) == ["3"] * 3 + ["23"] * 3 + ["123"] * 2


# chain_thaw: last, 0, 1, ..., last but one, all


def test_chain_thaw_in_equal_stages():
    seen = learning("chain_thaw", 4, 5, 3)
    assert runs(seen) == [("3", 3), ("0", 3), ("1", 3), ("2", 3), ("0123", 3)]


def test_chain_thaw_of_two_layers_counts_steps_not_epochs():
    assert learning("chain_thaw", 2, 2, 3) == ["1", "1", "0", "0", "01", "01"]


def test_chain_thaw_shares_what_does_not_divide():
    # stage floor(4 * step / 10): from steps 0, 2.5, 5, 7.5
    assert runs(learning("chain_thaw", 3, 1, 10)) == [("2", 3), ("0", 2), ("1", 3), ("012", 2)]


def test_chain_thaw_of_too_few_steps_leaves_stages_out():
    assert learning("chain_thaw", 4, 1, 1) == ["3"]
    assert learning("chain_thaw", 3, 1, 2) == ["2", "1"]


# hift: another group at each step, one learning rate per sweep


def test_hift_bottom_up_and_top_down():
    assert learning("hift", 3, 2, 4) == ["0", "1", "2", "0", "1", "2", "0", "1"]
    assert learning("hift", 5, 1, 4, order="top2down", layers_per_group=2) == ["4", "23", "01", "4"]


def test_hift_learning_rate_advances_once_per_sweep():
    # 3 groups, 4 steps per epoch: sweeps begin at the steps 0, 3, 6, 9
    expected = [(0, 0)] * 3 + [(0, 3)] * 3 + [(1, 2)] * 3 + [(2, 1)] * 3
    chosen = {"name": "hift", "layers_per_group": 2, "order": "random"}
    for step, start in enumerate(expected):
        position = Position(*divmod(step, 4), 4, 12, 7)
        assert learning_rate_position(chosen, position, 5) == Position(*start, 4, 12, 7)


def test_hift_learning_rate_is_that_of_the_step_if_there_is_one_group():
    position = Position(1, 2, 4, 12, 7)
    assert learning_rate_position({"name": "hift", "layers_per_group": 9}, position, 5) == position


@given(depths, counts, st.integers(0, 99))
def test_hift_random_is_one_permutation_for_all_sweeps(depth, size, seed):
    groups = [tuple(range(depth))[start : start + size] for start in range(0, depth, size)]
    seen = walk("hift", depth, 3, len(groups), seed, layers_per_group=size, order="random")
    active = [tuple(layer for layer, factor in enumerate(step) if factor) for step in seen]
    assert active == active[: len(groups)] * 3
    assert sorted(active[: len(groups)]) == groups


def test_hift_random_depends_on_the_seed():
    assert len({tuple(learning("hift", 4, 4, seed=seed, order="random")) for seed in range(200)}) == 24


def test_what_becomes_of_the_optimizer_state():
    reset = [name for name, strategy in STRATEGIES.items() if strategy.state_on_thaw == "reset"]
    assert sorted(reset) == ["block_cyclic", "chain_thaw", "lisa"]
    assert STRATEGIES["hift"].state_on_thaw == "keep"
