"""The flags of `launch.train`, by topic.

Options of parts are not here: their classes declare them.
"""

from collections.abc import Iterator

import tasks
from launch import flag_types, populations, worker_flags
from launch.options import OPTIMIZERS, WEIGHTINGS
from launch.topic import Topic
from tff_gs.controllers.registry import CONTROLLERS
from tff_gs.costs.registry import COSTS
from tff_gs.encoders.registry import INDEX_CODES, VALUE_CODES
from tff_gs.registry import Registry
from tff_gs.sparsifiers.registry import SPARSIFIERS

#: What ends a run, and where it is computed and its files lie, beside the targets: a
#: run that is resumed may have others.
MAY_CHANGE = (
    "rounds",
    "time_budget",
    "checkpoint_every",
    "data_dir",
    "cache_dir",
    "client_store_dir",
    *worker_flags.MACHINES.flags,
)

_TARGET = "target_"


def target_flag(name: str) -> str:
    """The flag that gives the target of a task's metric, or of the loss."""
    return _TARGET + name


def may_change(name: str) -> bool:
    """Whether a run that is resumed may have another flag of that name."""
    return name in MAY_CHANGE or name.startswith(_TARGET)


def _by_task(name: str) -> str:
    """The defaults of the tasks, those that most have first."""
    by_value: dict[str, list[str]] = {}
    for task, kind in tasks.TASKS.items():
        by_value.setdefault(f"{getattr(kind.defaults, name)}", []).append(task)
    return ", ".join(f"{value} for {', '.join(of)}" for value, of in by_value.items())


OWN = Topic("Parts of your own")
OWN.define(
    "plugins",
    flag_types.names(),
    "modules in the current directory or on Python's path that register tasks, "
    "sparsifiers, codes, rules or costs, with their options as flags",
)

DATA = Topic("Data and task", choices={"Tasks": tasks.TASKS})
DATA.define(
    "task", flag_types.choice(tasks.TASKS), "what is learned, from which data", "digits"
)

METHOD = Topic("Method", choices={"Sparsifiers": SPARSIFIERS})
METHOD.define(
    "sparsifier",
    flag_types.choice(SPARSIFIERS),
    "what clients send and what the server selects",
    "fab_consensus",
)

ENCODERS = Topic(
    "Encoders", choices={"Index codes": INDEX_CODES, "Value codes": VALUE_CODES}
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

RULE = Topic("Rule for k", choices={"Controllers": CONTROLLERS})
RULE.define(
    "controller",
    flag_types.choice(CONTROLLERS),
    "the rule that chooses k; an option that it does not take is an error",
    "waiting",
)

COST = Topic("Model of time", choices={"Costs": COSTS})
COST.define("cost", flag_types.choice(COSTS), "how long a round takes", "normalised")

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
    lambda: f"eta; by default {_by_task('learning_rate')}",
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
    lambda: (
        f"the most rounds; by default {_by_task('rounds')}, and without limit if "
        "time_budget is given"
    ),
)
TRAINING.define(
    "time_budget",
    flag_types.positive_number(),
    "end with the round that reaches this time, in the units of the model of time",
)
TRAINING.define("seed", flag_types.whole_number(0), "fixes every draw", "0")
TRAINING.define(
    "init_from",
    flag_types.text("the directory of a run"),
    "start from the trained model of this run, which is complete and of the same task; "
    "by default from the task's own weights",
)

TARGETS = Topic("Targets: the run ends with the first evaluation that reaches all")

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
    lambda: (
        "rounds between two evaluations on the test data; by default "
        f"{_by_task('eval_every')}; the last round is always evaluated"
    ),
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
    f"flags; those that you may change: {', '.join(MAY_CHANGE)} and the targets",
)

TOPICS = (
    DATA,
    METHOD,
    ENCODERS,
    RULE,
    COST,
    TRAINING,
    TARGETS,
    PARTICIPATION,
    worker_flags.MACHINES,
    OUTPUT,
    OWN,
)

#: The parts that a flag names and whose options are flags: the flag, the parts, and
#: the topic of their options.
PARTS: tuple[tuple[str, Registry, Topic], ...] = (
    ("task", tasks.TASKS, DATA),
    ("sparsifier", SPARSIFIERS, METHOD),
    ("controller", CONTROLLERS, RULE),
    ("cost", COSTS, COST),
)


def define_parts() -> None:
    """Defines the flags of the options and targets that parts have, if they are new.

    Raises:
      ValueError: See `Topic.define_options`.
    """
    for _, parts, topic in PARTS:
        topic.define_options(parts)
    for measure in _measures():
        name = target_flag(measure.name)
        if name not in TARGETS.flags:
            bound = flag_types.share() if measure.is_share else flag_types.number()
            than = "least" if measure.larger_is_better else "most"
            help_text = f"a test {measure.name} of at {than} this"
            TARGETS.define(name, bound, help_text)


def _measures() -> Iterator[tasks.Metric]:
    """What the tasks measure, the loss first."""
    yield tasks.LOSS
    for task in tasks.TASKS.values():
        yield from task.metrics


def path_flags() -> list[str]:
    """The flags that lead to a file or directory."""
    options = [
        name
        for _, parts, _ in PARTS
        for name, of_parts in parts.options().items()
        if any(option.is_path for option in of_parts.values())
    ]
    own = ("client_store_dir", "init_from", "certificate", "output_dir", "resume")
    return [*options, *own]


define_parts()
