import types

import numpy as np
import scipy.special
import tensorflow as tf
import tensorflow_federated as tff

from launch import evaluation
from tasks import ACCURACY, ClientData, Metric
from tff_gs.learning import objective as objective_lib


def test_accuracy_and_mean_loss_over_batches_of_unequal_size():
    rng = np.random.default_rng(0)
    count = 2 * evaluation.BATCH_SIZE + 11
    features = rng.normal(size=(count, 3)).astype(np.float32)
    labels = rng.integers(0, 4, count).astype(np.int32)
    weights = rng.normal(size=(3, 4)).astype(np.float32)

    @tf.function
    def predict(model_weights, x, training):
        assert not training
        return tf.matmul(x, model_weights[0][0])

    def loss(output, label, sample_weight=None):
        del sample_weight
        return tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(label, output)
        )

    model = tff.learning.models.FunctionalModel(
        initial_weights=((np.zeros((3, 4), np.float32),), ()),
        predict_on_batch_fn=predict,
        loss_fn=loss,
        input_spec=(
            tf.TensorSpec([None, 3], tf.float32),
            tf.TensorSpec([None], tf.int32),
        ),
    )
    error = Metric("error", lambda labels, outputs: abs(outputs[:, 0] - 1.0))
    evaluate = evaluation.build_evaluate(
        model,
        objective_lib.build_objective(model),
        ClientData("t", features, labels),
        (error, ACCURACY),
    )
    found = evaluate(types.SimpleNamespace(weights=weights.ravel()))

    logits = features @ weights
    losses = scipy.special.logsumexp(logits, axis=1) - logits[np.arange(count), labels]
    assert list(found) == ["error", "accuracy", "loss"]
    assert found["accuracy"] == np.mean(logits.argmax(axis=1) == labels)
    errors = np.abs(logits[:, 0] - 1)
    np.testing.assert_allclose(found["error"], errors.mean(), rtol=1e-5)
    np.testing.assert_allclose(found["loss"], losses.mean(), rtol=1e-5)
