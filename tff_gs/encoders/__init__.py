"""Sparse messages: what an index-value list looks like as bytes, and back.

An `Encoder` names a code for indices and a code for values; the names of both are in
`INDEX_CODES` and `VALUE_CODES`. docs/wire_format.md describes the bytes.
"""

from typing import TYPE_CHECKING

from tff_gs import _lazy

if TYPE_CHECKING:
    from tff_gs.encoders.bitmap_code import BitmapCode as BitmapCode
    from tff_gs.encoders.codec import (
        Codec as Codec,
        Decoded as Decoded,
        Encoded as Encoded,
        Sizes as Sizes,
    )
    from tff_gs.encoders.encoder import (
        EXACT as EXACT,
        Encoder as Encoder,
    )
    from tff_gs.encoders.fixed_width_code import FixedWidthCode as FixedWidthCode
    from tff_gs.encoders.float_code import FloatCode as FloatCode
    from tff_gs.encoders.index_code import (
        IndexChoice as IndexChoice,
        IndexCode as IndexCode,
        Indices as Indices,
        Plan as Plan,
        entropy_bits as entropy_bits,
    )
    from tff_gs.encoders.int32_code import Int32Code as Int32Code
    from tff_gs.encoders.message_encoder import (
        MAX_DIMENSION as MAX_DIMENSION,
        MessageEncoder as MessageEncoder,
    )
    from tff_gs.encoders.names import (
        ERRORS as ERRORS,
        REFUSALS as REFUSALS,
    )
    from tff_gs.encoders.quantised_code import QuantisedCode as QuantisedCode
    from tff_gs.encoders.registry import (
        INDEX_CODES as INDEX_CODES,
        VALUE_CODES as VALUE_CODES,
    )
    from tff_gs.encoders.rice_code import RiceCode as RiceCode
    from tff_gs.encoders.rice_per_tensor_code import (
        RicePerTensorCode as RicePerTensorCode,
    )
    from tff_gs.encoders.ternary_code import TernaryCode as TernaryCode
    from tff_gs.encoders.value_code import (
        ValueCode as ValueCode,
        Written as Written,
    )
else:
    __getattr__, __dir__, __all__ = _lazy.exports(__name__)
