"""What crosses the network: messages and scalars, never a dense vector."""

import numpy as np
import pytest
import tensorflow_federated as tff

from tests.oracles import crossings
from tff_gs.sparsifiers import (
    fab_top_k,
    fub_top_k,
    gtop_k,
    periodic_k,
    random_k,
    send_all,
    unidirectional_top_k,
)

_DIMENSION = 40
_METHODS = (
    fab_top_k.FabTopK,
    fub_top_k.FubTopK,
    gtop_k.GTopK,
    periodic_k.PeriodicK,
    random_k.RandomK,
    send_all.SendAll,
    unidirectional_top_k.UnidirectionalTopK,
)


@pytest.fixture(params=_METHODS, ids=lambda method: method.__name__)
def exchange(request, build_exchange):
    return build_exchange(request.param, _DIMENSION, probes=True)


def test_next_moves_scalars_short_vectors_and_bytes(exchange):
    found = crossings.crossings(exchange.next)
    crossings.assert_sparse(found.broadcast, _DIMENSION)
    crossings.assert_sparse(found.aggregated, _DIMENSION)


def test_next_holds_one_aggregation_of_encoded_messages(exchange):
    (uplink,) = crossings.crossings(exchange.next).aggregated
    assert uplink.encoded == tff.TensorType(np.uint8, [None])
    for leaf in crossings.tensors(uplink):
        assert leaf.shape == () or leaf == uplink.encoded


def test_initialize_clients_holds_the_one_dense_download(exchange):
    found = crossings.crossings(exchange.initialize_clients)
    assert not found.aggregated
    dense = [
        leaf
        for member in found.broadcast
        for leaf in crossings.tensors(member)
        if tuple(leaf.shape) == (_DIMENSION,)
    ]
    assert dense == [tff.TensorType(np.float32, [_DIMENSION])]


def test_a_dense_vector_would_be_found():
    vector_type = tff.TensorType(np.float32, [_DIMENSION])

    @tff.federated_computation(tff.FederatedType(vector_type, tff.CLIENTS))
    def dense_mean(vectors):
        return tff.federated_sum(vectors)

    @tff.federated_computation(tff.FederatedType(vector_type, tff.SERVER))
    def dense_broadcast(vector):
        return tff.federated_broadcast(vector)

    with pytest.raises(AssertionError, match="moves values"):
        crossings.crossings(dense_mean)
    with pytest.raises(AssertionError, match="dense"):
        crossings.assert_sparse(
            crossings.crossings(dense_broadcast).broadcast, _DIMENSION
        )
