"""How messages are written, by the names of two codes; imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

from tff_gs import _checks
from tff_gs.configuration import Configuration, option
from tff_gs.encoders import message_encoder
from tff_gs.encoders.registry import INDEX_CODES, VALUE_CODES


class Encoder(Configuration, kw_only=False):
    """How a sparse message is written: a code for indices and one for values.

    `str` gives both names, as flags take them: `rice+float32`. They are those of
    `INDEX_CODES` and `VALUE_CODES`.

    Raises:
      ValueError: If a name is unknown.
    """

    index: str = option(default="rice", help="how indices are written")
    value: str = option(default="float32", help="how values are written")

    def __post_init__(self) -> None:
        """Checks the names."""
        super().__post_init__()
        INDEX_CODES.check_name(self.index)
        VALUE_CODES.check_name(self.value)

    def __str__(self) -> str:
        return f"{self.index}+{self.value}"

    def bind(
        self, *, dimension: int, tensor_sizes: Sequence[int] | None = None
    ) -> message_encoder.MessageEncoder:
        """What writes and reads the messages of a model.

        Args:
          dimension: D.
          tensor_sizes: How many of the D coordinates each tensor of the model has, in
            order. Needed by "rice_per_tensor"; "auto" considers that code only if
            they are given.

        Raises:
          ValueError: If D is not in [1, `message_encoder.MAX_DIMENSION`], or sizes are
            not positive or do not sum to D, or are missing although they are needed.
        """
        _check_sizes(dimension, tensor_sizes)
        codes = [
            code.bind(dimension=dimension, tensor_sizes=tensor_sizes)
            for code in INDEX_CODES.build(self.index).alternatives
            if tensor_sizes is not None or not code.needs_tensor_sizes
        ]
        wanted = f"tensor_sizes for the index code {self.index!r}"
        _checks.require(bool(codes), wanted, None)
        value = VALUE_CODES.build(self.value)
        return message_encoder.MessageEncoder(codes, value, dimension=dimension)


def _check_sizes(dimension: int, tensor_sizes: Sequence[int] | None) -> None:
    largest = message_encoder.MAX_DIMENSION
    wanted = f"a dimension from 1 to {largest}"
    _checks.require(1 <= dimension <= largest, wanted, dimension)
    if tensor_sizes is not None:
        _checks.require(
            min(tensor_sizes, default=0) >= 1 and sum(tensor_sizes) == dimension,
            f"positive tensor sizes that sum to the dimension {dimension}",
            list(tensor_sizes),
        )


#: Exact values, and the smallest of the index codes for each message.
EXACT = Encoder("auto", "float32")
