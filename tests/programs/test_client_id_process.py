"""TFF's own drivers, with clients that have states."""

import asyncio
import collections
import functools
import random

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import programs, runtime

_NAMES = ["anna", "bo", "cy"]
_COHORTS = [["anna", "cy"], ["bo", "anna"], ["cy", "bo"], ["anna", "cy"]]


@pytest.fixture(name="by_id")
def _by_id(data):
    return dict(zip(_NAMES, data, strict=True))


@pytest.fixture(name="client_data", scope="module")
def _client_data(data):
    parts = {
        name: collections.OrderedDict(x=x, y=y)
        for name, (x, y) in zip(_NAMES, data, strict=True)
    }

    def read(name):
        dataset = tf.data.Dataset.from_tensor_slices(parts[name])
        return dataset.map(lambda example: (example["x"], example["y"]))

    return tff.simulation.datasets.ClientData.from_clients_and_tf_fn(_NAMES, read)


@pytest.fixture(name="loop")
def _loop():
    # TFF's driver asks for the thread's loop, which asyncio.run takes away.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture(name="expected", scope="module")
def _expected(cohort_process, data, context):
    """The rounds of `_COHORTS` by hand: states, and what is measured."""
    state, store = cohort_process.initialize(), runtime.MemoryStore()
    states, metrics = [], []
    for cohort in _COHORTS:
        places = [_NAMES.index(name) for name in cohort]
        output = runtime.run_round(
            cohort_process, state, store, places, [data[place] for place in places]
        )
        state = output.state
        states.append(state)
        metrics.append({**output.metrics, "joined": output.joined})
    return states, metrics


def _assert_equal(first, second):
    tf.nest.map_structure(np.testing.assert_array_equal, first, second)


def _measured(metrics):
    return metrics["client_work"]["train"]


def test_run_training_process(cohort_process, client_data, context, expected, loop):
    states, metrics = expected
    process = programs.ClientIdProcess(
        cohort_process, client_data, runtime.MemoryStore()
    )
    released = tff.program.MemoryReleaseManager()
    evaluated = []

    def evaluate(state, clients):
        evaluated.append(process.get_model_weights(state).trainable)
        return collections.OrderedDict(clients=len(clients))

    last = tff.simulation.run_training_process(
        process,
        training_selection_fn=lambda number: _COHORTS[number - 1],
        total_rounds=4,
        evaluation_fn=evaluate,
        evaluation_selection_fn=lambda number: _NAMES,
        rounds_per_evaluation=2,
        metrics_managers=[released],
    )
    _assert_equal(last, states[-1])
    values = released.values()
    assert sorted(values) == [0, 1, 2, 3, 4]
    for number, wanted in enumerate(metrics, start=1):
        found = _measured(values[number])
        _assert_equal({name: found[name] for name in wanted}, wanted)
    assert [_measured(values[n])["joined"] for n in (1, 2, 3, 4)] == [2, 1, 0, 0]
    assert values[4]["evaluation/clients"] == 3
    # Before the first round, and after the second and the last.
    assert len(evaluated) == 3
    np.testing.assert_array_equal(evaluated[-1][0].ravel(), last.weights[:12])


@pytest.mark.parametrize("discarded", [(), (2, 3)])
def test_train_model(
    cohort_process, by_id, context, tmp_path, discarded, expected, monkeypatch
):
    """TFF's program, which saves every round, and repeats those that are discarded."""
    states, metrics = expected
    process = programs.ClientIdProcess(
        cohort_process, by_id, runtime.MemoryStore(), context=context
    )
    seen, to_discard = [], set(discarded)

    def should_discard(output):
        number = int(output.state.round)
        seen.append(number)
        return number in to_discard and not to_discard.remove(number)

    # What TFF's data source draws, it draws without a seed: a cohort for each round.
    def sample(names, count):
        assert (list(names), count) == (_NAMES, 2)
        repeats = bool(seen) and seen[-1] in discarded and seen.count(seen[-1]) == 1
        return _COHORTS[seen[-1] - 1 if repeats else len(set(seen))]

    monkeypatch.setattr(random, "sample", sample)
    released = tff.program.MemoryReleaseManager()
    models = tff.program.MemoryReleaseManager()
    manager = tff.program.FileProgramStateManager(str(tmp_path), keep_total=0)
    asyncio.run(_train(process, 4, manager, models, released, should_discard))
    assert seen == sorted([1, 2, 3, 4, *discarded])
    (last,) = models.values().values()
    _assert_equal(last, states[-1])
    for number, wanted in enumerate(metrics, start=1):
        found = released.values()[number]["model_metrics"]
        _assert_equal({name: found[name] for name in wanted}, wanted)


async def _train(process, rounds, manager, models, released, should_discard=None):
    program_context = tff.program.NativeFederatedContext(
        tff.backends.native.create_async_local_cpp_execution_context()
    )
    with tff.framework.get_context_stack().install(program_context):
        await tff.learning.programs.train_model(
            train_process=process,
            train_data_source=tff.program.ClientIdDataSource(_NAMES),
            train_per_round_clients=2,
            train_total_rounds=rounds,
            should_discard_round=should_discard,
            program_state_manager=manager,
            model_output_manager=models,
            train_metrics_manager=released,
            evaluation_manager=None,
            evaluation_periodicity=1,
        )


