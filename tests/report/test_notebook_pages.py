"""Pages of executed notebooks: the same bytes again, and nothing that runs or loads."""

import ast
import re

import nbformat
import pandas as pd
import papermill
import pytest
from altfreeze.report.blocks.display import table_html
from altfreeze.report.notebook_pages import without_traces, write_page
from altfreeze.support.errors import InputError
from builders import ROOT, assert_loads_nothing, open_page
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait


def test_page_of_a_hostile_notebook_can_run_and_load_nothing(tmp_path):
    table = {"text/html": "<p>table</p>"}
    script = {"application/javascript": "alert(1)"}
    cells = [
        nbformat.v4.new_markdown_cell("# A </title><script>alert(1)</script> title"),
        nbformat.v4.new_code_cell(
            "1", outputs=[nbformat.v4.new_output("display_data", data=data) for data in (table, script)]
        ),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
    write_page(tmp_path / "a.ipynb", tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<title>A &lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt; title</title>" in text
    assert "<p>table</p>" in text
    assert '<div tabindex="0" role="region" aria-label="Table 1" class="output_html' in text
    policy = re.search(r'http-equiv="Content-Security-Policy"', text) or re.search(r"Content-Security-Policy", text)
    assert policy and policy.start() < text.index("<style")
    assert text.count("alert(1)") == 2


def test_a_page_has_contents_and_links_to_its_neighbours(tmp_path):
    parts = ["First things", "Second & third", "Last"]
    cells = [nbformat.v4.new_markdown_cell("# Title"), *(nbformat.v4.new_markdown_cell(f"## {part}") for part in parts)]
    for name in ("budgets", "dynamics-iris"):
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
        write_page(tmp_path / f"{name}.ipynb", tmp_path / f"{name}.html")
    text = (tmp_path / "budgets.html").read_text(encoding="utf-8")
    contents = re.search(r'<nav class="contents".*?</nav>', text)[0]
    links = re.findall(r'href="#([^"]+)">([^<]+)<', contents)
    assert [words.replace("&amp;", "&") for _, words in links] == parts
    assert all(f'id="{anchor}"' in text for anchor, _ in links)
    around = [("walkthrough.html", "prev"), ("statistics.html", "next")]
    assert re.findall(r'href="([^"]+)" rel="(\w+)"', text) == 2 * around
    assert "rel=" not in (tmp_path / "dynamics-iris.html").read_text(encoding="utf-8").partition("<main>")[0]
    assert_loads_nothing(tmp_path / "budgets.html", scripts=1)


def test_what_is_not_a_notebook_is_refused(tmp_path):
    (tmp_path / "a.ipynb").write_text("[", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.ipynb: not a notebook"):
        write_page(tmp_path / "a.ipynb", tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()


def executed_notebook(folder):
    """Return a small notebook as papermill leaves it after execution."""
    cells = [
        nbformat.v4.new_code_cell("value = 1", id="parameters", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(
            "import warnings\nfrom IPython.display import Markdown\n"
            "warnings.warn('log' * 5)\nprint('seen')\nMarkdown(f'# {value}')",
            id="show",
        ),
    ]
    stored, executed = folder / "stored.ipynb", folder / "executed.ipynb"
    folder.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}}), stored)
    papermill.execute_notebook(stored, executed, {"value": 2}, kernel_name="python3", progress_bar=False)
    return executed


def test_a_notebook_that_is_executed_again_gives_the_same_bytes(tmp_path):
    found = []
    for run in ("first", "second"):
        executed = executed_notebook(tmp_path / run)
        assert "start_time" in executed.read_text(encoding="utf-8")
        write_page(executed, executed.with_suffix(".html"))
        found.append([executed.with_suffix(suffix).read_bytes() for suffix in (".ipynb", ".html")])
    assert found[0] == found[1]
    assert_loads_nothing(executed.with_suffix(".html"), scripts=1)
    node = nbformat.read(executed, as_version=4)
    nbformat.validate(node)
    assert [cell.id for cell in node.cells] == ["parameters", "injected-parameters", "show"]
    assert [cell.execution_count for cell in node.cells] == [1, 2, 3]
    assert [output.output_type for output in node.cells[-1].outputs] == ["stream", "execute_result"]
    assert node.cells[-1].outputs[0].text == "seen\n"
    assert b"loglog" not in b"".join(found[0])


# a code cell imports, names and calls: it holds no function and no sum
COMPUTING = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.BinOp, ast.comprehension, ast.AugAssign)


