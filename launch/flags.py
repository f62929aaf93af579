"""The flags of `launch.train`, grouped by topic."""

import dataclasses
import datetime
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from absl import flags

import tasks
from launch import flag_types, optimizers, presets
from launch.options import MethodOptions, RunOptions, TrainingOptions
from tff_gs.controllers import names as controller_names
from tff_gs.controllers.options import ControllerOptions
from tff_gs.costs import names as cost_names
from tff_gs.costs.options import CostOptions
from tff_gs.encoders import names as encoder_names
from tff_gs.sparsifiers import names as sparsifier_names

Options = TypeVar("Options")

_WIDTH = 80


@dataclasses.dataclass
class Topic:
    """Flags that belong together.

    Attributes:
      title: The heading in the help.
      flags: The names of the flags.
      choices: What the names mean that the flags take: a heading to a glossary.
    """

    title: str
    flags: list[str] = dataclasses.field(default_factory=list)
    choices: dict[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)

    def define(
        self,
        name: str,
        flag_type: flag_types.FlagType,
        help_text: str,
        default: str | None = None,
    ) -> None:
        """Defines a flag of this topic; `default` is text as a user would type it."""
        flags.DEFINE(
            flag_type,
            name,
            default,
            help_text,
            serializer=flag_types.Serializer(),
            module_name="launch.train",
        )
        self.flags.append(name)


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

METHOD = Topic("Method", choices={"Sparsifiers": sparsifier_names.SPARSIFIERS})
METHOD.define(
    "sparsifier",
    flag_types.choice(sparsifier_names.SPARSIFIERS),
    "what clients send and what the server selects",
    "fab_top_k",
)

