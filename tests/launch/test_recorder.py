"""The files of a run that goes on."""

import asyncio
import resource

import numpy as np
import pytest

from launch import recorder, run_directory
from tasks import ACCURACY, ClientData
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
    evaluated = {"accuracy": 0.5, "loss": 2.0} if number == 2 else None
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
    with recorder.Recorder(
        directory, clients, (ACCURACY,), flags=_FLAGS, resumed=resumed
    ) as record:
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


_CHANGES = {
    "missing row": lambda lines: lines[:2] + lines[3:],
    "torn row": lambda lines: [*lines[:-1], lines[-1][:1]],
    "torn number": lambda lines: [*lines[:-1], lines[-1][:-2]],
    "no end of line": lambda lines: [*lines[:-1], lines[-1][:-1]],
    "renamed column": lambda lines: [lines[0].replace("round", "rund"), *lines[1:]],
    "another number": lambda lines: [
        *lines[:2],
        lines[2].replace(".", ".1", 1),
        *lines[3:],
    ],
    "no rows": lambda lines: [],
}


@pytest.mark.parametrize("name", ["metrics.csv", "timing.csv"])
@pytest.mark.parametrize("change", [*_CHANGES, "no file", "no text"])
def test_changed_rounds_are_refused(directory, clients, name, change):
    states, _ = _run(directory, clients, [1, 2, 3])
    path = directory.path / name
    if change == "no text":
        path.write_bytes(b"\xff\xfe")
    elif change == "no file":
        path.unlink()
    else:
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(_CHANGES[change](lines)))
    with pytest.raises(
        ValueError, match=rf"rows of rounds 1 to 3 in .*{name}, as they"
    ):
        _run(directory, clients, [], resume=(states[3], 3))


def test_a_recorder_takes_back_its_own_rounds(directory, clients):
    """As where a worker is started again."""

    async def go(record):
        states = {}
        for number in (1, 2, 3, 4):
            await record.record(_release(number), number)
            states[number] = record.state()
        await record.rewind(states[2], 2)
        for number in (3, 4):
            await record.record(_release(number), number)
        np.testing.assert_equal(record.state(), states[4])

    with recorder.Recorder(directory, clients, (ACCURACY,), flags=_FLAGS) as record:
        asyncio.run(go(record))
        assert len(record.rows) == 4
    found = _read(directory)
    for path in (directory.metrics, directory.clients, directory.timing):
        path.unlink()
    _run(directory, clients, [1, 2, 3, 4])
    assert _read(directory) == found


@pytest.mark.parametrize("name", ["metrics.csv", "timing.csv", "clients.csv"])
def test_a_row_that_finds_no_room_leaves_whole_rows(directory, clients, name):
    path = directory.path / name

    async def go(record):
        await record.record(_release(1), 1)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        # A part of what is written finds room.
        limit = path.stat().st_size + (-1 if name == "clients.csv" else 1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            await record.record(_release(2), 2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with recorder.Recorder(directory, clients, (ACCURACY,), flags=_FLAGS) as record:
        with pytest.raises(OSError, match="large"):
            asyncio.run(go(record))
        rows = list(record.rows)
    for table in (directory.metrics, directory.timing, directory.clients):
        assert table.read_bytes().endswith(b"\n")
    assert directory.metrics.read_text().count("\n") == len(rows) + 1


def test_without_events_a_run_goes_on(directory, clients, caplog):
    directory.events.write_text("in the way")
    _run(directory, clients, [1, 2])
    assert directory.metrics.read_text().count("\n") == 3
    assert caplog.text.count("No more events in ") == 1
