"""The flags of `launch.train`, grouped by topic."""

import copy
import dataclasses
import datetime
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from absl import flags

import tasks
from launch import flag_types, populations, presets, run_directory
from launch.options import (
    OPTIMIZERS,
    WEIGHTINGS,
    MethodOptions,
    ParticipationOptions,
    RunOptions,
    TrainingOptions,
)
from tff_gs.configuration import Option, options_of
from tff_gs.controllers.registry import CONTROLLERS
from tff_gs.costs.registry import COSTS
from tff_gs.encoders.registry import INDEX_CODES, VALUE_CODES
from tff_gs.registry import Registry
from tff_gs.sparsifiers.registry import SPARSIFIERS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")

# What ends a run, and where its files lie: a run that is resumed may have others.
MAY_CHANGE = (
    "rounds",
    "time_budget",
    "target_loss",
    "target_accuracy",
    "checkpoint_every",
    "data_dir",
    "cache_dir",
    "client_store_dir",
)

# These choose their constants by the number of rounds, so it cannot change.
BANDITS = tuple(
    name
    for name, rule in CONTROLLERS.items()
    if "horizon" in (option.name for option in options_of(rule))
)

# Those that lead to a file or directory.
_PATHS = (
    "data_dir",
    "cache_dir",
    "replay_file",
    "links_file",
    "client_store_dir",
    "output_dir",
    "resume",
)

# What flags.txt does not hold.
_OF_ONE_START = ("output_dir", "resume")

_WIDTH = 80


@dataclasses.dataclass
class Topic:
    """Flags that belong together.

    Attributes:
      title: The heading in the help.
      values: Where the flags are defined.
      flags: The names of the flags.
      choices: What the names mean that the flags take: a heading to a glossary.
    """

    title: str
    values: flags.FlagValues = dataclasses.field(default_factory=lambda: flags.FLAGS)
    flags: list[str] = dataclasses.field(default_factory=list)
    choices: dict[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)

    def define(
        self,
        name: str,
        flag_type: flag_types.FlagType,
        help_text: str,
        default: str | None = None,
        *,
        repeated: bool = False,
    ) -> None:
        """Defines a flag of this topic.

        Args:
          name: The flag's name.
          flag_type: How its text is read.
          help_text: The help.
          default: Text as a user would type it.
          repeated: Whether it may be given several times; its value is a list.
        """
        define = flags.DEFINE_multi if repeated else flags.DEFINE
        define(
            flag_type,
            name=name,
            default=default,
            help=help_text,
            flag_values=self.values,
            serializer=flag_types.Serializer(),
            module_name="launch.train",
        )
        # absl adds to the help of a repeated flag.
        self.values[name].help = help_text
        self.flags.append(name)

    def define_options(self, parts: Registry) -> None:
        """Defines a flag for every option that one of `parts` has."""
        for name, options in parts.options().items():
            flag_type = flag_types.of_option(next(iter(options.values())))
            self.define(name, flag_type, _option_help(options))

    def define_switch(self, name: str, help_text: str) -> None:
        """Defines a flag of this topic that is given without a value."""
        flags.DEFINE_bool(
            name, False, help_text, self.values, module_name="launch.train"
        )
        self.flags.append(name)

    def help_text(self) -> str:
        """The help of the topic: its flags, and the names that they take."""
        lines = [self.title]
        for name in self.flags:
            flag = self.values[name]
            shown = None if flag.boolean else flag.default_as_str
            default = "" if shown is None else f" [{shown[1:-1]}]"
            lines.append(_entry(f"--{name}", flag.help + default, 24))
        for title, glossary in self.choices.items():
            lines.append(f"  {title}:")
            lines.extend(
                _entry(f"  {name}", line, 24) for name, line in glossary.items()
            )
        return "\n".join(lines)


def _option_help(options: Mapping[str, Option]) -> str:
    """The help of a flag that the parts of these names take."""
    texts = dict.fromkeys(option.help for option in options.values())
    text = f"{', '.join(options)}: {'; '.join(texts)}"
    if flag_types.is_amount(next(iter(options.values()))):
        text += "; a count such as 1000 or a fraction of D such as 0.01"
    defaults: dict[str, list[str]] = {}
    for part, option in options.items():
        if not option.required and (option.default_text or option.default is not None):
            defaults.setdefault(_shown_default(option), []).append(part)
    if not defaults:
        return text
    usual, *others = sorted(defaults, key=lambda shown: -len(defaults[shown]))
    shown = [usual, *(f"{', '.join(defaults[text])}: {text}" for text in others)]
    return f"{text} ({'; '.join(shown)})"


def _shown_default(option: Option) -> str:
    shown = option.default_text
    if shown is None:
        number = isinstance(option.default, float) and not flag_types.is_amount(option)
        shown = f"{option.default:g}" if number else str(option.default).lower()
    return shown if option.range is None else f"{shown}, {option.range}"


