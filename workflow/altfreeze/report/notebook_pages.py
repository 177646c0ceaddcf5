"""Execute a notebook through papermill, say in one line where and why one failed, and write its page.

A page is a single file that loads nothing from outside.
"""

import copy
import itertools
import logging
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import papermill
import zmq
from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import DeadKernelError
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from pygments.formatters import HtmlFormatter

from altfreeze.report.kernels import ForkedKernelManager
from altfreeze.report.templates import NOTEBOOK, TEMPLATES, content_hash, script, style_sheet
from altfreeze.report.words import ANSWERS
from altfreeze.support.errors import InputError
from altfreeze.support.files import atomic_output

KERNEL = "python3"
# two kernels that start at once can choose the same port; another start chooses another
STARTS = 3
# a page of fewer parts needs no contents
_FEWEST_PARTS = 3


def execute(notebook: Path, parameters: dict[str, Any], executed: Path) -> None:
    """Execute a notebook and keep the executed copy, up to the cell that failed if one did.

    What the cells print, and the whole traceback of one that fails, goes to standard
    error. A kernel that does not start is started again; a cell that failed is not.

    Parameters
    ----------
    notebook : pathlib.Path
        Notebook with a cell that is tagged ``parameters``.
    parameters : dict
        Values of names in that cell.
    executed : pathlib.Path
        Notebook to write, cell after cell.

    Raises
    ------
    InputError
        If a cell fails, or the kernel is missing, dies or does not start: the notebook,
        the cell's number and the error.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    executed.parent.mkdir(parents=True, exist_ok=True)
    options = {"kernel_name": KERNEL, "log_output": True, "progress_bar": False}
    options["kernel_manager_class"] = ForkedKernelManager
    for start in range(1, STARTS + 1):
        try:
            papermill.execute_notebook(notebook, executed, parameters, **options)
            return
        except papermill.PapermillExecutionError as error:
            print(error, file=sys.stderr)
            value = next(iter(str(error.evalue).splitlines()), "")
            raise InputError(
                f"{notebook.name}, cell In [{error.exec_count}]: {error.ename}: {value} "
                f"(the executed copy up to there: {executed})"
            ) from None
        except NoSuchKernel:
            raise InputError(
                f"{notebook.name}: this environment has no Jupyter kernel {KERNEL}; make it with: "
                f"{sys.executable} -m ipykernel install --sys-prefix --name {KERNEL}"
            ) from None
        except DeadKernelError:
            raise InputError(
                f"{notebook.name}: its kernel died, most often for want of memory (the executed copy: {executed})"
            ) from None
        except (RuntimeError, zmq.ZMQError) as error:
            message = f"{notebook.name}: its kernel did not start: {error}"
            if start == STARTS:
                raise InputError(message) from None
            print(f"{message}; starting it again", file=sys.stderr)


def write_page(notebook: Path, output: Path) -> None:
    """Write an executed notebook as one HTML page that loads nothing.

    The code is hidden until a check box shows it; scripts and widgets of outputs are left
    out. Tables sort and are saved as CSV, figures as SVG, where the page may run its script.
    The notebook is stored again by `without_traces`, so that notebook and page are the same
    bytes each time.

    Parameters
    ----------
    notebook : pathlib.Path
        Executed notebook, read and written.
    output : pathlib.Path
        HTML to write; it links to ``../report.html``.

    Raises
    ------
    InputError
        If `notebook` is not a notebook.
    """
    try:
        node = nbformat.read(notebook, as_version=4)
    except (OSError, ValueError, AttributeError, nbformat.ValidationError) as error:
        raise InputError(f"{notebook}: not a notebook: {' '.join(str(error).split())[:200]}") from None
    node = without_traces(node)
    exporter = HTMLExporter(
        template_name="page",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    light, dark = (HtmlFormatter(style=name).get_style_defs(".highlight") for name in ("xcode", "github-dark"))
    name = output.stem
    style = f"{style_sheet()}\n{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}"
    html, _ = exporter.from_notebook_node(
        node,
        resources={"page_title": _title(node) or name, "page_style": style, "page_neighbours": _neighbours(name)}
        # the walkthrough is read with its code
        | {"page_shows_code": name == "walkthrough"}
        | {"page_script": script(*NOTEBOOK), "page_script_hash": content_hash(script(*NOTEBOOK))},
    )
    html = _scrolled_by_keys(_with_contents(html))
    with atomic_output(notebook) as file:
        file.write(nbformat.writes(node) + "\n")
    with atomic_output(output) as file:
        file.write(html if html.endswith("\n") else html + "\n")


def without_traces(node: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return an executed notebook without what only tells when and where it was executed.

    Parameters
    ----------
    node : nbformat.NotebookNode
        As papermill left it: with times of its start and end, paths, a random id of the cell
        that it injected, what is printed in as many pieces as its kernel made of it, and
        warnings, which its log has too.

    Returns
    -------
    nbformat.NotebookNode
        A valid notebook, equal for equal code, parameters and outputs.
    """
    node = copy.deepcopy(node)
    node.metadata.pop("papermill", None)
    for cell in node.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected-parameters"
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    # a kernel flushes what is printed when it likes; of a progress bar only the last state stays
    node, _ = CoalesceStreamsPreprocessor().preprocess(node, {})
    return node


def _neighbours(name: str) -> list[tuple[str, str, str]]:
    """Return relation, address and name of the pages before and after one, in the order of `ANSWERS`."""
    pages = list(ANSWERS)
    if name not in pages:
        return []
    place = pages.index(name)
    around = [("prev", pages[place - 1 : place] if place else []), ("next", pages[place + 1 : place + 2])]
    return [(relation, f"{page}.html", page) for relation, beside in around for page in beside]


def _with_contents(html: str) -> str:
    """Return a page with links to its parts below its title, where it has some."""
    parts = re.findall(r'<h2 id="([^"]+)">(.*?)<a class="anchor-link"', html)
    if len(parts) < _FEWEST_PARTS:
        return html
    links = "".join(f'<li><a href="#{anchor}">{words}</a></li>' for anchor, words in parts)
    return html.replace("</h1>", f'</h1>\n<nav class="contents" aria-label="Contents"><ul>{links}</ul></nav>', 1)


def _scrolled_by_keys(html: str) -> str:
    """Return a page whose wide tables, figures and texts the keyboard reaches, which scrolls them."""
    html = re.sub(r"<(pre|figure)>", r'<\1 tabindex="0">', html)
    numbers = itertools.count(1)
    return re.sub(
        r'<div class="output_html',
        lambda _: f'<div tabindex="0" role="region" aria-label="Table {next(numbers)}" class="output_html',
        html,
    )


def _title(node: nbformat.NotebookNode) -> str | None:
    """Return the text of the first heading of a notebook, written or computed, or None."""
    for cell in node.cells:
        texts = [cell.source] if cell.cell_type == "markdown" else []
        texts += [output.get("data", {}).get("text/markdown", "") for output in cell.get("outputs", [])]
        for text in texts:
            heading = re.search(r"^#+ +(.+?)[ #]*$", text, re.MULTILINE)
            if heading:
                return re.sub(r"[*`]", "", heading[1])
    return None
