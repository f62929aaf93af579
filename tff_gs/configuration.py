"""Parts that are configured first and bound later; imports no TensorFlow.

    class Halving(Controller):
        period: int = option(default=10, help="rounds for which k stays", at_least=1)

        def _prepare(self) -> None:
            self._set(_first=self.dimension // 2)

    rule = Halving(period=5)      # frozen, printable, comparable
    rule = rule.bind(13706)       # a copy that knows D

An option is declared once, in the class of the part: flags, the ranges that are checked
and the tables in the docs come from there (`options_of`).
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
import numbers
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Self

from tff_gs import _checks


@dataclasses.dataclass(frozen=True, kw_only=True)
class Range:
    """The finite numbers, or the names, that an option may be.

    Attributes:
      at_least: The least number.
      above: Instead of `at_least`: all are larger.
      at_most: The largest number.
      below: Instead of `at_most`: all are smaller.
      one_of: All that is allowed; the others are then not used.
    """

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    one_of: tuple[Any, ...] | None = None

    def __contains__(self, value: Any) -> bool:
        if self.one_of is not None:
            return value in self.one_of
        return (
            math.isfinite(value)
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.one_of is not None:
            return f"one of {', '.join(map(str, self.one_of))}"
        if self.at_most is not None or self.below is not None:
            start = f"({self.above}" if self.at_least is None else f"[{self.at_least}"
            end = f"{self.below})" if self.at_most is None else f"{self.at_most}]"
            return f"in {start}, {end}"
        if self.at_least is not None:
            return f"at least {self.at_least}"
        return "positive" if self.above == 0 else f"above {self.above}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """What is known of an option of a part.

    Attributes:
      name: Its name.
      type: Its type, as it is annotated.
      default: `dataclasses.MISSING` if it has to be given.
      default_text: The default in words; None: as it is.
      help: What it means, in a phrase.
      range: What it may be; None: see `help`.
      has_flag: Whether text can say it, as a flag.
      is_path: Whether it leads to a file or directory.
    """

    name: str
    type: Any
    default: Any
    default_text: str | None
    help: str
    range: Range | None
    has_flag: bool
    is_path: bool

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is dataclasses.MISSING

    def check(self, value: Any, shown: str | None = None) -> None:
        """Raises ValueError, in one sentence, if it cannot have this value.

        Args:
          value: What it is to be; lists are tuples already.
          shown: What it is called there; None: by its name.
        """
        shown = self.name if shown is None else shown
        _check_type(shown, value, self.type)
        if self.range is not None and value is not None:
            _checks.require(value in self.range, f"{shown} to be {self.range}", value)


def option(
    *,
    default: Any = dataclasses.MISSING,
    help: str,  # noqa: A002  as argparse and absl call it
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    one_of: Sequence[Any] | None = None,
    default_text: str | None = None,
    has_flag: bool = True,
    is_path: bool = False,
) -> Any:
    """An option of a `Configuration`, with what all that read it have to know.

    Args:
      default: None: not given, whatever the range is. Without one, the option is
        required.
      help: What it means, in a phrase.
      at_least: See `Range`, as the next four.
      above: All numbers are larger.
      at_most: The largest number.
      below: All numbers are smaller.
      one_of: All that is allowed.
      default_text: What the default is, if it is computed later.
      has_flag: Whether text can say it, as a flag.
      is_path: Whether it leads to a file or directory, so that an error of the system
        there can name it.
    """
    limits = (at_least, above, at_most, below, one_of)
    allowed = None
    if any(limit is not None for limit in limits):
        allowed = Range(
            at_least=at_least,
            above=above,
            at_most=at_most,
            below=below,
            one_of=None if one_of is None else tuple(one_of),
        )
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "range": allowed,
            "default_text": default_text,
            "has_flag": has_flag,
            "is_path": is_path,
        },
    )


@typing.dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(option,)
)
class Configuration:
    """A part by its options; its subclasses are frozen dataclasses without saying so.

    Options are keyword-only (unless a class says `kw_only=False`), equality and `repr`
    are about the options alone, and lists become tuples. A subclass with an `__init__`
    of its own has no options, and is compared by identity.

    What a part needs to know beside its options, such as D, comes with `bind`, which
    every kind of part declares; see `_bound`.

    Raises:
      ValueError: In one sentence, if an option is not of its type or outside its
        range. NumPy's numbers are as good as Python's; a bool is no number.
    """

    def __init_subclass__(cls, *, kw_only: bool = True, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "__init__" in cls.__dict__:
            cls.__eq__ = object.__eq__  # type: ignore[method-assign]
            cls.__hash__ = object.__hash__  # type: ignore[method-assign]
            cls.__repr__ = object.__repr__  # type: ignore[method-assign]
        else:
            dataclasses.dataclass(frozen=True, kw_only=kw_only)(cls)

    def __post_init__(self) -> None:
        """Checks each option; a subclass may check those that belong together."""
        for own in options_of(self):
            value = _as_tuple(getattr(self, own.name))
            self._set(**{own.name: value})
            own.check(value)

    def _bound(self, **known: Any) -> Self:
        """A copy that knows more, for `bind` of the kinds of parts.

        Args:
          **known: Attributes of the copy.

        Raises:
          ValueError: As `_prepare` does.
        """
        bound = copy.copy(self)
        bound._set(_is_bound=True, **known)
        bound._prepare()
        return bound

    def _prepare(self) -> None:
        """Checks what is bound now, and sets what follows from it (`_set`).

        Raises:
          ValueError: In one sentence, if options do not fit to what they are bound to.
        """

    def _set(self, **attributes: Any) -> None:
        """Sets attributes, although the part is frozen."""
        for name, value in attributes.items():
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        """Called for what is missing: mostly what only a bound part has."""
        kind = type(self).__name__
        if name.startswith("__") or "_is_bound" in self.__dict__:
            raise AttributeError(f"{kind!r} object has no attribute {name!r}")
        raise AttributeError(
            f"Expected {kind}(...).bind(...), found {kind} without what it is bound "
            f"to: it has no {name} yet."
        )


def options_of(part: type[Configuration] | Configuration) -> tuple[Option, ...]:
    """The options of a part, in order."""
    kind = part if isinstance(part, type) else type(part)
    if not dataclasses.is_dataclass(kind):
        return ()
    hints = _types_of(kind)
    return tuple(
        Option(
            name=field.name,
            type=hints[field.name],
            default=field.default,
            default_text=field.metadata.get("default_text"),
            help=field.metadata.get("help", ""),
            range=field.metadata.get("range"),
            has_flag=field.metadata.get("has_flag", True),
            is_path=field.metadata.get("is_path", False),
        )
        for field in dataclasses.fields(kind)
    )


@functools.cache
def _types_of(kind: type) -> dict[str, Any]:
    """The types of a part's options, as they are annotated."""
    return typing.get_type_hints(kind)


