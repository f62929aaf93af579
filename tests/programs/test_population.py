"""What populations are built from is checked, and taken in every form."""

import numpy as np
import pytest
import tensorflow as tf

from tff_gs import programs, runtime


@pytest.fixture(scope="module", params=[None, 2], ids=["one_worker", "two_workers"])
def context(request):
    with runtime.execution_context(workers=request.param) as installed:
        yield installed


def _datasets(data):
    return [tf.data.Dataset.from_tensor_slices(value) for value in data]


def _wide(data):
    return [(x.astype(np.float64), y.astype(np.int64)) for x, y in data]


def _rounds(process, population):
    state = process.initialize()
    state, _ = population.initialize(state)
    for _ in range(2):
        state, metrics, _ = population.next(state)
    return state, metrics, population.client_states()


def _of_cohorts(process, data, store):
    return programs.Population(
        process, data, cohort=lambda number: [number, 2], store=store
    )


def _assert_equal(found, expected):
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("change", [_datasets, _wide, tuple])
def test_data_in_every_form(process, cohort_process, data, context, change):
    expected = _rounds(process, programs.Population(process, data))
    _assert_equal(
        _rounds(process, programs.Population(process, change(data))), expected
    )
    with runtime.MemoryStore() as one, runtime.MemoryStore() as other:
        _assert_equal(
            _rounds(cohort_process, _of_cohorts(cohort_process, change(data), one)),
            _rounds(cohort_process, _of_cohorts(cohort_process, data, other)),
        )


def test_a_population_of_all_is_the_cohort_of_all(
    process, cohort_process, data, context, tmp_path
):
    """Wherever the states are: in the worker, in memory, or on disk."""
    in_worker = _rounds(process, programs.Population(process, data))
    assert in_worker[2].known.all()
    with runtime.MemoryStore() as store:
        in_memory = _rounds(process, programs.Population(process, data, store=store))
        assert store.client_ids.tolist() == [0, 1, 2]
    _assert_equal(in_memory, in_worker)
    state_type = process.next.type_signature.parameter.clients
    with runtime.DiskStore(tmp_path / "states", state_type) as store:
        on_disk = _rounds(process, programs.Population(process, data, store=store))
    _assert_equal(on_disk[:2], in_worker[:2])
    with runtime.MemoryStore() as store:
        state, metrics, _ = _rounds(
            cohort_process,
            programs.Population(
                cohort_process, data, cohort=lambda number: range(3), store=store
            ),
        )
    np.testing.assert_array_equal(state.weights, in_worker[0].weights)
    assert metrics["time"] == in_worker[1]["time"]


@pytest.mark.parametrize("keeps_in_worker", [False, True])
def test_it_goes_on_from_what_another_store_has_saved(
    process, data, context, keeps_in_worker
):
    saved_by, restored_by = runtime.MemoryStore(), runtime.ResidentStore()
    if keeps_in_worker:
        saved_by, restored_by = restored_by, saved_by
    population = programs.Population(process, data, store=saved_by)
    state, _, states = _rounds(process, population)
    spec = population.client_states_spec()
    _assert_equal(
        tf.nest.map_structure(np.shape, states), tf.nest.map_structure(np.shape, spec)
    )
    other = programs.Population(process, data, store=restored_by)
    other.restore(states)
    _assert_equal(other.next(state)[:2], population.next(state)[:2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: [], "at least one client, found none"),
        (lambda data: {0: data[0]}, "in a list, found an object of dict"),
        (lambda data: [*data, (data[0][0], data[1][1])], r"client 3, found \[6, 9\]"),
        (lambda data: [*data, (data[0][0][:, 1:], data[0][1])], r"3, found float32\[6"),
        (lambda data: [*data, data[0][0]], r"2 parts as client 3, found float32\["),
        (lambda data: [_datasets(data)[0].repeat()], "client 0, found an infinite one"),
    ],
)
def test_bad_data_are_refused_before_anything_is_placed(
    process, cohort_process, data, change, message
):
    for build in (
        lambda: programs.Population(process, change(data)),
        lambda: _of_cohorts(cohort_process, change(data), runtime.MemoryStore()),
    ):
        with pytest.raises(ValueError, match=message) as error:
            build()
        assert "\n" not in str(error.value)


def test_a_cohort_beyond_the_clients_is_refused(cohort_process, data, context):
    population = _of_cohorts(cohort_process, data[:2], runtime.MemoryStore())
    with pytest.raises(ValueError, match=r"ids below 2, the number of .*, found 2"):
        population.next(cohort_process.initialize())
