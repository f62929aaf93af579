"""Types of flags: how a flag's text is read, and what is said if it cannot be."""

import functools
import itertools
import math
import operator
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any

from absl import flags
from typing_extensions import override

from tff_gs import registry
from tff_gs.configuration import Option, Range
from tff_gs.controllers.amount import Amount, parse_amount
from tff_gs.encoders.encoder import Encoder
from tff_gs.encoders.registry import INDEX_CODES, VALUE_CODES

# Of an int32, which seeds, rounds and counts become.
MAX_NUMBER = 2**31 - 1


class FlagType(flags.ArgumentParser):
    """A parser whose error says what was expected."""

    def __init__(
        self,
        convert: Callable[[str], Any],
        wanted: str | Callable[[], str],
        hint: Callable[[str], str] = lambda text: ".",
    ) -> None:
        """Builds the parser.

        Args:
          convert: From the flag's text to its value; ValueError if it is none.
          wanted: What is expected, as it reads in a sentence; a function, if that
            grows with what plugins add.
          hint: From the flag's text to how the sentence ends.
        """
        self._convert, self._wanted, self._hint = convert, wanted, hint

    @property
    def wanted(self) -> str:
        """What is expected, as it reads in a sentence."""
        return self._wanted if isinstance(self._wanted, str) else self._wanted()

    @override
    def parse(self, argument: Any) -> Any:
        try:
            return self._convert(argument)
        except ValueError:
            raise ValueError(f"expected {self.wanted}{self._hint(argument)}") from None


class Serializer(flags.ArgumentSerializer):
    """Writes a value as the flag's type reads it back."""

    @override
    def serialize(self, value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, tuple):
            return ",".join(
                ":".join(map(str, item)) if isinstance(item, tuple) else str(item)
                for item in value
            )
        return str(value)


def _check(condition: bool) -> None:
    if not condition:
        raise ValueError


def whole_number(least: int, most: int = MAX_NUMBER) -> FlagType:
    """An int in [least, most]."""
    return FlagType(
        lambda text: _bounded(text, least, most),
        f"a whole number from {least} to {most}",
    )


def _bounded(text: str, least: int, most: int = MAX_NUMBER) -> int:
    value = int(text)
    _check(least <= value <= most)
    return value


def number(limits: Range | None = None) -> FlagType:
    """A finite float within limits."""

    def convert(text: str) -> float:
        value = float(text)
        _check(math.isfinite(value) and (limits is None or value in limits))
        return value

    return FlagType(convert, "a number" if limits is None else _words(limits))


def positive_number() -> FlagType:
    """A finite float above 0."""
    return number(Range(above=0))


def _words(limits: Range) -> str:
    if limits.at_most is not None or limits.below is not None:
        return f"a number {limits}"
    if limits.at_least is not None:
        return f"a number of at least {limits.at_least}"
    return f"a number above {limits.above}"


def share() -> FlagType:
    """A float above 0 and at most 1."""

    def convert(text: str) -> float:
        value = float(text)
        _check(0 < value <= 1)
        return value

    return FlagType(convert, "a share above 0 and at most 1, such as 0.8")


def _amount(text: str) -> Amount:
    value = parse_amount(text)
    _check(1 <= value <= MAX_NUMBER if isinstance(value, int) else 0 < value <= 1)
    return value


def amount() -> FlagType:
    """A count of entries (int) or a fraction of D (float)."""
    return FlagType(
        _amount, "a count such as 1000, or a fraction of D such as 0.01 (1.0 is all)"
    )


def amounts() -> FlagType:
    """A tuple of amounts."""
    return FlagType(
        lambda text: tuple(_amount(item) for item in text.split(",")),
        "counts or fractions of D with commas between, such as 100,1000,0.5",
    )


def schedule() -> FlagType:
    """A tuple of pairs of a round and an amount."""

    def convert(text: str) -> tuple[tuple[int, Amount], ...]:
        pairs = [item.split(":") for item in text.split(",")]
        _check(all(len(pair) == 2 for pair in pairs))
        return tuple((_bounded(start, 0), _amount(k)) for start, k in pairs)

    return FlagType(convert, "round:k pairs with commas between, such as 0:0.1,100:500")


def choice(names: Collection[str]) -> FlagType:
    """One of `names`, which may become more."""

    def convert(text: str) -> str:
        _check(text in names)
        return text

    return FlagType(
        convert,
        lambda: f"one of {', '.join(names)}",
        lambda text: registry.hint(text, names),
    )


