import json
import time

import numpy as np
import pytest

from tasks import femnist
from tasks.registry import TASKS
from tasks.task import DataError
from tests.shared_data import shared_data


def _writer(count, seed=0):
    rng = np.random.default_rng(seed)
    # As LEAF writes them: k/255 with four decimals.
    pixels = np.round(rng.integers(0, 256, size=(count, 784)) / 255, 4)
    return {"x": pixels.tolist(), "y": rng.integers(0, 62, size=count).tolist()}


def _leaf(writers):
    return {
        "users": list(writers),
        "num_samples": [len(data["y"]) for data in writers.values()],
        "user_data": writers,
    }


def _write(root, split, name, content):
    path = root / split / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.fixture(name="leaf")
def _fixture(tmp_path):
    """Four writers of 3, 5, 2 and 4 training examples in two files."""
    root = tmp_path / "leaf"
    counts = {"b_2": {"w": 2, "z": 4}, "b_1": {"v": 3, "a": 5}}
    for number, (name, writers) in enumerate(counts.items()):
        train = {w: _writer(n, number * 10 + n) for w, n in writers.items()}
        test = {w: _writer(1, number * 10 + n + 100) for w, n in writers.items()}
        _write(root, "train", f"{name}.json", _leaf(train))
        _write(root, "test", f"{name}.json", _leaf(test))
    return root


def _build(root, tmp_path, **options):
    options = {"min_examples": 1, "cache_dir": str(tmp_path / "cache")} | options
    given = {name: value for name, value in options.items() if value is not None}
    return TASKS.build("femnist", {"data_dir": str(root), **given}).load()


def _raw(root, split):
    users = {}
    for path in sorted((root / split).glob("*.json")):
        users |= json.loads(path.read_text())["user_data"]
    return users


def test_values_types_and_order(leaf, tmp_path):
    task = _build(leaf, tmp_path)
    assert [client.name for client in task.clients] == ["v", "a", "w", "z"]
    raw = _raw(leaf, "train")
    for client in task.clients:
        assert client.features.dtype == np.float32
        assert client.labels.dtype == np.int32
        expected = np.array(raw[client.name]["x"], np.float32).reshape(-1, 28, 28, 1)
        np.testing.assert_array_equal(client.features, expected)
        np.testing.assert_array_equal(client.labels, raw[client.name]["y"])
    assert task.test.name == "test"
    test = _raw(leaf, "test")
    np.testing.assert_array_equal(
        task.test.labels, [test[name]["y"][0] for name in "vawz"]
    )


def test_selection_of_writers_and_their_test_data(leaf, tmp_path):
    task = _build(leaf, tmp_path, min_examples=3, clients=2)
    assert [client.name for client in task.clients] == ["v", "a"]
    test = _raw(leaf, "test")
    np.testing.assert_array_equal(
        task.test.labels, [test[name]["y"][0] for name in "va"]
    )
    names = [client.name for client in _build(leaf, tmp_path, min_examples=4).clients]
    assert names == ["a", "z"]


@pytest.mark.parametrize("inexact", [False, True])
def test_cached_values_equal_read_ones_to_the_bit(leaf, tmp_path, monkeypatch, inexact):
    if inexact:  # Values that 256 grey levels cannot hold.
        data = _leaf({"q": _writer(3)})
        data["user_data"]["q"]["x"][0][:3] = [0.50000, 0.50001, -0.0]
        _write(leaf, "train", "c.json", data)
        _write(leaf, "test", "c.json", _leaf({"q": _writer(1)}))
    built = _build(leaf, tmp_path)
    monkeypatch.setattr(femnist, "_pack", pytest.fail)
    cached = _build(leaf, tmp_path)
    raw = _raw(leaf, "train")
    for read, kept in zip(built.clients, cached.clients, strict=True):
        direct = np.array(raw[read.name]["x"], np.float32)
        assert direct.tobytes() == read.features.tobytes() == kept.features.tobytes()
        np.testing.assert_array_equal(read.labels, kept.labels)
    assert built.test.features.tobytes() == cached.test.features.tobytes()


def _no_users(data):
    del data["users"]


def _count(data):
    data["num_samples"][0] = 9


def _short_counts(data):
    data["num_samples"].pop()


def _label_range(data):
    data["user_data"]["v"]["y"][1] = 62


def _label_type(data):
    data["user_data"]["v"]["y"][1] = "7"


def _label_count(data):
    data["user_data"]["v"]["y"].pop()


def _image_length(data):
    data["user_data"]["v"]["x"][1].pop()


def _image_kind(data):
    data["user_data"]["v"]["x"][1] = 0.5


def _pixel_kind(data):
    data["user_data"]["v"]["x"][1][3] = "white"


def _pixel_none(data):
    data["user_data"]["v"]["x"][1][3] = None


def _pixel_range(data):
    data["user_data"]["v"]["x"][1][3] = 255


def _pixel_nan(data):
    data["user_data"]["v"]["x"][1][3] = float("nan")


def _lost_user(data):
    del data["user_data"]["v"]


def _no_x(data):
    del data["user_data"]["v"]["x"]


