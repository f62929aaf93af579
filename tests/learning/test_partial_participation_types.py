"""The types of the process with partial participation, and what crosses in it."""

import numpy as np
import pytest
import tensorflow_federated as tff

from tests.oracles import crossings
from tff_gs import learning
from tff_gs.controllers import sign_descent

_D = 48


@pytest.fixture(scope="module")
def build(build_process, functional_model):
    def of(**options):
        return build_process(
            functional_model, sign_descent.SignDescent().bind(_D), **options
        )

    return of


@pytest.fixture(scope="module")
def partial(build):
    return build(participation=learning.PartialParticipation())


def test_nothing_is_kept_or_sent_without_the_option(build):
    process = build()
    nothing = tff.to_type(())
    state = process.initialize.type_signature.result.member
    assert state.last_changed == nothing
    assert process.next.type_signature.parameter.clients.member.model_round == nothing
    assert not crossings.crossings(process.next).selected
    metrics = process.next.type_signature.result.metrics.member
    assert not [name for name in dir(metrics) if name.startswith("catch_up")]


def test_the_option_adds_what_it_needs(partial):
    signature = partial.next.type_signature
    assert signature.parameter.state == signature.result.state
    assert signature.parameter.clients == signature.result.clients
    assert signature.parameter.state.member.last_changed == tff.TensorType(
        np.int32, [_D]
    )
    clients = signature.parameter.clients.member
    assert clients.model_round == tff.TensorType(np.int32)
    metrics = signature.result.metrics.member
    for name in (
        "rounds",
        "rounds_max",
        "elements",
        "bits",
        "bits_max",
        "request_bits",
    ):
        assert metrics[f"catch_up_{name}"] == tff.TensorType(np.int64), name
    assert metrics["catch_up_dense"] == tff.TensorType(np.int32)


def test_no_dense_vector_crosses_and_two_aggregations_do(partial):
    found = crossings.crossings(partial.next)
    for members in found:
        crossings.assert_sparse(members, _D)
    assert len(found.aggregated) == 2
