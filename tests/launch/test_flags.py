import dataclasses
import json
import pathlib
import re
import resource

import pytest
from absl import flags as absl_flags
from absl.testing import flagsaver

from launch import flag_types, flags, populations, topic, train_flags
from launch.targets import Target
from tasks import ACCURACY, LOSS, TASKS, Defaults
from tasks.cifar10 import Cifar10
from tasks.digits import Digits
from tests import fresh_python
from tff_gs.configuration import option
from tff_gs.controllers import FixedK, Waiting
from tff_gs.controllers.amount import Amount
from tff_gs.controllers.controller import Controller
from tff_gs.controllers.registry import CONTROLLERS
from tff_gs.costs import NormalisedTime
from tff_gs.costs.registry import COSTS
from tff_gs.encoders.registry import INDEX_CODES, VALUE_CODES
from tff_gs.registry import Registry
from tff_gs.sparsifiers import FabConsensus
from tff_gs.sparsifiers.registry import SPARSIFIERS

_ROOT = pathlib.Path(__file__).parents[2]
_MODULES = sorted(
    ".".join(path.relative_to(_ROOT).with_suffix("").parts)
    for path in (_ROOT / "launch").rglob("*.py")
)


@pytest.fixture(autouse=True)
def _restore_flags():
    with flagsaver.flagsaver():
        yield
        absl_flags.FLAGS.unparse_flags()


def _parse(*arguments):
    return flags.parse(["train", *arguments])


