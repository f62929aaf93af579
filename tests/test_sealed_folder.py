"""Folders of which any change is noticed."""

import hypothesis
import pytest
from hypothesis import strategies as st

from tff_gs import _sealed_folder

_NOTES = {"flags": {"k": "5"}, "of": [1, 2]}


def _make(folder):
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "data").write_bytes(bytes(range(256)) * 5)
    (folder / "empty").write_bytes(b"")
    _sealed_folder.seal(folder, _NOTES)
    return folder


def test_a_folder_that_is_as_it_was_sealed_passes(tmp_path):
    folder = _make(tmp_path / "a")
    _sealed_folder.check(folder)
    assert _sealed_folder.read_notes(folder) == _NOTES
    # Wherever it lies.
    _sealed_folder.check(folder.rename(tmp_path / "b"))


@hypothesis.settings(deadline=None, max_examples=150)
@hypothesis.given(data=st.data())
def test_any_flipped_bit_is_noticed(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sealed") / "a"
    _make(folder)
    name = data.draw(st.sampled_from(["inner/data", _sealed_folder.SEAL]))
    content = bytearray((folder / name).read_bytes())
    byte = data.draw(st.integers(0, len(content) - 1))
    content[byte] ^= 1 << data.draw(st.integers(0, 7))
    (folder / name).write_bytes(content)
    with pytest.raises(_sealed_folder.BrokenSealError, match=r"^Expected [^\n]*\.$"):
        _sealed_folder.check(folder)


def _cut(folder):
    path = folder / "inner" / "data"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_cut, "found inner/data changed"),
        (lambda folder: (folder / "empty").unlink(), "found empty missing"),
        (lambda folder: (folder / "more").touch(), "found more changed"),
        (
            lambda folder: (folder / _sealed_folder.SEAL).unlink(),
            "can be read in .* no",
        ),
        (
            lambda folder: (folder / _sealed_folder.SEAL).write_bytes(b""),
            "found it cha",
        ),
    ],
)
def test_what_is_not_as_it_was_is_named(tmp_path, change, found):
    folder = _make(tmp_path / "a")
    change(folder)
    with pytest.raises(_sealed_folder.BrokenSealError, match=found) as error:
        _sealed_folder.check(folder)
    assert str(error.value).startswith("Expected ")
    assert len(str(error.value).splitlines()) == 1


def test_a_seal_of_another_format_is_named(tmp_path, monkeypatch):
    folder = tmp_path / "a"
    monkeypatch.setattr(_sealed_folder, "_FORMAT", 7)
    _make(folder)
    monkeypatch.undo()
    with pytest.raises(_sealed_folder.BrokenSealError, match="of format 1, found for"):
        _sealed_folder.check(folder)


def test_a_removed_folder_leaves_nothing(tmp_path):
    folder = _make(tmp_path / "a")
    (tmp_path / _sealed_folder.doomed_name("a")).mkdir()
    _sealed_folder.remove(folder)
    _sealed_folder.remove(folder)
    assert list(tmp_path.iterdir()) == []
