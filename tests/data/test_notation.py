"""Numbers and dates with something else among them: one line that says the value, its row and the way out."""

import itertools

import numpy as np
import pandas as pd
import pytest
from altfreeze.data.frames import encode_features
from altfreeze.data.notation import Notation, fault_of_text
from altfreeze.support.errors import InputError
from builders import assert_one_line, load_tree_csv, load_tree_parquet, tree_csv, tree_rows

SIZES = [f"{index / 3:.2f}" for index in range(12)]


def with_marks(*marks, first=7):
    return [*SIZES[:first], *marks, *SIZES[first + len(marks) :]]


@pytest.mark.parametrize("mark", ["?", " ", ".", "-", "NA", "None", "nan", "N/A", "n.d.", "unknown", "x"])
def test_a_mark_among_numbers_is_refused_with_its_row_until_it_is_listed_as_missing(tmp_path, mark):
    content = tree_csv(width=with_marks(mark))
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, content)
    assert_one_line(error, f"column 'width' holds {mark!r} in data row 8 among numbers", f'missing: ["{mark}"]')
    dataset = load_tree_csv(tmp_path, content, missing=[mark])
    assert dataset.feature_names[0] == "width"
    assert np.flatnonzero(np.isnan(dataset.X[:, 0])).tolist() == [7]
    assert dataset.notes["missing"] == {"width": 1}


def test_all_marks_are_named_and_most_values_may_be_marks(tmp_path):
    content = tree_csv(width=["0.5", *"?-?-?-?-?-", "0.7"])
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, content)
    assert_one_line(error, "holds '?' in data row 2", '`missing: ["?", "-"]`, or list it under `drop`')
    assert load_tree_csv(tmp_path, content, missing=["?", "-"]).notes["missing"] == {"width": 10}


def test_blanks_around_a_mark_do_not_count(tmp_path):
    dataset = load_tree_csv(tmp_path, tree_csv(width=with_marks(" ?", "?  ", "  ")), missing=["?", " "])
    assert dataset.notes["missing"] == {"width": 3}


def test_a_number_can_be_a_mark(tmp_path):
    dataset = load_tree_csv(tmp_path, tree_csv(width=with_marks("-999", "-999.0")), missing=[-999])
    assert np.isnan(dataset.X[7:9, 0]).all()


@pytest.mark.parametrize(
    ("value", "way"),
    [
        ("1,25", '`decimal: ","`'),
        ("0,125", '`decimal: ","`'),
        ("1,250", '`thousands: ","` or `decimal: ","`'),
        ("1,250.5", '`thousands: ","`'),
        ("1.250,5", '`decimal: ","` with `thousands: "."`'),
        ("1,250,000", '`thousands: ","`'),
        ("1 250", '`thousands: " "`'),
        ("1'250", '`thousands: "\'"`'),
        ("12 %", "write plain numbers"),
        ("$12", "write plain numbers"),
        ("12\u00a0€", "write plain numbers"),
        ("12\u00a0", "write plain numbers"),
        ("−12", "write plain numbers"),
    ],
)
def test_numbers_in_another_notation_are_refused_with_the_key_that_reads_them(tmp_path, value, way):
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, tree_csv(";", width=[value] * 11 + [value.replace("2", "3")]), separator=";")
    told = f"; say {way}, or list it under `drop`, or under `keep`" if way.startswith("`") else way
    assert_one_line(error, "column 'width' holds", "in data row 1 among numbers", told)


@pytest.mark.parametrize(
    ("written", "keys", "numbers"),
    [
        (["0,14", "2", "-1,5e2"], {"decimal": ","}, [0.14, 2, -150]),
        (["1,000", "2,037.5", "12"], {"thousands": ","}, [1000, 2037.5, 12]),
        (["1.000,5", "12", ",5"], {"decimal": ",", "thousands": "."}, [1000.5, 12, 0.5]),
        (["1 000 000", "2", "3.5"], {"thousands": " "}, [1e6, 2, 3.5]),
    ],
)
def test_numbers_are_read_as_the_source_says(tmp_path, written, keys, numbers):
    dataset = load_tree_csv(tmp_path, tree_csv(";", width=written * 4), separator=";", **keys)
    assert dataset.X[:3, 0].tolist() == numbers


