"""A small process with momentum at the server, its clients, and where it runs."""

import numpy as np
import pytest

FEATURES, CLASSES = 3, 4


def _build_process(features, **options):
    import tensorflow_federated as tff

    from tests import models
    from tff_gs import learning

    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(features, CLASSES)).astype(np.float32)
    model = models.linear(matrix)
    process = learning.build_sparsified_fed_sgd(
        model,
        learning_rate=0.1,
        server_optimizer=tff.learning.optimizers.build_sgdm(0.1, momentum=0.9),
        batch_size=4,
        seed=3,
        **options,
    )
    return model, process


@pytest.fixture(scope="session")
def model_and_process():
    return _build_process(FEATURES)


@pytest.fixture(scope="session")
def process(model_and_process):
    return model_and_process[1]


@pytest.fixture(scope="session")
def cohort_process():
    """The process for any cohorts."""
    from tff_gs import learning

    return _build_process(FEATURES, participation=learning.PartialParticipation())[1]


@pytest.fixture(scope="session")
def larger_process():
    return _build_process(FEATURES + 1)[1]


@pytest.fixture(scope="session")
def data():
    """Three clients' examples."""
    rng = np.random.default_rng(0)
    return [
        (
            rng.normal(size=(size, FEATURES)).astype(np.float32),
            rng.integers(0, CLASSES, size).astype(np.int32),
        )
        for size in (6, 9, 5)
    ]


# Not for the session: an installed context would be that of other files' tests too.
@pytest.fixture(scope="module")
def context():
    from tff_gs import runtime

    with runtime.execution_context() as installed:
        yield installed
