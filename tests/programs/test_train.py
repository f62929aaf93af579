import asyncio
import contextlib
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import programs

_ROUNDS = 6


class _Memory(programs.ResumableReleaseManager):
    """Keeps what is released, and breaks off at a round."""

    def __init__(self, *, breaks_at=None):
        self.released = {}
        self._breaks_at = breaks_at

    async def release(self, value, key):
        self.released[key] = value
        if key == self._breaks_at:
            raise _BreakError

    def state(self):
        return {"rounds": np.int64(len(self.released))}

    async def rewind(self, state, key):
        if len(self.released) < state["rounds"]:
            raise ValueError("Expected the rounds that were released.")
        assert state["rounds"] == key
        for later in [number for number in self.released if number > key]:
            del self.released[later]


class _BreakError(Exception):
    pass


def _manager(path):
    return tff.program.FileProgramStateManager(path, keep_total=1, keep_first=False)


def _saved(path):
    return sorted(entry.name for entry in pathlib.Path(path).iterdir())


def _train(process, data, *managers, path=None, **options):
    population = programs.Population(process, data)
    options = {"total_rounds": _ROUNDS, **options}
    output = asyncio.run(
        programs.train_model(
            population=population,
            metrics_managers=managers,
            program_state_manager=_manager(path) if path else None,
            **options,
        )
    )
    return output, population


def _assert_equal(first, second):
    tf.nest.map_structure(np.testing.assert_array_equal, first, second)


def _without_time(memory):
    return {
        key: (dict(release.train), release.evaluation)
        for key, release in memory.released.items()
    }


def _mean_weight(state):
    return float(np.mean(state.weights))


@pytest.fixture(name="whole", scope="module")
def _whole(process, data, context):
    memory = _Memory()
    output, population = _train(process, data, memory, evaluation=_mean_weight)
    return output, population.client_states(), memory


def test_every_round_is_released_and_the_last_state_returned(whole):
    output, clients, memory = whole
    assert output.stop is programs.Stop.COMPLETE
    assert (output.round_number, output.resumed_from) == (_ROUNDS, 0)
    assert list(memory.released) == list(range(1, _ROUNDS + 1))
    for key, release in memory.released.items():
        assert release.train["round"] == key
        assert {"round_seconds", "evaluation_seconds"} <= set(release.timing)
    assert memory.released[_ROUNDS].evaluation == _mean_weight(output.state)
    assert output.state.round == _ROUNDS
    # Weights; accumulator, learning rate and momentum; the seed.
    assert output.initial_bits == 32 * (16 + 16 + 2 + 2)
    for weights in clients.states.exchange.weights:
        np.testing.assert_array_equal(weights, output.state.weights)
    assert clients.states.exchange.residual.any()


@pytest.mark.parametrize("resident", [True, False])
def test_a_program_that_broke_off_goes_on_to_the_bit(
    process, data, context, whole, tmp_path, resident
):
    first = _Memory(breaks_at=5)
    options = {"path": tmp_path, "program_state_periodicity": 2}
    with pytest.raises(_BreakError):
        _train(process, data, first, evaluation=_mean_weight, **options)
    assert _saved(tmp_path) == ["program_state_4"]
    assert list(first.released) == [1, 2, 3, 4, 5]
    second = _Memory()
    second.released = dict(first.released)
    with contextlib.ExitStack() as stack:
        if not resident:
            plain = tff.backends.native.create_sync_local_cpp_execution_context()
            stack.enter_context(tff.framework.get_context_stack().install(plain))
        output, population = _train(
            process,
            data,
            second,
            evaluation=_mean_weight,
            **options,
        )
        clients = population.client_states()
    assert (output.resumed_from, output.round_number) == (4, _ROUNDS)
    assert output.initial_bits == whole[0].initial_bits
    _assert_equal((output.state, clients), (whole[0].state, whole[1]))
    assert list(second.released) == list(whole[2].released)
    _assert_equal(_without_time(second), _without_time(whole[2]))
    assert _saved(tmp_path) == [f"program_state_{_ROUNDS}"]


def test_a_complete_program_runs_no_round_again(process, data, context, tmp_path):
    memory = _Memory()
    _train(process, data, memory, path=tmp_path, total_rounds=2)
    output, _ = _train(process, data, memory, path=tmp_path, total_rounds=2)
    assert (output.resumed_from, output.round_number) == (2, 2)
    assert output.stop is programs.Stop.COMPLETE
    output, _ = _train(process, data, memory, path=tmp_path, total_rounds=3)
    assert (output.resumed_from, output.round_number) == (2, 3)


def test_due_rounds_and_the_last_one_are_evaluated(process, data, context):
    memory = _Memory()
    output, _ = _train(
        process,
        data,
        memory,
        total_rounds=None,
        is_last_round=lambda metrics: metrics["round"] == 4,
        evaluation=lambda state: int(state.round),
        evaluation_periodicity=3,
    )
    evaluated = {key: r.evaluation for key, r in memory.released.items()}
    assert evaluated == {1: None, 2: None, 3: 3, 4: 4}
    assert output.stop is programs.Stop.COMPLETE


