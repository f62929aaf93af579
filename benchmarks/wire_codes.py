"""What index codes cost: bits an index, and the time to encode and decode.

    python -m benchmarks.wire_codes [--quick] [--output=CSV] [--selections=NPZ]

Uniformly random subsets of D = 444,062 (the paper's CNN for FEMNIST) at several
densities, every index code with float32 values; beside the bits an index stand the
entropy log2 C(D, k) / k and an index's 32 bits of a 64-bit pair. Times are medians of
whole messages, with header, values, checks and checksum; ratios are to the code
"int32", timed in the same process and interleaved with it.

--selections is an NPZ file of recorded selections, as `numpy.savez` writes it: an array
`tensor_sizes`, how many coordinates each tensor of the model has, in order; every other
array, named by its round, holds strictly ascending integer indices, one or more, below
the sum of `tensor_sizes`. Each is encoded like a random subset and has its own rows.
"""

import argparse
import os
import time

import numpy as np

_SIZES = (800, 32, 25_600, 32, 401_408, 256, 15_872, 62)
# The codes are farthest from the entropy at 0.382: no parameter of Rice's suits it.
_DENSITIES = (0.002, 0.01, 0.05, 0.1, 0.382, 0.5)
_BASELINE = "int32"


def _selections(path):
    """(name, indices) pairs of the file at `path`, and the tensors' sizes."""
    with np.load(path) as arrays:
        sizes = tuple(int(size) for size in arrays["tensor_sizes"])
        return [
            (name, arrays[name].astype(np.int32))
            for name in arrays.files
            if name != "tensor_sizes"
        ], sizes


def _codecs(sizes):
    """A pair of traced functions, and the encoder, for each index code."""
    import tensorflow as tf

    from tff_gs import encoders, sparse_vector

    # TensorFlow takes functions made in a loop for one that is traced again.
    tf.get_logger().setLevel("ERROR")
    codecs = {}
    for index in encoders.INDEX_CODES:
        encoder = encoders.Encoder(index, "float32").bind(
            dimension=sum(sizes), tensor_sizes=sizes
        )
        encode = tf.function(
            lambda i, v, encoder=encoder: encoder.encode(
                sparse_vector.SparseVector(i, v), tf.constant([0, 0])
            ),
            input_signature=[
                tf.TensorSpec([None], tf.int32),
                tf.TensorSpec([None], tf.float32),
            ],
            autograph=False,
        )
        decode = tf.function(
            encoder.decode,
            input_signature=[
                tf.TensorSpec([None], tf.uint8),
                tf.TensorSpec([], tf.int32),
            ],
            autograph=False,
        )
        codecs[index] = encode, decode, encoder
    return codecs


def _seconds(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def _rows(name, indices, codecs, dimension, repeats):
    """A row of the table for each code, on one selection."""
    import tensorflow as tf

    from tff_gs.encoders import index_code

    count = len(indices)
    values = np.random.default_rng(1).normal(size=count).astype(np.float32)
    indices, values = tf.constant(indices), tf.constant(values)
    times = {index: ([], []) for index in codecs}
    messages = {}
    # Codes take turns, so that a busy spell of the machine falls on all of them.
    for _ in range(repeats + 1):
        for index, (encode, decode, _) in codecs.items():
            encode_time, (message, _) = _seconds(encode, indices, values)
            decode_time, decoded = _seconds(decode, message, tf.constant(count))
            times[index][0].append(encode_time)
            times[index][1].append(decode_time)
            messages[index] = message
            if int(decoded.error) or not np.array_equal(
                decoded.vector.indices, indices
            ):
                raise RuntimeError(f"{index} did not decode what it encoded ({name}).")
    # The first turn is a warm-up.
    medians = {
        index: [1e3 * np.median(part[1:]) for part in parts]
        for index, parts in times.items()
    }
    bound = float(index_code.entropy_bits(count, dimension)) / count
    for index, (encode_ms, decode_ms) in medians.items():
        sizes = codecs[index][2].sizes(messages[index])
        bits = int(sizes.index_bits) / count
        yield {
            "selection": name,
            "k": count,
            "code": index,
            "bits/index": bits,
            "entropy": bound,
            "over entropy %": 100 * (bits / bound - 1),
            "of a 64-bit pair %": 100 * len(messages[index]) / (8 * count),
            "encode ms": encode_ms,
            "decode ms": decode_ms,
            "encode M/s": count / encode_ms / 1e3,
            "decode M/s": count / decode_ms / 1e3,
            "encode ratio": encode_ms / medians[_BASELINE][0],
            "decode ratio": decode_ms / medians[_BASELINE][1],
        }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few repetitions")
    parser.add_argument("--output", help="write the table to this CSV file")
    parser.add_argument("--selections", help="NPZ of recorded selections")
    options = parser.parse_args()

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    import pandas as pd

    repeats = 5 if options.quick else 50
    rng = np.random.default_rng(0)
    dimension = sum(_SIZES)
    inputs = []
    for density in _DENSITIES:
        subset = rng.choice(dimension, int(density * dimension), replace=False)
        inputs.append((f"random {density:.1%}", np.sort(subset).astype(np.int32)))
    rows = []
    codecs = _codecs(_SIZES)
    for name, indices in inputs:
        rows += _rows(name, indices, codecs, dimension, repeats)
    if options.selections:
        recorded, sizes = _selections(options.selections)
        codecs = codecs if sizes == _SIZES else _codecs(sizes)
        for name, indices in recorded:
            rows += _rows(f"round {name}", indices, codecs, sum(sizes), repeats)
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="%.3f"))
    if options.output:
        table.to_csv(options.output, index=False)


if __name__ == "__main__":
    main()
