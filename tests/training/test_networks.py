"""Networks of every kind: what holds for the MLP holds for each, and plain PyTorch makes the same of it."""

import copy
import itertools
import re
import textwrap

import numpy as np
import pytest
import torch
from altfreeze.data.sources import load_dataset
from altfreeze.freezing.cost import dense_layers, step_flops
from altfreeze.freezing.flow import GradientFlow
from altfreeze.freezing.strategy import STRATEGIES
from altfreeze.support.errors import InputError
from altfreeze.training import trainer
from altfreeze.training.batches import workload_of
from altfreeze.training.network import StackedMLP, StackedNetwork
from altfreeze.training.networks import making
from altfreeze.training.networks.making import Blueprint, describe, make_network
from altfreeze.training.networks.stack import StackedLayers
from altfreeze.training.trainer import train_pack
from builders import NEEDED, ROOT, make_study, train_plainly
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from typing_extensions import get_protocol_members

DEPTH = 4
SEEDS = (0, 3)
# each that is built in, with what it may be normalised by
NETWORKS = [("cnn", "none"), ("cnn", "batch"), ("resnet", "batch"), ("resnet", "layer"), ("transformer", "layer")]
named = pytest.mark.parametrize(("network", "normalisation"), NETWORKS)


@pytest.fixture(scope="module")
def digits():
    data = load_dataset("digits", {"kind": "digits"}, 1)
    # few of them, of each class alike
    rows = np.concatenate([np.flatnonzero(data.y == digit)[:6] for digit in range(10)])
    return data.X[rows], data.y[rows]


@pytest.fixture(autouse=True)
def stacked_however_few(monkeypatch):
    monkeypatch.setattr(making, "FEWEST_STACKED", 1)


# the products are too small for more
pytestmark = pytest.mark.usefixtures("one_thread")


def make_cell(name="alternating", **keys):
    takes = STRATEGIES[name].parameters
    entry = (
        {"name": name, "label": "tried"}
        | NEEDED.get(name, {})
        | {key: keys.pop(key) for key in list(keys) if key in takes}
    )
    chosen = {
        "datasets": ["digits"],
        "depths": [DEPTH],
        "primary_depth": DEPTH,
        "freeze_ratios": [0.5],
        "strategies": ["alternating", entry] if name != "standard" else ["alternating"],
        "epochs_standard": 5,
        "epochs_alternating": 5,
        "batch_size": 20,
        "width": 4,
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        # a frozen layer stays as it is, whatever it has
        "frozen_normalisation": "eval",
    }
    study = make_study(**(chosen | keys))
    return study.cell("digits", DEPTH, list(study.strategies)[-1] if name != "standard" else "standard")


