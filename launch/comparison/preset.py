"""Presets: what to compare, as plain TOML files; docs/comparisons.md explains them."""

import dataclasses
import itertools
import math
import pathlib
import re
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from tff_gs import registry

DIRECTORY = pathlib.Path(__file__).parent / "presets"

# These belong to the comparison as a whole, not to a run.
RESERVED = {
    "seed": "seeds",
    "output_dir": "the output_dir of the comparison",
    "resume": "the same command again, which goes on with runs that are not complete",
}

OVER: Mapping[str, str] = {
    "time": "the time that the runs' models of time give",
    "rounds": "the rounds",
    "traffic": "megabytes up and down, of all clients, as they were counted",
}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """A line of the comparison; one run for each seed.

    Attributes:
      name: The name, which is that of its directory too.
      label: What it is called in tables and plots.
      flags: Flags of `launch.train`, as text. `{run:NAME}` in a value is the
        directory of another method's run with the same seed.
      shown: Whether it is in tables and plots, or only there for other runs.
    """

    name: str
    label: str
    flags: Mapping[str, str]
    shown: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """How large to run a preset; None leaves what the preset says.

    Attributes:
      flags: Flags for all runs.
      seeds: The seeds.
      at: As of the preset.
      only: The names of the methods.
    """

    flags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seeds: tuple[int, ...] | None = None
    at: tuple[float, ...] | None = None
    only: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """What to compare.

    Attributes:
      source: Where it is from: the file, or the command line.
      name: What it is called, its size included.
      title: One line.
      methods: The methods, in the order in which they are shown.
      flags: Flags for all runs.
      seeds: The seeds.
      over: What accuracy and loss are compared over, one of `OVER`.
      at: The times (or rounds, or megabytes) of the table; None: to be chosen from
        the runs.
      sizes: The sizes by name; may be empty.
    """

    source: str
    name: str
    title: str
    methods: tuple[Method, ...]
    flags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    over: str = "time"
    at: tuple[float, ...] | None = None
    sizes: Mapping[str, Size] = dataclasses.field(default_factory=dict)

    def sized(self, name: str) -> "Preset":
        """The preset at the size called `name`; ValueError if there is none."""
        if name not in self.sizes:
            known = f"one of {', '.join(self.sizes)}" if self.sizes else "none"
            raise ValueError(
                f"Expected as a size of {self.source} {known}, found {name!r}"
                f"{registry.hint(name, self.sizes)}"
            )
        size = self.sizes[name]
        sized = dataclasses.replace(
            self,
            name=f"{self.name}-{name}",
            flags={**self.flags, **size.flags},
            seeds=size.seeds or self.seeds,
            at=size.at or self.at,
            sizes={},
        )
        return sized if size.only is None else sized.only(size.only)

    def only(self, names: Collection[str]) -> "Preset":
        """The preset without the methods that are neither in `names` nor needed.

        Raises:
          ValueError: If a name is unknown.
        """
        by_name = {method.name: method for method in self.methods}
        for name in names:
            if name not in by_name:
                raise ValueError(
                    f"Expected as a run of {self.source} one of {', '.join(by_name)}, "
                    f"found {name!r}{registry.hint(name, by_name)}"
                )
        kept, waiting = set(), list(names)
        while waiting:
            name = waiting.pop()
            if name not in kept and name in by_name:
                kept.add(name)
                waiting.extend(needed(by_name[name].flags))
        methods = tuple(method for method in self.methods if method.name in kept)
        return dataclasses.replace(self, methods=methods)


_PLACEHOLDER = re.compile(r"\{run:([^{}]*)\}")


def needed(flags: Mapping[str, str]) -> list[str]:
    """The names of the methods whose runs the flags refer to."""
    return [name for text in flags.values() for name in _PLACEHOLDER.findall(text)]


def fill_in(text: str, directory: Callable[[str], str]) -> str:
    """`text` with the directory of NAME in place of every `{run:NAME}`."""
    return _PLACEHOLDER.sub(lambda match: directory(match[1]), text)


def check_name(name: str) -> None:
    """Raises ValueError unless `name` can be the name of a run."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            "expected as a run's name letters, digits, '.', '_' and '-', "
            f"beginning with a letter or digit, found {name!r}."
        )


def check_flags(flags: Collection[str]) -> None:
    """Raises ValueError if one of the flags is not for a run to set."""
    for name in flags:
        if name in RESERVED:
            raise ValueError(f"expected {RESERVED[name]}, found the flag {name}.")


def names() -> list[str]:
    """The names of the presets that come with this package."""
    found = (path.stem for path in DIRECTORY.glob("*.toml"))
    return sorted(stem for stem in found if not stem.startswith("."))


def load(name: str) -> Preset:
    """The preset called `name`, or in the file of that path.

    Raises:
      ValueError: In one sentence, if there is none or it is malformed.
    """
    path = pathlib.Path(name)
    if path.suffix != ".toml":
        if name not in names():
            raise ValueError(
                f"Expected as preset one of {', '.join(names())}, or the path of a "
                f".toml file, found {name!r}{registry.hint(name, names())}"
            )
        path = DIRECTORY / f"{name}.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return _preset(content, path)
    except OSError as error:
        raise ValueError(
            f"Expected a preset file at {path}, found: {error.strerror}."
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"Expected TOML in {path}, found: {error}.") from error
    except _MalformedError as error:
        raise ValueError(f"{path}: {error}") from None


class _MalformedError(ValueError):
    """What is wrong with a preset, in a sentence without the file's name."""


