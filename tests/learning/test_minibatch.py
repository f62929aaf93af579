import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tff_gs.learning import local_work

_BATCH_SIZES = (1, 4, 7)


@pytest.fixture(scope="module")
def draw():
    functions = {
        size: tf.function(
            lambda seed, number, examples, size=size: local_work.minibatch_indices(
                seed, number, examples, size
            ),
            input_signature=[
                tf.TensorSpec([2], tf.int32),
                tf.TensorSpec([], tf.int32),
                tf.TensorSpec([], tf.int32),
            ],
        )
        for size in _BATCH_SIZES
    }
    return lambda size, *arguments: functions[size](*arguments).numpy()


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(
    size=st.sampled_from(_BATCH_SIZES),
    examples=st.integers(1, 30),
    seed=st.integers(0, 2**31 - 1),
)
def test_every_pass_covers_every_example_once(draw, size, examples, seed):
    seed = np.array([seed, 3], np.int32)
    drawn = [
        draw(size, seed, number, examples)
        for number in range(max(3 * examples // size, 3))
    ]
    assert {len(batch) for batch in drawn} == {min(size, examples)}
    stream = np.concatenate(drawn)
    passes = len(stream) // examples
    for one_pass in stream[: passes * examples].reshape(passes, examples):
        np.testing.assert_array_equal(np.sort(one_pass), np.arange(examples))


@hypothesis.settings(deadline=None, max_examples=20)
@hypothesis.given(size=st.sampled_from(_BATCH_SIZES), number=st.integers(0, 2**30))
def test_draws_are_reproducible_at_any_number(draw, size, number):
    seed = np.array([5, 6], np.int32)
    first, again = (draw(size, seed, number, 11) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.all((first >= 0) & (first < 11))


def test_clients_and_passes_differ_in_their_order(draw):
    seeds = [np.array([0, 1], np.int32), np.array([0, 2], np.int32)]
    orders = {tuple(draw(7, seed, number, 7)) for seed in seeds for number in range(3)}
    assert len(orders) == 6


def test_counting_and_gathering_follow_the_structure():
    data = {"x": np.arange(12.0).reshape(4, 3), "y": np.arange(4)}
    assert local_work.count_examples(data) == 4
    batch = local_work.gather_examples(data, np.array([3, 1]))
    np.testing.assert_array_equal(batch["x"], data["x"][[3, 1]])
    np.testing.assert_array_equal(batch["y"], [3, 1])


@pytest.mark.parametrize(("features", "labels"), [(3, 2), (2, 3), (0, 0)])
def test_parts_of_other_sizes_are_refused_where_a_round_is_computed(features, labels):
    import tensorflow_federated as tff

    data_type = tff.to_type(
        (tff.TensorType(np.float32, [None, 3]), tff.TensorType(np.int32, [None]))
    )
    # TFF's own graphs are not those of tf.function.
    count = tff.tensorflow.computation(local_work.count_examples, data_type)
    context = tff.backends.native.create_sync_local_cpp_execution_context()
    with tff.framework.get_context_stack().install(context):
        assert count((np.zeros((4, 3), np.float32), np.zeros(4, np.int32))) == 4
        with pytest.raises(Exception, match=f"found {features}, {labels}."):
            count((np.zeros((features, 3), np.float32), np.zeros(labels, np.int32)))
