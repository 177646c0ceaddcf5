"""Tables have the columns, types and bytes that their schema says, whatever stands in them."""

import io

import pandas as pd
import pyarrow as pa
import pytest
from altfreeze.freezing.flow import FLOW_COLUMNS
from altfreeze.support.errors import InputError
from altfreeze.tables.reference_seconds import SPEEDUP_COLUMNS
from altfreeze.tables.schema import (
    CELL,
    arrow_rows,
    columns,
    conform,
    csv_header,
    csv_rows,
    load_schema,
    read_categories,
    read_table,
    table_csv,
    write_table,
)
from altfreeze.training.timing import COLUMNS as TIMING_COLUMNS
from altfreeze.training.trainer import train_pack
from altfreeze.vocabulary import BUDGETS, CLOCKS, MEASURES, VERDICTS
from builders import make_cell
from hypothesis import given
from hypothesis import strategies as st


def test_the_tables_have_the_columns_of_what_they_are_made_of(wine):
    added = {"dataset", "depth", "strategy", "recipe", "freeze_ratio", "reference_seconds"}
    assert set(columns("epochs")) - added == {*train_pack(*wine, make_cell(epochs=1), [0]).rows[0]}
    assert set(columns("gradient_flow")) - added == set(FLOW_COLUMNS)
    assert tuple(columns("timing")) == TIMING_COLUMNS
    assert tuple(columns("speedups")) == SPEEDUP_COLUMNS


def test_every_clock_has_its_columns():
    for clock in CLOCKS.values():
        assert clock.column in columns("epochs")
        assert clock.end in columns("runs")
        assert clock.name in columns("times_to_target")
        assert clock.name in columns("reached")


def test_columns_are_described_in_the_words_of_the_vocabulary():
    for clock in CLOCKS.values():
        tables = {"epochs": clock.column, "runs": clock.end, "times_to_target": clock.name, "reached": clock.name}
        for table, name in tables.items():
            assert clock.words in columns(table)[name]["description"].lower(), (table, name)
        assert f"{clock.name}: {clock.words}" in columns("times")["clock"]["description"]
    for budget in BUDGETS.values():
        assert f"{budget.name}: {budget.words}" in columns("comparisons")["budget"]["description"]
    for measure in MEASURES.values():
        assert measure.words in columns("comparisons")["metric"]["description"]
    for verdict in VERDICTS.values():
        assert verdict.name in columns("comparisons")["verdict"]["description"]


def test_every_column_has_a_type_and_a_meaning():
    for table in load_schema():
        for name, column in columns(table).items():
            assert column.keys() - {"min", "max"} == {"type", "description"}, (table, name)
            assert column["type"] != "str" or column.keys() == {"type", "description"}
            assert column["type"] in ("int", "float", "str")


def test_a_table_that_is_not_one_is_refused(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"runs\.csv: columns differ"):
        read_table(path, "runs")
    path = tmp_path / "epochs.parquet"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"epochs\.parquet: not a table"):
        read_table(path, "epochs")


@pytest.mark.parametrize("table", load_schema())
def test_an_empty_table_has_its_columns_and_types_and_survives_reading(tmp_path, table):
    empty = conform(pd.DataFrame(), table, "nothing")
    assert list(empty.columns) == list(columns(table))
    write_table(empty, tmp_path / "empty.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "empty.csv", table), empty)
    with pytest.raises(InputError, match="columns differ"):
        conform(pd.DataFrame(columns=["dataset"]), table, "wrong")


def test_tables_survive_reading_bitwise(whole, tables, tmp_path):
    for name in set(tables) - {"epochs"}:
        write_table(tables[name], tmp_path / "again.csv")
        assert (tmp_path / "again.csv").read_bytes() == (whole / "tables" / f"{name}.csv").read_bytes()


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("final_test_accuracy", 1.7, r"1\.7 in row 2; allowed: 0 to 1$"),
        ("best_validation_accuracy", -0.1, r"-0\.1 in row 2; allowed: 0 to 1$"),
        ("seconds", float("inf"), "inf in row 2; allowed: 0 or more$"),
        ("flops", -1, "-1 in row 2; allowed: 0 or more$"),
        ("epochs", -2.5, r"-2\.5 in row 2; allowed: 0 or more$"),
    ],
)
def test_a_number_out_of_its_range_is_one_line_with_column_and_row(tables, tmp_path, column, value, words):
    frame = tables["runs"].copy()
    frame.loc[1, column] = value
    write_table(frame, tmp_path / "runs.csv")
    with pytest.raises(InputError, match=rf"runs\.csv: column {column}: {words}") as caught:
        read_table(tmp_path / "runs.csv", "runs")
    assert len(caught.value.args) == 1


def test_infinity_stands_only_where_a_column_allows_it(tables, tmp_path):
    frame = tables["epochs"].copy()
    frame.loc[1, "train_loss"] = float("inf")
    assert conform(frame, "epochs", "epochs").loc[1, "train_loss"] == float("inf")
    frame.loc[1, "validation_accuracy"] = 1.7
    frame.to_parquet(tmp_path / "epochs.parquet", index=False)
    with pytest.raises(InputError, match=r"validation_accuracy: 1\.7 in row 2; allowed: 0 to 1"):
        read_categories(tmp_path / "epochs.parquet", "epochs", ["seed", "validation_accuracy"])
    compared = pd.DataFrame([dict.fromkeys(columns("pairs"), 0) | {"difference": -float("inf")}])
    with pytest.raises(InputError, match="difference: -inf in row 1; allowed: finite numbers"):
        conform(compared, "pairs", "pairs")


texts = st.text(st.sampled_from('a ",\n\r|é'), min_size=1, max_size=4)


@given(st.lists(st.tuples(texts, st.floats(allow_nan=False), st.integers(-(2**63), 2**63 - 1)), max_size=5))
def test_a_table_as_csv_reads_back_the_same(rows):
    frame = pd.DataFrame(rows, columns=["text", "number", "count"]).astype(
        {"text": "str", "number": float, "count": int}
    )
    text = table_csv(frame)
    again = pd.read_csv(io.BytesIO(text), dtype="str", keep_default_na=False)
    expected = frame["text"].str.replace("\r\n", "\n").str.replace("\r", "\n")
    assert again["text"].str.replace("\r\n", "\n").str.replace("\r", "\n").tolist() == expected.tolist()
    assert again["number"].astype(float).tolist() == frame["number"].tolist()
    assert again["count"].astype(int).tolist() == frame["count"].tolist()
    # a row is the same text alone and beside others, which the report's own copies rely on
    assert text == b"".join([csv_header(frame.columns), *(table_csv(frame[n : n + 1])[18:] for n in range(len(frame)))])


def test_a_chunk_without_rows_adds_none_to_a_csv():
    rows = arrow_rows("reached", 2, dict.fromkeys(columns("reached"), 1) | dict.fromkeys(CELL, "a") | {"depth": 4})
    empty = rows[:0]
    assert csv_rows(pa.concat_tables([empty, rows, empty, rows])) == 2 * csv_rows(rows)
    assert csv_rows(empty) == b""
