"""Write the answer and the figure of README.md from the results of the default study: ``make readme``, after it ran.

Where CITATION.cff has an address on GitHub as ``repository-code``, a badge of README.md opens the walkthrough in Colab,
and its first cell installs from there.
"""

import json
import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from altfreeze.study.reading import study_of  # noqa: E402

NOTEBOOK = ROOT / "workflow" / "notebooks" / "walkthrough.ipynb"
README, STUDY = ROOT / "README.md", ROOT / "docs" / "answer.json"
# on a screen and on a phone
FIGURES = ROOT / "docs" / "answer.svg", ROOT / "docs" / "answer-narrow.svg"
BEGIN, END = "<!-- made by `make readme` -->\n", "<!-- end -->\n"


def default_configuration() -> dict:
    """Return the whole configuration of the default study, as its results have it."""
    text = (ROOT / "config" / "config.yaml").read_text(encoding="utf-8")
    return json.loads(json.dumps(study_of(yaml.safe_load(text)).config))


def address() -> str:
    """Return where the repository is on GitHub, empty where that is not known."""
    known = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8")).get("repository-code", "")
    return known if known.startswith("https://github.com/") else ""


def badge(repository: str) -> str:
    """Return what opens the walkthrough in Colab, empty without a repository."""
    opened = repository.replace("https://github.com/", "https://colab.research.google.com/github/")
    picture = "https://colab.research.google.com/assets/colab-badge.svg"
    link = f"[![Open the walkthrough in Colab]({picture})]({opened}/blob/main/{NOTEBOOK.relative_to(ROOT)})\n\n"
    return link if repository else ""


def with_package(notebook: str, repository: str) -> str:
    """Return the text of the walkthrough whose first cell installs from a repository where there is no clone."""
    package = f"git+{repository}" if repository else ""
    return re.sub(r'package = \\"[^"]*\\"', rf'package = \\"{package}\\"', notebook, count=1)


def section(answer: str, repository: str) -> str:
    """Return what README.md shows of a study, below the badge of the walkthrough."""
    words = "The end of alternating against standard training, data set by data set"
    wide, narrow = (figure.relative_to(ROOT) for figure in FIGURES)
    figure = f'<picture><source media="(max-width: 600px)" srcset="{narrow}"><img alt="{words}" src="{wide}"></picture>'
    return f"{BEGIN}{badge(repository)}> {answer}\n\n{figure}\n{END}"


def with_section(readme: str, answer: str, repository: str) -> str:
    """Return README.md with another answer and badge."""
    before, rest = readme.split(BEGIN)
    return before + section(answer, repository) + rest.split(END)[1]


def refresh(results: Path) -> None:
    """Take answer, figure and configuration from a folder of results; refuse those of another study."""
    record = json.loads((results / "tables" / "study.json").read_text(encoding="utf-8"))
    if record["config"] != default_configuration():
        sys.exit(f"{results}: not the results of config/config.yaml as it is; call snakemake first")
    answer = (results / "answer.txt").read_text(encoding="utf-8").strip()
    report = (results / "report.html").read_text(encoding="utf-8")
    # the first figures of the report
    figures = re.findall(r"<svg.*?</svg>\n", report, flags=re.DOTALL)[: len(FIGURES)]
    for path, figure in zip(FIGURES, figures, strict=True):
        path.write_text(figure, encoding="utf-8")
    STUDY.write_text(json.dumps({"answer": answer, "config": record["config"]}, indent=1) + "\n", encoding="utf-8")
    README.write_text(with_section(README.read_text(encoding="utf-8"), answer, address()), encoding="utf-8")
    NOTEBOOK.write_text(with_package(NOTEBOOK.read_text(encoding="utf-8"), address()), encoding="utf-8")


if __name__ == "__main__":
    refresh(ROOT / default_configuration()["results"])
