"""The codes for indices and for values by name; imports no TensorFlow.

The header of a message names a code by a tag of 4 bits. Tags 14 and 15 are left to
codes that are not of this library, here and in later versions.
"""

from __future__ import annotations

from typing import Any, TypeVar

from typing_extensions import override

from tff_gs.encoders import (
    _auto_code,
    bitmap_code,
    fixed_width_code,
    float_code,
    int32_code,
    quantised_code,
    rice_code,
    rice_per_tensor_code,
    ternary_code,
)
from tff_gs.encoders.index_code import IndexChoice
from tff_gs.encoders.value_code import ValueCode
from tff_gs.registry import Registry

#: The tags of codes that are not of this library.
FREE_TAGS = range(14, 16)

Code = TypeVar("Code", IndexChoice, ValueCode)


class CodeRegistry(Registry[Code]):
    """Codes of one kind, each with a tag of its own."""

    @override
    def _check(self, name: str, part: Any) -> None:
        super()._check(name, part)
        tag = getattr(part, "tag", None)
        taken = {getattr(code, "tag", None): known for known, code in self.items()}
        if tag in FREE_TAGS and tag not in taken:
            return
        free = [str(number) for number in FREE_TAGS if number not in taken]
        whose = f", the tag of {taken[tag]}" if tag is not None and tag in taken else ""
        raise ValueError(
            f"Expected for {self.kind} {name!r} a tag that is free "
            f"({', '.join(free) or 'none is left'}), found {tag!r}{whose}."
        )


#: From the name of a code for indices to its class.
INDEX_CODES: CodeRegistry[IndexChoice] = CodeRegistry(
    "index code",
    IndexChoice,
    {
        "int32": int32_code.Int32Code,
        "bitmap": bitmap_code.BitmapCode,
        "fixed": fixed_width_code.FixedWidthCode,
        "rice": rice_code.RiceCode,
        "rice_per_tensor": rice_per_tensor_code.RicePerTensorCode,
        "auto": _auto_code.AutoCode,
    },
)

#: From the name of a code for values to its class.
VALUE_CODES: CodeRegistry[ValueCode] = CodeRegistry(
    "value code",
    ValueCode,
    {
        "float32": float_code.Float32Code,
        "bfloat16": float_code.BFloat16Code,
        "float16": float_code.Float16Code,
        **{f"quantised{n}": code for n, code in quantised_code.QUANTISED.items()},
        "ternary": ternary_code.TernaryCode,
    },
)
