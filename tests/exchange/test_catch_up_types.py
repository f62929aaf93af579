"""The types of the catch-up, and what crosses the network in it."""

import numpy as np
import tensorflow_federated as tff

from tests.oracles import crossings
from tff_gs import exchange as exchange_lib
from tff_gs.exchange import catch_up, client_state, server_update

_D = 40


def _build(update):
    return exchange_lib.CatchUp(
        update,
        tensor_sizes=[_D],
        participation=exchange_lib.PartialParticipation(),
    )


def test_type_signature():
    update = server_update.SparseSgd(_D, learning_rate=1.0)
    found = _build(update).next.type_signature
    clients = client_state.client_state_type(update.replica_type)
    assert found.parameter.current == tff.FederatedType(
        catch_up.CurrentModel(update.replica_type, (np.int32, [_D]), np.int32),
        tff.SERVER,
    )
    assert found.parameter.clients == tff.FederatedType(clients, tff.CLIENTS)
    assert found.parameter.rounds == tff.FederatedType(np.int32, tff.CLIENTS)
    assert found.result == tff.FederatedType(
        catch_up.CaughtUp(clients, np.int32, catch_up.CatchUpReceipt(*[np.int64] * 5)),
        tff.CLIENTS,
    )


def test_only_keys_and_bytes_cross():
    adam = tff.learning.optimizers.build_adam(0.1)
    for update, optimizer_bytes in (
        (server_update.SparseSgd(_D, learning_rate=1.0), 0),
        (server_update.OptimizerUpdate(_D, optimizer=adam), None),
    ):
        found = crossings.crossings(_build(update).next)
        assert not found.broadcast
        assert not found.aggregated
        key, message = found.selected
        assert key == tff.TensorType(np.int32, [1])
        crossings.assert_sparse([message], _D)
        assert message.round == tff.TensorType(np.int32, [None])
        assert message.weights == tff.TensorType(np.uint8, [None])
        assert message.optimizer == tff.TensorType(np.uint8, [optimizer_bytes])
