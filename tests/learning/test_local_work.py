import numpy as np
import pytest


@pytest.mark.parametrize(
    ("weighting", "expected"),
    [("NUM_EXAMPLES", [3, 9, 1, 4, 20]), ("UNIFORM", [1, 1, 1, 1, 1])],
)
def test_how_clients_weigh(functional_model, client_data, weighting, expected):
    import tensorflow as tf
    import tensorflow_federated as tff

    from tff_gs.exchange import client_state, server_update
    from tff_gs.learning import local_work, objective

    built = objective.build_objective(functional_model)
    weights, non_trainable = built.initial_weights()
    client = client_state.initial_client_state(
        tf.constant(0),
        server_update.Replica(weights, ()),
        tf.constant([1, 2]),
    )
    work = local_work.MinibatchGradient(
        batch_size=4, client_weighting=tff.learning.ClientWeighting[weighting]
    ).bind(built)
    done = [
        work(client, local_work.Inputs(non_trainable, data)) for data in client_data
    ]
    assert [contribution.weight.numpy() for contribution in done] == expected
    assert all(contribution.weight.dtype == np.float32 for contribution in done)
