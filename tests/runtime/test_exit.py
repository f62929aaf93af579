from tests import fresh_python

_SCRIPT = """
import numpy as np
import tensorflow_federated as tff
from tff_gs import runtime

@tff.tensorflow.computation(np.int32)
def double(number):
    return number + number

assert double(3) == 6
with runtime.execution_context():
    assert double(4) == 8
"""


def test_a_script_ends_without_a_word():
    done = fresh_python.run(_SCRIPT)
    assert "ignored" not in done.stderr
    assert "Traceback" not in done.stderr
