import http.client
import io
import lzma
import os
import pathlib
import socket
import sqlite3
import urllib.error
import urllib.request

import numpy as np
import pytest

from tasks import simulation
from tasks.task import DataError
from tests import tff_files

_FILE = "cifar100.sqlite"


@pytest.fixture(name="data_dir", scope="module")
def _data_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("copy")
    tff_files.write(directory / _FILE, tff_files.cifar100_splits())
    return directory


@pytest.fixture(name="home")
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def _answer(monkeypatch, answer):
    """Has every request answered; returns the time limits of those that were made."""
    limits = []

    def urlopen(url):
        assert url.endswith("/cifar100.sqlite.lzma")
        limits.append(socket.getdefaulttimeout())
        return answer()

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return limits


def _body(content):
    body = io.BytesIO(content)
    body.headers = {"content-length": str(len(content))}
    return body


def _load(data_dir=None):
    return simulation.load(
        "cifar100", _FILE, data_dir if data_dir is None else os.fspath(data_dir)
    )


def _files(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def test_a_copy_is_read_and_nothing_is_written(data_dir, home, monkeypatch):
    asked = _answer(monkeypatch, pytest.fail)
    train, test = _load(data_dir)
    assert train.client_ids == ["0", "1", "10", "2"]
    assert test.client_ids == ["0", "1"]
    assert asked == []
    assert _files(data_dir) == [_FILE]
    assert _files(home) == []


def test_a_copy_of_tff_is_used(data_dir, home, monkeypatch):
    asked = _answer(monkeypatch, pytest.fail)
    (home / ".tff").mkdir()
    (home / ".tff" / _FILE).write_bytes((data_dir / _FILE).read_bytes())
    assert _load()[0].client_ids == ["0", "1", "10", "2"]
    assert asked == []


def test_a_download_is_kept_where_tff_keeps_it(data_dir, home, monkeypatch):
    content = (data_dir / _FILE).read_bytes()
    asked = _answer(monkeypatch, lambda: _body(lzma.compress(content)))
    before = socket.getdefaulttimeout()
    assert _load()[0].client_ids == ["0", "1", "10", "2"]
    assert _load()[0].client_ids == ["0", "1", "10", "2"]
    assert asked == [30]  # Once, with a limit on the wait for the network.
    assert socket.getdefaulttimeout() == before
    assert _files(home) == [".tff", f".tff/{_FILE}"]
    assert (home / ".tff" / _FILE).read_bytes() == content


def _no_network():
    raise urllib.error.URLError(socket.gaierror(-2, "Name or service not known"))


def _broken_off():
    body = _body(b"")
    body.read = lambda size: (_ for _ in ()).throw(http.client.IncompleteRead(b""))
    return body


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (_no_network, "Name or service not known"),
        (_broken_off, "IncompleteRead"),
        (lambda: _body(b"<html>no such thing</html>"), "Input format not supported"),
        ("truncated", "malformed"),
    ],
)
def test_no_copy_and_no_download(data_dir, home, monkeypatch, answer, reason):
    if answer == "truncated":
        # Of more than a page of SQLite, so that its beginning is sound.
        content = (data_dir / _FILE).read_bytes()
        packed = lzma.compress(content[: len(content) // 2])
        answer = lambda: _body(packed)  # noqa: E731
    _answer(monkeypatch, answer)
    before = socket.getdefaulttimeout()
    with pytest.raises(DataError) as info:
        _load()
    message = str(info.value)
    assert message.startswith(
        f"Expected {_FILE} in {home / '.tff'}, found none, and its download failed ("
    )
    assert reason in message
    assert message.endswith("): name the directory of a copy by data_dir.")
    assert "\n" not in message
    assert socket.getdefaulttimeout() == before
    # Nothing that a later start would take for the data.
    assert _files(home) == [".tff"]


def test_a_directory_without_the_file(tmp_path, monkeypatch):
    asked = _answer(monkeypatch, pytest.fail)
    with pytest.raises(DataError, match=rf"^Expected {_FILE} in .*, found none\.$"):
        _load(tmp_path)
    (tmp_path / f"{_FILE}.lzma").touch()
    with pytest.raises(DataError, match=r"only cifar100.sqlite.lzma, which xz -dk"):
        _load(tmp_path)
    assert asked == []


def _text(path):
    path.write_text("no database" * 100)


def _other_tables(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE letters (x)")
    connection.commit()
    connection.close()


def _other_split(path):
    tff_files.write(path, {"validation": {"0": tff_files.cifar100_client(1, 0)}})


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_text, "file is not a database"),
        (_other_tables, "does not have the required"),
        (_other_split, "StopIteration"),
    ],
)
def test_another_file_is_one_sentence(tmp_path, damage, reason):
    damage(tmp_path / _FILE)
    with pytest.raises(DataError) as info:
        _load(tmp_path)
    message = str(info.value)
    assert message.startswith(f"{tmp_path / _FILE}: expected the file of tff.simul")
    assert reason in message
    assert "\n" not in message


def test_read_gives_every_array_in_the_order_asked(data_dir, monkeypatch):
    monkeypatch.setattr(simulation, "_CHUNK", 4)  # So that a client spans two.
    expected = tff_files.cifar100_splits()["train"]
    train, _ = _load(data_dir)
    clients = list(simulation.read(train, ["10", "2", "0"]))
    assert [name for name, _ in clients] == ["10", "2", "0"]
    for name, examples in clients:
        assert set(examples) == {"image", "label", "coarse_label"}
        for feature, values in examples.items():
            np.testing.assert_array_equal(values, expected[name][feature])
            assert values.dtype == expected[name][feature].dtype


def test_a_client_without_examples_is_left_out(data_dir):
    train, _ = _load(data_dir)
    assert [name for name, _ in simulation.read(train, ["1", "7", "2"])] == ["1", "2"]


def test_a_damaged_example_is_one_sentence(data_dir, tmp_path):
    path = tmp_path / _FILE
    path.write_bytes((data_dir / _FILE).read_bytes())
    connection = sqlite3.connect(path)
    connection.execute(
        "UPDATE examples SET serialized_example_proto = x'0a' WHERE rowid = 3"
    )
    connection.commit()
    connection.close()
    train, _ = _load(tmp_path)
    with pytest.raises(DataError, match=r"Expected examples as tff\.simu") as info:
        list(simulation.read(train, train.client_ids))
    assert "\n" not in str(info.value)


def test_labels():
    labels = simulation.checked_labels("a", np.array([0, 9]), 10)
    assert labels.tolist() == [0, 9]
    assert labels.dtype == np.int32
    for wrong in (-1, 10):
        with pytest.raises(DataError, match=rf"0..9 of client 'a', found {wrong}"):
            simulation.checked_labels("a", np.array([0, wrong]), 10)


def test_the_default_place_is_the_one_of_tff(home, data_dir, monkeypatch):
    """TFF, told nothing, finds what `load` downloaded."""
    import tensorflow_federated as tff

    content = (data_dir / _FILE).read_bytes()
    asked = _answer(monkeypatch, lambda: _body(lzma.compress(content)))
    _load()
    train, _ = tff.simulation.datasets.cifar100.load_data()
    assert len(asked) == 1
    assert train.client_ids == ["0", "1", "10", "2"]
    assert pathlib.Path.home() == home
