"""Values that move to the worker and back through files."""

import collections
import os
import tempfile

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import runtime
from tff_gs.runtime import resident, spool, spool_folder, worker

_TYPE = tff.to_type(
    [
        (np.float32, [2, 3]),
        np.int32,
        (np.float64, [None]),
        (np.int64, [None, 2]),
        (np.uint8, [3]),
        np.bool_,
    ]
)


def _value(number):
    rng = np.random.default_rng(number)
    return [
        rng.normal(size=(2, 3)).astype(np.float32),
        np.int32(number),
        rng.normal(size=number),
        rng.integers(-9, 9, (number, 2)),
        rng.integers(0, 256, 3).astype(np.uint8),
        np.bool_(number % 2),
    ]


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spool")
    patch = pytest.MonkeyPatch()
    patch.setattr(tempfile, "tempdir", os.fspath(folder))
    with runtime.execution_context() as installed:
        installed.folder = folder
        yield installed
    patch.undo()
    assert not list(folder.iterdir())


def _assert_equal(found, expected):
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        for part, wanted in zip(one, two, strict=True):
            np.testing.assert_array_equal(part, wanted)
            assert np.asarray(part).dtype == np.asarray(wanted).dtype


def test_there_and_back(context):
    values = [_value(number) for number in (3, 0, 11)]
    placed = context.place(values, _TYPE)
    _assert_equal(placed.fetch(), values)
    _assert_equal(placed.fetch(), values)
    # The files of one call are gone before the next.
    others = [_value(number) for number in (5, 6, 7)]
    again = context.place(others, tff.FederatedType(_TYPE, tff.CLIENTS))
    _assert_equal(placed.fetch(), values)
    _assert_equal(again.fetch(), others)
    assert [entry for entry in context.folder.rglob("*") if entry.is_file()] == []


@pytest.mark.parametrize(
    ("position", "part", "message"),
    [
        (0, np.zeros((2, 2), np.float32), r"float32\(2, 3\), found .*float32\(2, 2\)"),
        (1, np.int64(1), r"int32\(\), found one of int64\(\)"),
        (2, np.zeros((1, 1)), r"float64\(None,\), found one of float64\(1, 1\)"),
    ],
)
def test_values_of_another_type_are_refused(context, position, part, message):
    value = _value(2)
    value[position] = part
    with pytest.raises(ValueError, match=message):
        context.place([_value(1), value], _TYPE)


def test_values_with_other_parts_are_refused(context):
    with pytest.raises(ValueError, match="Expected 6 arrays, found 5"):
        context.place([_value(1)[:5]], _TYPE)
