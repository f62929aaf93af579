"""What the broadcast's process takes and gives, by its type signature alone."""

import collections

import numpy as np
import pytest
import tensorflow_federated as tff

from tff_gs import distributors
from tff_gs.controllers import exp3, fixed, schedule

_MEASUREMENTS = collections.OrderedDict(
    k=np.int32,
    downlink_bits=np.int64,
    message_bits=np.int64,
    dense_bits=np.int64,
    whole_bits=np.int64,
    cached_bits=np.int64,
    bits_per_index=np.float32,
    change_norm=np.float32,
    pending_norm=np.float32,
)
_MODEL = tff.to_type(
    tff.learning.models.ModelWeights(
        [(np.float32, [2, 3]), np.float16], [np.int64, (np.float32, [2])]
    )
)
_NESTED = tff.to_type(
    collections.OrderedDict(a=(np.float32, [4]), b=[np.float64, (np.float16, [2])])
)


@pytest.mark.parametrize(
    ("value_type", "dimension"),
    [(_MODEL, 7), (_NESTED, 7), (tff.TensorType(np.float32, [7]), 7)],
)
@pytest.mark.parametrize(
    ("k", "rule_type"),
    [
        (0.5, fixed.FixedState(tff.TensorType(np.int32))),
        (
            schedule.Schedule(schedule=[(0, 1), (5, 3)]),
            schedule.ScheduleState(tff.TensorType(np.int32)),
        ),
        (distributors.EnergyShare(share=0.9), ()),
    ],
)
def test_type_signature(value_type, dimension, k, rule_type, exact_encoder):
    process = distributors.build_sparse_broadcast_process(
        value_type, k=k, downlink_encoder=exact_encoder
    )
    state_type = tff.FederatedType(
        distributors.SparseBroadcastState(
            replica=tff.TensorType(np.float32, [dimension]),
            round=tff.TensorType(np.int32),
            rule=rule_type,
        ),
        tff.SERVER,
    )
    expected = tff.FunctionType(
        collections.OrderedDict(
            state=state_type, value=tff.FederatedType(value_type, tff.SERVER)
        ),
        tff.templates.MeasuredProcessOutput(
            state_type,
            tff.FederatedType(value_type, tff.CLIENTS),
            tff.FederatedType(_MEASUREMENTS, tff.SERVER),
        ),
    )
    assert isinstance(process, tff.learning.templates.DistributionProcess)
    assert process.initialize.type_signature == tff.FunctionType(None, state_type)
    assert process.next.type_signature.is_equivalent_to(expected)


@pytest.mark.parametrize(
    ("value_type", "found"),
    [
        (tff.to_type([np.float32, np.int32]), "int32"),
        (tff.to_type(tff.learning.models.ModelWeights([np.int32], [])), "int32"),
        (tff.TensorType(np.float32, [None]), r"float32\(None,\)"),
        (tff.to_type(tff.learning.models.ModelWeights([], [np.int32])), "<>"),
    ],
)
def test_values_that_are_no_floats(value_type, found):
    with pytest.raises(TypeError, match=f"found {found}"):
        distributors.build_sparse_broadcast_process(value_type, k=1)


@pytest.mark.parametrize("k", [0, 8, 1.5, -0.1, None])
def test_k_out_of_range(k):
    with pytest.raises(ValueError, match=r"k to be a count \(int\) in \[1, 7\]"):
        distributors.build_sparse_broadcast_process(_MODEL, k=k)


def test_a_rule_that_probes_is_refused():
    rule = exp3.Exp3(arms=(2, 4), horizon=10)
    with pytest.raises(ValueError, match=r"needs no probe .*, found Exp3"):
        distributors.build_sparse_broadcast_process(_MODEL, k=rule)