DATA = Topic("Data and task", choices={"Tasks": tasks.SUMMARIES})
DATA.define(
    "task", flag_types.choice(tasks.TASKS), "what is learned, from which data", "digits"
)
DATA.define(
    "data_dir",
    flag_types.text("a directory"),
    "directory of the data files; femnist and cifar10 need it; for emnist the one "
    "that holds emnist_all.sqlite, for cifar100 cifar100.sqlite: by default ~/.tff, "
    "where TFF downloads them to",
)
DATA.define(
    "cache_dir",
    flag_types.text("a directory"),
    "where femnist keeps the compact form of its data; by default beside the data, or "
    "else in the user's cache directory",
)
DATA.define(
    "clients",
    flag_types.whole_number(1),
    "clients to make, or to take of those that exist; by default 20 (digits), 100 "
    "(cifar10, cifar100), 156 (emnist), every writer (femnist)",
)
DATA.define(
    "partition",
    flag_types.text("the name of a partition"),
    "how examples are dealt to clients: by_class or iid (digits), one_class or iid "
    "(cifar10); the first is the default",
)
DATA.define(
    "min_examples",
    flag_types.whole_number(1),
    "the fewest training examples of a writer that takes part (femnist, emnist; 100)",
)

METHOD = Topic("Method", choices={"Sparsifiers": SPARSIFIERS.summaries})
METHOD.define(
    "sparsifier",
    flag_types.choice(SPARSIFIERS),
    "what clients send and what the server selects",
    "fab_top_k",
)

ENCODERS = Topic(
    "Encoders",
    choices={
        "Index codes": INDEX_CODES.summaries,
        "Value codes": VALUE_CODES.summaries,
    },
)
ENCODERS.define(
    "uplink_encoder",
    flag_types.encoder(),
    "how clients write their messages, as INDEX+VALUE; methods that send no indices "
    "use VALUE only",
    "rice+float32",
)
ENCODERS.define(
    "downlink_encoder",
    flag_types.encoder(),
    "how the server writes the update, likewise",
    "rice+float32",
)

RULE = Topic("Rule for k", choices={"Controllers": CONTROLLERS.summaries})
RULE.define(
    "controller",
    flag_types.choice(CONTROLLERS),
    "the rule that chooses k; an option that it does not take is an error",
    "elasticity",
)
RULE.define_options(CONTROLLERS)

COST = Topic("Model of time", choices={"Costs": COSTS.summaries})
COST.define("cost", flag_types.choice(COSTS), "how long a round takes", "normalised")
COST.define_options(COSTS)


def _by_task(name: str) -> str:
    return ", ".join(f"{preset[name]} for {t}" for t, preset in presets.PRESETS.items())


TRAINING = Topic(
    "Training",
    choices={
        "Optimizers": OPTIMIZERS,
        "Client weightings": WEIGHTINGS,
    },
)
TRAINING.define(
    "learning_rate",
    flag_types.positive_number(),
    f"eta; by default {_by_task('learning_rate')}",
)
TRAINING.define(
    "local_steps",
    flag_types.whole_number(1),
    "tau, minibatch gradients of a round (1); with several, clients take local steps "
    "and send what these change",
)
TRAINING.define(
    "local_epochs",
    flag_types.whole_number(1),
    "instead of local_steps: how often a client goes through its examples in a round",
)
TRAINING.define(
    "client_optimizer",
    flag_types.choice(OPTIMIZERS),
    "takes the local steps, if clients send what these change (sgd)",
)
TRAINING.define(
    "server_optimizer",
    flag_types.choice(OPTIMIZERS),
    "takes the server's step, at the server and at every client (sgd)",
)
TRAINING.define(
    "server_learning_rate",
    flag_types.positive_number(),
    "of the server's step; by default learning_rate, or 1 with local updates",
)
TRAINING.define(
    "batch_size", flag_types.whole_number(1), "examples of a client's minibatch", "32"
)
TRAINING.define(
    "client_weighting",
    flag_types.choice(WEIGHTINGS),
    "how much a client counts in the mean of the updates",
    "num_examples",
)
TRAINING.define(
    "probe_examples",
    flag_types.whole_number(1),
    "examples of its minibatch on which a client evaluates the probe losses",
    "1",
)
TRAINING.define(
    "rounds",
    flag_types.whole_number(1),
    f"the most rounds; by default {_by_task('rounds')}, and without limit if "
    "time_budget is given",
)
TRAINING.define(
    "time_budget",
    flag_types.positive_number(),
    "end with the round that reaches this time, in the units of the model of time",
)
TRAINING.define(
    "target_loss",
    flag_types.positive_number(),
    "end with the first evaluation whose test loss is at most this",
)
TRAINING.define(
    "target_accuracy",
    flag_types.share(),
    "end with the first evaluation whose test accuracy is at least this, such as 0.8; "
    "with target_loss, with the first that reaches both",
)
TRAINING.define("seed", flag_types.whole_number(0), "fixes every draw", "0")

