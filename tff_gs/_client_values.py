"""A client's value, checked against its TFF type before it goes anywhere.

A value is what users have: NumPy arrays, TensorFlow tensors, Python numbers or lists,
in any container. Its leaves are in the order of the type: an array for each tensor, and
for a sequence a list with the leaves of each element.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff


def as_list(values: Any, wanted: str = "a value for each client") -> list[Any]:
    """The clients' values as a list.

    Args:
      values: A list, a tuple or an array.
      wanted: What they are, for the sentence.

    Raises:
      ValueError: In one sentence, if they are in something else, or there is none.
    """
    is_array = isinstance(values, np.ndarray) and values.ndim > 0
    if not isinstance(values, list | tuple | range) and not is_array:
        raise ValueError(
            f"Expected {wanted} in a list, found an object of {type(values).__name__}."
        )
    if not len(values):
        raise ValueError(f"Expected {wanted}, of at least one client, found none.")
    return list(values)


def flatten(value: Any, value_type: tff.Type, where: str) -> list[Any]:
    """The leaves of a value, each with the dtype of its tensor in the type.

    Another dtype of the same kind is cast if that changes no entry; a Python number, or
    a list of such, has no dtype of its own. The parts of a mapping or a named tuple are
    found by their names. A `tf.data.Dataset` stands for its elements if the type is
    a sequence, else for its examples, stacked.

    Args:
      value: The client's.
      value_type: Tensors, structures and sequences, in any nesting.
      where: Whose value it is, for the sentences.

    Raises:
      ValueError: In one sentence, if the value is not of the type.
    """
    if isinstance(value, tf.data.Dataset) and not isinstance(
        value_type, tff.SequenceType
    ):
        value = _stack(value, value_type, where)
    return [
        _elements(leaf, leaf_type, place)
        if isinstance(leaf_type, tff.SequenceType)
        else _array(leaf, leaf_type, place)
        for leaf, leaf_type, place in walk(value, value_type, where)
    ]


def pack(leaves: Sequence[Any], value_type: tff.Type) -> Any:
    """The value with these leaves, in the containers of the type."""
    return _pack(iter(leaves), value_type)


def walk(
    value: Any, value_type: tff.Type, where: str = "it"
) -> Iterator[tuple[Any, tff.Type, str]]:
    """The parts of a value that are tensors or sequences in its type, as they are.

    Yields:
      Each with its type, and with where it is.

    Raises:
      ValueError: In one sentence, if the value has not the structure of the type.
    """
    if not isinstance(value_type, tff.StructType):
        yield value, value_type, where
        return
    elements = tff.structure.to_elements(value_type)
    for number, (part, (name, part_type)) in enumerate(
        zip(_parts(value, value_type, where), elements, strict=True)
    ):
        label = name if name is not None else f"part {number}"
        yield from walk(part, part_type, f"{label} of {where}")


def leaf_types(value_type: tff.Type) -> list[tff.Type]:
    """The types of the leaves, tensors and sequences, in the order of `walk`."""
    if isinstance(value_type, tff.StructType):
        return [
            leaf
            for _, element in tff.structure.iter_elements(value_type)
            for leaf in leaf_types(element)
        ]
    return [value_type]


def as_container(
    elements: Sequence[tuple[str | None, Any]], struct_type: tff.StructType
) -> Any:
    """The elements in the type's own container, as they are."""
    # With another type TFF would convert the elements once more.
    plain = [(name, tff.TensorType(np.int32)) for name, _ in elements]
    if isinstance(struct_type, tff.StructWithPythonType):
        plain_type = tff.StructWithPythonType(plain, struct_type.python_container)
    else:
        plain_type = tff.StructType(plain)
    return tff.types.type_to_py_container(tff.structure.Struct(elements), plain_type)


def _pack(leaves: Iterator[Any], value_type: tff.Type) -> Any:
    if isinstance(value_type, tff.StructType):
        elements = [
            (name, _pack(leaves, element))
            for name, element in tff.structure.iter_elements(value_type)
        ]
        return as_container(elements, value_type)
    leaf = next(leaves)
    if isinstance(value_type, tff.SequenceType) and isinstance(leaf, list):
        return [pack(element, value_type.element) for element in leaf]
    return leaf


def _parts(value: Any, struct_type: tff.StructType, where: str) -> list[Any]:
    """The parts of a container in the order of the type: by name if it has names."""
    wanted = [name for name, _ in tff.structure.iter_elements(struct_type)]
    named = None not in wanted
    outline = f"the parts {wanted}" if wanted and named else f"{len(wanted)} parts"
    try:
        found = tff.structure.to_elements(tff.structure.from_container(value))
    except TypeError as error:
        raise ValueError(
            f"Expected {outline} as {where}, found {described(value)}."
        ) from error
    names = [name for name, _ in found]
    by_name = named and None not in names
    is_mapping = isinstance(value, Mapping)
    if set(names) != set(wanted) if by_name else is_mapping:
        raise ValueError(f"Expected {outline} as {where}, found {names}.")
    if len(found) != len(wanted):
        raise ValueError(f"Expected {outline} as {where}, found {len(found)}.")
    if by_name:
        parts = dict(found)
        return [parts[name] for name in wanted]
    return [part for _, part in found]


def _elements(value: Any, sequence_type: tff.SequenceType, where: str) -> list[Any]:
    if isinstance(value, tf.data.Dataset):
        if value.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                f"Expected a finite tf.data.Dataset as {where}, found an infinite one."
            )
        value = list(value.as_numpy_iterator())
    if not isinstance(value, list | tuple):
        raise ValueError(
            f"Expected a list of {sequence_type.element} as {where}, found "
            f"{described(value)}."
        )
    return [
        flatten(element, sequence_type.element, f"element {number} of {where}")
        for number, element in enumerate(value)
    ]