def test_what_is_printed_is_one_text_in_however_many_pieces_a_kernel_sends_it():
    def printed(*pieces):
        cell = nbformat.v4.new_code_cell(
            id="a", outputs=[nbformat.v4.new_output("stream", text=text) for text in pieces]
        )
        return nbformat.writes(without_traces(nbformat.v4.new_notebook(cells=[cell])))

    assert printed("one\ntwo\n") == printed("one", "\n", "two\n")


@pytest.mark.parametrize("name", ["budgets", "statistics", "claims", "dynamics", "schedules"])
def test_a_page_of_a_study_computes_nothing(name):
    notebook = nbformat.read(ROOT / "workflow" / "notebooks" / f"{name}.ipynb", as_version=4)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    for source in code:
        computing = [node for node in ast.walk(ast.parse(source)) if isinstance(node, COMPUTING)]
        assert computing == []
    # but for parameters and imports, a call or a few
    assert max(source.count("\n") for source in code[2:]) < 10


def test_code_is_shown_by_the_keyboard(browser, tmp_path):
    executed = executed_notebook(tmp_path / "page")
    write_page(executed, executed.with_suffix(".html"))
    open_page(browser, executed.with_suffix(".html"))
    code = browser.find_elements(By.CSS_SELECTOR, ".code")
    assert code
    assert not any(block.is_displayed() for block in code)
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB, Keys.TAB, Keys.SPACE)
    assert all(block.is_displayed() for block in code)
    assert all(image.get_property("naturalWidth") > 0 for image in browser.find_elements(By.TAG_NAME, "img"))
    assert all(image.get_attribute("alt") for image in browser.find_elements(By.TAG_NAME, "img"))
    assert browser.get_log("browser") == []


def test_tables_of_a_page_sort_and_are_saved_as_csv_and_its_figures_as_svg(browser, tmp_path):
    table = pd.DataFrame({"Data set": ["a", "b", "c"], "p": ["0.2", "4.8e−07", "0.05"]})
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><title>µ</title></svg>\n'
    folded = f"<details><summary>S</summary>{table_html(table)}</details>"
    outputs = [
        nbformat.v4.new_output("display_data", data={"text/html": folded}),
        nbformat.v4.new_output("display_data", data={"image/svg+xml": svg}, metadata={"image/svg+xml": {"alt": "A"}}),
    ]
    cells = [nbformat.v4.new_code_cell("1", outputs=outputs)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
    write_page(tmp_path / "a.ipynb", tmp_path / "a.html")
    open_page(browser, tmp_path / "a.html")
    browser.find_element(By.TAG_NAME, "summary").click()
    heads = browser.find_elements(By.CSS_SELECTOR, "thead .sort")
    assert [head.text for head in heads] == ["Data set", "p"]
    heads[1].click()
    assert [row.text for row in browser.find_elements(By.CSS_SELECTOR, "tbody th")] == ["b", "c", "a"]
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    saved = {"Table 1: save as CSV": tmp_path / "table-1.csv", "A: save as SVG": tmp_path / "a-1.svg"}
    for label, path in saved.items():
        browser.find_element(By.CSS_SELECTOR, f"button[aria-label='{label}']").click()
        WebDriverWait(browser, 30, poll_frequency=0.05).until(
            lambda _, path=path: path.exists() and path.stat().st_size
        )
    texts = [path.read_text(encoding="utf-8") for path in saved.values()]
    assert texts == ["Data set,p\nb,4.8e−07\nc,0.05\na,0.2\n", svg]
    assert browser.get_log("browser") == []