def _user_twice(data):
    data["users"].append("v")
    data["num_samples"].append(3)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_no_users, r"b_1.json: expected an object with 'users' as a list"),
        (_count, r"b_1.json, user 'v': .*num_samples = 9 entries, found 3"),
        (_short_counts, r"b_1.json: .*each of 2 users, found 1"),
        (_label_range, r"b_1.json, user 'v': .*integers in 0..61, found 62"),
        (_label_type, r"b_1.json, user 'v': .*integers in 0..61, found '7'"),
        (_label_count, r"b_1.json, user 'v': expected 'y' to hold .* 3 .* found 2"),
        (_image_length, r"b_1.json, user 'v': .*784 pixels, found 783"),
        (_image_kind, r"b_1.json, user 'v': .*784 pixels, found no list"),
        (_pixel_kind, r"b_1.json, user 'v': .*pixels that are numbers, found"),
        (_pixel_none, r"b_1.json, user 'v': .*pixels .*, found"),
        (_pixel_range, r"b_1.json, user 'v': .*in \[0, 1\], found 255"),
        (_pixel_nan, r"b_1.json, user 'v': .*in \[0, 1\], found nan"),
        (_lost_user, r"b_1.json: .*the same writers, found a difference in 'v'"),
        (_no_x, r"b_1.json, user 'v': expected a list 'x', found none"),
        (_user_twice, r"b_1.json: .*found a difference in 'a user listed twice'"),
    ],
)
def test_malformed_file_is_one_sentence(leaf, tmp_path, damage, message):
    path = leaf / "train" / "b_1.json"
    data = json.loads(path.read_text())
    damage(data)
    path.write_text(json.dumps(data))
    with pytest.raises(DataError, match=message) as info:
        _build(leaf, tmp_path)
    assert "\n" not in str(info.value)
    assert str(info.value).count(str(path)) == 1
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", ["", "[]", "nil", '{"users": ["v"', "\udcff"])
def test_broken_json(leaf, tmp_path, content):
    path = leaf / "test" / "b_1.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=r"test/b_1.json: expected") as info:
        _build(leaf, tmp_path)
    assert "\n" not in str(info.value)


def test_truncated_file(leaf, tmp_path):
    path = leaf / "train" / "b_2.json"
    path.write_text(path.read_text()[:-1000])
    with pytest.raises(DataError, match=r"train/b_2.json: expected whole JSON, found"):
        _build(leaf, tmp_path)


def test_writers_of_train_and_test_differ(leaf, tmp_path):
    (leaf / "test" / "b_2.json").unlink()
    with pytest.raises(DataError, match=r"test lacks 'w' \(2 in all\)"):
        _build(leaf, tmp_path)
    _write(leaf, "test", "b_2.json", _leaf({n: _writer(1) for n in ("w", "z", "new")}))
    with pytest.raises(DataError, match=r"train lacks 'new' \(1 in all\)"):
        _build(leaf, tmp_path)


def test_writer_in_two_files(leaf, tmp_path):
    _write(leaf, "train", "b_3.json", _leaf({"a": _writer(1)}))
    with pytest.raises(DataError, match=r"b_3.json: expected each writer once.*'a'"):
        _build(leaf, tmp_path)


def test_no_test_examples(leaf, tmp_path):
    for path in (leaf / "test").iterdir():
        names = json.loads(path.read_text())["users"]
        path.write_text(json.dumps(_leaf({name: _writer(0) for name in names})))
    with pytest.raises(DataError, match=r"of the 4 chosen writers in .*, found none"):
        _build(leaf, tmp_path)


def test_missing_files(tmp_path):
    with pytest.raises(DataError, match=r"\.json files in .*nowhere/train, found none"):
        _build(tmp_path / "nowhere", tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clients": 5}, r"at most 4 clients, .* at least 1 training .*, found 5"),
        ({"clients": 0}, r"clients to be at least 1, found 0"),
        ({"min_examples": 0}, r"min_examples to be at least 1, found 0"),
        ({"min_examples": 6}, r"at least 6 training .*, found at most 5"),
        ({"min_examples": None}, r"at least 100 training .*, found at most 5"),
        ({"partition": "iid"}, r"found partition, an option of digits, cifar10\."),
    ],
)
def test_impossible_options(leaf, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        _build(leaf, tmp_path, **options)


def test_needs_a_directory():
    with pytest.raises(
        ValueError, match=r"data_dir for task .*, found none \(the LEAF"
    ):
        TASKS.build("femnist")


def test_real_data(tmp_path):
    root = shared_data("femnist_leaf")
    task = _build(root, tmp_path)
    assert len(task.clients) == 120
    assert sum(len(client.labels) for client in task.clients) == 18_924
    assert len(task.test.labels) == 2_168
    assert min(len(client.labels) for client in task.clients) >= 90
    start = time.perf_counter()
    cached = _build(root, tmp_path)
    assert time.perf_counter() - start < 2
    raw = _raw(root, "train")
    for client in cached.clients:
        direct = np.array(raw[client.name]["x"], np.float32)
        assert direct.tobytes() == client.features.tobytes()
        np.testing.assert_array_equal(client.labels, raw[client.name]["y"])
    # A quarter of the raw floats: the pixels are kept as bytes.
    (file,) = (tmp_path / "cache").iterdir()
    assert file.stat().st_size < 1.01 * 784 * (18_924 + 2_168)
    assert len(_build(root, tmp_path, min_examples=None, clients=30).clients) == 30


def test_files_that_begin_with_a_dot_are_no_data(leaf, tmp_path):
    before = _build(leaf, tmp_path)
    for split in ("train", "test"):
        (leaf / split / "._a.json").write_bytes(b"\x00\x05\x16\x07 of an archive")
        (leaf / split / ".b.json").write_text("{}")
    after = _build(leaf, tmp_path)
    assert [c.name for c in after.clients] == [c.name for c in before.clients]
