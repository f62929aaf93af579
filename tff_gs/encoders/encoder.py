"""How messages are written, by the names of two codes; imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tff_gs import _checks
from tff_gs.configuration import Configuration, option
from tff_gs.encoders import names

if TYPE_CHECKING:
    from tff_gs.encoders.message_encoder import MessageEncoder


class Encoder(Configuration, kw_only=False):
    """How a sparse message is written: a code for indices and one for values.

    `str` gives both names, as flags take them: `rice+float32`.

    Raises:
      ValueError: If a name is unknown.
    """

    index: str = option(default="rice", help="how indices are written")
    value: str = option(default="float32", help="how values are written")

    def __post_init__(self) -> None:
        """Checks the names."""
        super().__post_init__()
        known = {
            "index": [*names.INDEX_NAMES, names.NO_INDICES],
            "value": [*names.VALUE_NAMES],
        }
        for kind, codes in known.items():
            name = getattr(self, kind)
            wanted = f"the {kind} code to be one of {', '.join(codes)}"
            _checks.require(name in codes, wanted, name)

    def __str__(self) -> str:
        return f"{self.index}+{self.value}"

    def bind(
        self, *, dimension: int, tensor_sizes: Sequence[int] | None = None
    ) -> MessageEncoder:
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
        from tff_gs.encoders import message_encoder

        return message_encoder.build_encoder(
            self.index, self.value, dimension=dimension, tensor_sizes=tensor_sizes
        )


#: Exact values, and the smallest of the index codes for each message.
EXACT = Encoder("auto", "float32")
