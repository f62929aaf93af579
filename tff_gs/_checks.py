"""Argument checks, each of one clear sentence; imports no TensorFlow."""

import math


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