@pytest.mark.parametrize("name", ["help", "helpshort", "helpfull", "-help"])
def test_help_is_quick_and_names_everything(train, name):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = train(f"--{name}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run.code == 0
    assert run.err == ""
    for group in train_flags.TOPICS:
        assert group.title in run.out
        for flag in group.flags:
            assert f"--{flag}" in run.out
    for glossary in (
        TASKS,
        CONTROLLERS,
        COSTS,
        INDEX_CODES,
        VALUE_CODES,
        SPARSIFIERS,
        populations.STORES,
    ):
        assert all(word in run.out for word in glossary)
    assert ("--verbosity" in run.out) == (name == "helpfull")
    assert max(map(len, run.out.partition("Data and task")[2].splitlines())) <= 80 or (
        name == "helpfull"
    )
    # Processor time: the clock also counts what else the machine does.
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 1.0


def test_importing_any_module_imports_no_tensorflow():
    code = "import sys\n" + "".join(
        f"import {name}\n" for name in _MODULES if "__init__" not in name
    )
    code += "print([m for m in sys.modules if m.startswith('tensorflow')])"
    assert fresh_python.printed(code).strip() == "[]"


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        (
            "--rounds=0",
            "Flag --rounds=0: expected a whole number from 1 to 2147483647.",
        ),
        (
            "--rounds=ten",
            "Flag --rounds=ten: expected a whole number from 1 to 2147483647.",
        ),
        ("--seed=-1", "Flag --seed=-1: expected a whole number from 0 to 2147483647."),
        ("--learning_rate=0", "Flag --learning_rate=0: expected a number above 0."),
        ("--learning_rate=nan", "Flag --learning_rate=nan: expected a number above 0."),
        ("--comm_time=-1", "Flag --comm_time=-1: expected a number of at least 0."),
        (
            "--task=mnist",
            "Flag --task=mnist: expected one of digits, femnist, cifar10, emnist, "
            "cifar100: did you mean 'emnist'?",
        ),
        (
            "--k=1.5",
            "Flag --k=1.5: expected a count such as 1000, or a fraction of D such as "
            "0.01 (1.0 is all).",
        ),
        (
            "--k=0",
            "Flag --k=0: expected a count such as 1000, or a fraction of D such as "
            "0.01 (1.0 is all).",
        ),
        (
            "--arms=1,x",
            "Flag --arms=1,x: expected counts or fractions of D with commas between, "
            "such as 100,1000,0.5.",
        ),
        (
            "--schedule=5",
            "Flag --schedule=5: expected round:k pairs with commas between, such as "
            "0:0.1,100:500.",
        ),
        (
            "--price_probe_downlink=maybe",
            "Flag --price_probe_downlink=maybe: expected true or false.",
        ),
        ("--output_dir=", "Flag --output_dir=: expected a directory."),
        (
            "--round=5",
            "Expected a flag that exists, found --round: did you mean --rounds?",
        ),
        (
            "--target_accuracy=80",
            "Flag --target_accuracy=80: expected a share above 0 and at most 1, such "
            "as 0.8.",
        ),
        ("--target_loss=inf", "Flag --target_loss=inf: expected a number."),
        ("--foo=5", "Expected a flag that exists, found --foo: see --help."),
        ("digits", "Expected flags only, found 'digits'."),
    ],
)
def test_a_wrong_flag_is_one_sentence(argument, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        _parse(argument)


_NUMBERS = [
    name
    for topic in train_flags.TOPICS
    for name in topic.flags
    if "a whole number" in getattr(topic.values[name].parser, "wanted", "")
]


def test_there_are_flags_of_whole_numbers():
    assert {"clients", "seed", "rounds", "window", "checkpoint_every"} <= {*_NUMBERS}


@pytest.mark.parametrize("name", _NUMBERS)
@pytest.mark.parametrize("number", [2**31, 10**30])
def test_whole_numbers_fit_into_what_they_become(name, number):
    with pytest.raises(ValueError, match=f"^Flag --{name}=.* to 2147483647.$"):
        _parse(f"--{name}={number}")


@pytest.mark.parametrize(
    "argument",
    [
        f"--k={2**31}",
        f"--k_min={2**63}",
        f"--arms=10,{2**31}",
        f"--schedule=0:{2**31}",
        f"--schedule={2**31}:10",
    ],
)
def test_amounts_and_rounds_fit_into_what_they_become(argument):
    with pytest.raises(ValueError, match=r"^Flag --.*: expected "):
        _parse(argument)


def test_the_largest_numbers_are_taken():
    options = _parse(f"--seed={2**31 - 1}", f"--rounds={2**31 - 1}").training
    assert (options.seed, options.rounds) == (2**31 - 1, 2**31 - 1)


@pytest.mark.parametrize("seeds", [f"0,{2**31}", "0,-1"])
def test_seeds_of_a_comparison_fit_into_what_they_become(seeds):
    with pytest.raises(ValueError, match="expected different whole numbers up to 21"):
        flag_types.whole_numbers().parse(seeds)


def test_the_default_output_dir_may_be_replaced():
    assert not _parse().output_dir_given
    assert _parse("--output_dir=here").output_dir_given


def test_an_encoder_of_unknown_codes_names_those_that_exist():
    with pytest.raises(ValueError, match=r"INDEX one of int32, .*VALUE one of float32"):
        _parse("--uplink_encoder=rice")
    with pytest.raises(ValueError, match="INDEX"):
        _parse("--downlink_encoder=rice+float99")
    # This one comes with the methods that can do without indices.
    with pytest.raises(ValueError, match="INDEX"):
        _parse("--uplink_encoder=leading+float32")


@pytest.mark.parametrize("name", SPARSIFIERS)
def test_every_sparsifier_is_a_choice_and_has_a_builder(name):
    method = _parse(f"--sparsifier={name}").method.sparsifier
    assert SPARSIFIERS.name_of(method) == name
    method = method.bind(dimension=7, probes=True)
    assert (method.dimension, method.probes) == (7, True)


def test_a_sparsifier_of_another_name_is_one_sentence():
    with pytest.raises(ValueError, match=r"fab_top_k, .*, send_all, found 'top'"):
        SPARSIFIERS.build("top").bind(dimension=7, probes=True)


def test_the_program_says_it_without_a_traceback(train):
    run = train("--rounds=0")
    assert run.code == 2
    assert run.out == ""
    assert run.err == "Flag --rounds=0: expected a whole number from 1 to 2147483647.\n"


_DEFAULTS = [field.name for field in dataclasses.fields(Defaults)]


@pytest.mark.parametrize("task", ["digits", "emnist", "cifar100"])
def test_defaults_are_those_of_the_task(task):
    options = _parse(f"--task={task}")
    found = {name: getattr(options.training, name) for name in _DEFAULTS}
    assert found == dataclasses.asdict(TASKS[task].defaults)
    assert options.output_dir.startswith(f"runs/{task}-")


def test_a_flag_overrides_the_default():
    options = _parse("--learning_rate=0.5", "--rounds=3")
    assert options.training.learning_rate == 0.5
    assert options.training.rounds == 3


def test_a_time_budget_alone_limits_the_run():
    assert _parse("--time_budget=600").training.rounds is None
    both = _parse("--time_budget=600", "--rounds=9").training
    assert (both.time_budget, both.rounds) == (600.0, 9)


def test_a_target_leaves_the_limits_as_they_are():
    options = _parse("--target_loss=0.5", "--target_accuracy=0.8").training
    assert options.targets == (Target(LOSS, 0.5), Target(ACCURACY, 0.8))
    assert options.rounds == TASKS["digits"].defaults.rounds


def test_a_target_and_a_time_budget_leave_the_rounds_open():
    assert _parse("--target_loss=0.5", "--time_budget=9").training.rounds is None


@pytest.fixture(name="resumable")
def _resumable(tmp_path):
    """The directory of a run, with its flags."""
    _parse(
        "--task=cifar10",
        "--data_dir=here",
        "--k=7",
        "--controller=fixed",
        "--seed=5",
        "--time_budget=9",
    )
    lines = [f"--{name}={value}\n" for name, value in flags.used().items()]
    (tmp_path / "flags.txt").write_text("".join(lines))
    _forget()
    return tmp_path


def _forget():
    for flag in [name for group in train_flags.TOPICS for name in group.flags]:
        absl_flags.FLAGS[flag].unparse()


def test_a_resumed_run_has_the_flags_that_it_began_with(resumable):
    options = _parse(f"--resume={resumable}")
    assert options.resumed
    assert options.output_dir == str(resumable)
    assert options.controller == FixedK(k=7)
    assert (options.training.seed, options.training.rounds) == (5, None)
    text = (resumable / "flags.txt").read_text()
    assert text == "".join(f"--{n}={value}\n" for n, value in flags.used().items())


def test_what_ends_a_resumed_run_may_change(resumable):
    options = _parse(
        f"--resume={resumable}",
        "--rounds=30",
        "--time_budget=12",
        "--target_loss=0.5",
        "--checkpoint_every=0",
        "--data_dir=elsewhere",
        "--seed=5",
        f"--output_dir={resumable}",
    )
    training = options.training
    assert (training.rounds, training.time_budget) == (30, 12)
    assert training.targets == (Target(LOSS, 0.5),)
    assert options.checkpoint_every == 0
    assert options.task == Cifar10(data_dir="elsewhere")
    assert options.controller == FixedK(k=7)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--k=8"], "resumed, which has --k=7, found --k=8."),
        (["--alpha=2"], "resumed, which has no such flag, found --alpha=2.0."),
        (["--task=femnist"], "which has --task=cifar10, found --task=femnist."),
        (["--output_dir=x"], "found --output_dir=x."),
        (["--resume=/nowhere"], "Expected the directory of a run as resume, found"),
    ],
)
def test_other_flags_of_a_resumed_run_are_one_sentence(resumable, arguments, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as error:
        _parse(f"--resume={resumable}", *arguments)
    assert len(str(error.value).splitlines()) == 1


def test_a_flags_file_that_is_none_is_one_sentence(resumable):
    (resumable / "flags.txt").write_text("--rouns=5\n")
    with pytest.raises(ValueError, match=r"flags\.txt: Expected a flag that exists"):
        _parse(f"--resume={resumable}")


def test_the_rounds_of_a_bandit_cannot_change(resumable):
    assert set(filter(flags._counts_rounds, CONTROLLERS)) == {"exp3", "bandit"}
    path = resumable / "flags.txt"
    lines = path.read_text().replace("k=7", "arms=5,9")
    lines = lines.replace("controller=fixed", "controller=exp3")
    path.write_text(f"{lines}--rounds=20\n")
    with pytest.raises(ValueError, match="has --rounds=20, found --rounds=30"):
        _parse(f"--resume={resumable}", "--rounds=30")


class _Halving(Controller):
    """Half of D, then half of that."""

    period: int = option(default=10, help="rounds for which k stays", at_least=1)
    share: float | None = option(default=None, help="a share", above=0, below=1)
    k_floor: Amount = option(default=0.01, help="the least k")


def test_a_rule_of_ones_own_has_its_flags_from_its_options():
    values = absl_flags.FlagValues()
    rules = topic.Topic("Rule for k", values=values)
    rules.define_options(Registry("controller", Controller, {"halving": _Halving}))
    values(["train", "--period=5", "--k_floor=3"])
    assert (values.period, values.share, values.k_floor) == (5, None, 3)
    text = " ".join(rules.help_text().split())
    assert "--period halving: rounds for which k stays (10, at least 1)" in text
    assert "--share halving: a share" in text
    assert "such as 0.01 (0.01)" in text
    with pytest.raises(absl_flags.Error, match="expected a whole number from 1 to"):
        values(["train", "--period=0"])


@pytest.mark.parametrize(
    ("parts", "topic"),
    [(parts, topic) for _, parts, topic in train_flags.PARTS],
    ids=lambda found: getattr(found, "kind", ""),
)
def test_every_option_has_a_flag_that_says_whose_it_is(parts, topic):
    for name, options in parts.options().items():
        assert absl_flags.FLAGS[name].default is None
        assert all(part in topic.help_of(name) for part in options)


def test_what_is_wrong_with_a_part_is_found_before_the_long_import():
    code = """
import sys
from launch import experiment, flags, train_flags

for arguments in (
    ["--controller=sign", "--alpha=0.5"],
    ["--controller=fixed", "--k=5", "--window=3"],
    ["--cost=links", "--comm_time=3"],
):
    try:
        experiment.build(flags.parse(["", *arguments]))
    except ValueError as error:
        print(error)
    flags.flags.FLAGS.unparse_flags()
    for topic in train_flags.TOPICS:
        for name in topic.flags:
            flags.flags.FLAGS[name].unparse()
print([m for m in sys.modules if m.startswith("tensorflow")])
"""
    assert fresh_python.printed(code).splitlines() == [
        "Flag --alpha=0.5: expected a number of at least 1.",
        "Expected for --controller=fixed only its options (--k), found --window, an "
        "option of sign: give --controller=sign with it.",
        "Expected for --cost=links only its options (--links_file, --compute_seconds, "
        "--up_bits_per_second, --down_bits_per_second, --latency_seconds, --spread), "
        "found --comm_time, an option of normalised: give --cost=normalised with it.",
        "[]",
    ]


def test_amounts_are_counts_or_fractions():
    k = _parse("--controller=fixed", "--k=1000").controller.k
    assert k == 1000
    assert isinstance(k, int)
    _forget()
    rule = _parse("--controller=sign", "--k_min=0.01", "--k_max=1.0").controller
    assert rule.k_min == 0.01
    assert isinstance(rule.k_max, float)
    _forget()
    assert _parse("--controller=exp3", "--arms=10,0.5").controller.arms == (10, 0.5)
    _forget()
    rule = _parse("--controller=schedule", "--schedule=0:0.1,20:7").controller
    assert rule.schedule == ((0, 0.1), (20, 7))


def test_what_describes_the_run_reaches_all_options():
    options = _parse("--seed=5", "--batch_size=8", "--probe_examples=2", "--clients=4")
    assert options.training.seed == 5
    assert options.training.batch_size == 8
    assert options.training.probe_examples == 2
    assert options.task == Digits(clients=4)


def test_options_that_were_not_given_are_left_to_what_they_are_for():
    options = _parse()
    assert options.task == Digits()
    assert options.controller == Waiting()
    assert options.cost == NormalisedTime()
    assert options.method.sparsifier == FabConsensus()


def test_used_flags_give_the_same_options(tmp_path):
    arguments = (
        "--controller=schedule",
        "--schedule=0:0.1,20:7",
        "--price_probe_downlink=true",
        "--uplink_encoder=auto+quantised3",
        "--learning_rate=1e-3",
        "--output_dir=here",
    )
    options = _parse(*arguments)
    used = flags.used()
    assert "output_dir" not in used
    assert json.loads(json.dumps(used)) == used
    file = tmp_path / "flags.txt"
    file.write_text("".join(f"--{name}={value}\n" for name, value in used.items()))
    _forget()
    assert _parse(f"--flagfile={file}", "--output_dir=here") == options


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--client_store=disk"],
            "Expected clients_per_round with client_store, found client_store=disk "
            "alone.",
        ),
        (
            ["--client_store_dir=here"],
            "Expected clients_per_round with client_store_dir, found "
            "client_store_dir=here alone.",
        ),
        (
            ["--clients_per_round=2", "--client_store=memory", "--client_store_dir=x"],
            "Expected client_store=disk with client_store_dir, found memory.",
        ),
        (
            ["--clients_per_round=0"],
            "Flag --clients_per_round=0: expected a whole number from 1 to 2147483647.",
        ),
        (
            ["--clients_per_round=2", "--client_store=tape"],
            "Flag --client_store=tape: expected one of runtime, memory, disk.",
        ),
    ],
)
def test_flags_of_participation_that_do_not_fit_are_one_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        _parse(*arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--clients_per_round=4"], "at most 3, all clients of the task, found 4."),
        (
            ["--clients_per_round=2", "--client_store=runtime"],
            "found runtime with 2 of 3 clients: no cohort can be taken out",
        ),
    ],
)
def test_cohorts_that_the_task_cannot_give_are_one_sentence(arguments, sentence):
    options = _parse("--clients=3", *arguments)
    with pytest.raises(ValueError, match=sentence) as error:
        populations.check_clients(options.participation, 3)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--clients_per_round=2", "--client_store=memory"],
        ["--clients_per_round=3", "--client_store=runtime"],
    ],
)
def test_cohorts_that_the_task_can_give_pass(arguments):
    populations.check_clients(_parse(*arguments).participation, 3)