ENCODERS = Topic(
    "Encoders",
    choices={
        "Index codes": encoder_names.INDEX_NAMES,
        "Value codes": encoder_names.VALUE_NAMES,
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

RULE = Topic("Rule for k", choices={"Controllers": controller_names.CONTROLLERS})
RULE.define(
    "controller",
    flag_types.choice(controller_names.CONTROLLERS),
    "the rule that chooses k; an option that it does not take is an error",
    "sign",
)
_AMOUNT = "; a count such as 1000 or a fraction of D such as 0.01"
RULE.define("k", flag_types.amount(), f"fixed: k{_AMOUNT}")
RULE.define(
    "k_min", flag_types.amount(), f"descents, bandit: the least k (0.002){_AMOUNT}"
)
RULE.define(
    "k_max", flag_types.amount(), f"descents, bandit: the largest k (1.0){_AMOUNT}"
)
RULE.define(
    "k_initial", flag_types.amount(), f"descents, bandit: the first k (0.1){_AMOUNT}"
)
RULE.define(
    "alpha",
    flag_types.positive_number(),
    "sign: margin of a new interval around the k of the window (1.5)",
)
RULE.define(
    "window",
    flag_types.whole_number(1),
    "sign: updates between two checks of the interval (20)",
)
RULE.define(
    "patience",
    flag_types.whole_number(0),
    "descents: rounds in a row without a sign for which k stays (10)",
)
RULE.define(
    "probe_initial",
    flag_types.positive_number(),
    "descents: the first k' relative to k (0.9)",
)
RULE.define(
    "probe_floor",
    flag_types.non_negative_number(),
    "descents: the least k' in units of k_min (0.1)",
)
RULE.define(
    "step_scale", flag_types.positive_number(), "log_sign: the first step (0.25)"
)
RULE.define(
    "step_floor", flag_types.non_negative_number(), "log_sign: the least step (0)"
)
RULE.define(
    "probe_scale",
    flag_types.positive_number(),
    "log_sign: distance of k' in steps (0.5)",
)
RULE.define(
    "probe_distance",
    flag_types.non_negative_number(),
    "log_sign: the least distance of k' (0)",
)
RULE.define("arms", flag_types.amounts(), "exp3: the grid of k, such as 100,1000,0.5")
RULE.define("gamma", flag_types.positive_number(), "exp3: exploration rate")
RULE.define("step", flag_types.positive_number(), "bandit: step length")
RULE.define(
    "perturbation",
    flag_types.positive_number(),
    "bandit: distance of the k that is played from the center",
)
RULE.define(
    "margin",
    flag_types.non_negative_number(),
    "bandit: distance of the center from the interval's ends",
)
RULE.define(
    "memory",
    flag_types.positive_number(),
    "exp3, bandit: discount of the rewards' scale (0.99)",
)
RULE.define(
    "schedule",
    flag_types.schedule(),
    "schedule: round:k pairs, such as 0:0.1,100:500",
)
RULE.define(
    "replay_file",
    flag_types.text("the path of a CSV file"),
    "replay: a CSV file with a column k, such as an earlier run's metrics.csv",
)

COST = Topic("Model of time", choices={"Costs": cost_names.COSTS})
COST.define(
    "cost", flag_types.choice(cost_names.COSTS), "how long a round takes", "normalised"
)
COST.define(
    "comm_time",
    flag_types.non_negative_number(),
    "normalised: beta, the time of the full model up and down (10)",
)
COST.define(
    "price_probe_downlink",
    flag_types.yes_or_no(),
    "normalised: whether the probe's message is paid for, true or false (false)",
)
COST.define(
    "links_file",
    flag_types.text("the path of a CSV file"),
    "links: a CSV file with a row for each client, in place of the options below",
)
COST.define(
    "compute_seconds",
    flag_types.non_negative_number(),
    "links: median time of a minibatch gradient, in seconds (1)",
)
COST.define(
    "up_bits_per_second",
    flag_types.positive_number(),
    "links: median uplink bandwidth (1e6)",
)
COST.define(
    "down_bits_per_second",
    flag_types.positive_number(),
    "links: median downlink bandwidth (1e7)",
)
COST.define(
    "latency_seconds",
    flag_types.non_negative_number(),
    "links: median delay of a message, in seconds (0.05)",
)
COST.define(
    "spread",
    flag_types.non_negative_number(),
    "links: standard deviation of the logarithms over clients (0)",
)


def _by_task(name: str) -> str:
    return ", ".join(f"{preset[name]} for {t}" for t, preset in presets.PRESETS.items())


TRAINING = Topic("Training", choices={"Optimizers": optimizers.OPTIMIZERS})
TRAINING.define(
    "learning_rate",
    flag_types.positive_number(),
    f"eta; by default {_by_task('learning_rate')}",
)
TRAINING.define(
    "local_steps",
    flag_types.whole_number(1),
    "tau, minibatch gradients of a round; with several, clients take local steps and "
    "send what these change",
    "1",
)
TRAINING.define(
    "client_optimizer",
    flag_types.choice(optimizers.OPTIMIZERS),
    "takes the local steps, where there are several (sgd)",
)
TRAINING.define(
    "server_optimizer",
    flag_types.choice(optimizers.OPTIMIZERS),
    "takes the server's step, at the server and at every client (sgd)",
)
TRAINING.define(
    "server_learning_rate",
    flag_types.positive_number(),
    "of the server's step; by default learning_rate, or 1 with several local steps",
)
TRAINING.define(
    "batch_size", flag_types.whole_number(1), "examples of a client's minibatch", "32"
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
    f"the most rounds; by default {_by_task('rounds')}, and without limit where "
    "time_budget is given",
)
TRAINING.define(
    "time_budget",
    flag_types.positive_number(),
    "end with the round that reaches this time, in the units of the model of time",
)
TRAINING.define(
    "seed", flag_types.whole_number(0, flag_types.MAX_SEED), "fixes every draw", "0"
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

TOPICS = (DATA, METHOD, ENCODERS, RULE, COST, TRAINING, OUTPUT)


def parse(argv: Sequence[str]) -> RunOptions:
    """The options that the command line means.

    Args:
      argv: The program's name and the flags.

    Raises:
      ValueError: In one sentence, if a flag is unknown or its value is wrong, or if
        something is not a flag.
    """
    try:
        rest = flags.FLAGS(list(argv))
    except flags.UnrecognizedFlagError as error:
        raise ValueError(_unknown(error)) from None
    except flags.Error as error:
        raise ValueError(_sentence(error)) from None
    if len(rest) > 1:
        raise ValueError(f"Expected flags only, found {rest[1]!r}.")
    for name, default in presets.PRESETS[flags.FLAGS.task].items():
        if name != "rounds" or flags.FLAGS.time_budget is None:
            flags.FLAGS.set_default(name, default)
    if flags.FLAGS.output_dir is None:
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        flags.FLAGS.set_default("output_dir", f"runs/{flags.FLAGS.task}-{now}")
    values = flags.FLAGS
    return RunOptions(
        task=values.task,
        task_options=_collect(tasks.TaskOptions),
        method=_collect(MethodOptions),
        controller=values.controller,
        controller_options=_collect(ControllerOptions),
        cost=values.cost,
        cost_options=_collect(CostOptions),
        training=_collect(TrainingOptions),
        output_dir=values.output_dir,
    )


def used() -> dict[str, str]:
    """The flags that repeat the run, as text: defaults included, `output_dir` not."""
    serializer = flag_types.Serializer()
    return {
        name: serializer.serialize(flags.FLAGS[name].value)
        for topic in TOPICS
        for name in topic.flags
        if flags.FLAGS[name].value is not None and name != "output_dir"
    }


def help_text() -> str:
    """The help: all flags, topic by topic, with the names that they take."""
    blocks = []
    for topic in TOPICS:
        lines = [topic.title]
        for name in topic.flags:
            flag = flags.FLAGS[name]
            default = "" if flag.default is None else f" [{flag.default_as_str[1:-1]}]"
            lines.append(_entry(f"--{name}", flag.help + default, 24))
        for title, glossary in topic.choices.items():
            lines.append(f"  {title}:")
            lines.extend(
                _entry(f"  {name}", line, 24) for name, line in glossary.items()
            )
        blocks.append("\n".join(lines))
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


def _collect(options: type[Options]) -> Options:
    """The dataclass `options`, each field from the flag of its name."""
    names = [field.name for field in dataclasses.fields(options)]
    return options(**{name: flags.FLAGS[name].value for name in names})


def _unknown(error: flags.UnrecognizedFlagError) -> str:
    hint = str(error).partition("Did you mean: ")[2].removesuffix("?").strip()
    closest = f"did you mean --{hint}?" if hint else "see --help."
    return f"Expected a flag that exists, found --{error.flagname}: {closest}"


def _sentence(error: Any) -> str:
    text = " ".join(str(error).split())
    text = text[0].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
