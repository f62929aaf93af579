"""Flags that belong together, and their help."""

import dataclasses
import functools
import textwrap
from collections.abc import Callable, Mapping

from absl import flags

from launch import flag_types
from tff_gs.configuration import Option
from tff_gs.registry import Registry

_WIDTH = 80
_COLUMN = 24
#: Of the programs' help, which absl knows by itself.
HELP = ("help", "helpshort", "helpfull", "?", "h")


@dataclasses.dataclass
class Topic:
    """Flags that belong together.

    Attributes:
      title: The heading in the help.
      values: Where the flags are defined.
      flags: The names of the flags.
      choices: What the names mean that the flags take: a heading to a glossary, or to
        the parts that have these names.
    """

    title: str
    values: flags.FlagValues = dataclasses.field(default_factory=lambda: flags.FLAGS)
    flags: list[str] = dataclasses.field(default_factory=list)
    choices: dict[str, Mapping[str, str] | Registry] = dataclasses.field(
        default_factory=dict
    )
    _help: dict[str, str | Callable[[], str]] = dataclasses.field(default_factory=dict)

    def define(
        self,
        name: str,
        flag_type: flag_types.FlagType,
        help_text: str | Callable[[], str],
        default: str | None = None,
        *,
        repeated: bool = False,
    ) -> None:
        """Defines a flag of this topic.

        Args:
          name: The flag's name.
          flag_type: How its text is read.
          help_text: The help; a function, if it grows with what plugins add.
          default: Text as a user would type it.
          repeated: Whether it may be given several times; its value is a list.
        """
        define = flags.DEFINE_multi if repeated else flags.DEFINE
        define(
            flag_type,
            name=name,
            default=default,
            help="",
            flag_values=self.values,
            serializer=flag_types.Serializer(),
            module_name="launch.train",
        )
        self._add(name, help_text)

    def define_options(self, parts: Registry) -> None:
        """Defines a flag for every option that one of `parts` has.

        Those that there are already take the values of parts that were added since.

        Raises:
          ValueError: In one sentence, if an option can have no flag, or its name is
            that of another flag.
        """
        for name, options in parts.options().items():
            flag_type = flag_types.of_options(options)
            if name in self.flags:
                self.values[name].parser = flag_type
            elif name in self.values or name in HELP:
                raise ValueError(
                    f"Expected for the option {name} of {next(iter(options))} another "
                    f"name, found that of the flag --{name}."
                )
            else:
                self.define(name, flag_type, functools.partial(_of_parts, parts, name))

    def define_switch(self, name: str, help_text: str) -> None:
        """Defines a flag of this topic that is given without a value."""
        flags.DEFINE_bool(name, False, "", self.values, module_name="launch.train")
        self._add(name, help_text)

    def _add(self, name: str, help_text: str | Callable[[], str]) -> None:
        self.flags.append(name)
        self._help[name] = help_text

    def help_of(self, name: str) -> str:
        """The help of a flag, without its default."""
        text = self._help[name]
        return text if isinstance(text, str) else text()

    def help_text(self) -> str:
        """The help of the topic: its flags, and the names that they take."""
        lines = [self.title]
        for name in self.flags:
            flag = self.values[name]
            shown = None if flag.boolean else flag.default_as_str
            default = "" if shown is None else f" [{shown[1:-1]}]"
            lines.append(_entry(f"--{name}", self.help_of(name) + default))
        for title, named in self.choices.items():
            glossary = named.summaries if isinstance(named, Registry) else named
            lines.append(f"  {title}:")
            lines.extend(_entry(f"  {name}", line) for name, line in glossary.items())
        return "\n".join(lines)


def _of_parts(parts: Registry, name: str) -> str:
    """The help of a flag: of which parts it is an option, and what it means there."""
    options = parts.options()[name]
    meanings: dict[str, list[str]] = {}
    for part, option in options.items():
        meanings.setdefault(option.help, []).append(part)
    text = "; ".join(f"{', '.join(names)}: {it}" for it, names in meanings.items())
    if flag_types.is_amount(next(iter(options.values()))):
        text += "; a count such as 1000 or a fraction of D such as 0.01"
    defaults: dict[str, list[str]] = {}
    for part, option in options.items():
        defaults.setdefault(_shown_default(option), []).append(part)
    if set(defaults) == {""}:
        return text
    usual, *others = sorted(defaults, key=lambda shown: -len(defaults[shown]))
    shown = [usual, *(f"{', '.join(defaults[other])}: {other}" for other in others)]
    return f"{text} ({'; '.join(filter(None, shown))})"


def _shown_default(option: Option) -> str:
    """The default and the range; "" if there is no default."""
    if option.required or (option.default is None and not option.default_text):
        return ""
    shown = default_text(option)
    return shown if option.range is None else f"{shown}, {option.range}"


def default_text(option: Option) -> str:
    """The default of an option that has one, as it is shown."""
    if option.default_text is not None:
        return option.default_text
    number = isinstance(option.default, float) and not flag_types.is_amount(option)
    return f"{option.default:g}" if number else str(option.default).lower()


def _entry(name: str, text: str) -> str:
    lines = textwrap.wrap(text, _WIDTH - _COLUMN)
    start = f"  {name}"
    if len(start) >= _COLUMN:
        return "\n".join([start, *(" " * _COLUMN + line for line in lines)])
    return start.ljust(_COLUMN) + f"\n{' ' * _COLUMN}".join(lines)
