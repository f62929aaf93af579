"""The form of a computation that TFF's workers run."""

import weakref

import tensorflow as tf
import tensorflow_federated as tff
from tensorflow_federated.python.core.environments.tensorflow_backend import (
    tensorflow_tree_transformations,
)

# By the id of the computation, for as long as it lives: it is not compiled again for
# another context, as when a run goes on after the loss of a worker.
_forms: dict[int, tff.Computation] = {}


def native_form(comp: tff.Computation) -> tff.Computation:
    """What the worker runs: as TFF's native contexts compile it, except for Grappler.

    Those let Grappler trade time for memory (activations are computed twice), which
    costs a third of a CNN's gradient; its default settings do not.

    Secure sums are simulated: computed in the clear.
    """
    if id(comp) not in _forms:
        _forms[id(comp)] = _compiled(comp)
        weakref.finalize(comp, _forms.pop, id(comp), None)
    return _forms[id(comp)]


def _compiled(comp: tff.Computation) -> tff.Computation:
    desugared, _ = tensorflow_tree_transformations.replace_intrinsics_with_bodies(
        tff.backends.test.replace_secure_intrinsics_with_bodies(
            comp
        ).to_building_block()
    )
    return tff.backends.native.transform_to_native_form(
        tff.framework.ConcreteComputation.from_building_block(desugared),
        grappler_config=tf.compat.v1.ConfigProto(),
    )
