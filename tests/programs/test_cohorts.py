"""Programs of cohorts: they go on to the bit, from a checkpoint of any store."""

import asyncio
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import programs, runtime

_ROUNDS = 6
_STORES = {
    "memory": lambda path, state_type: runtime.MemoryStore(),
    "disk": lambda path, state_type: runtime.DiskStore(path, state_type),
}


class _Releases(tff.program.ReleaseManager):
    def __init__(self, breaks_at=None):
        self.released = {}
        self._breaks_at = breaks_at

    async def release(self, value, key):
        self.released[key] = dict(value.train)
        if key == self._breaks_at:
            raise _BreakError


class _BreakError(Exception):
    pass


def _train(process, data, path, store, **options):
    """Runs a program of two clients a round; its output, releases and clients."""
    releases = _Releases(options.pop("breaks_at", None))
    state_type = process.next.type_signature.parameter.clients.member
    manager = tff.program.FileProgramStateManager(
        path / "saved", keep_total=1, keep_first=False
    )
    with _STORES[store](path / "clients", state_type) as opened:
        population = programs.Population(
            process,
            data,
            cohort=runtime.build_cohort_fn(range(len(data)), 2, seed=7),
            store=opened,
        )
        output = asyncio.run(
            programs.train_model(
                population=population,
                metrics_managers=[releases],
                program_state_manager=manager,
                **{"total_rounds": _ROUNDS, **options},
            )
        )
        ids = opened.client_ids
        return output, releases.released, dict(zip(ids, opened.read(ids), strict=True))


@pytest.fixture(name="whole", scope="module")
def _whole(cohort_process, data, context, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole")
    return _train(
        cohort_process, data, path, "memory", program_state_periodicity=_ROUNDS
    )


def _assert_equal(first, second):
    tf.nest.map_structure(np.testing.assert_array_equal, first, second)


def test_metrics_say_who_joined_and_what_the_others_missed(whole):
    output, released, clients = whole
    assert output.initial_bits == 0
    seen, last = set(), {}
    for number, metrics in released.items():
        cohort = metrics["client_ids"].tolist()
        assert len(cohort) == 2
        new = [client for client in cohort if client not in seen]
        assert metrics["joined"] == len(new)
        # Weights; accumulator, learning rate and momentum; the seed; the round.
        assert metrics["joined_bits"] == len(new) * 32 * (16 + 16 + 2 + 2 + 1)
        behind = [number - 1 - last[client] for client in cohort if client in seen]
        assert metrics["catch_up_rounds"] == sum(behind)
        seen.update(cohort)
        last.update(dict.fromkeys(cohort, number))
    assert sum(metrics["catch_up_rounds"] for metrics in released.values()) > 0
    assert set(clients) == seen
    for client in cohort:
        np.testing.assert_array_equal(
            clients[client].exchange.weights, output.state.weights
        )


@pytest.mark.parametrize("store", _STORES)
def test_a_program_that_broke_off_goes_on_to_the_bit(
    cohort_process, data, whole, tmp_path, store, context
):
    with pytest.raises(_BreakError):
        _train(
            cohort_process,
            data,
            tmp_path,
            store,
            breaks_at=5,
            program_state_periodicity=2,
        )
    output, released, clients = _train(
        cohort_process, data, tmp_path, store, program_state_periodicity=2
    )
    assert (output.resumed_from, output.round_number) == (4, _ROUNDS)
    _assert_equal((output.state, clients), (whole[0].state, whole[2]))
    _assert_equal(released, {number: whole[1][number] for number in (5, 6)})


def test_a_store_without_the_saved_states_is_refused(
    cohort_process, data, context, tmp_path
):
    _train(cohort_process, data, tmp_path, "disk", total_rounds=2)
    saved = _files(tmp_path / "saved")
    (tmp_path / "clients").unlink()
    with pytest.raises(programs.ProgramStateError, match="Expected the saved state of"):
        _train(cohort_process, data, tmp_path, "disk")
    assert _files(tmp_path / "saved") == saved


def _files(folder):
    return {
        path: path.read_bytes()
        for path in pathlib.Path(folder).rglob("*")
        if path.is_file()
    }
