"""How many entries: a count, or a fraction of the model's dimension D."""

import numbers

# An int is a count of entries, a float a fraction of D: 1 is one entry, 1.0 all.
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
    if isinstance(amount, numbers.Integral) and not isinstance(amount, bool):
        is_count, in_range = True, 1 <= amount <= dimension
    else:
        is_count = False
        in_range = isinstance(amount, float) and 0.0 < amount <= 1.0
    if in_range:
        return int(amount) if is_count else max(1, round(amount * dimension))
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