def encoder() -> FlagType:
    """An `Encoder`, from INDEX+VALUE."""

    def convert(text: str) -> Encoder:
        index, _, value = text.partition("+")
        _check(index in INDEX_CODES and value in VALUE_CODES)
        return Encoder(index, value)

    def hint(text: str) -> str:
        index, _, value = text.partition("+")
        known = [
            f"{a if index not in INDEX_CODES else index}+"
            f"{b if value not in VALUE_CODES else value}"
            for a in INDEX_CODES
            for b in VALUE_CODES
        ]
        return registry.hint(text, known)

    return FlagType(
        convert,
        lambda: (
            f"INDEX+VALUE with INDEX one of {', '.join(INDEX_CODES)} and "
            f"VALUE one of {', '.join(VALUE_CODES)}"
        ),
        hint,
    )


def whole_numbers() -> FlagType:
    """A tuple of different ints in [0, MAX_NUMBER]."""

    def convert(text: str) -> tuple[int, ...]:
        values = tuple(_bounded(item, 0) for item in text.split(","))
        _check(len(set(values)) == len(values))
        return values

    return FlagType(
        convert,
        f"different whole numbers up to {MAX_NUMBER} with commas between, such as 0,1",
    )


def ascending() -> FlagType:
    """A tuple of ascending floats above 0."""

    def convert(text: str) -> tuple[float, ...]:
        values = tuple(float(item) for item in text.split(","))
        _check(values[0] > 0 and math.isfinite(values[-1]))
        _check(all(a < b for a, b in itertools.pairwise(values)))
        return values

    return FlagType(
        convert, "ascending numbers above 0 with commas between, such as 100,200"
    )


def names() -> FlagType:
    """A tuple of words."""

    def convert(text: str) -> tuple[str, ...]:
        values = tuple(item.strip() for item in text.split(","))
        _check(all(values))
        return values

    return FlagType(convert, "names with commas between")


def text(wanted: str) -> FlagType:
    """A str that is not empty."""

    def convert(argument: str) -> str:
        _check(bool(argument))
        return argument

    return FlagType(convert, wanted)


def yes_or_no() -> FlagType:
    """A bool."""

    def convert(argument: str) -> bool:
        _check(argument in ("true", "false"))
        return argument == "true"

    return FlagType(convert, "true or false")


_OF_TYPES: dict[Any, Callable[[], FlagType]] = {
    Amount: amount,
    tuple[Amount, ...]: amounts,
    tuple[tuple[int, Amount], ...]: schedule,
    bool: yes_or_no,
}


def of_options(options: Mapping[str, Option]) -> FlagType:
    """The type of a flag for an option, by its type and range.

    If parts have options of one name and different ranges, the flag takes what one of
    them takes; `Registry.build` then checks the range of the part.

    Args:
      options: The options of one name, by the names of their parts.

    Raises:
      ValueError: If no text can be read as the option's type, or the types differ.
    """
    first, *others = options
    option = options[first]
    kind = _without_none(option.type)
    for other in others:
        if _without_none(options[other].type) != kind:
            raise ValueError(
                f"Expected for the option {option.name} of {other} the type that it "
                f"has of {first}, {option.type}, found {options[other].type}: choose "
                "another name."
            )
    ranges = [found.range or Range() for found in options.values()]
    if kind in _OF_TYPES:
        return _OF_TYPES[kind]()
    if all(limits.one_of is not None for limits in ranges):
        named = [name for limits in ranges for name in limits.one_of or ()]
        return choice(tuple(dict.fromkeys(named)))
    if kind is int:
        return whole_number(min(map(_least, ranges)), max(map(_most, ranges)))
    if kind is float:
        return number(ranges[0] if len(set(ranges)) == 1 and option.range else None)
    if kind is str:
        return text(option.help)
    raise ValueError(
        f"Expected for the option {option.name} of {first} a type that a flag can "
        f"have (int, float, bool, str, Amount), or has_flag=False, found {option.type}."
    )


def _least(limits: Range) -> int:
    """The least whole number; 0 if no other is given."""
    if limits.above is not None:
        return math.floor(limits.above) + 1
    return 0 if limits.at_least is None else math.ceil(limits.at_least)


def _most(limits: Range) -> int:
    if limits.below is not None:
        return math.ceil(limits.below) - 1
    return MAX_NUMBER if limits.at_most is None else math.floor(limits.at_most)


def is_amount(option: Option) -> bool:
    """Whether the option is a count of entries or a fraction of D."""
    return _without_none(option.type) == Amount


def _without_none(kind: Any) -> Any:
    """The other types of a union with None."""
    if types.NoneType not in typing.get_args(kind):
        return kind
    others = [item for item in typing.get_args(kind) if item is not types.NoneType]
    return functools.reduce(operator.or_, others)
