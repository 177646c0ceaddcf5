"""The command schedule: what a study's strategies do, before anything is trained."""

import pytest
import yaml
from altfreeze import cli


@pytest.fixture
def study_file(tmp_path):
    phases = [{"layers": "1-3", "for": 0.3}, {"layers": "all", "for": 0.7}]
    keys = {"datasets": ["iris"], "primary_datasets": "all", "variations": [], "depths": [4, 6], "freeze_ratios": [0.5]}
    keys |= {
        "strategies": ["alternating", {"name": "phases", "phases": phases}],
        "epochs_standard": 10,
        "epochs_alternating": 10,
    }
    keys |= {"results": str(tmp_path / "results"), "batch_size": 9}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(keys))
    return path


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(["schedule", *map(str, arguments)])
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_it_draws_what_would_be_trained_and_trains_nothing(study_file, tmp_path, capsys):
    label, pictures = "phases-1-3_for_0.3+all_for_0.7", tmp_path / "pictures"
    cli.main(["schedule", f"--configfile={study_file}", f"--pictures={pictures}", "--strategy", label])
    # 90 rows in batches of 9: 10 steps in each of 10 epochs, 6 columns for each
    frozen, learns = "·" * 18 + "█" * 42, "█" * 60
    assert capsys.readouterr().out.splitlines() == [
        label,
        "The layers that a list of phases names learn, one phase after the other. With unit share, repeat False, "
        "layers 1-3 for 0.3, then layers all for 0.7. It trains for the epochs of the configuration. "
        "State of the optimizer when a layer thaws: keep.",
        *(f"layer   {layer} {frozen if layer > 3 else learns}" for layer in range(6, 0, -1)),
        "    epoch 1" + " " * 57 + "10",
        "Of 100 steps, layers 1-3 learn in 100 (in epochs 1 to 10); layers 4-6 learn in 70 (in epochs 4 to 10): "
        "85 updates per parameter, 95.0 % of the operations of standard training.",
    ]
    assert [path.name for path in pictures.iterdir()] == [f"{label}.svg"]
    assert (pictures / f"{label}.svg").read_text().startswith("<svg")
    assert not (tmp_path / "results").exists()


def test_without_names_it_shows_every_strategy_at_the_primary_depth(study_file, capsys):
    cli.main(["schedule", "--configfile", str(study_file), "--depth", "4"])
    printed = capsys.readouterr().out
    assert [block.splitlines()[0] for block in printed.split("\n\n")] == [
        "standard",
        "alternating-0.5",
        "phases-1-3_for_0.3+all_for_0.7",
    ]
    assert printed.count("layer   4 ") == 3 and "layer   5 " not in printed


def test_what_the_study_does_not_have_is_one_line(study_file, capsys):
    assert "did you mean alternating-0.5?" in refused(capsys, "--configfile", study_file, "--strategy", "alternatin")
    assert "allowed: 4, 6" in refused(capsys, "--configfile", study_file, "--depth", 0)
    several = refused(capsys, "--configfile", study_file, "--depth", 5, "--strategy", "lisa", "hift")
    assert len(several.splitlines()) == 3
    assert "allowed: iris" in refused(capsys, "--configfile", study_file, "--dataset", "wine")
    assert "cannot be read" in refused(capsys, "--configfile", study_file.with_name("not.yaml"))
    study_file.write_text(study_file.read_text().replace("0.3", "0.4"))
    assert "its shares of the training add up to 1.1" in refused(capsys, "--configfile", study_file)
