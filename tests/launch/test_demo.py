"""The demo, with few and short runs."""

import pathlib
import tomllib

import pytest

from launch import demo
from launch.comparison import preset
from launch.reporting import airtime, links, payload, recorded

_SMALL = ("--only=dense,consensus_hf", "--clients=5", "--rounds=3", "--eval_every=1")


@pytest.fixture(name="start_demo", scope="module")
def _start_demo(start, finish):
    def run(*arguments):
        return finish(start(*arguments, module="launch.demo"))

    return run


@pytest.fixture(name="made", scope="module")
def _made(start_demo, tmp_path_factory):
    directory = tmp_path_factory.mktemp("demo") / "d"
    run = start_demo(*_SMALL, f"--output_dir={directory}")
    return run._replace(directory=directory)


def test_the_last_line_says_which_file_to_open(made):
    assert made.code == 0, made.out + made.err
    first, *_, last = made.out.splitlines()
    assert first == "Digits over slow links: 2 runs, then the page."
    page = made.directory / "demo.html"
    assert last.startswith(f"{page}: 2 runs, ")
    assert last.endswith(page.as_uri())
    assert page.stat().st_size < 2_000_000


def test_a_second_call_repeats_nothing(made, start_demo):
    tables = sorted(made.directory.rglob("metrics.csv"))
    before = [table.stat().st_mtime_ns for table in tables]
    again = start_demo(*_SMALL, f"--output_dir={made.directory}")
    assert again.code == 0
    assert "2 of 2 runs are complete already." in again.out
    assert [table.stat().st_mtime_ns for table in tables] == before
    assert again.out.splitlines()[-1] == made.out.splitlines()[-1]


@pytest.mark.parametrize("name", ["dense", "consensus_hf"])
def test_the_page_computes_the_time_that_the_run_counted(made, name):
    run = recorded.read(made.directory / name / "seed_0")
    link, sums = links.of_run(run)["link"], airtime.add_up(run)
    seconds = [
        link["compute"] * computing
        + up / link["up"]
        + down / link["down"]
        + link["latency"] * messages
        for computing, up, down, messages in zip(*sums[:4], strict=True)
    ]
    assert seconds == pytest.approx(run.columns["time"], rel=1e-12)


def test_the_links_of_the_page_are_those_of_the_runs():
    content = tomllib.loads(pathlib.Path(demo._PRESET).read_text())
    made = {
        (own["up_bits_per_second"], own["down_bits_per_second"], own["latency_seconds"])
        for own in ({**content["flags"], **own} for own in content["runs"].values())
    }
    shown = {(up, up, latency) for _, up, latency in payload.PRESETS}
    assert made == shown


def test_every_link_has_a_run_of_each_rule():
    methods = preset.load(str(demo._PRESET)).methods
    for name in ("fab_top_k", "fab_consensus"):
        own = [
            method
            for method in methods
            if method.flags["sparsifier"] == name
            and method.flags["controller"] == "waiting"
        ]
        assert len(own) == len(payload.PRESETS)


def test_help_and_errors(start_demo, tmp_path):
    helped = start_demo("--help")
    assert helped.code == 0
    assert "--output_dir" in helped.out
    wrong = start_demo("--bachsize=3", f"--output_dir={tmp_path / 'd'}")
    assert wrong.code == 2
    assert wrong.err.count("\n") == 1
    assert not (tmp_path / "d").exists()
