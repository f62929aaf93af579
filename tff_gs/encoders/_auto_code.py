"""The smallest of several index codes for each message."""

from __future__ import annotations

from typing_extensions import override

from tff_gs.encoders import (
    _leading_code,
    bitmap_code,
    fixed_width_code,
    index_code,
    rice_code,
    rice_per_tensor_code,
)


class AutoCode(index_code.IndexChoice):
    """The smallest of bitmap, fixed, rice (and rice_per_tensor) a message.

    No bits if the indices are 0 to n - 1.
    """

    @property
    @override
    def alternatives(self) -> tuple[index_code.IndexCode, ...]:
        return (
            rice_code.RiceCode(),
            rice_per_tensor_code.RicePerTensorCode(),
            fixed_width_code.FixedWidthCode(),
            bitmap_code.BitmapCode(),
            _leading_code.LeadingCode(),
        )
