import os

import numpy as np
import pytest

from tasks import cache


class _Reader:
    """Counts how often the sources are read."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return {
            "bytes": np.arange(300, dtype=np.uint8),
            "floats": np.array([0.1, -0.0, np.nan], np.float32),
            "names": np.array(["a", "writer"]),
        }


@pytest.fixture(name="source")
def _source(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    path = tmp_path / "data" / "part.json"
    path.parent.mkdir()
    path.write_text("{}")
    yield path
    path.parent.chmod(0o755)


def _load(reader, source, version=1, cache_dir=None):
    return cache.load_or_build(
        reader,
        name="toy",
        version=version,
        data_dir=source.parent,
        sources=[source],
        cache_dir=cache_dir,
    )


def _assert_same_bits(arrays, others):
    assert arrays.keys() == others.keys()
    for key, array in arrays.items():
        assert array.dtype == others[key].dtype
        assert array.tobytes() == others[key].tobytes()


def _files(directory):
    return sorted(p.name for p in directory.iterdir()) if directory.exists() else []


def test_second_load_reads_the_cache_beside_the_data(source, tmp_path):
    reader = _Reader()
    built = _load(reader, source)
    _assert_same_bits(built, _load(reader, source))
    assert reader.calls == 1
    assert _files(source.parent) == ["part.json", "toy.cache.npz"]
    assert _files(tmp_path / "xdg") == []


def test_read_only_data_is_cached_in_the_users_directory(source, tmp_path):
    source.parent.chmod(0o555)
    reader = _Reader()
    _assert_same_bits(_load(reader, source), _load(reader, source))
    assert reader.calls == 1
    assert _files(source.parent) == ["part.json"]
    assert len(_files(tmp_path / "xdg" / "tff_gs")) == 1


def test_given_cache_dir_is_used_alone(source, tmp_path):
    reader = _Reader()
    for _ in range(2):
        _load(reader, source, cache_dir=str(tmp_path / "made" / "here"))
    assert reader.calls == 1
    assert len(_files(tmp_path / "made" / "here")) == 1
    assert _files(source.parent) == ["part.json"]


def test_given_cache_dir_that_cannot_be_written_is_refused(source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"writable cache_dir, found .*file"):
        _load(_Reader(), source, cache_dir=str(tmp_path / "file"))


def test_no_writable_place_still_gives_the_data(source, tmp_path):
    source.parent.chmod(0o555)
    (tmp_path / "xdg").write_text("a file, not a directory")
    reader = _Reader()
    _assert_same_bits(_load(reader, source), _load(reader, source))
    assert reader.calls == 2


def _touch(source):
    os.utime(source, ns=(1, 1))


def _grow(source):
    stat = source.stat()
    source.write_text("{ }")
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("change", [_touch, _grow])
def test_changed_source_is_read_again(source, change):
    reader = _Reader()
    _load(reader, source)
    change(source)
    _load(reader, source)
    _load(reader, source)
    assert reader.calls == 2
    assert _files(source.parent) == ["part.json", "toy.cache.npz"]


def test_new_version_is_read_again(source):
    reader = _Reader()
    for version in (1, 2, 2):
        _load(reader, source, version=version)
    assert reader.calls == 2


def test_data_directories_do_not_share_a_cache_file(source, tmp_path):
    other = tmp_path / "other" / source.name
    other.parent.mkdir()
    other.write_text("{}")
    os.utime(other, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
    reader = _Reader()
    for path in (source, other):
        _load(reader, path, cache_dir=str(tmp_path / "c"))
    assert reader.calls == 2
    assert len(_files(tmp_path / "c")) == 2


def test_any_damage_is_built_anew(source):
    reader = _Reader()
    built = _load(reader, source)
    path = source.parent / "toy.cache.npz"
    sound = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [b"", b"PK", sound[: len(sound) // 2], sound[:-1], b"x" * len(sound)]
    for position in rng.integers(len(sound), size=200):
        flipped = bytearray(sound)
        flipped[position] ^= 0xFF
        damaged.append(bytes(flipped))
    rebuilt = 0
    for content in damaged:
        path.write_bytes(content)
        before = reader.calls
        _assert_same_bits(built, _load(reader, source))
        rebuilt += reader.calls - before
        assert path.read_bytes() == (content if reader.calls == before else sound)
    # Some bytes of a zip file mean nothing, such as its time stamps.
    assert rebuilt > 100


def test_failed_write_leaves_no_file(source, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(cache.np, "savez", fail)
    _load(_Reader(), source)
    assert _files(source.parent) == ["part.json"]


def test_without_a_home_the_cache_lies_beside_the_data_or_nowhere(source, monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(cache.pathlib.Path, "home", nobody)
    reader = _Reader()
    for _ in range(2):
        _load(reader, source)
    assert reader.calls == 1
    (source.parent / "toy.cache.npz").unlink()
    source.parent.chmod(0o555)
    for _ in range(2):
        _load(reader, source)
    assert reader.calls == 3
