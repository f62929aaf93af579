"""Clients' data and ids as users have them, checked before anything is placed."""

import collections
import numbers
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _client_values

_MAX_ID = int(np.iinfo(np.int32).max)


class ClientsData(NamedTuple):
    """The clients of a `tff.simulation.datasets.ClientData`, in the form used here.

    Attributes:
      ids: Their ids, 0, 1, ...
      names: TFF's string ids, in the same order: `names[id]` is the client's.
      data: For each client all its examples, stacked.
    """

    ids: list[int]
    names: list[str]
    data: list[Any]

    @property
    def ids_by_name(self) -> Mapping[str, int]:
        """The id of each name."""
        return dict(zip(self.names, self.ids, strict=True))


def clients_from_client_data(
    client_data: tff.simulation.datasets.ClientData,
    client_ids: Sequence[str] | None = None,
) -> ClientsData:
    """The clients of a TFF data set, their examples stacked.

    >>> numbers = tff.simulation.datasets.ClientData.from_clients_and_tf_fn(
    ...     ["anna", "bo"], lambda name: tf.data.Dataset.range(3)
    ... )
    >>> clients = clients_from_client_data(numbers)
    >>> clients.ids, clients.names, clients.data[1]
    ([0, 1], ['anna', 'bo'], array([0, 1, 2]))

    A data set whose elements are batches, that is whose tensors have all an unknown
    first dimension, gives the examples of the batches.

    Args:
      client_data: The data set.
      client_ids: TFF's string ids of the clients wanted; None: all, in its order.

    Raises:
      ValueError: In one sentence, if a client is unknown or given twice, or its
        dataset is infinite, empty, of more than 2 GiB, or cannot be stacked.
    """
    if not isinstance(client_data, tff.simulation.datasets.ClientData):
        raise ValueError(
            "Expected a tff.simulation.datasets.ClientData, found "
            f"{_client_values.described(client_data)}."
        )
    known = set(client_data.client_ids)
    names = list(client_data.client_ids if client_ids is None else client_ids)
    if not names:
        raise ValueError("Expected at least one client, found none.")
    if len(set(names)) != len(names):
        raise ValueError(f"Expected distinct client ids, found {_repeated(names)!r}.")
    for name in names:
        if name not in known:
            raise ValueError(
                f"Expected ids of the {len(known)} clients of the ClientData, found "
                f"{name!r}."
            )
    data = []
    for name in names:
        dataset = client_data.create_tf_dataset_for_client(name)
        batched = _client_values.are_batches(dataset.element_spec)
        data.append(_client_values.stack(dataset, f"client {name!r}", batched=batched))
    return ClientsData(list(range(len(names))), names, data)


def check_client_ids(client_ids: Any) -> list[int]:
    """The ids as Python's whole numbers.

    >>> check_client_ids(np.array([4, 2]))
    [4, 2]
    >>> check_client_ids([4, 4])
    Traceback (most recent call last):
    ValueError: Expected distinct ids of clients from 0 on, found [4, 4]; an id is a
    whole number of int32.

    Args:
      client_ids: Distinct whole numbers from 0 to 2**31 - 1, at least one, in a list
        or an array.

    Raises:
      ValueError: In one sentence, if they are anything else.
    """
    ids = _client_values.as_list(client_ids, "distinct ids of clients")
    for client in ids:
        if isinstance(client, str | bytes):
            raise ValueError(
                f"Expected whole numbers from 0 on as ids of clients, found {client!r}:"
                " tff_gs.learning.clients_from_client_data turns TFF's string ids into "
                "such."
            )
        is_whole = isinstance(client, numbers.Integral) and not isinstance(client, bool)
        if not is_whole or not 0 <= client <= _MAX_ID:
            raise ValueError(_not_ids([client]))
    ids = [int(client) for client in ids]
    if len(set(ids)) != len(ids):
        raise ValueError(_not_ids([_repeated(ids)] * 2))
    return ids


def _not_ids(found: list[Any]) -> str:
    return (
        f"Expected distinct ids of clients from 0 on, found {found}; an id is a whole "
        "number of int32."
    )


def check_data(
    data: Any, data_type: tff.Type, clients: Sequence[Hashable] | None = None
) -> list[Any]:
    """The clients' examples as arrays in the containers of the model's batch.

    >>> batch = tff.to_type([(np.float32, [None]), (np.int32, [None])])
    >>> check_data([([0.5, 1.5], [0, 1])], batch)
    [[array([0.5, 1.5], dtype=float32), array([0, 1], dtype=int32)]]

    Args:
      data: For each client, in a list, its examples: a structure like the model's
        batch with the examples stacked, or a finite `tf.data.Dataset` of examples or
        of batches. The parts of mappings are found by their names. Arrays of float64
        or int64 are cast to the model's dtypes if that changes no entry.
      data_type: The type of a client's data, T or {T}@CLIENTS: that of
        `process.next.type_signature.parameter.data`.
      clients: Their ids, whole numbers or strings, for the sentences and their number;
        None: their places.

    Raises:
      ValueError: In one sentence, if there is no client, not one entry for each of
        `clients`, or a client's data are not of the type, without an example, or of
        parts with different numbers of examples.
    """
    if isinstance(data_type, tff.FederatedType):
        data_type = data_type.member
    data = _client_values.as_list(data, "the examples of each client")
    if clients is None:
        clients = range(len(data))
    if len(data) != len(clients):
        raise ValueError(
            f"Expected the examples of each of {len(clients)} clients, found those of "
            f"{len(data)}."
        )
    checked = []
    for client, value in zip(clients, data, strict=True):
        leaves = _client_values.flatten(value, data_type, f"client {client}")
        _check_examples(leaves, client)
        checked.append(_client_values.pack(leaves, data_type))
    return checked


def check_input_spec(input_spec: Any) -> None:
    """Refuses a model whose batches cannot be of any number of examples.

    Args:
      input_spec: The model's, a structure of `tf.TensorSpec`.

    Raises:
      ValueError: In one sentence, if a tensor's first dimension is fixed, or it has
        none.
    """
    for spec in tf.nest.flatten(input_spec):
        if not isinstance(spec, tf.TensorSpec) or not spec.shape.rank:
            raise ValueError(
                "Expected tensors [examples, ...] in the model's input_spec, found "
                f"{spec}."
            )
        if spec.shape[0] is not None:
            raise ValueError(
                "Expected None as the first dimension of the model's input_spec, since "
                f"batches differ in size, found {spec.shape[0]} in {spec}."
            )


def _check_examples(leaves: Sequence[np.ndarray], client: Hashable) -> None:
    counts = sorted({len(leaf) for leaf in leaves})
    if len(counts) > 1:
        raise ValueError(
            f"Expected the same number of examples in all parts of client {client}, "
            f"found {[len(leaf) for leaf in leaves]}."
        )
    if counts == [0]:
        raise ValueError(f"Expected at least one example of client {client}, found 0.")


def _repeated(values: Sequence[Any]) -> Any:
    """A value that is there twice."""
    return collections.Counter(values).most_common(1)[0][0]