def test_a_saved_state_goes_on(cohort_process, by_id, context, tmp_path):
    """Clients begin again in another program: each replica is the server's model."""
    manager = tff.program.FileProgramStateManager(str(tmp_path))
    totals = []
    for rounds in (2, 4):
        store = runtime.MemoryStore()
        process = programs.ClientIdProcess(
            cohort_process, by_id, store, context=context
        )
        models = tff.program.MemoryReleaseManager()
        released = tff.program.MemoryReleaseManager()
        asyncio.run(_train(process, rounds, manager, models, released))
        (state,) = models.values().values()
        assert state.round == rounds
        totals.append(released.values())
        for client in np.asarray(state.client_ids):
            (kept,) = store.read([client])
            if kept.model_round == state.round:
                _assert_equal(kept.exchange.weights, state.weights)
    assert sorted(totals[1]) == [3, 4]
    assert totals[1][3]["model_metrics"]["joined"] == 2
    assert totals[1][3]["model_metrics"]["refused"][0] == 2


def test_clients_begin_again_with_another_state(cohort_process, by_id, context):
    process = programs.ClientIdProcess(cohort_process, by_id, runtime.MemoryStore())
    first = process.initialize()
    states = [first]
    for cohort in _COHORTS:
        states.append(process.next(states[-1], cohort).state)
    # Two rounds back: nobody's state is of that round.
    output = process.next(states[2], _COHORTS[2])
    assert _measured(output.metrics)["joined"] == 2
    assert _measured(output.metrics)["refused"][0] == 2
    # From the start: as the first time, whatever the store holds.
    again = process.next(first, _COHORTS[0])
    _assert_equal(again.state, states[1])


def test_all_clients_in_every_round(process, by_id, context):
    """Without partial participation, in the worker."""
    adapted = programs.ClientIdProcess(process, by_id, runtime.ResidentStore())
    state = adapted.initialize()
    weights = []
    for _ in range(2):
        output = adapted.next(state, _NAMES)
        weights.append(output.state.weights)
        # Discarded, and repeated.
        repeated = adapted.next(state, _NAMES)
        _assert_equal(repeated.state, output.state)
        state = repeated.state
    assert np.any(weights[0] != weights[1])
    trained = adapted.get_model_weights(state)
    begun = adapted.set_model_weights(adapted.initialize(), trained)
    _assert_equal(tuple(adapted.get_model_weights(begun)), tuple(trained))
    output = adapted.next(adapted.set_model_weights(state, trained), _NAMES)
    assert _measured(output.metrics)["joined"] == 0
    assert adapted.set_hparams(state, adapted.get_hparams(state)) is state


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        (["anna", "dan"], "ids of the 3 clients that there are data of, found 'dan'"),
        (["anna", "bo", "anna"], "distinct ids of clients, found 'anna' twice"),
        ([], "distinct ids of clients, of at least one client, found none"),
        ("anna", "distinct ids of clients in a list, found an object of str"),
    ],
)
def test_ids_that_cannot_be_used(cohort_process, by_id, context, ids, sentence):
    process = programs.ClientIdProcess(cohort_process, by_id, runtime.MemoryStore())
    with pytest.raises(ValueError, match=f"^Expected {sentence}"):
        process.next(process.initialize(), ids)


def test_cohorts_that_tff_samples(cohort_process, client_data, context, loop):
    """Its own sampling function, over its own string ids, whatever strings they are."""
    process = programs.ClientIdProcess(
        cohort_process, client_data, runtime.MemoryStore()
    )
    sample = tff.simulation.build_uniform_sampling_fn(
        np.array(client_data.client_ids), random_seed=1
    )
    released = tff.program.MemoryReleaseManager()
    tff.simulation.run_training_process(
        process,
        training_selection_fn=functools.partial(sample, size=2),
        total_rounds=3,
        metrics_managers=[released],
    )
    for number in (1, 2, 3):
        found = _measured(released.values()[number])["client_ids"]
        assert sorted(_NAMES[place] for place in found) == sorted(sample(number, 2))


def test_sentences_name_a_client_by_its_own_id(cohort_process, by_id, context):
    x, y = by_id["bo"]
    process = programs.ClientIdProcess(
        cohort_process, {**by_id, "bo": (x, y[:-1])}, runtime.MemoryStore()
    )
    with pytest.raises(ValueError, match="in all parts of client bo, found"):
        process.next(process.initialize(), ["anna", "bo"])


def test_data_that_cannot_be_used(cohort_process, data):
    for found, sentence in ((data, "found an object of list"), ({}, "found none")):
        with pytest.raises(ValueError, match=sentence):
            programs.ClientIdProcess(cohort_process, found, runtime.MemoryStore())


def test_a_program_context_needs_another_one(cohort_process, by_id):
    process = programs.ClientIdProcess(cohort_process, by_id, runtime.MemoryStore())
    program_context = tff.program.NativeFederatedContext(
        tff.backends.native.create_async_local_cpp_execution_context()
    )
    with (
        tff.framework.get_context_stack().install(program_context),
        pytest.raises(ValueError, match=r"^Expected context=, .*, found None"),
    ):
        process.initialize()


def test_the_interface_of_a_learning_process(cohort_process, by_id):
    process = programs.ClientIdProcess(cohort_process, by_id, runtime.MemoryStore())
    wanted = tff.learning.templates.LearningProcess
    assert [n for n in dir(wanted) if n[0] != "_" and not hasattr(process, n)] == []
    assert process.state_type.placement is tff.SERVER
    assert process.client_ids == _NAMES
