import dataclasses
import re

import pytest

from launch import flags
from launch.comparison import plan, preset

_WHOLE = """
title = "A comparison"
seeds = [3, 1]
over = "rounds"
at = [10, 20.5]

[flags]
clients = 6
k_min = 0.002
price_probe_downlink = true

[runs.fixed]
label = "fixed k"
controller = "fixed"
k = 1.0

[runs.exp3]
show = false
controller = "exp3"
arms = [10, 0.5]

[runs."beta_0.1"]
clients = 7

[sizes.small]
seeds = [0]
at = [1]
only = ["fixed"]
[sizes.small.flags]
clients = 2
rounds = 3

[sizes.large]
"""


@pytest.fixture(name="load")
def _load(tmp_path):
    def load(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return preset.load(str(path))

    return load


def test_a_preset_is_read(load, tmp_path):
    found = load(_WHOLE)
    assert (found.title, found.seeds, found.at) == ("A comparison", (3, 1), (10, 20.5))
    assert found.over == "rounds"
    assert found.source == str(tmp_path / "mine.toml")
    assert found.flags == {
        "clients": "6",
        "k_min": "0.002",
        "price_probe_downlink": "true",
    }
    assert [(m.name, m.label, m.shown) for m in found.methods] == [
        ("fixed", "fixed k", True),
        ("exp3", "exp3", False),
        ("beta_0.1", "beta_0.1", True),
    ]
    # A fraction of 1.0 is not a count of 1.
    assert found.methods[0].flags == {"controller": "fixed", "k": "1.0"}
    assert found.methods[1].flags["arms"] == "10,0.5"


def test_a_size_replaces_what_it_names(load):
    small, large = load(_WHOLE).sized("small"), load(_WHOLE).sized("large")
    assert (small.name, small.seeds, small.at) == ("mine-small", (0,), (1,))
    assert [m.name for m in small.methods] == ["fixed"]
    assert (small.flags["clients"], small.flags["rounds"]) == ("2", "3")
    assert small.flags["k_min"] == "0.002"
    assert (large.seeds, large.at, len(large.methods)) == ((3, 1), (10, 20.5), 3)
    assert large.flags == load(_WHOLE).flags


def test_a_preset_needs_little(load):
    found = load('title = "T"\n[runs.a]\n')
    assert (found.seeds, found.at, found.flags, found.sizes) == ((0,), None, {}, {})
    assert found.over == "time"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[runs.a]", "expected a title of one line, found None."),
        ('title = ""\n[runs.a]', "expected a title of one line, found ''."),
        ('title = "T"', "expected a table [runs.NAME] for each run, found none."),
        (
            'title = "T"\nmethods = 1',
            "expected of a preset only the keys title, seeds, over, at, flags, runs, "
            "sizes, found 'methods'.",
        ),
        (
            'title = "T"\nruns = 3',
            "expected the preset to have a table as runs, found 3.",
        ),
        ('title = "T"\n[runs]\na = 1', "expected run 'a' to be a table, found 1."),
        (
            'title = "T"\n[runs."../a"]',
            "expected as a run's name letters, digits, '.', '_' and '-', beginning "
            "with a letter or digit, found '../a'.",
        ),
        (
            'title = "T"\n[runs.a]\nlabel = 1',
            "expected run 'a' to have text as label, found 1.",
        ),
        (
            'title = "T"\n[runs.a]\nshow = "no"',
            "expected run 'a' to have true or false as show, found 'no'.",
        ),
        (
            'title = "T"\n[runs.a]\nlabel = "b"\n[runs.b]',
            "expected a label of its own for every run, found 'b' twice.",
        ),
        (
            'title = "T"\n[runs.a]\nseed = 1',
            "run 'a': expected seeds, found the flag seed.",
        ),
        (
            'title = "T"\n[flags]\noutput_dir = "x"\n[runs.a]',
            "flags: expected the output_dir of the comparison, found the flag "
            "output_dir.",
        ),
        (
            'title = "T"\n[runs.a]\nk = {x = 1}',
            "expected in run 'a' text, numbers, booleans and lists as flags, found "
            "k = {'x': 1}.",
        ),
        (
            'title = "T"\n[runs.a]\narms = []',
            "expected in run 'a' text, numbers, booleans and lists as flags, found "
            "arms = [].",
        ),
        (
            'title = "T"\nseeds = [1, 1]\n[runs.a]',
            "expected as seeds different whole numbers in a list, found [1, 1].",
        ),
        (
            'title = "T"\nseeds = []\n[runs.a]',
            "expected as seeds different whole numbers in a list, found [].",
        ),
        (
            'title = "T"\nover = ["time"]\n[runs.a]',
            "expected as over one of time, rounds, traffic, found ['time'].",
        ),
        (
            'title = "T"\nat = [2, 1]\n[runs.a]',
            "expected as at ascending numbers above 0 in a list, found [2, 1].",
        ),
        (
            'title = "T"\n[runs.a]\n[sizes]\nquick = 1',
            "expected size 'quick' to be a table, found 1.",
        ),
        (
            'title = "T"\n[runs.a]\n[sizes.quick]\nclients = 1',
            "expected of size 'quick' only the keys seeds, at, only, flags, found "
            "'clients'.",
        ),
        (
            'title = "T"\n[runs.a]\n[sizes.quick]\nonly = "a"',
            "expected size 'quick' to have names of runs as only, found 'a'.",
        ),
        (
            'title = "T"\n[runs.a]\n[sizes.quick]\nonly = ["b"]',
            "expected in 'only' names of runs, found 'b'.",
        ),
    ],
)
def test_a_malformed_preset_is_one_sentence_with_its_file(
    load, tmp_path, text, sentence
):
    whole = re.escape(f"{tmp_path / 'mine.toml'}: {sentence}")
    with pytest.raises(ValueError, match=f"^{whole}$"):
        load(text)