def test_the_wrong_notation_is_refused_too(tmp_path):
    # pandas takes 0,140 for 140
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, tree_csv(width=["0,140", "0,280", "1.5"] * 4), thousands=",")
    assert_one_line(error, "'0,140' in data row 1 among numbers")
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, tree_csv(width=["0.14", "0.28", "15"] * 4), decimal=",")
    assert_one_line(error, "'0.14' in data row 1 among numbers", "say no `decimal`")


@pytest.mark.parametrize("notation", [Notation(), Notation(","), Notation(".", ","), Notation(",", "\u00a0")])
def test_what_a_notation_takes_for_a_number_is_the_number(notation):
    texts = ["".join(parts) for parts in itertools.product(["", "-"], ["0", "1", "12", "123"], ["", "D", "D5"])]
    written = pd.Series(texts, dtype="str").str.replace("D", notation.decimal, regex=False)
    assert written.str.fullmatch(notation.pattern).all()
    assert notation.plain(written).astype(float).tolist() == [float(text.replace("D", ".")) for text in texts]
    assert (
        not pd.Series(["", "-", notation.decimal, "1_0", "0x1", "1e", "nan"], dtype="str")
        .str.fullmatch(notation.pattern)
        .any()
    )


@pytest.mark.parametrize(
    "dates",
    [
        [f"2024-01-{day:02}" for day in range(1, 13)],
        [f"{day}.1.2024" for day in range(1, 13)],
        [f"{day}/1/24" for day in range(1, 13)],
        [f"2024-{month:02}" for month in range(1, 13)],
        [f"{hour}:30" for hour in range(12)],
    ],
)
def test_dates_but_for_one_are_refused_with_that_one(tmp_path, dates):
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, tree_csv(width=[*dates[:7], "later", *dates[8:]]))
    assert_one_line(error, f"column 'width' holds dates such as {dates[0]!r} in data row 1, and 'later' in data row 8")


@pytest.mark.parametrize(
    "words",
    [
        ["a", "b", "1"],
        ["+", "-", "?"],
        ["1st", "2nd", "3rd"],
        ["k1", "k2", "12-20"],
    ],
)
def test_words_are_categories_as_they_are(words):
    assert fault_of_text(pd.Series(words * 4, dtype="str"), Notation()) is None


def test_numbers_with_a_letter_among_them_are_categories_only_if_kept(tmp_path):
    content = tree_csv(width=["1", "2", "3", "K"] * 3)
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, content)
    assert_one_line(error, "'K' in data row 4", "`keep` to take it as categories")
    assert load_tree_csv(tmp_path, content, keep=["width"]).notes["one_hot"]["width"] == ["1", "2", "3", "K"]


def test_a_mark_among_the_numbers_of_classes_is_no_class(tmp_path):
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, tree_csv(count=20, species=["1"] * 9 + ["2"] * 6 + ["?"] * 5))
    assert_one_line(error, "target column 'species' holds '?' in data row 16", "missing")


def test_text_in_a_file_of_types_is_refused_with_another_way_out(tmp_path):
    with pytest.raises(InputError) as error:
        load_tree_parquet(tmp_path, pd.DataFrame(tree_rows(width=with_marks("?"))))
    assert_one_line(error, "'?' in data row 8 among numbers; convert it to numbers, or list it")
    declared = pd.DataFrame({"width": pd.Categorical(["1", "2", "?"] * 4)})
    assert encode_features(declared, "here")[2]["one_hot"] == {"width": ["1", "2", "?"]}


def test_a_question_mark_among_words_is_no_category_in_silence(tmp_path):
    colours = ["red", "blue", "?"] * 10
    with pytest.raises(InputError) as error:
        load_tree_csv(tmp_path, tree_csv(count=30, colour=colours))
    assert_one_line(error, "'colour' holds '?' in data row 3 among words", '`missing: ["?"]`', "`keep`")
    content = tree_csv(count=30, colour=colours)
    assert load_tree_csv(tmp_path, content, missing=["?"]).notes["missing"] == {"colour": 10}
    assert "colour=?" in load_tree_csv(tmp_path, content, keep=["colour"]).feature_names
