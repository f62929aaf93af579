"""theta(k) and theta(k') differ by k and k' only, whatever is sent and priced."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tff_gs import sparse_vector
from tff_gs.controllers import controller
from tff_gs.costs import links, normalised
from tff_gs.encoders import message_encoder
from tff_gs.exchange import receipts, sparse_exchange
from tff_gs.learning import probe, round_metrics
from tff_gs.sparsifiers import names, registry
from tff_gs.sparsifiers import sparsifier as sparsifier_lib

_D, _CLIENTS = 96, 5
_SEED = tf.constant([3, 4])
_CODES = [
    ("int32", "float32"),
    ("bitmap", "bfloat16"),
    ("fixed", "ternary"),
    ("rice", "quantised1"),
    ("rice_per_tensor", "quantised8"),
    ("auto", "float32"),
]


def _link_time(compute, up, down, latency):
    columns = (compute, up, down, latency)
    return links.LinkTime(
        links.Links(
            **dict(
                zip(
                    (
                        "compute_seconds",
                        "up_bits_per_second",
                        "down_bits_per_second",
                        "latency_seconds",
                    ),
                    (
                        np.full(_CLIENTS, x) * np.arange(1, 1 + _CLIENTS)
                        for x in columns
                    ),
                    strict=True,
                )
            )
        )
    )


_COSTS = {
    "paper": normalised.NormalisedTime(_D),
    "communication": normalised.NormalisedTime(_D, comm_time=1e6),
    "probe_priced": normalised.NormalisedTime(
        _D, comm_time=100.0, price_probe_downlink=True
    ),
    "links": _link_time(1.0, 1e3, 1e4, 0.1),
    "slow_up": _link_time(0.0, 1.0, 1e9, 0.0),
    "slow_down": _link_time(0.0, 1e9, 1.0, 0.0),
}


@pytest.fixture(scope="module", autouse=True)
def _traces():
    """Lets go of the traced functions before Python ends."""
    yield
    _traced.cache_clear()


def _encoder(index, value, implicit):
    code = message_encoder.build_encoder(
        index, value, dimension=_D, tensor_sizes=[64, 30, 2]
    )
    return code.without_indices() if implicit else code


@functools.cache
def _traced(name, index, value):
    """A round's outcome, traced once: of residuals [N, D], k and k'."""
    method = registry.build_sparsifier(name, dimension=_D, probes=True)
    code = _encoder(index, value, method.implicit_indices)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, _D], tf.float32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.int32),
        ]
    )
    def run(residuals, k, k_probe):
        shared = method.share(method.initialize(), _SEED)
        accumulator, sent = method.zero(), []
        for client in range(_CLIENTS):
            indices = method.sparsify(residuals[client], k, shared)
            values = tf.gather(residuals[client], method.coordinates(indices, shared))
            message = code.encode(
                sparse_vector.SparseVector(indices, values), _SEED
            ).message
            entries, error = code.decode(message, method.max_sent(k))
            tf.debugging.assert_equal(error, 0)
            upload = sparsifier_lib.Upload(
                tf.constant(client), entries, tf.constant(1.0), k, k_probe
            )
            accumulator = method.accumulate(accumulator, upload)
            sent.append((tf.size(indices), 8 * tf.size(message, tf.int64)))
        selection = method.select(
            method.report(accumulator),
            tf.constant(float(_CLIENTS), tf.float64),
            k,
            k_probe,
            shared,
        )
        return selection, shared, sent, code.encode(selection.update, _SEED).message

    return method, code, run


def _outcome(name, codes, residuals, k, k_probe):
    method, code, run = _traced(name, *codes)
    selection, shared, sent, message = run(residuals, k, k_probe)
    elements, bits = (tf.stack(column) for column in zip(*sent, strict=True))
    nought = tf.zeros([_CLIENTS], tf.int32)
    notes = tf.size(selection.notes)
    outcome = sparse_exchange.Outcome(
        receipts=receipts.Receipts(
            client_ids=tf.range(_CLIENTS),
            errors=nought,
            elements=elements,
            # With the client's id and weight, and k and k'.
            bits=bits + 128,
            index_bits=nought,
            value_bits=nought,
            overhead_bits=nought,
        ),
        downlink_elements=tf.size(selection.update.indices),
        notes_elements=notes,
        shared_elements=tf.size(shared),
        downlink_bits=8 * tf.size(message, tf.int64)
        + 32 * tf.cast(notes + tf.size(shared) + 2, tf.int64),
        downlink_sizes=code.sizes(message),
        kappa=selection.kappa,
        probe_message=tf.zeros([17], tf.uint8),
        probe_elements=tf.size(selection.probe.indices),
        probe_count=selection.probe_count,
        probe_notes_elements=tf.convert_to_tensor(selection.probe_notes_count),
        decode_seconds=tf.constant(0.0, tf.float64),
    )
    return method, code, outcome


def _feedback(method, code, outcome, cost, k, k_probe):
    metrics = round_metrics.RoundMetrics(method, cost, code, code)
    of_clients = tf.zeros([_CLIENTS], tf.int32)
    report = probe.Report(
        client_ids=tf.range(_CLIENTS),
        contributed=of_clients,
        local_steps=of_clients + 1,
        training_loss=tf.constant(1.0, tf.float64),
        losses=tf.constant([1.0, 0.8, 0.9], tf.float64),
        bits=tf.constant(0, tf.int64),
        encode_seconds=tf.constant(0.0, tf.float64),
        catch_up=(),
    )
    decision = controller.Decision(tf.constant(k), tf.constant(k_probe))
    return metrics.feedback(decision, outcome, report)


def _share(feedback, k, k_probe):
    """S = k (theta(k) - theta(k')) / ((k - k') theta(k))."""
    time, probe_time = float(feedback.round_time), float(feedback.probe_time)
    return k * (time - probe_time) / ((k - k_probe) * time)


def _residuals(rng, kind):
    """Residuals that agree at all clients, at some coordinates, or nowhere."""
    own = rng.normal(size=[_CLIENTS, _D])
    if kind == "alike":
        own = own[:1] + 0.01 * own
    elif kind == "same_first":  # disjoint beyond a few that all have first
        own = np.where(np.arange(_D) % _CLIENTS == np.arange(_CLIENTS)[:, None], own, 0)
        own[:, : rng.integers(1, 20)] = 100 + rng.normal(size=_D)[: own.shape[1]][0]
    elif kind == "zeros":
        own[rng.random([_CLIENTS, _D]) < 0.9] = 0
    return own.astype(np.float32)


@pytest.mark.parametrize("name", names.SPARSIFIERS)
@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["any", "alike", "same_first", "zeros"]),
    ks=st.lists(st.integers(1, _D), min_size=2, max_size=2, unique=True).map(sorted),
    codes=st.sampled_from(_CODES),
)
def test_what_k_costs_is_between_nothing_and_all(name, seed, kind, ks, codes):
    k_probe, k = ks
    residuals = _residuals(np.random.default_rng(seed), kind)
    method, code, outcome = _outcome(name, codes, residuals, k, k_probe)
    for cost in _COSTS.values():
        feedback = _feedback(method, code, outcome, cost, k, k_probe)
        assert -1e-9 <= _share(feedback, k, k_probe) <= 1 + 1e-9


def test_the_notes_of_gtop_k_are_paid_for_at_both_ks():
    rng = np.random.default_rng(3)
    residuals = (rng.normal(size=_D) + rng.normal(size=[_CLIENTS, _D])).astype("f4")
    k, k_probe = 20, 10
    method, code, outcome = _outcome(
        "gtop_k", ("int32", "float32"), residuals, k, k_probe
    )
    smaller = _outcome("gtop_k", ("int32", "float32"), residuals, k_probe, 1)[2]
    notes, probe_notes = int(outcome.notes_elements), int(smaller.notes_elements)
    # At k' as many as a round at k' sends, here.
    assert int(outcome.probe_notes_elements) == probe_notes
    assert notes / 2 < probe_notes < notes
    # beta / (2 D) for each number: 2 k up, 2 k and the notes down.
    feedback = _feedback(
        method, code, outcome, normalised.NormalisedTime(_D, comm_time=2.0 * _D), k, 10
    )
    assert float(feedback.round_time) == pytest.approx(1 + 1 / 32 + 4 * k + notes)
    assert float(feedback.probe_time) == pytest.approx(1 + 1 / 32 + 40 + probe_notes)
    # 32 bits each; the last client is slowest, at 5 bits a second down.
    time = _link_time(0.0, 1e9, 1.0, 0.0)
    feedback = _feedback(method, code, outcome, time, k, k_probe)
    del time, feedback
