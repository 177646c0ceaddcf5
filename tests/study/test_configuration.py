"""The configuration: one line for each mistake, and a grid that says exactly what is run."""

import dataclasses
import json
import pickle
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from altfreeze.freezing.strategy import STRATEGIES, Count, strategy
from altfreeze.study import entries
from altfreeze.study.documents import documents
from altfreeze.study.grid import Pack, Study
from altfreeze.study.reading import check_files, check_schedules, complete, load, read_study, whole_sources
from altfreeze.study.schema import Configuration, keys
from altfreeze.support.errors import InputError
from altfreeze.support.files import write_json
from altfreeze.support.provenance import code_of_factory
from builders import ROOT, make_study

DEFAULT = ROOT / "config" / "config.yaml"


def shipped() -> list[list[Path]]:
    return [[DEFAULT], *([DEFAULT, path] for path in sorted((ROOT / "config" / "studies").glob("*.yaml")))]


@pytest.mark.parametrize("files", shipped(), ids=lambda files: files[-1].stem)
def test_shipped_studies_are_valid(files):
    study = Study(load(*files))
    assert len(study.packs) == len(set(study.packs))


def test_the_default_study_is_the_documented_grid():
    study = Study(load(DEFAULT))
    packs = study.packs
    assert list(study.strategies) == [
        "standard",
        "alternating-0.3",
        "alternating-0.5",
        "alternating-0.7",
        "standard_half_updates",
        "standard_matched_flops-0.5",
        "frozen_bottom-0.5",
        "frozen_top-0.5",
        "random_half",
    ]
    # real data sets and made ones
    assert [len(names) for names in study.panels.values()] == [25, 3]
    primary = [pack for pack in packs if pack.recipe == "primary" and not pack.calibrates]
    assert len(primary) == 28 * 3 * 9
    assert {(pack.first_seed, pack.last_seed) for pack in primary} == {(0, 4)}
    # each variation: four strategies at the primary depth, and calibration
    assert len(packs) - len(primary) == 28 * 3 + 28 * 5 * len(study.variations)
    assert packs[0].stem == "iris/depth4/standard/primary/seeds1000000-1000004"
    assert packs[1].stem == "iris/depth4/standard/primary/seeds0-4"
    assert packs[-1].stem == "gaussian_quantiles/depth8/random_half/primary/seeds0-4"


MATCHED = ["standard", "alternating-0.5", "standard_half_updates", "standard_matched_flops-0.5"]


def test_a_variation_adds_the_primary_comparison_at_the_primary_depth_on_the_first_seeds():
    before = make_study(datasets=["iris", "wine"], calibration_seeds=3).packs
    after = make_study(datasets=["iris", "wine"], calibration_seeds=3, variations=[{"width": 16}], variation_seeds=4)
    assert [pack for pack in after.packs if pack.recipe == "primary"] == before
    assert [pack for pack in after.packs if pack.recipe != "primary"] == [
        Pack(dataset, 6, label, "width=16", first, last)
        for dataset in ("iris", "wine")
        for label, first, last in [("standard", 1000000, 1000002), *((label, 0, 3) for label in MATCHED)]
    ]
    # never more than the primary recipe, with which runs are paired
    assert make_study(seeds=2, variations=[{"width": 16}]).seeds_of("width=16") == range(2)


def test_a_variations_cells_are_those_of_a_study_that_says_the_same():
    changes = {
        "optimizer=sgd+learning_rate=0.03": {"learning_rate": 0.03, "optimizer": "sgd"},
        "epochs=15": {"epochs": 15},
        "width=16": {"width": 16},
        "freeze_period=2+state_on_thaw=reset": {"freeze_period": 2, "state_on_thaw": "reset"},
        "dropout=0.5": {"dropout": 0.5},
        "learning_rate=1": {"learning_rate": 1},
        "learning_rate=1e-05": {"learning_rate": 1e-5},
    }
    study = make_study(datasets=["iris"], variations=list(changes.values()))
    assert list(study.recipes) == ["primary", *changes]
    for recipe, changed in changes.items():
        same = {"epochs_standard": 15, "epochs_alternating": 15} if "epochs" in changed else changed
        alone = make_study(datasets=["iris"], **same)
        for label in MATCHED:
            assert study.cell("iris", 6, label, recipe) == alone.cell("iris", 6, label)


def test_a_tuned_recipe_has_no_rate_until_one_is_chosen():
    tuned = make_study(datasets=["iris"], learning_rate="tuned", learning_rates_to_try=[0.1, 0.01])
    cell = tuned.cell("iris", 4, "standard")
    assert "learning_rate" not in cell.as_dict()
    assert cell.at(0.001) == make_study(datasets=["iris"]).cell("iris", 4, "standard")


