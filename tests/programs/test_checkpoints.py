"""Saved states: whole or not there, two of them, and any damage is noticed."""

import asyncio
import errno
import os
import shutil

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff
from hypothesis import strategies as st

from tests import file_limit
from tff_gs import _sealed_folder, programs, runtime

_STATE = {"a": np.arange(3000, dtype=np.float32), "b": (np.int64(7),)}


def _save(path, *versions, **options):
    manager = programs.CheckpointManager(path, **options)
    for version in versions:
        asyncio.run(manager.save(_STATE, version))
    return manager


def _load(manager, version):
    return asyncio.run(manager.load(version, _STATE))


def _names(path):
    return sorted(entry.name for entry in path.iterdir())


@pytest.fixture(name="saved", scope="module")
def _saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved")
    _save(path, 3, notes={"k": "5"})
    return path


def test_the_two_latest_states_are_kept_and_read(tmp_path):
    manager = _save(tmp_path, 1, 4, 9)
    assert _names(tmp_path) == ["program_state_4", "program_state_9"]
    assert asyncio.run(manager.get_versions()) == [4, 9]
    for version in (4, 9):
        tf.nest.map_structure(
            np.testing.assert_array_equal, _load(manager, version), _STATE
        )
    with pytest.raises(tff.program.ProgramStateExistsError):
        asyncio.run(manager.save(_STATE, 9))
    assert _names(tmp_path) == ["program_state_4", "program_state_9"]
    manager.remove_after(4)
    assert _names(tmp_path) == ["program_state_4"]
    asyncio.run(manager.remove_all())
    assert _names(tmp_path) == []


def test_what_an_earlier_program_left_unfinished_is_removed(tmp_path):
    _save(tmp_path, 1)
    for name in (".unfinished", ".program_state_7.removed"):
        shutil.copytree(tmp_path / "program_state_1", tmp_path / name / "x")
    _save(tmp_path)
    assert _names(tmp_path) == ["program_state_1"]


def test_notes_are_kept_with_a_state(saved):
    assert _sealed_folder.read_notes(saved / "program_state_3") == {"k": "5"}


@hypothesis.settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(data=st.data())
def test_any_flipped_bit_of_a_state_is_noticed(saved, data):
    files = sorted(path for path in saved.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from([p for p in files if p.stat().st_size]))
    whole = path.read_bytes()
    damaged = bytearray(whole)
    byte = data.draw(st.integers(0, len(damaged) - 1))
    damaged[byte] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(damaged)
    try:
        with pytest.raises(_sealed_folder.BrokenSealError):
            _load(programs.CheckpointManager(saved), 3)
    finally:
        path.write_bytes(whole)


def test_a_state_for_which_there_is_no_room_leaves_the_earlier_ones(tmp_path):
    manager = _save(tmp_path, 1)
    with (
        file_limit.no_file_above(5000),
        pytest.raises(OSError, match=r"large|space|error") as error,
    ):
        asyncio.run(manager.save(_STATE, 2))
    assert error.value.errno in (errno.ENOSPC, errno.EFBIG, errno.EIO)
    assert error.value.filename
    assert _names(tmp_path) == ["program_state_1"]
    asyncio.run(manager.save(_STATE, 2))
    _load(manager, 2)


def test_all_is_on_the_disk_before_an_earlier_state_is_removed(tmp_path, monkeypatch):
    manager = _save(tmp_path, 1, 2)
    done = []
    sync, remove = os.fsync, _sealed_folder.remove
    monkeypatch.setattr(
        os,
        "fsync",
        lambda fd: (done.append(os.readlink(f"/proc/self/fd/{fd}")), sync(fd)),
    )
    monkeypatch.setattr(
        _sealed_folder, "remove", lambda path: (done.append("removed"), remove(path))
    )
    asyncio.run(manager.save(_STATE, 3))
    assert done[-2:] == [str(tmp_path), "removed"]
    synced = {name.rpartition("program_state_3/")[2] for name in done[:-2]}
    folder = tmp_path / "program_state_3"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert files <= synced


class _Numbers(programs.ResumableReleaseManager):
    async def release(self, value, key):
        pass

    def state(self):
        return {"rounds": np.int64(0)}

    async def rewind(self, state, key):
        self.rewound = key


def _train(process, data, path, rounds, **options):
    state_type = process.next.type_signature.parameter.clients.member
    numbers = _Numbers()
    with runtime.DiskStore(path / "clients", state_type) as store:
        population = programs.Population(
            process,
            data,
            cohort=runtime.build_cohort_fn(range(len(data)), 2, seed=7),
            store=store,
        )
        output = asyncio.run(
            programs.train_model(
                population=population,
                metrics_managers=[numbers],
                program_state_manager=programs.CheckpointManager(path / "saved"),
                total_rounds=rounds,
                **options,
            )
        )
        ids = store.client_ids
        return output, dict(zip(ids, store.read(ids), strict=True))


@pytest.fixture(name="whole", scope="module")
def _whole(cohort_process, data, context, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole")
    options = {"program_state_periodicity": 3}
    _train(cohort_process, data, path, 6, **options)
    assert _names(path / "saved") == ["program_state_3", "program_state_6"]
    copy = path.with_name("copy")
    shutil.copytree(path, copy)
    return copy, _train(cohort_process, data, path, 8, **options)


def _damage_checkpoint(path):
    file = path / "saved" / "program_state_6" / "saved_model.pb"
    content = bytearray(file.read_bytes())
    content[100] ^= 4
    file.write_bytes(content)


def _damage_record(path):
    """Of a state that was written after round 3."""
    file = path / "clients"
    content = bytearray(file.read_bytes())
    page = 4096
    slots = range(page, len(content), page)
    stamps = {at: int.from_bytes(content[at : at + 8], "little") for at in slots}
    content[max(stamps, key=stamps.get) + 40] ^= 2
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [_damage_checkpoint, _damage_record])
def test_a_program_goes_on_from_the_state_before_a_damaged_one(
    cohort_process, data, context, whole, tmp_path, damage, caplog
):
    copy, (output, clients) = whole
    path = tmp_path / "path"
    shutil.copytree(copy, path)
    damage(path)
    found, its_clients = _train(
        cohort_process, data, path, 8, program_state_periodicity=3
    )
    assert (found.resumed_from, found.round_number) == (3, 8)
    tf.nest.map_structure(
        np.testing.assert_array_equal,
        (found.state, its_clients),
        (output.state, clients),
    )
    assert _names(path / "saved") == ["program_state_6", "program_state_8"]
    assert "Going on from round 3." in caplog.text


def test_where_all_are_damaged_the_latest_is_named_and_none_removed(
    cohort_process, data, context, whole, tmp_path
):
    path = tmp_path / "path"
    shutil.copytree(whole[0], path)
    for number in (3, 6):
        (path / "saved" / f"program_state_{number}" / "fingerprint.pb").unlink()
    with pytest.raises(
        programs.ProgramStateError, match=r"state_6 .* fingerprint.pb m"
    ):
        _train(cohort_process, data, path, 8)
    assert _names(path / "saved") == ["program_state_3", "program_state_6"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # After the first round, then by rounds.
        ({"program_state_periodicity": 100}, ["program_state_1", "program_state_3"]),
        (
            {"program_state_periodicity": 100, "program_state_seconds": 0.0},
            ["program_state_2", "program_state_3"],
        ),
    ],
)
def test_a_state_is_saved_early_and_after_a_while(
    cohort_process, data, context, tmp_path, options, expected
):
    _train(cohort_process, data, tmp_path, 3, **options)
    assert _names(tmp_path / "saved") == expected
