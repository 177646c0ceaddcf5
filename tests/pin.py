"""Whether two checkouts make the same numbers: `python tests/pin.py BEFORE AFTER`, two folders of results of one study.

Compared are the logs, the tables, the trained weights that the manifests state and the answer, all but seconds, hashes
of code, and columns and tables that one of the two does not have. `--weights FILE RESULTS` writes hashes of weights and
optimizer states that this checkout trains on the data sets of the smoke study's results, for strategies of every kind
with every optimizer, to be compared with those of another.
The bytes of a training are those of a machine's kernels: compare on one machine.
"""

import argparse
import hashlib
import itertools
import json
import sys
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).parents[1]

# what seconds, or the code's own hash, decide
SECONDS = {"seconds", "reference_seconds", "training_seconds", "peak_memory_mib", "code"}
RENAMED = {"rates": "recipe"}


def table(path: Path) -> pd.DataFrame:
    """Return a table without what two runs of the same code differ in."""
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str, keep_default_na=False)
    frame = frame.rename(columns=RENAMED).drop(columns=SECONDS, errors="ignore")
    if "budget" in frame:
        frame = frame[frame["budget"] != "seconds"]
    if "metric" in frame:
        frame = frame[frame["metric"] != "seconds_ratio"]
    if "clock" in frame:
        frame = frame[frame["clock"] != "seconds"]
    return frame.reset_index(drop=True)


def differences(before: Path, after: Path) -> list[str]:
    """Return what differs between two folders of results, one line each."""
    found = []
    for folder, pattern in (("runs", "*.csv"), ("tables", "*.csv"), ("tables", "*.parquet"), (".", "answer.txt")):
        names = [{path.relative_to(root) for path in (root / folder).rglob(pattern)} for root in (before, after)]
        if folder == "." and names[0] == names[1]:
            texts = [(root / "answer.txt").read_text(encoding="utf-8") for root in (before, after)]
            found += ["answer.txt differs"] * (texts[0] != texts[1])
            continue
        found += [f"{name}: only in one" for name in sorted(names[0] ^ names[1], key=str)]
        for name in sorted(names[0] & names[1], key=str):
            if name.stem in ("timing", "speedups"):
                continue
            one, other = (table(root / name) for root in (before, after))
            shared = [column for column in one if column in other]
            missing = sorted({*one} ^ {*other})
            if missing:
                found.append(f"{name}: columns only in one: {', '.join(missing)}")
            if not one[shared].equals(other[shared]):
                found.append(f"{name}: other values")
    return found


# one strategy of each kind, beside those of the smoke study
STRATEGIES = (
    *("progressive", "freezeout", "block_cyclic", "lisa", "gradual_unfreezing", "chain_thaw", "hift"),
    {"name": "alternating", "label": "long", "period": 2, "freeze_ratio": 0.5},
)


def weights(results: Path) -> dict[str, str]:
    """Return a hash of the trained weights and the optimizer's state by optimizer, dropout, data set and strategy.

    Parameters
    ----------
    results : Path
        Folder of results of the smoke study, whose data sets are read.
    """
    import torch
    from altfreeze.data.dataset import read_dataset
    from altfreeze.study.reading import study_of
    from altfreeze.training.trainer import train_pack

    # as a job does
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    config |= yaml.safe_load((ROOT / "config" / "studies" / "smoke.yaml").read_text(encoding="utf-8"))
    config["strategies"] = [*config["strategies"], *STRATEGIES]
    hashes = {}
    for optimizer, dropout in itertools.product(("sgd", "adam", "adamw"), (0.0, 0.2)):
        study = study_of(config | {"optimizer": optimizer, "dropout": dropout, "weight_decay": 0.01})
        for dataset, label in itertools.product(study.datasets, study.strategies):
            X, y, _ = read_dataset(results / "data" / f"{dataset}.npz")
            trained = train_pack(X, y, study.cell(dataset, 4, label), range(3))
            digest = hashlib.sha256()
            for parameter in trained.network.parameters():
                digest.update(parameter.detach().numpy().tobytes())
                for _, value in sorted(trained.optimizer.state.get(parameter, {}).items()):
                    if value is not None:
                        digest.update(value.numpy().tobytes())
            hashes[f"{optimizer} dropout {dropout:g} {dataset} {label}"] = digest.hexdigest()[:16]
    return hashes


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="BEFORE AFTER, or with --weights the results of one")
    parser.add_argument("--weights", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    if arguments.weights:
        text = json.dumps(weights(*arguments.folders), indent=1)
        arguments.weights.write_text(text + "\n", encoding="utf-8")
        return
    found = differences(*arguments.folders)
    print("\n".join(found) or "the same")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