@pytest.mark.parametrize(
    ("stop", "saved"),
    [
        (programs.Stop.COMPLETE, ["program_state_3"]),
        (programs.Stop.PAUSED, ["program_state_3"]),
        (programs.Stop.FAILED, ["program_state_2"]),
    ],
)
def test_the_reason_to_stop_decides_what_is_saved(
    process, data, context, tmp_path, stop, saved
):
    memory = _Memory()
    output, _ = _train(
        process,
        data,
        memory,
        path=tmp_path,
        program_state_periodicity=2,
        should_stop=lambda: stop if len(memory.released) == 3 else None,
    )
    assert output.stop is stop
    assert output.round_number == 3
    assert _saved(tmp_path) == saved


def test_an_error_is_none_where_the_program_is_to_pause(process, data, context):
    class Broken(programs.Population):
        def next(self, state):
            raise _BreakError

    def train(should_stop):
        return asyncio.run(
            programs.train_model(
                population=Broken(process, data),
                should_stop=should_stop,
            )
        )

    with pytest.raises(_BreakError):
        train(lambda: None)
    asked = iter([None, programs.Stop.PAUSED])
    output = train(lambda: next(asked))
    assert (output.stop, output.round_number) == (programs.Stop.PAUSED, 0)


@pytest.fixture(name="saved", scope="module")
def _saved_state(process, data, context, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved")
    _train(process, data, path=path, total_rounds=1)
    return path


def _refused(process, data, path, match, *managers):
    before = {p: p.read_bytes() for p in pathlib.Path(path).rglob("*") if p.is_file()}
    with pytest.raises(programs.ProgramStateError, match=match) as error:
        _train(process, data, *managers, path=path)
    assert len(str(error.value).splitlines()) == 1
    assert {p: p.read_bytes() for p in before} == before


def test_a_state_of_other_clients_is_refused(process, data, context, saved):
    _refused(process, data[:2], saved, "of 2 clients, found one of 3")


def test_a_state_of_another_model_is_refused(larger_process, data, context, saved):
    wider = [(np.pad(x, ((0, 0), (0, 1))), y) for x, y in data]
    _refused(
        larger_process,
        wider,
        saved,
        r"with float32 \[20\], found float32 \[16\] in its place",
    )


def test_what_release_managers_cannot_take_back_is_said(
    process, data, context, tmp_path
):
    _train(process, data, _Memory(), path=tmp_path, total_rounds=1)
    _refused(process, data, tmp_path, "the rounds that were released", _Memory())


@pytest.mark.parametrize("part", ["saved_model.pb", "variables/*.data*"])
def test_a_damaged_state_is_refused(process, data, tmp_path, part):
    _train(process, data, path=tmp_path, total_rounds=1)
    (file,) = (tmp_path / "program_state_1").glob(part)
    content = bytearray(file.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    file.write_bytes(content)
    _refused(process, data, tmp_path, "that is whole, found one that cannot")


def test_period_zero_restores_and_saves_nothing(process, data, context, tmp_path):
    _train(process, data, path=tmp_path, total_rounds=1)
    output, _ = _train(
        process,
        data,
        path=tmp_path,
        total_rounds=2,
        program_state_periodicity=0,
    )
    assert output.resumed_from == 1
    assert _saved(tmp_path) == ["program_state_1"]


def test_a_program_without_an_end_is_refused(process, data, context):
    with pytest.raises(ValueError, match="Expected total_rounds, is_last_round or"):
        _train(process, data, total_rounds=None)


def test_metrics_go_to_the_managers_of_tff(process, data, context, tmp_path):
    memory = tff.program.MemoryReleaseManager()
    _train(
        process,
        data,
        memory,
        tff.program.TensorBoardReleaseManager(tmp_path / "events"),
        total_rounds=2,
    )
    released = memory.values()
    assert [released[key].train["round"] for key in (1, 2)] == [1, 2]
    assert list((tmp_path / "events").iterdir())


def test_a_trained_model_to_start_from(process, data, context, whole, tmp_path):
    trained = process.get_model_weights(whole[0].state)
    output, _ = _train(
        process,
        data,
        path=tmp_path,
        initial_weights=trained,
        total_rounds=1,
    )
    by_hand = process.set_model_weights(process.initialize(), trained)
    by_hand, clients, _ = process.initialize_clients(by_hand, [0, 1, 2])
    expected = process.next(by_hand, clients, data)
    _assert_equal(output.state, expected.state)
    # It goes on from its own state, not from the trained model again.
    output, _ = _train(
        process, data, path=tmp_path, initial_weights=trained, total_rounds=2
    )
    assert output.resumed_from == 1
    expected = process.next(expected.state, expected.clients, data)
    _assert_equal(output.state, expected.state)
