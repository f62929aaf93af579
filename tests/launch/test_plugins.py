"""Parts of one's own: a module that --plugins names, or that a package brings."""

import csv
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from absl import flags as absl_flags

from launch import plugins, topic
from tff_gs.configuration import option
from tff_gs.controllers.amount import Amount
from tff_gs.controllers.controller import Controller
from tff_gs.registry import Registry

_ROOT = pathlib.Path(__file__).resolve().parents[2]
# A part of every kind; the rule and the task are those of the example.
_OWN = """
from examples import own_parts
from tff_gs import option
from tff_gs.costs import COSTS, Cost
from tff_gs.encoders import INDEX_CODES, VALUE_CODES, FloatCode, Int32Code
from tff_gs.sparsifiers import SPARSIFIERS, FubTopK


@SPARSIFIERS.register("half")
class Half(FubTopK):
    "As FUB-top-k, of half of the coordinates."

    part: float = option(default=0.5, help="of the coordinates", above=0, at_most=1)

    def sparsify(self, residual, k, shared, seed):
        import tensorflow as tf

        kept = tf.cast(tf.cast(k, tf.float32) * self.part, tf.int32)
        return super().sparsify(residual, tf.maximum(kept, 1), shared, seed)


@INDEX_CODES.register("plain")
class Plain(Int32Code):
    "32 bits an index, again."

    tag = 14


@VALUE_CODES.register("brief")
class Brief(FloatCode):
    "16 bits a value, again."

    tag = 15
    dtype_name = "bfloat16"


@COSTS.register("constant")
class Constant(Cost):
    "A round takes the same, whatever travels."

    time_label = "time (laps)"
    lap: float = option(default=1.0, help="time of a round", above=0)

    def round_time(self, traffic):
        import tensorflow as tf

        return tf.constant(self.lap, tf.float64)
"""
_PARTS = (
    "--plugins=mine",
    "--task=line",
    "--noise=0.2",
    "--clients=3",
    "--controller=halving",
    "--period=1",
    "--sparsifier=half",
    "--part=0.25",
    "--cost=constant",
    "--lap=2.5",
    "--uplink_encoder=plain+brief",
    "--eval_every=2",
)