def test_a_variation_that_changes_nothing_or_what_another_does_is_no_recipe_of_its_own():
    same = [{}, {"width": 64}, {"momentum": 0.5}]
    other = [{"width": 16, "dropout": 0.1}, {"dropout": 0.1, "width": 16}]
    assert list(make_study(variations=same + other).recipes) == ["primary", "width=16+dropout=0.1"]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"variations": [{"widht": 16}]}, "variations[0].widht: unknown key; did you mean width?"),
        ({"variations": [{"width": 16}, {"width": "wide"}]}, 'variations[1].width: "wide" is not allowed'),
        ({"variations": [{"learning_rate": "tund"}]}, "did you mean tuned?"),
        ({"variations": [{"learning_rate": "tuned"}]}, "variations[0].learning_rate: "),
        ({"learning_rate": "tuned"}, 'learning_rate: "tuned" chooses among learning_rates_to_try, which is empty'),
    ],
)
def test_a_recipe_that_cannot_be_is_one_line_with_its_place(keys, words):
    with pytest.raises(InputError) as caught:
        make_study(**keys)
    (message,) = caught.value.args
    assert words in message


def test_a_variations_phases_are_checked_as_the_primary_ones_are():
    variations = [{"freeze_period": 20}, {"epochs": 3}, {"epochs": 5, "freeze_period": 5}, {"freeze_period": 2}]
    config = complete({"epochs_alternating": 20, "variations": variations})
    with pytest.raises(InputError) as caught:
        check_schedules(config)
    assert [message.split(": ")[1] for message in caught.value.args] == [
        "variations[0].freeze_period",
        "variations[2].epochs",
    ]


def test_a_strategy_has_its_own_parameters_the_general_keys_and_its_label():
    study = make_study(
        freeze_period=3,
        freeze_ratios=[0.5, 0.25],
        strategies=[
            "alternating",
            {"name": "alternating", "label": "by_step", "unit": "step", "freeze_ratio": 1},
            {"name": "frozen_top", "freeze_ratio": "primary"},
        ],
    )
    assert list(study.strategies) == ["standard", "alternating-0.5", "alternating-0.25", "by_step-1", "frozen_top-0.5"]
    general = {"name": "alternating", "period": 3, "first": "top"}
    assert study.strategies["alternating-0.25"] == general | {"unit": "epoch", "freeze_ratio": 0.25}
    assert study.strategies["by_step-1"] == general | {"unit": "step", "freeze_ratio": 1.0}
    assert study.strategies["frozen_top-0.5"] == {"name": "frozen_top", "freeze_ratio": 0.5}
    assert study.primary_strategy == "alternating-0.5"


@pytest.mark.parametrize(
    ("budget", "strategies", "expected"),
    [
        ("flops", ["alternating", "standard_matched_flops"], ("standard_matched_flops-0.5", "own")),
        ("flops", ["alternating", {"name": "standard_matched_flops", "period": 2}], ("standard", "flops")),
        ("flops", ["alternating"], ("standard", "flops")),
        ("updates", ["alternating", "standard_half_updates"], ("standard_half_updates", "own")),
        ("epochs", ["alternating", "standard_matched_flops"], ("standard", "epochs")),
    ],
)
def test_the_primary_reference_is_the_control_that_ends_there(budget, strategies, expected):
    study = make_study(primary_budget=budget, strategies=strategies)
    assert study.primary == ("alternating-0.5", *expected)


@pytest.mark.parametrize("ratio", [0, 1, 0.01])
def test_where_no_layer_freezes_a_control_that_ends_earlier_is_not_the_reference(ratio):
    keys = {"freeze_ratios": [ratio], "primary_freeze_ratio": ratio, "primary_budget": "updates"}
    assert make_study(**keys).primary[1:] == ("standard", "updates")


