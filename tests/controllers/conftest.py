import pytest
import tensorflow as tf

from tff_gs import sparse_vector
from tff_gs.controllers import controller


@pytest.fixture
def feedback():
    """Builds a `Feedback` of float64 scalars."""

    def build(
        *,
        round_time=1.0,
        probe_time=1.0,
        before=1.0,
        after=0.9,
        probe=0.9,
        loss=1.0,
        number=1,
        time_elasticity=0.5,
        update=((0,), (1.0,)),
    ):
        values = (round_time, probe_time, before, after, probe, loss)
        coordinates, entries = update
        return controller.Feedback(
            *(tf.constant(v, tf.float64) for v in values),
            round=tf.constant(number),
            time_elasticity=tf.constant(time_elasticity, tf.float64),
            update=sparse_vector.SparseVector(
                tf.constant(coordinates, tf.int32), tf.constant(entries, tf.float32)
            ),
        )

    return build