def _start(program, *arguments, directory, path=(), python=()):
    path = os.pathsep.join(map(str, [*path, _ROOT]))
    return subprocess.run(
        [sys.executable, *python, "-m", f"launch.{program}", *map(str, arguments)],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(name="directory")
def _directory(tmp_path):
    (tmp_path / "mine.py").write_text(_OWN)
    return tmp_path


def _rows(directory):
    with (directory / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_help_shows_own_parts_and_their_options(directory):
    helped = _start("train", "--plugins=mine", "--help", directory=directory)
    assert helped.stderr == ""
    text = " ".join(helped.stdout.split())
    for expected in (
        "--period halving: rounds for which k stays (10, at least 1)",
        "halving half of the entries every few rounds",
        "--part half: of the coordinates (0.5, in (0, 1])",
        "--lap constant: time of a round (1, positive)",
        "--noise line: deviation from the line (0.1, at least 0)",
        "--target_mae a test mae of at most this",
        "plain 32 bits an index, again",
        "brief 16 bits a value, again",
        "learning_rate eta; by default 0.2 for digits, 0.01 for femnist, cifar10, "
        "emnist, cifar100, 0.1 for line",
    ):
        assert expected in text
    assert "--period" not in _start("train", "--help", directory=directory).stdout


_WRONG = {
    "--controller=halvin": "halving: did you mean 'halving'?",
    "--perod=1": "found --perod: did you mean --period?",
    "--part=2": "Flag --part=2: expected a number in (0, 1].",
    "--controller=sign --period=3": "--controller=sign only its options",
    "--task=line --target_accuracy=0.5": "Expected for --task=line a target of what it "
    "measures (--target_mae, --target_loss), found --target_accuracy.",
    "--task=line --target_mae=low": "Flag --target_mae=low: expected a number.",
    "--target_mae=1": "(--target_accuracy, --target_loss), found --target_mae.",
}


def test_what_is_wrong_with_an_own_part_is_one_sentence(directory):
    code = f"""
import copy, sys
from launch import flags

plugin = "--plugins=mine"
flags.load_plugins([plugin])
for words in {list(_WRONG)}:
    try:
        values = copy.deepcopy(flags.flags.FLAGS)
        flags.parse(["", plugin, *words.split()], values)
    except ValueError as error:
        print(error)
print([m for m in sys.modules if m.startswith("tensorflow")])
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    *found, modules = ran.stdout.splitlines()
    for line, sentence in zip(found, _WRONG.values(), strict=True):
        assert sentence in line
    # All of it before TensorFlow is imported.
    assert modules == "[]"


def test_the_program_ends_with_the_sentence(directory):
    run = _start("train", "--plugins=mine", "--period=0", directory=directory)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("Flag --period=0: expected a whole number from 1")
    assert len(run.stderr.splitlines()) == 1


def test_a_run_of_own_parts_and_what_it_goes_on_with(directory):
    out = directory / "out"
    run = _start(
        "train", *_PARTS, "--rounds=2", f"--output_dir={out}", directory=directory
    )
    assert run.returncode == 0, run.stderr
    first, second = _rows(out)
    assert [first["time"], second["time"]] == ["2.5", "5.0"]
    # D = 12, halved after one round; three clients send a quarter of it.
    assert [(row["k"], row["uplink_elements"]) for row in (first, second)] == [
        ("12", "9"),
        ("6", "3"),
    ]
    assert (first["uplink_bits_per_index"], first["uplink_bits_per_value"]) == (
        "32.0",
        "16.0",
    )
    assert (first["test_mae"], first["test_loss"]) == ("", "")
    assert "test_accuracy" not in first
    assert 0 < float(second["test_mae"]) < 10
    assert "mae" in run.stderr
    assert "time (laps)" in run.stdout
    assert (out / "summary.png").stat().st_size > 10_000
    result = json.loads((out / "result.json").read_text())
    assert list(result["plugins"]) == ["mine"]
    assert result["test_mae"] == float(second["test_mae"])

    more = ("--rounds=3", "--target_mae=0.001")
    resumed = _start("train", f"--resume={out}", *more, directory=directory)
    assert resumed.returncode == 0, resumed.stderr
    assert [row["k"] for row in _rows(out)] == ["12", "6", "3"]

    (directory / "mine.py").write_text(f"{_OWN}\n# Another one.\n")
    refused = _start("train", f"--resume={out}", "--rounds=4", directory=directory)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Expected the plugin mine as it was when the run in" in refused.stderr
    (directory / "mine.py").unlink()
    refused = _start("train", f"--resume={out}", "--rounds=4", directory=directory)
    assert refused.returncode == 2
    assert refused.stderr.startswith("Expected for --plugins=mine a module mine in ")


def test_runs_of_own_parts_are_compared(directory):
    # As installed programs start: nothing in the current directory shadows a package.
    (directory / "tasks.py").write_text("raise SystemExit('This is tasks.py')\n")
    arguments = ("--run=a: --period=1", "--run=b: --period=2", *_PARTS, "--rounds=2")
    arguments = [word for word in arguments if word != "--period=1"]
    place = {"directory": directory, "python": ["-P"]}
    dry = _start("compare", *arguments, "--dry_run", **place)
    assert dry.returncode == 0, dry.stderr
    assert dry.stdout.count("--plugins=mine") == 2
    made = _start("compare", *arguments, "--output_dir=c", **place)
    assert made.returncode == 0, made.stdout + made.stderr
    assert re.search(r"a, seed 0: mae \d\.\d{3}, loss .* after 2 rounds", made.stdout)
    with (directory / "c" / "comparison.csv").open() as file:
        header = next(csv.reader(file))
    assert header[2].startswith("mae_at_")
    assert "Mae and loss on the test data" in made.stdout
    (directory / "mine.py").write_text(f"{_OWN}\n# Another one.\n")
    again = _start("compare", *arguments, "--output_dir=c", **place)
    assert again.returncode == 2
    assert "Expected the plugin mine as it was when the complete run" in again.stderr


def test_regret_takes_the_targets_of_the_task(directory):
    common = ("--plugins=mine", "--task=line", "--k_grid=2,4", "--time_budget=9")
    dry = _start("regret", *common, "--target_mae=1", "--dry_run", directory=directory)
    assert dry.returncode == 0, dry.stderr
    assert "k_2, seed 0" in dry.stdout
    wrong = _start("regret", *common, directory=directory)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("Expected --target_loss or --target_mae, found none")


def test_a_package_brings_parts_by_an_entry_point(directory):
    metadata = directory / "lib" / "own-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[tff_gs.plugins]\nparts = own_of_it\n")
    file = metadata.parent / "own_of_it.py"
    file.write_text(_OWN)
    place = {"directory": directory, "path": [metadata.parent]}
    assert "--lap " in _start("train", "--help", **place).stdout
    file.write_text("raise RuntimeError('out of order')\n")
    broken = _start("train", "--help", **place)
    assert broken.returncode == 2
    assert broken.stderr == (
        "Expected for the plugin parts of the package own a module that can be "
        f"imported, found in {file}, line 1, RuntimeError: out of order.\n"
    )


@pytest.mark.parametrize(
    ("name", "source", "sentence"),
    [
        ("nowhere", None, "Expected for --plugins=nowhere a module nowhere in "),
        ("it.nowhere", None, "a module it in .* or on Python's path .*, found none"),
        ("it.py", None, r"names of modules .* 'it\.py': did you mean --plugins=it\?$"),
        ("a/it.py", None, r"found 'a/it\.py': did you mean --plugins=a\.it\?$"),
        ("tasks.digits", None, r"modules of your own .*, found 'tasks\.digits'\.$"),
        ("broken_1", "x = 1 / 0", r"broken_1\.py, line 1, ZeroDivisionError: division"),
        ("broken_2", "x = (", r"broken_2\.py, line 1, SyntaxError: "),
        (
            "broken_3",
            "\nimport nowhere",
            "line 2, ModuleNotFoundError: No module",
        ),
        ("broken_4", "raise SystemExit", "line 1, SystemExit"),
        (
            "broken_5",
            "from tff_gs.controllers import CONTROLLERS, FixedK\n"
            "CONTROLLERS.register('sign', FixedK)",
            "line 2, ValueError: Expected a name of its own for the controller of .*, "
            "found 'sign', which .*SignDescent has",
        ),
    ],
)
def test_a_module_that_is_no_plugin_is_one_sentence(
    name, source, sentence, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    if source is not None:
        (tmp_path / f"{name}.py").write_text(source)
    with pytest.raises(ValueError, match=sentence) as error:
        plugins.load([name])
    assert len(str(error.value).splitlines()) == 1


def test_plugins_are_found_wherever_flags_are(tmp_path):
    (tmp_path / "flags.txt").write_text("--rounds=3\n--plugins=b, c\n")
    file = f"--flagfile={tmp_path / 'flags.txt'}"
    for argv, names in (
        (["train.py", "--rounds=2"], []),
        (["train.py", "--plugins=a", "-plugins=a,b"], ["a", "b"]),
        (["train.py", "--rounds", "2", "--plugins", "a"], ["a"]),
        (["train.py", file], ["b", "c"]),
        ([file, "--plugins=a"], ["a"]),
        (["train.py", f"--resume={tmp_path}"], ["b", "c"]),
        (["train.py", "--resume=nowhere", "--flagfile=nowhere"], []),
    ):
        assert plugins.named_by(argv) == names


class _Own(Controller):
    """A rule."""

    k: str = option(default="", help="text")


class _Taken(Controller):
    """A rule."""

    period: Amount = option(default=1, help="an amount")


class _Untyped(Controller):
    """A rule."""

    table: dict = option(default=None, help="a table")


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (_Own, "the option k of own the type that it has of fixed, .*: choose another"),
        (_Taken, "the option period of own another name, found that of the flag --p"),
        (_Untyped, r"the option table of own a type that a flag can have \(int, "),
    ],
)
def test_options_that_can_be_no_flags_are_one_sentence(part, sentence):
    from tff_gs.controllers import FixedK

    values = absl_flags.FlagValues()
    topic.Topic("Others", values=values).define_switch("period", "of another topic")
    rules = topic.Topic("Rules", values=values)
    parts = Registry("controller", Controller, {"fixed": FixedK, "own": part})
    with pytest.raises(ValueError, match=sentence):
        rules.define_options(parts)
