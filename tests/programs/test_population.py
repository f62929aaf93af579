"""What populations are built from is checked, and taken in every form."""

import numpy as np
import pytest
import tensorflow as tf

from tff_gs import programs, runtime


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


def _whole(process, context):
    return lambda data: programs.WholePopulation(process, data, context=context)


def _of_cohorts(process, data, store):
    return programs.CohortPopulation(
        process, data, cohort=lambda number: [number, 2], store=store
    )


@pytest.mark.parametrize("change", [_datasets, _wide, tuple])
def test_data_in_every_form(process, cohort_process, data, context, change):
    expected = _rounds(process, programs.WholePopulation(process, data))
    found = _rounds(process, _whole(process, context)(change(data)))
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)
    with runtime.MemoryStore() as one, runtime.MemoryStore() as other:
        tf.nest.map_structure(
            np.testing.assert_array_equal,
            _rounds(cohort_process, _of_cohorts(cohort_process, change(data), one)),
            _rounds(cohort_process, _of_cohorts(cohort_process, data, other)),
        )


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
        lambda: programs.WholePopulation(process, change(data)),
        lambda: _of_cohorts(cohort_process, change(data), runtime.MemoryStore()),
    ):
        with pytest.raises(ValueError, match=message) as error:
            build()
        assert "\n" not in str(error.value)


def test_a_cohort_beyond_the_clients_is_refused(cohort_process, data, context):
    population = _of_cohorts(cohort_process, data[:2], runtime.MemoryStore())
    with pytest.raises(ValueError, match=r"ids below 2, the number of .*, found 2"):
        population.next(cohort_process.initialize())
