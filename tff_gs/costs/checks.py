"""Argument checks that models of time share."""

import math


def require_positive(value: float, name: str) -> None:
    """Raises ValueError unless `value` is a finite number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"Expected {name} to be positive, found {value!r}.")


def require_non_negative(value: float, name: str) -> None:
    """Raises ValueError unless `value` is a finite number of at least 0."""
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"Expected {name} to be at least 0, found {value!r}.")
