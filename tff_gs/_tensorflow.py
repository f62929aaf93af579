"""TensorFlow, imported when it is first used, which takes seconds.

Modules of options import `tf` from here, and with annotations that nobody evaluates:

    from __future__ import annotations

    from tff_gs._tensorflow import tf
"""

import importlib
from typing import TYPE_CHECKING, Any


class _Lazy:
    """Stands for a module; an attribute, once asked for, is kept."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)
        return value


if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = _Lazy("tensorflow")
