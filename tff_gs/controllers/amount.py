"""How many entries: a count, or a fraction of the model's dimension D."""

from __future__ import annotations

import numbers

from tff_gs import _checks
from tff_gs._tensorflow import tf

# An int is a count of entries, a float a fraction of D: 1 is one entry, 1.0 all.
# NumPy's scalars are as good, of whatever width.
Amount = int | float


def to_count(amount: Amount, dimension: int, name: str) -> int:
    """The number of entries that `amount` means.

    Args:
      amount: An int in [1, D], or a float in (0, 1], which is multiplied with D and
        rounded to the nearest count, at least 1.
      dimension: D.
      name: What the amount is called in an error.

    Raises:
      ValueError: If `dimension` is below 1 or `amount` is outside its range.
    """
    if dimension < 1:
        raise ValueError(f"Expected a dimension of at least 1, found {dimension}.")
    is_number = isinstance(amount, numbers.Real) and not isinstance(amount, bool)
    if is_number and isinstance(amount, numbers.Integral):
        if 1 <= amount <= dimension:
            return int(amount)
    elif is_number and 0.0 < amount <= 1.0:
        # In float64: a product of NumPy's narrower floats would overflow or be coarse.
        return max(1, round(float(amount) * dimension))
    raise ValueError(
        f"Expected {name} to be a count (int) in [1, {dimension}] or a fraction "
        f"(float) in (0, 1], found {amount!r}."
    )


def parse_amount(text: str) -> Amount:
    """The amount that a flag's text means: "1000" a count, "0.01" a fraction.

    Raises:
      ValueError: If `text` is not a number.
    """
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    raise ValueError(
        f"Expected a count such as 1000 or a fraction such as 0.01, found {text!r}."
    )


def to_interval(k_min: Amount, k_max: Amount, dimension: int) -> tuple[int, int]:
    """The interval of k as counts.

    Raises:
      ValueError: If an end is not in [1, D], or `k_min` is above `k_max`.
    """
    low = to_count(k_min, dimension, "k_min")
    high = to_count(k_max, dimension, "k_max")
    _checks.require(low <= high, f"k_min to be at most k_max = {high}", low)
    return low, high


def to_initial(k_initial: Amount | None, k_min: int, k_max: int, dimension: int) -> int:
    """The first k as a count; if None, D / 10 moved into the interval.

    Raises:
      ValueError: If `k_initial` is given and outside [k_min, k_max].
    """
    if k_initial is None:
        tenth = to_count(0.1, dimension, "k_initial")
        return min(max(tenth, k_min), k_max)
    initial = to_count(k_initial, dimension, "k_initial")
    _checks.require(
        k_min <= initial <= k_max, f"k_initial to be in [{k_min}, {k_max}]", initial
    )
    return initial


def stochastic_round(value: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Floor or ceiling of `value`, its expectation being `value`.

    Args:
      value: float64, non-negative and below 2^31.
      uniform: float64 in [0, 1), of the same shape: the ceiling is taken if it
        is below the fraction of `value`, so integers stay.

    Returns:
      int32, of the same shape.
    """
    floor = tf.floor(value)
    up = tf.cast(uniform < value - floor, tf.float64)
    return tf.cast(floor + up, tf.int32)
