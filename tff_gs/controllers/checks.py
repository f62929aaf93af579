"""Argument checks that rules for k share."""

import math

from tff_gs.controllers import amount


def require(condition: bool, wanted: str, found: object) -> None:
    """Raises ValueError "Expected `wanted`, found `found`." unless `condition`."""
    if not condition:
        raise ValueError(f"Expected {wanted}, found {found!r}.")


def require_positive(value: float, name: str) -> None:
    """Raises ValueError unless `value` is a finite number above 0."""
    require(math.isfinite(value) and value > 0, f"{name} to be positive", value)


def require_non_negative(value: float, name: str) -> None:
    """Raises ValueError unless `value` is a finite number of at least 0."""
    require(math.isfinite(value) and value >= 0, f"{name} to be at least 0", value)


def to_interval(
    k_min: amount.Amount, k_max: amount.Amount, dimension: int
) -> tuple[int, int]:
    """The interval of k as counts.

    Raises:
      ValueError: If an end is not in [1, D], or `k_min` is above `k_max`.
    """
    low = amount.to_count(k_min, dimension, "k_min")
    high = amount.to_count(k_max, dimension, "k_max")
    require(low <= high, f"k_min to be at most k_max = {high}", low)
    return low, high


def to_initial(
    k_initial: amount.Amount | None, k_min: int, k_max: int, dimension: int
) -> int:
    """The first k as a count; where None, D / 10 moved into the interval.

    Raises:
      ValueError: If `k_initial` is given and outside [k_min, k_max].
    """
    if k_initial is None:
        tenth = amount.to_count(0.1, dimension, "k_initial")
        return min(max(tenth, k_min), k_max)
    initial = amount.to_count(k_initial, dimension, "k_initial")
    require(
        k_min <= initial <= k_max, f"k_initial to be in [{k_min}, {k_max}]", initial
    )
    return initial
