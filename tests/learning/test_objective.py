import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs.learning import objective


def test_functional_weights_are_flattened_in_the_order_of_the_structure(
    functional_model,
):
    built = objective.build_objective(functional_model)
    weights, non_trainable = built.initial_weights()
    first, (bias, second) = functional_model.initial_weights[0]
    parts = [np.ravel(part) for part in (first, bias, second)]
    np.testing.assert_array_equal(weights, np.concatenate(parts))
    assert built.dimension == 48
    assert non_trainable == ()
    found = built.unflatten(weights)
    np.testing.assert_array_equal(found[0], first)
    np.testing.assert_array_equal(found[1][1], second)
    np.testing.assert_array_equal(built.flatten(found), weights)


def test_functional_gradient_is_that_of_the_model(functional_model, client_data):
    built = objective.build_objective(functional_model)
    rng = np.random.default_rng(2)
    weights = tf.constant(rng.normal(size=built.dimension), tf.float32)
    x, y = client_data[1]
    variables = tf.nest.map_structure(tf.Variable, built.unflatten(weights))
    with tf.GradientTape() as tape:
        output = functional_model.predict_on_batch((variables, ()), x, training=True)
        expected = functional_model.loss(output, y)
    gradients = tape.gradient(expected, tf.nest.flatten(variables))
    loss, gradient = built.loss_and_gradient(weights, (), (x, y))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    np.testing.assert_allclose(
        gradient, np.concatenate([np.ravel(part) for part in gradients]), atol=1e-6
    )
    np.testing.assert_allclose(built.loss(weights, (), (x, y)), expected, rtol=1e-6)


def test_a_gradient_agrees_with_differences_of_the_loss(functional_model, client_data):
    built = objective.build_objective(functional_model)
    weights, _ = built.initial_weights()
    _, gradient = built.loss_and_gradient(weights, (), client_data[4])
    for j in (0, 25, 47):
        step = 1e-2 * np.eye(48, dtype=np.float32)[j]
        ends = [
            float(built.loss(weights + s * step, (), client_data[4])) for s in (1, -1)
        ]
        np.testing.assert_allclose(
            gradient[j], (ends[0] - ends[1]) / 2e-2, atol=2e-3, rtol=1e-2
        )


def test_variable_gradient_is_that_of_the_model(variable_model, client_data):
    built = objective.build_objective(variable_model)
    weights, non_trainable = built.initial_weights()
    model = variable_model()
    assert built.dimension == sum(
        int(np.prod(v.shape)) for v in model.trainable_variables
    )
    assert [v.shape for v in non_trainable] == [
        v.shape for v in model.non_trainable_variables
    ]
    weights = weights + 0.1
    for variable, value in zip(
        model.trainable_variables, built.unflatten(weights), strict=True
    ):
        variable.assign(value)
    batch = client_data[4]
    with tf.GradientTape() as tape:
        expected = model.forward_pass(batch, training=True).loss
    gradients = tape.gradient(expected, model.trainable_variables)

    # As in the process: each computation builds the model's variables anew.
    batch_type = tff.types.tensorflow_to_type(built.input_spec)
    arguments = (np.float32, [built.dimension]), built.non_trainable_type, batch_type
    loss_and_gradient = tff.tensorflow.computation(built.loss_and_gradient, arguments)
    loss, gradient = loss_and_gradient(weights, non_trainable, batch)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(
        gradient, np.concatenate([np.ravel(part) for part in gradients]), atol=1e-5
    )
    loss_alone = tff.tensorflow.computation(built.loss, arguments)
    np.testing.assert_allclose(
        loss_alone(weights, non_trainable, batch), expected, rtol=1e-5
    )


def test_other_models_are_refused():
    with pytest.raises(TypeError, match="found int"):
        objective.build_objective(3)


def test_weights_that_are_not_float32_are_refused():
    model = tff.learning.models.FunctionalModel(
        initial_weights=((np.zeros(3),), ()),
        predict_on_batch_fn=tf.function(lambda weights, x, training: x),
        loss_fn=lambda output, label, sample_weight=None: 0.0,
        input_spec=(
            tf.TensorSpec([None, 3], tf.float32),
            tf.TensorSpec([None], tf.int32),
        ),
    )
    with pytest.raises(ValueError, match=r"float32, found \['float64'\]"):
        objective.build_objective(model)