def test_yamls_off_is_the_word_off(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("cache_activations: off\n")
    assert load(DEFAULT, mine)["cache_activations"] == "off"


def test_the_default_configuration_states_every_key_and_the_schema_has_the_same_defaults():
    stated = yaml.safe_load(DEFAULT.read_text())
    defaults = dict(Configuration())
    assert set(stated) == set(defaults)
    for key in set(stated) - {"datasets", "primary_datasets", "sources", "variations"}:
        assert stated[key] == defaults[key] == keys()[key]["default"], key


def test_what_is_generated_from_the_keys_is_in_step_with_them():
    # python -m altfreeze schema writes it anew
    for path, text in documents(ROOT).items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, path


def test_the_tables_of_the_readme_have_each_key_once_and_every_kind_and_strategy():
    text = (ROOT / "config" / "README.md").read_text()
    rows = re.findall(r"^\| (`.*?)\|(.*)", text, flags=re.M)
    names = [name for cell, _ in rows for name in re.findall(r"`(\w+)`", cell)]
    kinds = next(iter(keys()["sources"]["patternProperties"].values()))["discriminator"]["mapping"]
    assert sorted(name for name in names if name != "kind") == sorted([*keys(), *kinds, *STRATEGIES])
    for name in STRATEGIES:
        (row,) = [row for cell, row in rows if cell.strip() == f"`{name}`"]
        assert all(parameter in row for parameter in STRATEGIES[name].parameters)


def test_every_key_says_what_it_means():
    assert [key for key, part in keys().items() if not part.get("description")] == []


def test_a_new_strategy_is_checked_by_its_schedules_own_signature(monkeypatch):
    monkeypatch.setattr("altfreeze.freezing.strategy.STRATEGIES", strategies := dict(STRATEGIES))

    @strategy(state_on_thaw="keep")
    def tried(position, depth, *, layers: Count, back: bool = True):
        """Tried."""

    assert strategies["tried"].parameters == {"layers": Count, "back": bool}
    monkeypatch.setattr(entries, "STRATEGIES", strategies)
    assert entries._type_of("tried").__annotations__.keys() == {"name", "label", "layers", "back"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"depth": [3]}, ["depth: unknown key", "did you mean depths?"]),
        ({"nonsense": 1}, ["nonsense: unknown key", "allowed: network, width"]),
        ({"depths": "four"}, ["depths", '"four"', "a list"]),
        ({"depths": [4, "four"]}, ["depths[1]", '"four"', "a whole number ≥ 2"]),
        ({"depths": [4.0]}, ["depths[0]", "4.0", "a whole number"]),
        ({"depths": [True]}, ["depths[0]", "true"]),
        ({"depths": [1]}, ["depths[0]", "1", "≥ 2"]),
        ({"depths": []}, ["depths", "not empty"]),
        ({"depths": [4, 4]}, ["depths", "twice"]),
        ({"freeze_ratios": [0.5, 1.5]}, ["freeze_ratios[1]", "1.5", "≥ 0 and ≤ 1"]),
        ({"freeze_ratios": [float("nan")]}, ["freeze_ratios[0]", "NaN"]),
        ({"freeze_ratios": [0.5, 0.50000001]}, ["freeze_ratios", "alike", "allowed"]),
        ({"seeds": 0}, ["seeds", "≥ 1"]),
        ({"seeds": "10"}, ["seeds", '"10"', "a whole number"]),
        ({"seeds_per_job": -1}, ["seeds_per_job", "-1", "auto or a whole number ≥ 1"]),
        ({"seeds_per_job": "all"}, ["seeds_per_job", '"all"', "auto or a whole number ≥ 1"]),
        ({"checkpoint_seconds": -1}, ["checkpoint_seconds", "-1", "a number ≥ 0"]),
        ({"checkpoint_every": 50}, ["checkpoint_every: unknown key", "checkpoint_seconds"]),
        ({"epochs_standard": 2.5}, ["epochs_standard", "2.5"]),
        ({"learning_rate": 0}, ["learning_rate", "> 0"]),
        ({"learning_rate": float("inf")}, ["learning_rate", "Infinity"]),
        ({"optimizer": "lion"}, ["optimizer", '"lion"', "sgd, adam, adamw"]),
        (
            {"network": "cn"},
            ["network", '"cn"', "did you mean cnn?", "mlp, cnn, resnet, transformer or", "package.module:"],
        ),
        ({"network": "my nets:make"}, ["network", '"my nets:make"', "as package.module:factory"]),
        (
            {"datasets": ["digits"], "network": "cnn", "optimizer": "muon"},
            ["optimizer", '"muon" needs the network mlp'],
        ),
        ({"network": "cnn"}, ["network", '"cnn" takes channels', "iris has no shape", "sources.iris"]),
        ({"variations": [{"network": "transformer"}]}, ["variations[0].network", '"transformer" takes', "iris"]),
        ({"normalisation": "batch"}, ["normalisation", '"batch" is nothing that "mlp" reads', "none"]),
        (
            {"datasets": ["digits"], "variations": [{"network": "transformer", "normalisation": "batch"}]},
            ["variations[0].normalisation", '"transformer"', "none, layer"],
        ),
        ({"frozen_normalisation": "off"}, ["frozen_normalisation", "eval, train"]),
        ({"sources": {"a": {"kind": "npz", "path": "a.npz", "shape": [1, 0]}}}, ["sources.a.shape[1]", "≥ 1"]),
        ({"learning_rate_schedule": "linear"}, ["constant, cosine"]),
        ({"momentum": 1}, ["momentum", "< 1"]),
        ({"dropout": 1}, ["dropout", "< 1"]),
        ({"weight_decay": -0.1}, ["weight_decay", "≥ 0"]),
        ({"freeze_unit": "batch"}, ["freeze_unit", "epoch, step"]),
        ({"first_to_learn": "middle"}, ["bottom, top"]),
        ({"state_on_thaw": None}, ["state_on_thaw", "null", "keep, reset, decay"]),
        ({"device": "tpu"}, ["auto, cpu, cuda"]),
        ({"results": "./"}, ["results", "the folder of the workflow"]),
        ({"seeds": 10**9}, ["seeds", "≤ 1000000"]),
        ({"sources": {"a": {"kind": "csv", "path": "a{b}.csv", "target": "c"}}}, ["sources.a.path", "a{b}.csv"]),
        ({"results": "~/a"}, ["results", '"~/a"', "none of { } < >"]),
        ({"results": "{dataset}"}, ["results"]),
        ({"study": "a\nb"}, ["study"]),
        ({"datasets": ["mnist"]}, ["datasets[0]", '"mnist"', "no entry in sources"]),
        ({"datasets": ["all"], "sources": {"all": {"kind": "iris"}}}, ["datasets[0]", '"all"']),
        ({"datasets": ["../x"]}, ["../x"]),
        ({"sources": {"../x": {"kind": "iris"}}}, ["../x"]),
        ({"sources": {"a b": {"kind": "iris"}}}, ["sources.a b", "name is not allowed"]),
        ({"sources": {"a": {"kind": "excel"}}}, ["sources.a.kind", '"excel"', "parquet"]),
        ({"sources": {"a": {}}}, ["sources.a", "kind is missing"]),
        ({"sources": {"a": {"kind": "iris", "rows": 3}}}, ["sources.a.rows: unknown key"]),
        ({"sources": {"a": {"kind": "csv", "path": "x.csv"}}}, ["sources.a", "target is missing"]),
        ({"sources": {"a": {"kind": "moons", "samples": 3, "noise": 0}}}, ["sources.a.samples", "≥ 20"]),
        ({"sources": {"a": {"kind": "openml"}}}, ["sources.a", "either id, or name and version"]),
        ({"strategies": []}, ["strategies", "not empty"]),
        ({"strategies": ["alternating", 3]}, ["strategies[1]", "3", "or keys with values"]),
        ({"strategies": ["alternatin"]}, ["strategies[0]", "alternatin", "did you mean alternating?"]),
        ({"strategies": [{"name": ["a"]}]}, ["strategies[0].name", '["a"] is not allowed']),
        ({"strategies": [{"label": "a"}]}, ["strategies[0]", "name is missing"]),
        ({"strategies": [{"name": "alternating", "perod": 2}]}, ["strategies[0].perod", "did you mean period?"]),
        ({"strategies": [{"name": "alternating", "period": 0}]}, ["strategies[0].period", "≥ 1"]),
        ({"strategies": [{"name": "frozen_top", "freeze_ratio": "half"}]}, ["strategies[0].freeze_ratio", "half"]),
        ({"strategies": [{"name": "alternating", "label": "a/b"}]}, ["strategies[0].label", "a/b"]),
        ({"strategies": [{"name": "lisa", "label": "alternating"}]}, ["strategies[0].label", "another strategy's"]),
        ({"strategies": [{"name": "lisa", "label": "alternating-0.5"}]}, ["strategies[0].label", "another strategy's"]),
        ({"strategies": ["alternating", "alternating"]}, ["strategies", '"alternating-0.3" stands twice']),
        ({"strategies": ["alternating", "standard"]}, ["strategies", '"standard" stands twice']),
        ({"strategies": ["random_half"]}, ["strategies", "alternating-0.5", "primary comparison"]),
        ({"cache_activations": True}, ["cache_activations", "true", "auto, off"]),
        ({"calibration_seeds": 0}, ["calibration_seeds", "≥ 1"]),
        ({"target_levels": [0]}, ["target_levels[0]", "> 0"]),
        ({"learning_rates_to_try": 0.1}, ["learning_rates_to_try", "a list"]),
        ({"learning_rates_to_try": [-1]}, ["learning_rates_to_try[0]", "> 0"]),
        ({"gradient_flow": 1}, ["gradient_flow", "true or false"]),
        ({"timing_rounds": 5}, ["timing_rounds", "≥ 6"]),
        ({"timing_width": 2}, ["timing_width", "≤ 1"]),
        ({"equivalence_margin": 0}, ["equivalence_margin", "> 0"]),
        ({"cost_margin": 2}, ["cost_margin", "≤ 1"]),
        ({"primary_budget": "time"}, ["primary_budget", "epochs, updates, flops, seconds"]),
        ({"family": ["lisa"]}, ["family[0]", '"lisa"', "random_half"]),
        ({"family": ["standard"]}, ["family[0]", '"standard"']),
        ({"primary_depth": 5}, ["primary_depth", "5", "4, 6, 8"]),
        ({"primary_freeze_ratio": 0.4}, ["primary_freeze_ratio", "0.4", "0.3, 0.5, 0.7"]),
    ],
)
def test_a_mistake_is_one_line_that_names_file_key_value_and_what_is_allowed(wrong, words, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(wrong))
    with pytest.raises(InputError) as caught:
        load(DEFAULT, file)
    (message,) = caught.value.args
    assert message.isprintable()
    assert message.startswith(f"{file}: ")
    for word in words:
        assert word in message
    assert "allowed" in message or "required" in message


