"""Parts by name, and what is said of a name or an option that is none."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from tff_gs.configuration import Configuration, Option, options_of

Part = TypeVar("Part", bound=Configuration)


class Registry(Mapping[str, type[Part]], Generic[Part]):
    """From a part's name to its class; imports no TensorFlow.

    The first sentence of a class's docstring is its line of help.
    """

    def __init__(self, kind: str, parts: Mapping[str, type[Part]]) -> None:
        """Builds the registry.

        Args:
          kind: What the parts are called in errors, such as "controller".
          parts: From a name to the class of the part.
        """
        self.kind = kind
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
        return {name: _summary(part) for name, part in self._parts.items()}

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
            f"Expected a {self.kind} among {', '.join(self)}, found {part!r}."
        )

    def build(self, name: str, given: Mapping[str, Any] | None = None) -> Part:
        """The part called `name` with the options `given`.

        Raises:
          ValueError: In one sentence, if the name is unknown, an option that was given
            is not one of the part's or is outside its range, or one that the part
            needs is missing.
        """
        if name not in self._parts:
            raise ValueError(
                f"Expected a {self.kind} among {', '.join(self)}, found "
                f"{name!r}{_hint(name, self)}"
            )
        given = given or {}
        part = self._parts[name]
        own = options_of(part)
        names = [option.name for option in own if option.has_flag]
        for option in given:
            if option not in (known.name for known in own):
                raise ValueError(
                    f"Expected for {self.kind} {name!r} only its options "
                    f"({', '.join(names)}), found {option}"
                    f"{self._whose(option, names)}"
                )
        for known in own:
            if known.required and known.name not in given:
                raise ValueError(
                    f"Expected {known.name} for {self.kind} {name!r}, found none."
                )
        return part(**given)

    def _whose(self, option: str, names: list[str]) -> str:
        others = [
            name
            for name, part in self._parts.items()
            if option in (found.name for found in options_of(part))
        ]
        if others:
            return f", an option of {', '.join(others)}."
        return _hint(option, names)


def _summary(part: type[Configuration]) -> str:
    """The first sentence of the docstring, as a phrase."""
    line = (inspect.getdoc(part) or "").partition("\n\n")[0].replace("\n", " ")
    line = line.removesuffix(".")
    starts_a_name = line[1:2].isupper() or line[1:2].isdigit()
    return line if starts_a_name else line[:1].lower() + line[1:]


def _hint(found: str, names: Iterable[str]) -> str:
    """The end of a sentence: what may have been meant by a word that is none."""
    closest = difflib.get_close_matches(found, list(names), n=1)
    return f": did you mean {closest[0]!r}?" if closest else "."
