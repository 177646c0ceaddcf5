"""Write the answer and the figure of README.md from the results of the default study: ``make readme``, after it ran."""

import json
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from altfreeze.study.reading import study_of  # noqa: E402

README, FIGURE, STUDY = ROOT / "README.md", ROOT / "docs" / "answer.svg", ROOT / "docs" / "answer.json"
BEGIN, END = "<!-- made by `make readme` -->\n", "<!-- end -->\n"


def default_configuration() -> dict:
    """Return the whole configuration of the default study, as its results have it."""
    text = (ROOT / "config" / "config.yaml").read_text(encoding="utf-8")
    return json.loads(json.dumps(study_of(yaml.safe_load(text)).config))


def section(answer: str) -> str:
    """Return what README.md shows of a study."""
    words = "The end of alternating against standard training, data set by data set"
    return f"{BEGIN}> {answer}\n\n![{words}](docs/answer.svg)\n{END}"


def with_section(readme: str, answer: str) -> str:
    """Return README.md with another answer."""
    before, rest = readme.split(BEGIN)
    return before + section(answer) + rest.split(END)[1]


def refresh(results: Path) -> None:
    """Take answer, figure and configuration from a folder of results; refuse those of another study."""
    record = json.loads((results / "tables" / "study.json").read_text(encoding="utf-8"))
    if record["config"] != default_configuration():
        sys.exit(f"{results}: not the results of config/config.yaml as it is; call snakemake first")
    answer = (results / "answer.txt").read_text(encoding="utf-8").strip()
    FIGURE.write_text((results / "figures" / "main.svg").read_text(encoding="utf-8"), encoding="utf-8")
    STUDY.write_text(json.dumps({"answer": answer, "config": record["config"]}, indent=1) + "\n", encoding="utf-8")
    README.write_text(with_section(README.read_text(encoding="utf-8"), answer), encoding="utf-8")


if __name__ == "__main__":
    refresh(ROOT / default_configuration()["results"])
