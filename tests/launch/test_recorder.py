"""The files of a run that goes on."""

import asyncio

import numpy as np
import pytest

from launch import recorder, run_directory
from launch.evaluation import Evaluation
from tasks import ClientData
from tff_gs import programs

_FLAGS = {"task": "digits", "rounds": "4"}


@pytest.fixture(name="clients")
def _clients():
    rng = np.random.default_rng(0)
    return [
        ClientData(name, rng.random((n, 2, 2, 1), np.float32), np.arange(n, dtype="i4"))
        for name, n in (("a", 3), ("b", 2))
    ]


def _release(number):
    train = {
        "round": np.int32(number),
        "training_loss": np.float32(1 / number),
        "k": np.int32(5),
        "k_probe": np.int32(0),
        "sign": np.int32(0),
        "time": np.float64(number / 3),
        "round_time": np.float64(np.nan),
        "uplink_bits": np.int64(2**40),
        "downlink_bits": np.int64(8),
        "client_ids": np.array([1, 0]),
        "contributed": np.array([number, 10 * number]),
    }
    evaluated = Evaluation(0.5, 2.0) if number == 2 else None
    return programs.Release(train, evaluated, {"round_seconds": 0.1})


def _run(directory, clients, rounds, *, resume=None):
    """Records rounds; returns what a checkpoint keeps after each."""

    async def go(record):
        if resume is not None:
            await record.rewind(*resume)
        states = {}
        for number in rounds:
            await record.record(_release(number), number)
            states[number] = record.state()
        return states

    resumed = resume is not None
    with recorder.Recorder(directory, clients, flags=_FLAGS, resumed=resumed) as record:
        return asyncio.run(go(record)), record.rows


@pytest.fixture(name="directory")
def _directory(tmp_path):
    directory = run_directory.RunDirectory(tmp_path / "run")
    directory.create(_FLAGS)
    return directory


def _read(directory):
    names = ("metrics.csv", "clients.csv", "timing.csv", "flags.txt", "flags.json")
    return {name: (directory.path / name).read_bytes() for name in names}


def test_rounds_after_the_checkpoint_are_taken_back(directory, clients, tmp_path):
    states, whole_rows = _run(directory, clients, [1, 2, 3, 4])
    whole = _read(directory)
    directory.finish({"rounds": 4})
    # More than the file of the whole run has.
    with directory.metrics.open("a") as file:
        file.write("5,0.1")
    for start in (2, 4, 1):
        rest = range(start + 1, 5)
        _, rows = _run(directory, clients, rest, resume=(states[start], start))
        assert _read(directory) == whole
        np.testing.assert_equal(rows, whole_rows)
        assert not directory.result.exists()
        assert len(list(directory.events.iterdir())) == 1
    assert b"0,a,3,100\n1,b,2,10\n" in whole["clients.csv"]


def test_changed_data_are_refused(directory, clients):
    states, _ = _run(directory, clients, [1, 2])
    before = _read(directory)
    clients[1].labels[0] += 1
    with pytest.raises(ValueError, match="found other data of client b"):
        _run(directory, clients, [], resume=(states[2], 2))
    assert _read(directory) == before


@pytest.mark.parametrize("name", ["metrics.csv", "timing.csv"])
@pytest.mark.parametrize("change", ["missing row", "torn row", "no file", "no text"])
def test_missing_rounds_are_refused(directory, clients, name, change):
    states, _ = _run(directory, clients, [1, 2, 3])
    path = directory.path / name
    lines = path.read_text().splitlines(keepends=True)
    if change == "missing row":
        path.write_text("".join(lines[:2] + lines[3:]))
    elif change == "torn row":
        path.write_text("".join(lines)[: -len(lines[-1]) + 1])
    elif change == "no text":
        path.write_bytes(b"\xff\xfe")
    else:
        path.unlink()
    with pytest.raises(
        ValueError, match=rf"rows of rounds 1 to 3 in .*{name}, as they"
    ):
        _run(directory, clients, [], resume=(states[3], 3))
