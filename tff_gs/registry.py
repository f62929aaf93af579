"""Parts by name, and what is said of a name or an option that is none."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from tff_gs.configuration import Configuration, Option, options_of

Part = TypeVar("Part", bound=Configuration)
Class = TypeVar("Class", bound=type)

# What flags can say, with `+` and commas between names.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class Registry(Mapping[str, type[Part]], Generic[Part]):
    """From a part's name to its class; imports no TensorFlow.

    The first sentence of a class's docstring is its line of help. A part of one's own
    is added by a decorator or a call:

        @CONTROLLERS.register("halving")
        class Halving(Controller):
            ...

        CONTROLLERS.register("halving", Halving)
    """

    def __init__(self, kind: str, base: type, parts: Mapping[str, type[Part]]) -> None:
        """Builds the registry.

        Args:
          kind: What the parts are called in errors, such as "controller".
          base: The class of the parts that are added later.
          parts: From a name to the class of the part.
        """
        self.kind = kind
        self._base = base
        self._parts = dict(parts)

    def __getitem__(self, name: str) -> type[Part]:
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def summaries(self) -> Mapping[str, str]:
        """Each name with one line of help."""
        return {name: summary(part) for name, part in self._parts.items()}

    def register(self, name: str, part: Any = None) -> Callable[[Class], Class]:
        """Adds a part.

        Args:
          name: Its name: letters, digits and `_`.
          part: Its class; None: what is returned is a decorator of the class.

        Raises:
          ValueError: In one sentence, if the name is taken, or the class is not a part
            of this kind.
        """

        def add(found: Class) -> Class:
            self._check(name, found)
            self._parts[name] = found
            return found

        if part is not None:
            add(part)
        return add

    def _check(self, name: str, part: Any) -> None:
        """Raises ValueError unless the part can have the name."""
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            raise ValueError(
                f"Expected as the name of {_a(self.kind)} letters, digits and _, "
                f"beginning with a letter, found {name!r}."
            )
        if name in self._parts:
            raise ValueError(
                f"Expected a name of its own for the {self.kind} of {_home(part)}, "
                f"found {name!r}, which {_home(self._parts[name])} has."
            )
        if not (isinstance(part, type) and issubclass(part, self._base)):
            raise ValueError(
                f"Expected for {self.kind} {name!r} a subclass of {_home(self._base)}, "
                f"found {part!r}."
            )
        if inspect.isabstract(part):
            missing = ", ".join(sorted(getattr(part, "__abstractmethods__", ())))
            raise ValueError(
                f"Expected for {self.kind} {name!r} a class that defines {missing}, "
                f"found {_home(part)} without."
            )

    def options(self) -> dict[str, dict[str, Option]]:
        """The options of all parts that text can say: by their name, by the part's."""
        found: dict[str, dict[str, Option]] = {}
        for name, part in self._parts.items():
            for option in options_of(part):
                if option.has_flag:
                    found.setdefault(option.name, {})[name] = option
        return found

    def name_of(self, part: Configuration) -> str:
        """The name of the part's class.

        Raises:
          ValueError: If the class has none here.
        """
        for name, kind in self._parts.items():
            if type(part) is kind:
                return name
        raise ValueError(
            f"Expected {_a(self.kind)} among {', '.join(self)}, found {part!r}."
        )

    def check_name(self, name: str) -> None:
        """Raises ValueError, with what may have been meant, if there is no such name.

        Args:
          name: What is looked up.
        """
        if name not in self._parts:
            raise ValueError(
                f"Expected {_a(self.kind)} among {', '.join(self)}, found "
                f"{name!r}{hint(name, self)}"
            )

    def build(
        self,
        name: str,
        given: Mapping[str, Any] | None = None,
        *,
        flag: str | None = None,
    ) -> Part:
        """The part called `name` with the options `given`.

        Args:
          name: The part's name.
          given: Options by name; the others have their defaults.
          flag: The flag that says the name, if a user typed it: then errors say flags.

        Raises:
          ValueError: In one sentence, if the name is unknown, an option that was given
            is not one of the part's or is outside its range, or one that the part
            needs is missing.
        """
        self.check_name(name)
        given = given or {}
        part = self._parts[name]
        own = {option.name: option for option in options_of(part)}
        dashes = "" if flag is None else "--"
        what = f"{self.kind} {name!r}" if flag is None else f"--{flag}={name}"
        names = [option.name for option in own.values() if option.has_flag]
        for option, value in given.items():
            if option not in own:
                shown = ", ".join(f"{dashes}{known}" for known in names) or "none"
                raise ValueError(
                    f"Expected for {what} only its options ({shown}), found "
                    f"{dashes}{option}{self._whose(option, names, flag)}"
                )
            if flag is not None:
                own[option].check(value, f"{dashes}{option} for {what}")
        for known in own.values():
            if known.required and known.name not in given:
                raise ValueError(
                    f"Expected {dashes}{known.name} for {what}, found none "
                    f"({known.help})."
                )
        return part(**given)

    def _whose(self, option: str, names: Collection[str], flag: str | None) -> str:
        others = [
            name
            for name, part in self._parts.items()
            if option in (found.name for found in options_of(part))
        ]
        if others:
            type_this = "" if flag is None else f": give --{flag}={others[0]} with it"
            return f", an option of {', '.join(others)}{type_this}."
        return hint(option, names, "" if flag is None else "--")


def summary(part: type) -> str:
    """The first sentence of the docstring, as a phrase."""
    line = (inspect.getdoc(part) or "").partition("\n\n")[0].replace("\n", " ")
    line = line.removesuffix(".")
    starts_a_name = line[1:2].isupper() or line[1:2].isdigit()
    return line if starts_a_name else line[:1].lower() + line[1:]


def hint(found: str, names: Iterable[str], before: str = "") -> str:
    """The end of a sentence: what may have been meant by a word that is none.

    Args:
      found: The word.
      names: Those that there are.
      before: What is typed before a name, such as "--controller="; then the sentence
        says what to type.
    """
    closest = difflib.get_close_matches(found, list(names), n=1)
    if not closest:
        return "."
    meant = f"{before}{closest[0]}" if before else repr(closest[0])
    return f": did you mean {meant}?"


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _home(part: Any) -> str:
    return f"{part.__module__}.{part.__qualname__}"
