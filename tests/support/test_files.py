"""Files are whole or not there, as readable as any other, and JSON holds no NaN."""

import errno
import hashlib
import json
import math
import os

import pytest
from altfreeze.support.files import atomic_output, remove_leftovers, sha256_of_file, write_json


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "folder" / "table.csv"
    with atomic_output(path) as file:
        file.write("old\n")
    with pytest.raises(ZeroDivisionError), atomic_output(path) as file:
        file.write("new\n")
        file.flush()
        assert path.read_text() == "old\n"
        raise ZeroDivisionError
    assert path.read_text() == "old\n"
    assert list(path.parent.iterdir()) == [path]


def test_line_ends_are_not_translated_and_text_is_utf_8(tmp_path):
    with atomic_output(tmp_path / "text") as file:
        file.write("ü\n\r\n")
    assert (tmp_path / "text").read_bytes() == b"\xc3\xbc\n\r\n"
    with atomic_output(tmp_path / "bytes", "wb") as file:
        file.write(b"\xff")
    assert (tmp_path / "bytes").read_bytes() == b"\xff"


def test_a_file_is_as_readable_as_any_other(tmp_path):
    with atomic_output(tmp_path / "atomic") as file:
        file.write("")
    (tmp_path / "other").write_text("")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_what_a_killed_process_left_is_removed_by_the_next_that_writes_the_same_file(tmp_path):
    path = tmp_path / "log[1].csv"
    left, other = tmp_path / f".{path.name}.abcdefgh.tmp", tmp_path / ".log1.csv.abcdefgh.tmp"
    for leftover in (left, other):
        leftover.write_text("half")
    with atomic_output(path) as file:
        file.write("whole")
    assert not left.exists()
    assert other.exists()
    left.write_text("half")
    remove_leftovers(path)
    assert not left.exists()


def test_an_error_names_the_file_that_was_to_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file") as caught, atomic_output(tmp_path / "file" / "table.csv"):
        pass
    assert caught.value.filename == str(tmp_path / "file" / "table.csv")
    with pytest.raises(OSError, match="space") as caught, atomic_output(tmp_path / "table.csv"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(tmp_path / "table.csv")


def test_json_is_sorted_and_holds_no_nan(tmp_path):
    path = tmp_path / "manifest.json"
    write_json(path, {"b": 1, "a": "ü"})
    assert path.read_text(encoding="utf-8") == '{\n  "a": "ü",\n  "b": 1\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": math.nan})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "ü", "b": 1}


def test_the_hash_of_a_file_is_its_sha_256(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"x" * 100_000)
    assert sha256_of_file(path) == hashlib.sha256(b"x" * 100_000).hexdigest()