def test_a_mistake_is_ascribed_to_the_file_that_makes_it_or_to_the_command_line(tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("seeds: 0\n")
    second.write_text("width: 3\n")
    with pytest.raises(InputError, match=re.escape(str(first))):
        load(first, second)
    with pytest.raises(InputError, match=r"^--config: seeds"):
        complete({"seeds": 0}, [second])


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"a: [", "cannot be read as YAML"), (b"- 1", "allowed: keys with values"), (b"\xff\xfe\x00", "cannot be read")],
)
def test_a_file_that_is_no_configuration_is_one_line(content, words, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        load(file)
    assert str(caught.value).isprintable()


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        load(tmp_path / "none.yaml")


def test_a_later_file_replaces_lists_and_adds_to_mappings(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("datasets: [mine]\nsources: {mine: {kind: csv, path: x.csv, target: y}}\n")
    study = load(DEFAULT, mine)
    assert study["datasets"] == ["mine"]
    assert {"iris", "mine"} < set(study["sources"])


def test_a_data_file_that_is_not_there_is_one_line_if_the_study_needs_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sources = {"mine": {"kind": "csv", "path": "mine.csv", "target": "y"}, "iris": {"kind": "iris"}}
    check_files(complete({"datasets": ["iris"], "sources": sources}))
    study = complete({"datasets": ["mine"], "sources": sources})
    with pytest.raises(InputError, match=r'sources\.mine\.path: "mine\.csv" is not a file') as caught:
        check_files(study)
    assert str(caught.value).isprintable()
    (tmp_path / "mine.csv").write_text("")
    check_files(study)


def test_seed_blocks_cover_every_seed_once():
    study = make_study(datasets=["iris"], seeds=23, seeds_per_job=10)
    blocks = {(pack.first_seed, pack.last_seed) for pack in study.packs if not pack.calibrates}
    assert sorted(blocks) == [(0, 9), (10, 19), (20, 22)]


def test_a_cell_holds_only_what_decides_its_numbers():
    def cell(strategy, **keys):
        return make_study(**keys).cell("iris", 4, strategy)

    standard, alternating = "standard", "alternating-0.5"
    for same in ({"study": "x"}, {"results": "y"}, {"seeds": 3}, {"primary_depth": 8}, {"momentum": 0.5}):
        assert cell(standard, **same) == cell(standard)
        assert cell(alternating, **same) == cell(alternating)
    for own in (
        {"epochs_alternating": 3},
        {"freeze_period": 2},
        {"state_on_thaw": "reset"},
        {"first_to_learn": "bottom"},
    ):
        assert cell(standard, **own) == cell(standard)
        assert cell(alternating, **own) != cell(alternating)
    for both in ({"seed": 2}, {"width": 3}, {"learning_rate": 0.5}, {"optimizer": "sgd"}, {"batch_size": 8}):
        assert cell(standard, **both) != cell(standard)
        assert cell(alternating, **both) != cell(alternating)
    assert cell(standard, epochs_standard=3) != cell(standard)
    assert cell(alternating, epochs_standard=3) == cell(alternating)
    assert cell(standard, optimizer="sgd", momentum=0.5) != cell(standard, optimizer="sgd")


def test_the_profile_that_is_always_read_sets_nothing_that_a_cluster_profile_sets():
    always = yaml.safe_load((ROOT / "profiles" / "default" / "config.yaml").read_text())
    cluster = yaml.safe_load((ROOT / "slurm" / "config.yaml").read_text())
    assert not set(always) & {*cluster, "executor", "jobs", "cores", "default-resources"}


CONDA_NAMES = {
    "torch": "pytorch",
    "matplotlib": "matplotlib-base",
    "seaborn": "seaborn-base",
    "nbconvert": "nbconvert-core",
    "snakemake": "snakemake-minimal",
}


def test_conda_and_pip_install_the_same_versions():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = dict(entry.split(" =", 1) for entry in environment if not entry.startswith("python "))
    assert conda == {CONDA_NAMES.get(name, name): version for name, version in pinned.items()}


def test_the_package_asks_for_nothing_that_is_not_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert set(project["dependencies"]) <= {line.split("==")[0] for line in lines}


@pytest.mark.parametrize(
    ("seeds", "blocks"), [(7, ["0-6"]), (1000, ["0-999"]), (2100, ["0-999", "1000-1999", "2000-2099"])]
)
def test_seeds_per_job_auto_is_a_cells_seeds_in_one_block_up_to_a_thousand(seeds, blocks):
    study = make_study(datasets=["iris"], depths=[6], seeds=seeds, seeds_per_job="auto")
    packs = [pack for pack in study.packs if pack.strategy == "standard" and not pack.calibrates]
    assert [pack.seeds for pack in packs] == blocks


def test_how_often_a_checkpoint_is_kept_is_no_part_of_a_cell():
    cells = [make_study(checkpoint_seconds=seconds).cell("iris", 6, "standard") for seconds in (0, 7)]
    assert cells[0] == cells[1]


def test_a_pack_of_more_than_a_minute_has_a_checkpoint_by_default():
    assert 0 < make_study().checkpoint_seconds < 60


def test_a_source_of_a_later_file_replaces_the_one_of_its_name_whole(tmp_path):
    mine = tmp_path / "mine.yaml"
    source = {"kind": "csv", "path": "table.csv", "target": "label"}
    mine.write_text(yaml.safe_dump({"sources": {"moons": source}}))
    assert load(DEFAULT, mine)["sources"]["moons"] == source
    assert load(DEFAULT, mine)["sources"]["spirals"] == load(DEFAULT)["sources"]["spirals"]
    # as Snakemake merges
    default = {"moons": {"kind": "moons", "samples": 1000, "noise": 0.25}, "iris": {"kind": "iris"}}
    merged = {"sources": default | {"moons": default["moons"] | source}, "seeds": 3}
    layers = [{"sources": default}, {"sources": {"moons": source}}]
    assert whole_sources(merged, layers) == {"sources": default | {"moons": source}, "seeds": 3}
    assert whole_sources(merged, [*layers, {"sources": {"moons": default["moons"]}}])["sources"] == default
    assert whole_sources({"sources": None}, [*layers, {"sources": None}]) == {"sources": None}


def test_a_study_has_each_key_as_an_attribute_and_no_other():
    study = make_study(study="mine", width=3)
    assert study.name == "mine"
    for key in keys().keys() - {"study", "strategies", "primary_datasets", "metric"}:
        assert getattr(study, key) == study.config[key]
    for name in ("study", "widht", "validate"):
        with pytest.raises(AttributeError, match=name):
            getattr(study, name)


def test_a_study_does_not_change_and_travels_to_other_processes():
    study = make_study(datasets=["iris"])
    packs, cell = study.packs, study.cell("iris", 4, "standard")
    with pytest.raises(dataclasses.FrozenInstanceError):
        study.width = 3
    assert study.packs is packs and study.cell("iris", 4, "standard") == cell
    other = pickle.loads(pickle.dumps(study))
    assert other == study
    assert (other.packs, other.primary, other.cells) == (packs, study.primary, study.cells)


def test_a_study_is_the_same_from_its_file_and_from_the_record_beside_the_tables(tmp_path):
    study = Study(load(DEFAULT))
    write_json(tmp_path / "study.json", study.config)
    write_json(tmp_path / "record.json", {"config": study.config, "provenance": {}})
    assert read_study(tmp_path / "study.json") == read_study(tmp_path / "record.json") == study


def test_a_complete_configuration_completes_to_itself_as_json():
    config = load(DEFAULT, ROOT / "config" / "studies" / "smoke.yaml")
    text = json.dumps(config, sort_keys=True)
    assert json.dumps(complete(json.loads(text)), sort_keys=True) == text


def test_equal_numbers_are_the_same_study():
    study = {
        "dropout": 0,
        "weight_decay": 0,
        "freeze_ratios": [0.5, 1],
        "learning_rate": "tuned",
        "learning_rates_to_try": [1],
    }
    moons = {"kind": "moons", "samples": 100, "noise": 0}
    study |= {"sources": {"iris": {"kind": "iris"}, "moons": moons}, "datasets": ["iris", "moons"]}
    same = study | {"dropout": 0.0, "freeze_ratios": [5e-1, 1.0], "learning_rates_to_try": [1.0]}
    same |= {"sources": study["sources"] | {"moons": moons | {"noise": 0.0}}}
    assert json.dumps(complete(study)) == json.dumps(complete(same))


@pytest.mark.parametrize(
    ("keys", "timed"),
    [
        (
            {"study": "other", "results": "other", "seeds": 3, "variations": [{"width": 3}], "checkpoint_seconds": 5},
            False,
        ),
        ({"momentum": 0.5}, False),
        ({"primary_budget": "epochs", "cost_margin": 0.1}, False),
        ({"optimizer": "sgd"}, True),
        ({"width": 3}, True),
        ({"timing_rounds": 7}, True),
        ({"timing_width": 0.1}, True),
        ({"freeze_unit": "step"}, True),
        ({"strategies": ["alternating"]}, True),
    ],
    ids=str,
)
def test_what_is_timed_depends_on_what_decides_the_work_alone(keys, timed):
    assert (make_study(**keys).timed() != make_study().timed()) == timed


def test_momentum_is_timed_where_the_optimizer_reads_it():
    assert make_study(optimizer="sgd", momentum=0.5).timed() != make_study(optimizer="sgd").timed()


# of which the first alone is as long as the training
PHASES = [{"layers": "1-2", "for": 20}, {"layers": "all", "for": 1}, {"layers": 3, "for": 1}]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"freeze_period": 20}, ["freeze_period: 20 epochs are a phase as long as the training of 20"]),
        (
            {"freeze_ratios": [0.4, 0.5, 0.6], "depths": [4], "primary_depth": 4},
            [f"freeze_ratios: {pair} both leave 2 of 4" for pair in ("0.4 and 0.5", "0.4 and 0.6", "0.5 and 0.6")],
        ),
        (
            {"freeze_ratios": [0.1, 0.5], "depths": [4], "primary_depth": 4},
            ["freeze_ratios[0]: 0.1 leaves 0 of 4 layers in the bottom group"],
        ),
        (
            {"freeze_ratios": [0, 0.5, 1]},
            [
                f"freeze_ratios[{place}]: {ratio:.1f} is standard training, which is"
                for place, ratio in ((0, 0), (2, 1))
            ],
        ),
        (
            {"freeze_ratios": [0, 0.5], "primary_freeze_ratio": 0},
            ["freeze_ratios[0]: 0.0 is standard", "primary_freeze_ratio: 0.0 is standard training"],
        ),
        (
            {"strategies": ["alternating", {"name": "frozen_top", "freeze_ratio": 0}]},
            ["strategies[1].freeze_ratio: 0.0 is standard"],
        ),
        (
            {"strategies": ["alternating", {"name": "frozen_top", "freeze_ratio": 0.99}]},
            ["strategies[1].freeze_ratio: 0.99 leaves 4 of 4"],
        ),
        (
            {"strategies": ["alternating", {"name": "random_half", "period": 60}]},
            ["strategies[1].period: 60 epochs are a phase"],
        ),
        (
            {"strategies": ["alternating", {"name": "gradual_unfreezing", "epochs_per_layer": 30}]},
            ["strategies[1].epochs_per_layer: 30 thaws the lowest of 8 layers after 210 epochs, and training"],
        ),
        (
            {"strategies": ["alternating", {"name": "phases", "unit": "epoch", "phases": PHASES}]},
            [f"strategies[1].phases[{number}]: begins after the end of the training of 20 epochs" for number in (1, 2)],
        ),
    ],
)
def test_a_schedule_that_does_not_do_what_its_name_says_is_refused_in_a_line_each(keys, told):
    with pytest.raises(InputError) as caught:
        check_schedules(complete(keys))
    assert len(caught.value.args) == len(told)
    for line, words in zip(caught.value.args, told, strict=True):
        assert words in line
        assert "; allowed: " in line


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"freeze_period": 19},
        # how many steps a training has depends on the data
        {"freeze_unit": "step", "freeze_period": 1000},
        {"strategies": ["alternating", "gradual_unfreezing", "chain_thaw"], "epochs_alternating": 8},
    ],
)
def test_a_schedule_that_does_is_not(keys):
    check_schedules(complete(keys))