def assert_same_network(found, expected, **tolerance):
    for (name, one), other in zip(found.state_dict().items(), expected.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, **tolerance, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("name", STRATEGIES)
@named
def test_plain_pytorch_makes_the_same_of_every_plan(network, normalisation, name, optimizer, digits):
    cell = make_cell(name, network=network, normalisation=normalisation, optimizer=optimizer)
    trained = train_pack(*digits, cell, SEEDS)
    make, blueprint = making.FACTORIES[network], ((1, 8, 8), 10, cell.depth, cell.width, normalisation)
    expected = train_plainly(*digits, cell, SEEDS[1], trained.workload, lambda: make(*blueprint))
    assert_same_network(trained.network.member(1), expected, rtol=1e-2, atol=2e-3)


@pytest.mark.parametrize("network", ["cnn", "resnet"])
def test_plain_pytorch_makes_the_same_where_frozen_layers_normalise_by_the_batch(network, digits):
    cell = make_cell(network=network, normalisation="batch", frozen_normalisation="train")
    trained = train_pack(*digits, cell, SEEDS)
    blueprint = ((1, 8, 8), 10, cell.depth, cell.width, "batch")
    expected = train_plainly(*digits, cell, SEEDS[1], trained.workload, lambda: making.FACTORIES[network](*blueprint))
    assert_same_network(trained.network.member(1), expected, rtol=1e-2, atol=2e-3)
    frozen_as_they_are = train_pack(*digits, make_cell(network=network, normalisation="batch"), SEEDS).network
    assert not torch.equal(frozen_as_they_are.get_buffer("buffer0_0"), trained.network.get_buffer("buffer0_0"))


@named
def test_what_it_freezes_stays_to_the_bit_with_buffers_and_optimizer_state(network, normalisation, digits, monkeypatch):
    original, last = StackedLayers.compute_gradients, []

    def bits(network, index):
        state = optimizers[0].state
        tensors = [*network.layer(index), *network._buffers_of(index)]
        tensors += [v for each in network.layer(index) for v in state.get(each, {}).values()]
        return [tensor.detach().clone() for tensor in tensors]

    def spy(network, *arguments):
        now = [bits(network, index) for index in range(DEPTH)]
        active = [layer[0].requires_grad for layer in network.layers]
        for index, learned in enumerate(last[0] if last else []):
            same = [torch.equal(old, new) for old, new in zip(last[1][index], now[index], strict=False)]
            # of the first momenta of a layer that learned before there is no older state
            assert all(same) != learned
        last[:] = active, now
        return original(network, *arguments)

    cell = make_cell(network=network, normalisation=normalisation, optimizer="adam")
    # which tries the network, once
    workload_of(*digits, cell)
    optimizers, make = [], trainer.make_optimizer
    monkeypatch.setattr(trainer, "make_optimizer", lambda *a: optimizers.append(make(*a)) or optimizers[0])
    monkeypatch.setattr(StackedLayers, "compute_gradients", spy)
    train_pack(*digits, cell, SEEDS)


def test_frozen_statistics_move_only_if_they_are_to(digits):
    def statistics(policy):
        keys = {"network": "cnn", "normalisation": "batch", "frozen_normalisation": policy}
        trained = train_pack(*digits, make_cell("frozen_bottom", freeze_ratio=0.5, **keys), SEEDS)
        assert any(
            epoch.cached for epoch in make_cell("frozen_bottom", freeze_ratio=0.5, **keys).plan(trained.workload)
        ) == (policy == "eval")
        return trained.network.get_buffer("buffer0_0")

    assert not statistics("eval").any()
    assert statistics("train").all()


def test_the_output_of_a_frozen_network_without_statistics_is_cached_however_others_normalise(
    tmp_path, monkeypatch, digits
):
    write_factory(tmp_path, monkeypatch, "nn.Sequential(*modules)", MLP)
    cell = make_cell("frozen_bottom", freeze_ratio=0.5, network="mine:make", frozen_normalisation="train")
    workload = workload_of(*digits, cell)
    assert not workload.buffered
    assert cell.plan(workload) == make_cell("frozen_bottom", freeze_ratio=0.5).plan(workload)
    assert not any(epoch.cached for epoch in cell.plan(workload._replace(buffered=True)))


def test_a_frozen_buffer_that_moves_is_a_defect_that_is_noticed(digits, monkeypatch):
    original = StackedLayers.compute_gradients

    def touch(network, *arguments):
        network.get_buffer("buffer0_2")[0] += int(not network.layer(0)[0].requires_grad)
        return original(network, *arguments)

    cell = make_cell(network="cnn", normalisation="batch")
    workload_of(*digits, cell)
    monkeypatch.setattr(StackedLayers, "compute_gradients", touch)
    with pytest.raises(RuntimeError, match="a frozen layer or its optimizer state changed"):
        train_pack(*digits, cell, SEEDS)


@named
def test_a_loop_over_the_seeds_and_another_pack_give_the_same_numbers(network, normalisation, digits, monkeypatch):
    cell = make_cell(network=network, normalisation=normalisation, dropout=0.2)
    stacked = train_pack(*digits, cell, SEEDS).network.member(1)
    assert_same_network(train_pack(*digits, cell, SEEDS[1:]).network.member(0), stacked, rtol=1e-3, atol=1e-4)
    monkeypatch.setattr(making, "LARGEST_STACKED", 0)
    looped = train_pack(*digits, cell, SEEDS)
    assert looped.network.loop
    assert_same_network(looped.network.member(1), stacked, rtol=1e-3, atol=1e-4)
    alone = train_pack(*digits, cell, SEEDS[1:]).network.member(0)
    assert_same_network(looped.network.member(1), alone, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("loops", "keys", "seeds"),
    # a layer of 3 x 3 convolutions with 4 x 4 places has 9 w w + w parameters and 512 w outputs for a batch of 32
    [(False, {"width": 61}, 3), (True, {"width": 62}, 3), (True, {"width": 4}, 2), (False, {"width": 4}, 3)],
)
def test_members_that_are_few_or_large_are_looped_over(loops, keys, seeds, digits, monkeypatch):
    monkeypatch.undo()
    cell = make_cell(network="cnn", batch_size=32, **keys)
    assert make_network(cell, workload_of(*digits, cell), range(seeds), "cpu").loop == loops


def test_a_transformer_has_as_many_tokens_whatever_the_shape():
    for shape in ((1, 40), (1, 8, 8), (3, 5, 7)):
        first = making.FACTORIES["transformer"](shape, 10, DEPTH, 4)[0]
        assert first(torch.zeros(2, *shape)).shape == (2, 16, 4)


def test_dropout_is_the_masks_times_what_each_layer_but_the_last_puts_out(digits):
    cell = make_cell(network="cnn", dropout=0.25)
    network = make_network(cell, workload_of(*digits, cell), SEEDS, "cpu")
    x, targets = torch.randn(2, 7, 64), torch.randint(10, (2, 7))
    keep = network.draw_masks([torch.Generator().manual_seed(seed) for seed in SEEDS], 7)
    assert 0.6 < keep.mean() < 0.9
    losses = network.compute_gradients(x, targets, keep)
    member, out = network.member(1), x[1].view(7, 1, 8, 8)
    for layer, mask in zip(member, [*keep[1].split(network.sizes[1:-1], 1), None], strict=True):
        out = layer(out)
        out = out if mask is None else out * mask.view(out.shape) / 0.75
    expected = nn.functional.cross_entropy(out, targets[1], reduction="none")
    torch.testing.assert_close(losses[1], expected.detach())
    expected.mean().backward()
    for found, parameter in zip(network.parameters(), member.parameters(), strict=True):
        torch.testing.assert_close(found.grad[1], parameter.grad)


@named
def test_its_operations_are_those_that_are_counted_of_each_whole_step(network, normalisation):
    cell = make_cell(network=network, normalisation=normalisation)
    described = describe(Blueprint(network, (1, 8, 8), 10, DEPTH, 4, normalisation))
    layers = nn.Sequential(*make_network(cell, workload(described), [0], "cpu").member(0)).to("meta")
    for active in itertools.product((False, True), repeat=DEPTH):
        if not any(active):
            continue
        for layer, learns in zip(layers, active, strict=True):
            layer.requires_grad_(learns)
        with FlopCounterMode(display=False) as counter:
            layers(torch.empty(5, 1, 8, 8, device="meta")).sum().backward()
        assert counter.get_total_flops() == step_flops(described.layers, 5, active), active


def workload(described):
    return workload_of(np.zeros((100, 64)), np.arange(100) % 10, make_cell())._replace(
        sizes=described.sizes, counted=described.layers
    )


def test_an_mlp_of_a_factory_is_the_mlp(tmp_path, monkeypatch, digits):
    write_factory(tmp_path, monkeypatch, "nn.Sequential(*modules)", MLP)
    sizes = [64, *[4] * (DEPTH - 1), 10]
    described = describe(Blueprint("mine:make", (1, 8, 8), 10, DEPTH, 4, "none"))
    # the closed form, as integers
    assert list(described.layers) == dense_layers(sizes)
    assert list(described.sizes) == sizes
    found = train_pack(*digits, make_cell(network="mine:make"), SEEDS)
    expected = train_pack(*digits, make_cell(), SEEDS)
    assert found.rows[-1]["flops"] == expected.rows[-1]["flops"]
    pairs = zip(found.network.member(1).parameters(), expected.network.member(1).parameters(), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_a_stack_is_a_network_that_training_knows():
    for member in get_protocol_members(StackedNetwork):
        assert hasattr(StackedLayers, member)
        assert hasattr(StackedMLP, member)


@named
def test_a_training_goes_on_from_a_checkpoint_to_the_same_bits(network, normalisation, digits):
    cell, states = make_cell(network=network, normalisation=normalisation, dropout=0.1), {}

    def keep(epoch, state):
        states[epoch] = copy.deepcopy(state())

    whole = train_pack(*digits, cell, SEEDS, flow=GradientFlow(), save=keep)
    again = train_pack(*digits, cell, SEEDS, flow=GradientFlow(), state=states[2])
    assert_same_network(again.network, whole.network, rtol=0, atol=0)


# ---- a user's own network

MLP = """
    sizes = [64, *[width] * (depth - 1), classes]
    modules = [nn.Flatten()]
    for pair in zip(sizes, sizes[1:]):
        modules += [nn.Linear(*pair), nn.ReLU()]
    modules.pop()
"""
FACTORIES = itertools.count()


def write_factory(folder, monkeypatch, returned, before=""):
    """Write the module `mine` with a factory `make`, and let it be imported anew."""
    body = f"{before}\n    return {returned}\n"
    text = f"import torch\nfrom torch import nn\n\ndef make(shape, classes, depth, width):\n{body}"
    (folder / "mine.py").write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.delitem(making.sys.modules, "mine", raising=False)
    making.importlib.invalidate_caches()
    describe.cache_clear()


WRONG = {
    "[1]": "returns a list; allowed: a torch.nn.Module",
    "nn.Linear(64, classes)": "has 0 layers, which are its children with parameters; allowed: depth, 4",
    "nn.Sequential(*modules[:-1])": "has 3 layers",
    "nn.Sequential(*modules[:-1], nn.Linear(width, 9))": "puts out (3, 9) for 3 rows; allowed: (3, 10)",
    "nn.Sequential(*modules[:5], modules[3], *modules[6:])": "shares parameters or buffers between layers",
    "nn.Sequential(*modules[:3], nn.Linear(width, width).requires_grad_(), nn.Dropout(0.5), *modules[5:])": (
        "cannot be trained here: vmap: called random operation"
    ),
    "nn.Sequential(*modules[:3], nn.utils.parametrizations.spectral_norm(nn.Linear(width, width)), *modules[5:])": (
        "cannot be trained here: "
    ),
    "nn.Sequential(nn.Flatten(), Recurrent(), *modules[3:])": "cannot be trained here: ",
    "Outside(*modules)": "has parameters or buffers outside of its layers",
    "Otherwise(*modules)": "does not compute its layers one after the other",
    "1 / 0": "fails: division by zero",
    "KNOWN.setdefault(depth, nn.Sequential(*modules))": "returns no new network",
}
HELP = """
class Outside(nn.Sequential):
    def __init__(self, *modules):
        super().__init__(*modules)
        self.scale = nn.Parameter(torch.ones(1))
class Otherwise(nn.Sequential):
    def forward(self, x):
        return super().forward(x) + 1
class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTM(8, 4, batch_first=True)
    def forward(self, x):
        return self.cell(x.view(-1, 8, 8))[0][:, -1]
KNOWN = {}
"""


@pytest.mark.parametrize("returned", WRONG)
def test_a_wrong_factory_is_one_line(returned, tmp_path, monkeypatch, digits):
    write_factory(tmp_path, monkeypatch, returned, MLP)
    with open(tmp_path / "mine.py", "a") as file:
        file.write(HELP)
    with pytest.raises(InputError, match=re.escape(WRONG[returned])) as raised:
        workload_of(*digits, make_cell(network="mine:make"))
    (line,) = raised.value.args
    assert line.startswith("network: mine:make, called with ((1, 8, 8), 10, 4, 4), ")
    assert "\n" not in line


def test_a_factory_that_cannot_be_imported_is_one_line(tmp_path, monkeypatch, digits):
    write_factory(tmp_path, monkeypatch, "nothing")
    with pytest.raises(
        InputError, match="network: mine:made cannot be imported: module 'mine' has no attribute 'made'"
    ):
        workload_of(*digits, make_cell(network="mine:made"))


def test_the_network_of_the_readme_trains_and_alternates(tmp_path, monkeypatch, digits):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n# mynets.py\n(.*?)```", text, re.DOTALL)
    (config,) = re.findall(r"^network: (mynets:\w+)$", text, re.MULTILINE)
    assert len(code.strip().splitlines()) <= 10
    (tmp_path / "mynets.py").write_text(textwrap.dedent(code))
    monkeypatch.chdir(tmp_path)
    describe.cache_clear()
    trained = train_pack(*digits, make_cell(network=config), SEEDS)
    updates = [row["updates"] for row in trained.rows if row["seed"] == 0]
    assert updates[0] == "0 0 2 2"
    assert trained.network.depth == DEPTH
    assert not torch.equal(trained.network.layer(0)[0][0], trained.network.layer(0)[0][1])


def test_a_last_batch_of_one_row_is_refused_where_a_batch_is_normalised_over(digits):
    cell = make_cell(network="cnn", normalisation="batch", batch_size=5)
    rows = workload_of(*digits, cell).rows
    with pytest.raises(InputError, match=f"leaves one of {rows} rows for the last batch"):
        workload_of(*digits, make_cell(network="cnn", normalisation="batch", batch_size=rows - 1))
