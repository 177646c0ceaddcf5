"""Messages quote what stands in a user's file in one printable line of bounded length."""

from altfreeze.support.messages import listing, plural, quoted, reason
from hypothesis import given
from hypothesis import strategies as st


@given(st.text(), st.lists(st.text(), min_size=1))
def test_whatever_is_quoted_is_one_printable_line_that_is_not_long(text, names):
    for part, longest in ((quoted(text), 101), (reason(ValueError(text)), 301), (listing(names), 1100)):
        assert part.isprintable()
        assert len(part) <= longest


def test_an_error_that_says_nothing_is_named():
    assert reason(MemoryError()) == "MemoryError"


def test_of_many_names_ten_are_listed_and_the_others_counted():
    assert listing("abc") == "'a', 'b', 'c'"
    assert listing([*map(str, range(12))]).endswith("'9' and 2 more")
    assert (plural(1, "row"), plural(2, "row")) == ("row", "rows")