def test_a_whole_number_that_stands_for_a_float_is_found_in_its_file(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("freeze_ratios: [0.5, 1]\n")
    with pytest.raises(InputError, match=rf"^{mine}: freeze_ratios\[1\]: 1.0 is standard"):
        check_schedules(load(mine), [mine])


@pytest.mark.parametrize("study", [[], ["smoke"], ["full"], ["bundled"]])
def test_the_studies_of_the_repository_do_what_their_names_say(study):
    files = [ROOT / "config" / "config.yaml", *(ROOT / "config" / "studies" / f"{name}.yaml" for name in study)]
    check_schedules(load(*files), files)


def test_entries_of_their_own_ratio_that_split_as_another_are_one_line():
    def said(*entries):
        try:
            check_schedules(
                complete({"depths": [4, 6], "freeze_ratios": [0.5], "strategies": ["alternating", *entries]})
            )
        except InputError as error:
            return error.args
        return ()

    (line,) = said({"name": "alternating", "label": "mine", "freeze_ratio": 0.45})
    assert "strategies: alternating-0.5 and mine-0.45 are the same training at depth 4" in line
    assert len(said({"name": "alternating", "label": "mine", "freeze_ratio": 0.5})) == 1
    assert said({"name": "alternating", "label": "mine", "freeze_ratio": 0.5, "period": 2}) == ()
    assert said({"name": "alternating", "label": "mine", "freeze_ratio": 0.75}) == ()
    assert len(said({"name": "alternating", "label": "mine", "freeze_ratio": 0})) == 1


def test_a_variation_keeps_the_tuned_rates_of_the_primary_recipe_unless_it_names_the_rate():
    variations = [
        {"width": 16},
        {"width": 16, "learning_rate": "tuned"},
        {"learning_rate": 0.1},
        {"learning_rate": "tuned"},
    ]
    study = make_study(learning_rate="tuned", learning_rates_to_try=[0.1, 0.2], variations=variations)
    tuned_by = {recipe: study.tuned_by(recipe) for recipe in study.recipes}
    anew = "width=16+learning_rate=tuned"
    assert tuned_by == {"primary": "primary", "width=16": "primary", anew: anew, "learning_rate=0.1": None}
    assert [recipe for recipe in study.recipes if study.is_tuned(recipe)] == ["primary", anew]
    untuned = make_study(learning_rate=0.1, learning_rates_to_try=[0.1, 0.2], variations=variations)
    of_width = {recipe: untuned.tuned_by(recipe) for recipe in untuned.recipes}
    assert of_width == {"primary": None, "width=16": None, anew: anew, "learning_rate=tuned": "learning_rate=tuned"}


def test_a_network_decides_by_what_it_reads_alone():
    keys = {"datasets": ["digits"], "variations": [{"frozen_normalisation": "eval"}, {"network": "cnn"}]}
    study = make_study(**keys)
    # the MLP has nothing that moves while it is frozen
    assert list(study.recipes) == ["primary", "network=cnn"]
    mlp, cnn = (study.cell("digits", 6, "standard", recipe) for recipe in study.recipes)
    assert (mlp.network, mlp.shape, mlp.normalisation, mlp.frozen_normalisation) == ("mlp", None, None, None)
    assert (cnn.network, cnn.shape, cnn.normalisation, cnn.frozen_normalisation) == ("cnn", [1, 8, 8], "none", None)
    own = make_study(**keys | {"network": "mine:make"}).cell("digits", 6, "standard")
    assert own.frozen_normalisation == "train"
    assert (study.networks, make_study(network="mine:make").networks) == ("MLPs", "networks of mine:make")


def test_the_module_of_a_factory_is_found_without_running_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "mine.py").write_text("raise SystemExit")
    given = {"datasets": ["digits"], "network": "nets.mine:make"}
    check_files(complete(given))
    before = code_of_factory("nets.mine:make")
    (tmp_path / "nets" / "mine.py").write_text("raise SystemExit(1)")
    assert code_of_factory("nets.mine:make") not in (None, before)
    assert code_of_factory("cnn") is None
    with pytest.raises(InputError, match=r'network: "nets\.others:make" has no module of that name; allowed: one that'):
        check_files(complete(given | {"network": "nets.others:make"}))


def test_the_walkthrough_has_its_own_rate_and_optimizer_where_its_plain_loop_cannot_have_the_studys():
    def shown(**keys):
        return make_study(**keys).walkthrough

    assert shown(optimizer="sgd", learning_rate=0.1) == {
        **{"num_layers": 6, "freeze_ratio": 0.5, "epochs_standard": 50, "epochs_alternating": 50, "hidden_units": 64},
        **{"batch_size": 32, "learning_rate": 0.1, "optimizer": "sgd", "seed": 1},
    }
    assert "optimizer" not in shown(optimizer="muon")
    assert "learning_rate" not in shown(learning_rate="tuned", learning_rates_to_try=[0.1])