def _array(value: Any, tensor_type: tff.TensorType, where: str) -> np.ndarray:
    wanted = f"Expected {tensor_type} as {where}, found"
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ValueError(f"{wanted} {described(value)}.") from error
    dtype = tf.as_dtype(tensor_type.dtype)
    if dtype == tf.string:
        text = array.astype(object)
        if not all(isinstance(entry, str | bytes) for entry in text.flat):
            raise ValueError(f"{wanted} {described(value)}.")
        array = text
    elif array.dtype != dtype.as_numpy_dtype:
        has_dtype = hasattr(value, "dtype")
        is_number = _is_of_kind(array.dtype, dtype, has_dtype=has_dtype)
        if not is_number and (array.size or has_dtype):
            raise ValueError(f"{wanted} {described(value)}.")
        cast = _cast(array, dtype, has_dtype=has_dtype)
        if cast is None:
            raise ValueError(
                f"{wanted} {described(value)} with entries that {dtype.name} does not "
                "hold exactly: cast it before."
            )
        array = cast
    if not tf.TensorShape(tensor_type.shape).is_compatible_with(array.shape):
        raise ValueError(f"{wanted} {described(value)}.")
    return array


def _is_of_kind(found: np.dtype, wanted: tf.DType, *, has_dtype: bool) -> bool:
    """Whether a cast keeps the kind of number; whole ones of Python are floats too."""
    try:
        dtype = tf.as_dtype(found)
    except TypeError:
        return False
    if wanted.is_floating:
        return dtype.is_floating or (dtype.is_integer and not has_dtype)
    if wanted.is_complex:
        return dtype.is_complex
    return wanted.is_integer and dtype.is_integer


def _cast(array: np.ndarray, dtype: tf.DType, *, has_dtype: bool) -> np.ndarray | None:
    """The array in another dtype; None if that changes an entry."""
    with np.errstate(all="ignore"):
        cast = array.astype(dtype.as_numpy_dtype)
        if dtype.is_floating and not has_dtype:
            same = np.isfinite(np.asarray(cast, np.float64)) == np.isfinite(array)
        else:
            back = cast.astype(array.dtype)
            same = (back == array) | ((back != back) & (array != array))
            if dtype.is_integer:
                # Whole numbers also come back if they wrap around twice.
                same &= (cast < 0) == (array < 0)
    return cast if np.all(same) else None


def _stack(dataset: tf.data.Dataset, value_type: tff.Type, where: str) -> Any:
    """The examples of a dataset, stacked; of batches, the batches' examples."""
    batched = set()
    for spec, leaf_type, place in walk(dataset.element_spec, value_type, where):
        rank = spec.shape.rank if isinstance(spec, tf.TensorSpec) else None
        wanted = tf.TensorShape(getattr(leaf_type, "shape", None)).rank
        if None in (rank, wanted) or wanted - rank not in (0, 1):
            raise ValueError(
                "Expected a tf.data.Dataset of examples, or of batches of examples, "
                f"that stack to {leaf_type} as {place}, found one of {spec}."
            )
        batched.add(wanted == rank)
    if len(batched) != 1:
        raise ValueError(
            f"Expected a tf.data.Dataset of examples, or of batches, that stack to "
            f"{value_type} as {where}, found one of {dataset.element_spec}."
        )
    return stack(dataset, where, batched=batched.pop())


def described(value: Any) -> str:
    """What a value is, as in the name of a TFF type; briefly."""
    if isinstance(value, np.ndarray | np.generic | tf.Tensor):
        dtype = tf.as_dtype(value.dtype).name if tf.is_tensor(value) else value.dtype
        shape = ",".join(map(str, value.shape))
        return f"{dtype}[{shape}]" if shape else f"{dtype}"
    if isinstance(value, bool | int | float | complex | str | bytes):
        return f"{repr(value)[:60]}"
    return f"an object of {type(value).__name__}"


MAX_BYTES = 2**31 - 1
_BATCH = 256


def stack(dataset: tf.data.Dataset, where: str, *, batched: bool) -> Any:
    """All examples of a dataset: its element's structure, arrays [examples, ...].

    Args:
      dataset: A finite one, of tensors.
      where: Whose it is, for the sentences.
      batched: Whether an element is a batch of examples, rather than an example.

    Raises:
      ValueError: In one sentence, if it is infinite, empty, of more than 2 GiB, or
        cannot be read or stacked.
    """
    wanted = f"a finite tf.data.Dataset with at least one example as {where}"
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(f"Expected {wanted}, found an infinite one.")
    batches, size = [], 0
    try:
        for batch in (
            dataset if batched else dataset.batch(_BATCH)
        ).as_numpy_iterator():
            batches.append(batch)
            size += sum(np.asarray(leaf).nbytes for leaf in tf.nest.flatten(batch))
            if size > MAX_BYTES:
                raise ValueError(
                    f"Expected {wanted}, and at most {MAX_BYTES:,} bytes, found more: "
                    "is it infinite?"
                )
        if batches:
            return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)
    except (tf.errors.OpError, TypeError) as error:
        reason = str(error).strip().split("\n")[0].split(" [Op:")[0]
        raise ValueError(f"Expected {wanted}, found: {reason}") from error
    raise ValueError(f"Expected {wanted}, found an empty one.")


def are_batches(element_spec: Any) -> bool:
    """Whether elements are batches: no tensor's first dimension is known."""
    specs = tf.nest.flatten(element_spec)
    return all(
        isinstance(spec, tf.TensorSpec) and spec.shape.rank and spec.shape[0] is None
        for spec in specs
    )