PARTICIPATION = Topic("Participation", choices={"Client stores": populations.STORES})
PARTICIPATION.define(
    "clients_per_round",
    flag_types.whole_number(1),
    "clients drawn at random for each round; one that was away is brought up to date "
    "first; by default all take part in every round",
)
PARTICIPATION.define(
    "client_store",
    flag_types.choice(populations.STORES),
    "with clients_per_round: where clients' states are between their rounds; by "
    "default disk, or runtime if these are all clients",
)
PARTICIPATION.define(
    "client_store_dir",
    flag_types.text("a directory"),
    "disk: a directory for the states of this one run; by default output_dir",
)

OUTPUT = Topic("Evaluation and output")
OUTPUT.define(
    "eval_every",
    flag_types.whole_number(1),
    "rounds between two evaluations on the test data; by default "
    f"{_by_task('eval_every')}; the last round is always evaluated",
)
OUTPUT.define(
    "output_dir",
    flag_types.text("a directory"),
    "where the results go: a new or empty directory; by default runs/TASK-DATE-TIME",
)

OUTPUT.define(
    "checkpoint_every",
    flag_types.whole_number(0),
    "rounds between two checkpoints, from which a run that was interrupted or killed "
    "is resumed; one is written after the first round and every 10 minutes too; two "
    "are kept, each of 8 bytes for every weight of every client, in the client store "
    "if that is on disk; 0: none",
    "50",
)
OUTPUT.define(
    "resume",
    flag_types.text("the directory of a run"),
    "go on with the run in this directory, from its last checkpoint and with its "
    f"flags; those that you may change: {', '.join(MAY_CHANGE)}",
)

TOPICS = (DATA, METHOD, ENCODERS, RULE, COST, TRAINING, PARTICIPATION, OUTPUT)


def parse(argv: Sequence[str], values: flags.FlagValues | None = None) -> RunOptions:
    """The options that the command line means.

    Args:
      argv: The program's name and the flags.
      values: Where the flags' values go; by default the flags of this program.

    Raises:
      ValueError: In one sentence, if a flag is unknown or its value is wrong, or if
        something is not a flag.
    """
    values = values or flags.FLAGS
    read(argv, values)
    if values.resume is not None:
        _take_over(values)
    for name, default in presets.PRESETS[values.task].items():
        if name != "rounds" or values.time_budget is None:
            values.set_default(name, default)
    output_dir_given = values.output_dir is not None
    if not output_dir_given:
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        values.set_default("output_dir", f"runs/{values.task}-{now}")
    participation = _collect(ParticipationOptions, values)
    populations.check_options(participation)
    return RunOptions(
        task=values.task,
        task_options=_collect(tasks.TaskOptions, values),
        method=_collect(MethodOptions, values),
        controller=values.controller,
        controller_options=_given(CONTROLLERS, values),
        cost=values.cost,
        cost_options=_given(COSTS, values),
        training=_collect(TrainingOptions, values),
        participation=participation,
        output_dir=values.output_dir,
        output_dir_given=output_dir_given,
        checkpoint_every=values.checkpoint_every,
        resumed=values.resume is not None,
    )


def read(argv: Sequence[str], values: flags.FlagValues) -> None:
    """Reads flags into `values`.

    Args:
      argv: The program's name and the flags.
      values: Where the flags are defined.

    Raises:
      ValueError: As `parse` does.
    """
    try:
        rest = values(list(argv))
    except flags.UnrecognizedFlagError as error:
        raise ValueError(_unknown(error)) from None
    except flags.Error as error:
        raise ValueError(sentence(error)) from None
    if len(rest) > 1:
        raise ValueError(f"Expected flags only, found {rest[1]!r}.")


def used(values: flags.FlagValues | None = None) -> dict[str, str]:
    """The flags that repeat the run, as text: defaults included.

    Without `output_dir` and `resume`.
    """
    text = _as_text(values or flags.FLAGS, lambda flag: flag.value is not None)
    return {name: text[name] for name in text if name not in _OF_ONE_START}


def paths(values: flags.FlagValues | None = None) -> dict[str, str]:
    """The flags that take a path, and have one."""
    values = values or flags.FLAGS
    found = {name: values[name].value for name in _PATHS}
    return {name: path for name, path in found.items() if path is not None}


