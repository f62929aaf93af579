"""A lock, and writing in one step."""

import pathlib

import pytest

from tests import file_limit
from tff_gs import _files


def test_atomic_writing_leaves_nothing_else_behind(tmp_path):
    path = tmp_path / "clients.csv"
    for text in ("a\n", "b\n"):
        _files.write_atomically(path, text)
        assert path.read_text() == text
    assert [found.name for found in tmp_path.iterdir()] == ["clients.csv"]


def test_a_file_that_finds_no_room_is_as_it_was(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with file_limit.no_file_above(10), pytest.raises(OSError, match="large") as error:
        _files.write_atomically(path, "x" * 20)
    assert error.value.filename == str(path)
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["a.csv"]


def test_one_program_at_a_time(tmp_path):
    path = tmp_path / "held"
    with path.open("w") as first, path.open("w") as second:
        _files.take(first, path, holder="a test")
        with pytest.raises(ValueError, match="held to be free, found a test at work"):
            _files.take(second, path, holder="a test")
        first.close()
        _files.take(second, path, holder="a test")


def test_what_was_left_is_found_by_its_name(tmp_path):
    path = tmp_path / "a.csv"
    _files.unfinished_name(path).write_text("half")
    _files.write_atomically(path, "whole")
    assert path.read_text() == "whole"
    assert not _files.unfinished_name(path).exists()


def test_sync_takes_files_and_folders(tmp_path):
    path = pathlib.Path(tmp_path, "a")
    path.write_text("a")
    _files.sync(path)
    _files.sync(tmp_path)