@pytest.mark.parametrize(
    ("text", "workers"),
    [
        ("0", 0),
        ("3", 3),
        ("10.0.0.2:8470", ("10.0.0.2:8470",)),
        ("a:1, [::1]:8470*2", ("a:1", "[::1]:8470*2")),
    ],
)
def test_workers_are_a_number_or_addresses(text, workers):
    assert _parse(f"--workers={text}").machines.workers == workers


@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        (["--workers=-1"], "such as 10.0.0.2:8470,10.0.0.3:8470*2."),
        (["--workers=2000"], "such as 10.0.0.2:8470,10.0.0.3:8470*2."),
        (["--workers=a:1,10.0.0.2"], "for '10.0.0.2', did you mean 10.0.0.2:8470?"),
        (["--worker_patience=0"], "expected a number above 0."),
        (
            ["--workers=2", "--certificate=c.pem"],
            "with certificate, found --certificate=c.pem without them.",
        ),
    ],
)
def test_workers_that_cannot_be_are_one_sentence(arguments, end):
    with pytest.raises(ValueError, match=f"{re.escape(end)}$") as error:
        _parse(*arguments)
    assert len(str(error.value).splitlines()) == 1


def test_a_resumed_run_may_have_other_workers(resumable):
    assert _parse(f"--resume={resumable}", "--workers=2").machines.workers == 2


def test_too_many_clients_are_found_before_the_long_import():
    code = """
import sys
from launch import experiment, flags

try:
    experiment.build(flags.parse(["", "--clients=6", "--clients_per_round=7"]))
except ValueError as error:
    print(error)
print([m for m in sys.modules if m.startswith("tensorflow")])
"""
    assert fresh_python.printed(code).splitlines() == [
        "Expected clients_per_round of at most 6, all clients of the task, found 7.",
        "[]",
    ]


def test_the_directory_of_a_store_is_that_of_one_run(tmp_path):
    def check(path, *, resumed):
        options = _parse("--clients_per_round=2", f"--client_store_dir={path}")
        populations.check_directory(options.participation, resumed=resumed)

    with pytest.raises(ValueError, match=r"exists as client_store_dir, found .*none"):
        check(tmp_path / "none", resumed=False)
    check(tmp_path, resumed=False)
    with pytest.raises(ValueError, match=r"states of the run in .*, found no such"):
        check(tmp_path, resumed=True)
    (tmp_path / "clients.states").touch()
    check(tmp_path, resumed=True)
    with pytest.raises(ValueError, match=r"without states of another run, found "):
        check(tmp_path, resumed=False)