# Of the types that are checked: how they are called, and what is of them.
_KNOWN_TYPES: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    types.NoneType: ("None", lambda value: value is None),
    bool: ("True or False", lambda value: type(value).__name__ in ("bool", "bool_")),
    int: ("a whole number", lambda value: _is_number(value, numbers.Integral)),
    float: ("a number", lambda value: _is_number(value, numbers.Real)),
    str: ("text", lambda value: isinstance(value, str)),
}


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _check_type(name: str, value: Any, kind: Any) -> None:
    """Raises ValueError unless the value is of the type, if the type is known."""
    _checks.require(_is_of(value, kind), f"{name} to be {_in_words(kind)}", value)


def _is_of(value: Any, kind: Any) -> bool:
    if kind in _KNOWN_TYPES:
        return _KNOWN_TYPES[kind][1](value)
    items = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return any(_is_of(value, item) for item in items)
    if origin is not tuple:
        return True
    if not isinstance(value, tuple):
        return False
    if items[-1] is Ellipsis:
        return all(_is_of(item, items[0]) for item in value)
    return len(value) == len(items) and all(map(_is_of, value, items))


def _in_words(kind: Any) -> str:
    if kind in _KNOWN_TYPES:
        return _KNOWN_TYPES[kind][0]
    items = [item for item in typing.get_args(kind) if item is not Ellipsis]
    if typing.get_origin(kind) is tuple:
        words = ", ".join(dict.fromkeys(map(_in_words, items)))
        return f"a tuple, each item {words}" if len(items) == 1 else f"({words})"
    # All whole numbers are numbers.
    known = [item for item in items if not (item is int and float in items)]
    return " or ".join(map(_in_words, known)) or str(kind)


def _as_tuple(value: Any) -> Any:
    """Lists and ranges as tuples, which are frozen as the rest is."""
    if isinstance(value, list | tuple | range) and not hasattr(value, "_fields"):
        return tuple(map(_as_tuple, value))
    return value
