import pytest
import tensorflow as tf

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
    ):
        values = (round_time, probe_time, before, after, probe, loss)
        return controller.Feedback(*(tf.constant(v, tf.float64) for v in values))

    return build
