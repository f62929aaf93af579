"""Exact top-k by magnitude, against TensorFlow's and NumPy's.

    python -m benchmarks.top_k [--quick] [--output=top_k.csv]

Prints, for each D and k, the median milliseconds of `top_k_indices`, and how many
times longer `tf.math.top_k` and `numpy.argpartition` take in the same process.
All three end with the k positions in ascending order.
"""

import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks import report
from tff_gs.sparsifiers import top_k

_QUICK = flags.DEFINE_bool("quick", False, "D up to 1e6, few repeats.")
_OUTPUT = flags.DEFINE_string("output", None, "Where to write the table as CSV.")

_SHARES = (0.002, 0.01, 0.1, 0.5)


def _signature() -> list[tf.TensorSpec]:
    return [tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int32)]


def main(argv: list[str]) -> None:
    """Prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only, found {argv[1]!r}.")
    ours = tf.function(top_k.top_k_indices, input_signature=_signature())
    theirs = tf.function(
        lambda vector, k: tf.sort(
            tf.math.top_k(tf.abs(vector), k, sorted=False).indices
        ),
        input_signature=_signature(),
    )
    rows = []
    repeats = 5 if _QUICK.value else 15
    for dimension in (10**4, 10**5, 10**6) + (() if _QUICK.value else (10**7,)):
        rng = np.random.default_rng(0)
        # A wide spread of magnitudes, as gradients have.
        vector = (
            rng.standard_normal(dimension) * np.exp(2 * rng.standard_normal(dimension))
        ).astype(np.float32)
        tensor = tf.constant(vector)
        for share in _SHARES:
            k = max(1, int(share * dimension))
            times = report.alternate(
                {
                    "ours": lambda t=tensor, k=k: ours(t, k).numpy(),
                    "tf": lambda t=tensor, k=k: theirs(t, k).numpy(),
                    "numpy": lambda v=vector, k=k: np.sort(
                        np.argpartition(np.abs(v), len(v) - k)[len(v) - k :]
                    ),
                },
                repeats,
            )
            median = {name: report.median(values) for name, values in times.items()}
            rows.append(
                {
                    "D": dimension,
                    "k": k,
                    "ms": 1e3 * median["ours"],
                    "tf.math.top_k / ours": median["tf"] / median["ours"],
                    "numpy.argpartition / ours": median["numpy"] / median["ours"],
                }
            )
    report.show(rows, _OUTPUT.value)


if __name__ == "__main__":
    app.run(main)
