"""Whether two checkouts make the same numbers: `python tests/pin.py BEFORE AFTER`, two folders of results of one study.

Compared are the logs, the tables, the trained weights that the manifests state and the answer, all but seconds, hashes
of code, and columns and tables that one of the two does not have. `--weights FILE` writes hashes of trained weights and
optimizer states of this checkout, for every strategy with every optimizer, to be compared with those of another.
The bytes of a training are those of a machine's kernels: compare on one machine.
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

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


def weights() -> dict[str, str]:
    """Return a hash of the trained weights and the optimizer's state by optimizer, dropout, data set and strategy."""
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    raise NotImplementedError


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="BEFORE AFTER")
    parser.add_argument("--weights", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    if arguments.weights:
        arguments.weights.write_text(json.dumps(weights(), indent=1) + "\n", encoding="utf-8")
        return
    found = differences(*arguments.folders)
    print("\n".join(found) or "the same")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