def test_what_is_no_toml_is_said_with_its_line(load, tmp_path):
    begin = re.escape(f"Expected TOML in {tmp_path / 'mine.toml'}, found: ")
    with pytest.raises(ValueError, match=begin + ".*line 2"):
        load('title = "T"\nseeds = \n')
    with pytest.raises(ValueError, match=begin + "Cannot declare .*twice.*line 3"):
        load('title = "T"\n[runs.a]\n[runs.a]')
    (tmp_path / "mine.toml").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=begin):
        preset.load(str(tmp_path / "mine.toml"))


def test_a_preset_that_does_not_exist(tmp_path):
    known = ", ".join(preset.names())
    with pytest.raises(ValueError, match=f"preset one of {known}, or .* found 'me'"):
        preset.load("me")
    with pytest.raises(
        ValueError, match=r"a preset file at .*no\.toml, found: No such"
    ):
        preset.load(str(tmp_path / "no.toml"))


def test_a_size_or_run_that_does_not_exist(load):
    with pytest.raises(ValueError, match=r"size of .*mine\.toml one of small, large, "):
        load(_WHOLE).sized("huge")
    with pytest.raises(ValueError, match="none, found 'huge'"):
        load('title = "T"\n[runs.a]').sized("huge")
    with pytest.raises(ValueError, match=r"one of fixed, exp3, beta_0\.1, found 'b'"):
        load(_WHOLE).only(["b"])


@pytest.mark.parametrize("size", ["quick", "paper"])
@pytest.mark.parametrize("name", preset.names())
def test_the_presets_of_the_package_can_be_run(name, size, tmp_path):
    chosen = preset.load(name).sized(size)
    if chosen.flags["task"] != "digits":
        flags = {**chosen.flags, "data_dir": "here"}
        chosen = dataclasses.replace(chosen, flags=flags)
    runs = plan.make(chosen, tmp_path)
    assert len(runs) == len(chosen.seeds) * len(chosen.methods)
    for run in runs:
        # A limit that the preset chose, and values within it.
        limit = run.flags.get("time_budget", run.flags.get("rounds"))
        assert limit
        assert chosen.at is None or chosen.at[-1] <= float(limit)


def test_the_presets_of_the_package_have_the_two_sizes():
    for name in preset.names():
        found = preset.load(name)
        assert list(found.sizes) == ["quick", "paper"]
        assert len(found.sized("paper").seeds) >= 2


def test_flags_are_completed_as_the_program_does():
    found = flags.completed({"time_budget": "5", "k_min": "0.01"})
    assert "rounds" not in found
    assert found["learning_rate"] == "0.2"
    assert found["time_budget"] == "5.0"
    # Nothing of it stays for the next.
    assert flags.completed({})["rounds"] == "250"
    assert "k_min" not in flags.completed({})
    assert flags.given(["--k=5", "--arms", "1,0.5"]) == {"k": "5", "arms": "1,0.5"}