def _preset(content: Mapping[str, Any], path: pathlib.Path) -> Preset:
    _check_keys(
        content, ("title", "seeds", "over", "at", "flags", "runs", "sizes"), "a preset"
    )
    title = content.get("title")
    if not (isinstance(title, str) and title and "\n" not in title):
        raise _MalformedError(f"expected a title of one line, found {title!r}.")
    runs = _table(content, "runs", "the preset")
    if not runs:
        raise _MalformedError("expected a table [runs.NAME] for each run, found none.")
    preset = Preset(
        source=str(path),
        name=path.stem,
        title=title,
        methods=tuple(_method(name, keys) for name, keys in runs.items()),
        flags=_flags(_table(content, "flags", "the preset"), "flags"),
        seeds=_seeds(content) or (0,),
        over=_over(content),
        at=_positions(content),
        sizes={
            name: _size(name, keys)
            for name, keys in _table(content, "sizes", "the preset").items()
        },
    )
    return _checked(preset)


def _checked(preset: Preset) -> Preset:
    known = [method.name for method in preset.methods]
    labels = [method.label for method in preset.methods]
    for label in labels:
        if labels.count(label) > 1:
            raise _MalformedError(
                f"expected a label of its own for every run, found {label!r} twice."
            )
    for size in preset.sizes.values():
        for name in size.only or ():
            if name not in known:
                raise _MalformedError(
                    f"expected in 'only' names of runs, found {name!r}."
                )
    return preset


def _method(name: str, keys: Any) -> Method:
    where = f"run {name!r}"
    if not isinstance(keys, dict):
        raise _MalformedError(f"expected {where} to be a table, found {keys!r}.")
    try:
        check_name(name)
    except ValueError as error:
        raise _MalformedError(str(error)) from None
    label, shown = keys.get("label", name), keys.get("show", True)
    if not (isinstance(label, str) and label):
        raise _MalformedError(
            f"expected {where} to have text as label, found {label!r}."
        )
    if not isinstance(shown, bool):
        raise _MalformedError(
            f"expected {where} to have true or false as show, found {shown!r}."
        )
    flags = {name: v for name, v in keys.items() if name not in ("label", "show")}
    return Method(name=name, label=label, flags=_flags(flags, where), shown=shown)


def _size(name: str, keys: Any) -> Size:
    where = f"size {name!r}"
    if not isinstance(keys, dict):
        raise _MalformedError(f"expected {where} to be a table, found {keys!r}.")
    _check_keys(keys, ("seeds", "at", "only", "flags"), where)
    only = keys.get("only")
    if only is not None and not (
        isinstance(only, list) and only and all(isinstance(n, str) for n in only)
    ):
        raise _MalformedError(
            f"expected {where} to have names of runs as only, found {only!r}."
        )
    return Size(
        flags=_flags(_table(keys, "flags", where), where),
        seeds=_seeds(keys),
        at=_positions(keys),
        only=None if only is None else tuple(only),
    )


def _check_keys(keys: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in keys:
        if key not in known:
            raise _MalformedError(
                f"expected of {where} only the keys {', '.join(known)}, found {key!r}."
            )


def _table(keys: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    table = keys.get(key, {})
    if not isinstance(table, dict):
        raise _MalformedError(
            f"expected {where} to have a table as {key}, found {table!r}."
        )
    return table


def _flags(table: Mapping[str, Any], where: str) -> dict[str, str]:
    try:
        check_flags(table)
    except ValueError as error:
        raise _MalformedError(f"{where}: {error}") from None
    return {name: _text(name, value, where) for name, value in table.items()}


def _text(name: str, value: Any, where: str) -> str:
    """A flag's value as a user would type it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and value:
        return ",".join(_text(name, item, where) for item in value)
    raise _MalformedError(
        f"expected in {where} text, numbers, booleans and lists as flags, found "
        f"{name} = {value!r}."
    )


def _seeds(keys: Mapping[str, Any]) -> tuple[int, ...] | None:
    seeds = keys.get("seeds")
    if seeds is None:
        return None
    if not (
        isinstance(seeds, list)
        and seeds
        and all(type(seed) is int and seed >= 0 for seed in seeds)
        and len(set(seeds)) == len(seeds)
    ):
        raise _MalformedError(
            f"expected as seeds different whole numbers in a list, found {seeds!r}."
        )
    return tuple(seeds)


def _over(keys: Mapping[str, Any]) -> str:
    over = keys.get("over", "time")
    # A list could not be looked up.
    if not (isinstance(over, str) and over in OVER):
        raise _MalformedError(
            f"expected as over one of {', '.join(OVER)}, found {over!r}."
        )
    return over


def _positions(keys: Mapping[str, Any]) -> tuple[float, ...] | None:
    at = keys.get("at")
    if at is None:
        return None
    if not (
        isinstance(at, list)
        and at
        and all(type(x) in (int, float) and x > 0 and math.isfinite(x) for x in at)
        and all(a < b for a, b in itertools.pairwise(at))
    ):
        raise _MalformedError(
            f"expected as at ascending numbers above 0 in a list, found {at!r}."
        )
    return tuple(map(float, at))