def _take_over(values: flags.FlagValues) -> None:
    """Completes the flags given by those of the run that is resumed."""
    directory_of_run = run_directory.RunDirectory(values.resume)
    path = directory_of_run.flags
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"Expected the directory of a run as resume, found {values.resume} "
            f"without a {path.name} that can be read."
        ) from error
    given_flags = _as_text(values, lambda flag: flag.present)
    directory = given_flags.pop("resume")
    try:
        _read_anew(lines, values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    recorded = _as_text(values, lambda flag: flag.present)
    _check_recorded(recorded, directory_of_run)
    for name, text in given_flags.items():
        found = directory if name == "output_dir" else recorded.get(name)
        if _is_fixed(name, recorded) and text != found:
            has = "no such flag" if found is None else f"--{name}={found}"
            raise ValueError(
                f"Expected flags of the run that is resumed, which has {has}, found "
                f"--{name}={text}."
            )
    taken = {**recorded, **given_flags, "resume": directory, "output_dir": directory}
    _read_anew([f"--{name}={text}" for name, text in taken.items()], values)


def _is_fixed(name: str, recorded: Mapping[str, str]) -> bool:
    """Whether a run that is resumed must have the flag that it began with."""
    if name == "rounds":
        return recorded.get("controller") in BANDITS
    return name not in MAY_CHANGE


def _check_recorded(
    recorded: Mapping[str, str], directory: run_directory.RunDirectory
) -> None:
    """Raises ValueError unless flags.txt is as the last checkpoint knows it."""
    if not recorded:
        raise ValueError(
            f"Expected the flags of a run in {directory.flags}, found none."
        )
    saved = directory.saved_flags() or {}
    for name in dict.fromkeys([*saved, *recorded] if saved else ()):
        found, wanted = recorded.get(name), saved.get(name)
        if found != wanted and (_is_fixed(name, saved) or found is None):
            raise ValueError(
                f"Expected in {directory.flags} {_shown(name, wanted)}, which the last "
                f"checkpoint was written with, found {_shown(name, found)}."
            )


def _shown(name: str, text: str | None) -> str:
    return f"no --{name}" if text is None else f"--{name}={text}"


def _read_anew(arguments: Sequence[str], values: flags.FlagValues) -> None:
    """Reads flags as if none had been given."""
    for topic in TOPICS:
        for name in topic.flags:
            values[name].unparse()
    read(["", *arguments], values)


def given(arguments: Sequence[str]) -> dict[str, str]:
    """What `arguments` give, flag by flag as text; see `parse` for the errors.

    For a program that runs this one, and itself has none of its flags.
    """
    values = copy.deepcopy(flags.FLAGS)
    read(["", *arguments], values)
    return _as_text(values, lambda flag: flag.present)


def completed(given_flags: Mapping[str, str]) -> dict[str, str]:
    """What `used` is for a run with the flags given; see `parse` for the errors."""
    values = copy.deepcopy(flags.FLAGS)
    parse(["", *(f"--{name}={text}" for name, text in given_flags.items())], values)
    return used(values)


def _as_text(
    values: flags.FlagValues, condition: Callable[[flags.Flag], bool]
) -> dict[str, str]:
    serializer = flag_types.Serializer()
    return {
        name: serializer.serialize(values[name].value)
        for topic in TOPICS
        for name in topic.flags
        if condition(values[name])
    }


def help_text() -> str:
    """The help: all flags, topic by topic, with the names that they take."""
    blocks = [topic.help_text() for topic in TOPICS]
    blocks.append(
        "--flagfile=FILE reads flags from a file, such as the flags.txt of an earlier\n"
        "run; --helpfull adds the flags of absl."
    )
    return "\n\n".join(blocks) + "\n"


def _entry(name: str, text: str, column: int) -> str:
    lines = textwrap.wrap(text, _WIDTH - column)
    start = f"  {name}"
    if len(start) >= column:
        return "\n".join([start, *(" " * column + line for line in lines)])
    return start.ljust(column) + f"\n{' ' * column}".join(lines)


def _collect(options: type[Options], values: flags.FlagValues) -> Options:
    """The dataclass `options`, each field from the flag of its name."""
    names = [field.name for field in dataclasses.fields(options)]
    return options(**{name: values[name].value for name in names})


def _given(parts: Registry, values: flags.FlagValues) -> dict[str, Any]:
    """The options of `parts` that flags give."""
    found = {name: values[name].value for name in parts.options()}
    return {name: value for name, value in found.items() if value is not None}


def _unknown(error: flags.UnrecognizedFlagError) -> str:
    hint = str(error).partition("Did you mean: ")[2].removesuffix("?").strip()
    closest = f"did you mean --{hint}?" if hint else "see --help."
    return f"Expected a flag that exists, found --{error.flagname}: {closest}"


def sentence(error: Any) -> str:
    """An error of absl as a sentence."""
    text = " ".join(str(error).split())
    text = text[0].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
