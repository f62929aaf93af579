"""Runs of cohorts: the same over every store and context, to the bit."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tasks import cnn
from tff_gs import learning, runtime

_CLIENTS = 4
_ROUNDS = 4


@pytest.fixture(scope="module")
def process():
    return learning.build_sparsified_fed_sgd(
        cnn.small_cnn((8, 8, 1), 10, 0),
        learning_rate=0.2,
        batch_size=4,
        participation=learning.PartialParticipation(),
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return [
        (
            rng.random((size, 8, 8, 1), dtype=np.float32),
            rng.integers(0, 10, size).astype(np.int32),
        )
        for size in (6, 9, 5, 7)
    ]


def _run(process, data, store, clients_per_round):
    cohort = runtime.build_cohort_fn(range(_CLIENTS), clients_per_round, seed=7)
    state, outputs = process.initialize(), []
    for number in range(_ROUNDS):
        ids = cohort(number)
        output = runtime.run_round(
            process, state, store, ids, [data[client] for client in ids]
        )
        state = output.state
        outputs.append((output.metrics, output.joined, output.joined_bits))
    return state, outputs, store.client_ids.tolist()


def _disk(path, process):
    return runtime.DiskStore(path, process.next.type_signature.parameter.clients)


def _assert_same(one, two):
    tf.nest.map_structure(np.testing.assert_array_equal, one, two)


def test_cohorts_over_every_store_and_context(process, data, tmp_path):
    plain = tff.backends.native.create_sync_local_cpp_execution_context()
    with tff.framework.get_context_stack().install(plain):
        expected = _run(process, data, runtime.MemoryStore(), 2)
    with runtime.execution_context(workers=2), runtime.MemoryStore() as memory:
        _assert_same(_run(process, data, memory, 2), expected)
    with runtime.execution_context(), runtime.MemoryStore() as memory:
        _assert_same(_run(process, data, memory, 2), expected)
        with _disk(tmp_path / "states", process) as disk:
            _assert_same(_run(process, data, disk, 2), expected)
        with _disk(tmp_path / "states", process) as reopened:
            ids = reopened.client_ids
            _assert_same(reopened.read(ids), memory.read(ids))
    _, outputs, seen = expected
    # A client downloads the model once, and returns to more than nothing.
    assert sum(joined for _, joined, _ in outputs) == len(seen)
    assert outputs[0][1] == 2
    per_client = outputs[0][2] // 2
    assert all(bits == joined * per_client for _, joined, bits in outputs)
    assert sum(int(metrics["catch_up_bits"]) for metrics, _, _ in outputs) > 0


@pytest.mark.parametrize("workers", [None, 2])
def test_all_clients_over_every_store(process, data, tmp_path, workers):
    with (
        runtime.execution_context(workers=workers),
        runtime.ResidentStore() as resident,
    ):
        expected = _run(process, data, resident, _CLIENTS)
        _assert_same(_run(process, data, runtime.MemoryStore(), _CLIENTS), expected)
        with _disk(tmp_path / "states", process) as disk:
            _assert_same(_run(process, data, disk, _CLIENTS), expected)
        everybody = list(range(_CLIENTS))
        _assert_same(
            resident.read(everybody).fetch(),
            resident.read(everybody).fetch(),
        )
        snapshot = resident.snapshot(
            process.next.type_signature.parameter.clients.member, _CLIENTS
        )
        with runtime.ResidentStore() as restored:
            restored.restore(
                process.next.type_signature.parameter.clients.member, snapshot
            )
            _assert_same(
                restored.read(everybody).fetch(), resident.read(everybody).fetch()
            )
        state = expected[0]
        with pytest.raises(ValueError, match=r"all 4 clients .*, found \[0, 2\]"):
            runtime.run_round(process, state, resident, [0, 2], [data[0], data[2]])
        with pytest.raises(ValueError, match=r"in their order, found \[3, 2, 1, 0\]"):
            resident.read(everybody[::-1])
        with pytest.raises(TypeError, match=r"execution context .*, found list"):
            resident.write(everybody, resident.read(everybody).fetch())
        with pytest.raises(ValueError, match="each of 1 clients, found 4"):
            resident.write([0], resident.read(everybody))


def test_cohorts_are_those_of_tff_and_follow_from_the_seed():
    ids = [3, 1, 4, 15, 9]
    cohort = runtime.build_cohort_fn(ids, 3, seed=5)
    theirs = tff.simulation.build_uniform_sampling_fn(np.array(ids), random_seed=5)
    drawn = [cohort(number) for number in range(20)]
    for number, chosen in enumerate(drawn):
        assert chosen == sorted(theirs(number, 3))
        assert len(set(chosen)) == 3
        assert set(chosen) <= set(ids)
    assert len({tuple(chosen) for chosen in drawn}) > 5
    again = runtime.build_cohort_fn(ids, 3, seed=5)
    assert [again(number) for number in reversed(range(20))] == drawn[::-1]
    other = runtime.build_cohort_fn(ids, 3, seed=6)
    assert [other(number) for number in range(20)] != drawn
    assert runtime.build_cohort_fn(ids, 5, seed=0)(7) == sorted(ids)


@pytest.mark.parametrize("size", [0, 6])
def test_cohorts_of_no_possible_size_are_refused(size):
    with pytest.raises(ValueError, match=f"from 1 to 5 clients a round, found {size}"):
        runtime.build_cohort_fn(range(5), size, seed=0)


def test_cohorts_of_what_tffs_users_have(process, data):
    wide = [(x.astype(np.float64), y.astype(np.int64)) for x, y in data]
    datasets = [
        tf.data.Dataset.from_tensor_slices(value).batch(2 + number)
        for number, value in enumerate(data)
    ]
    with runtime.execution_context():
        expected = _run(process, data, runtime.MemoryStore(), 2)
        _assert_same(_run(process, wide, runtime.MemoryStore(), 2), expected)
        _assert_same(_run(process, datasets, runtime.MemoryStore(), 2), expected)


def _with(value, labels):
    return (value[0], labels)


@pytest.mark.parametrize(
    ("ids", "change", "message"),
    [
        (["a", "b"], None, "found 'a': tff_gs.learning.clients_from_client_data"),
        ([0, 0], None, r"distinct ids .*, found \[0, 0\]"),
        ([0, 2**31], None, r"found \[2147483648\]"),
        ([], None, "at least one client"),
        ([0, 1, 2], None, "the examples of each of 3 clients, found those of 2"),
        (
            [0, 7],
            lambda v: _with(v, v[1][:3]),
            r"all parts of client 7, found \[9, 3\]",
        ),
        ([0, 7], lambda v: (v[0][:0], v[1][:0]), "one example of client 7, found 0"),
        ([0, 7], lambda v: _with(v, v[1] + 0.5), r"part 1 of client 7, found float64"),
        ([0, 7], lambda v: (v[0] + 1e-12, v[1]), "client 7, found float64.* exactly"),
        (
            [0, 7],
            lambda v: tf.data.Dataset.from_tensor_slices(v).repeat(),
            "as client 7, found an infinite one",
        ),
    ],
)
def test_inputs_are_checked_before_anything_runs(process, data, ids, change, message):
    two = [data[0], data[1]]
    if change is not None:
        wide = (two[1][0].astype(np.float64), two[1][1])
        two[1] = change(wide)
    # Neither a state nor a context is needed to refuse them.
    with (
        runtime.MemoryStore() as store,
        pytest.raises(ValueError, match=message) as error,
    ):
        runtime.run_round(process, None, store, ids, two)
    assert "\n" not in str(error.value)
    assert not store.client_ids.size


def test_a_cohort_needs_one_executor_however_many_are_new(process, data):
    with runtime.execution_context() as context:
        store, state = runtime.MemoryStore(), process.initialize()
        sizes = set()
        used = context._server.executors.use

        def use(clients):
            sizes.add(clients)
            return used(clients)

        context._server.executors.use = use
        for ids in ([0, 1, 2], [1, 2, 3]):
            output = runtime.run_round(
                process, state, store, ids, [data[client] for client in ids]
            )
            state = output.state
        assert output.joined == 1
        assert sizes == {3}
        states = store.read([3])
        other = runtime.MemoryStore()
        _, clients, _ = process.initialize_clients(state, [3])
        other.write([3], clients)
        _assert_same(
            states[0].exchange.client_id, other.read([3])[0].exchange.client_id
        )
