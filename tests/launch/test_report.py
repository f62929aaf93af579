"""launch.report: the command line, and what a page is made from."""

import json
import re

import pytest
from absl.testing import flagsaver

from launch import report
from launch.reporting import methods, page, payload, recorded
from tests import fresh_python
from tests.launch import recorded_runs
from tff_gs import controllers


def _read(path, **fields):
    return recorded.read(recorded_runs.write(path, **fields))


def _content(text):
    """The JSON in a page."""
    _, _, content = text.partition('<script type="application/json" id="data">')
    return json.loads(content.partition("</script>")[0])


def _main(*arguments):
    """Runs the program with flags that no earlier call has set."""
    saved = flagsaver.save_flag_values(report.FLAGS)
    try:
        return report.main(["report", *map(str, arguments)])
    finally:
        flagsaver.restore_flag_values(saved, report.FLAGS)


def _failed(capsys, *arguments):
    assert _main(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_a_page(tmp_path, capsys):
    run = recorded_runs.write(tmp_path / "run")
    output = tmp_path / "page.html"
    # The pattern of a shell may name a run again.
    assert _main(run, run, f"--output={output}") == 0
    said, err = capsys.readouterr()
    assert said.startswith(f"{output}: 1 run, ")
    assert said.endswith(f"Open it in a browser: {output.as_uri()}\n")
    assert err == ""
    (shown,) = _content(output.read_text())["runs"]
    assert shown["name"] == "run"
    assert shown["evaluations"]["round"] == [1, 3, 4]
    assert shown["evaluations"]["values"] == [[0.25, 0.5, 0.75], [0.75, 0.5, 0.25]]
    assert shown["evaluations"]["up"] == [1200, 3600, 4800]


def test_no_tensorflow_is_imported(tmp_path):
    run = recorded_runs.write(tmp_path / "run")
    arguments = ["report", str(run), f"--output={tmp_path / 'page.html'}"]
    printed = fresh_python.printed(
        "import sys\nfrom launch import report\n"
        f"assert report.main({arguments}) == 0\n"
        "print([name for name in ('tensorflow', 'pandas', 'matplotlib') "
        "if name in sys.modules])"
    )
    assert printed.endswith("\n[]\n")


def test_help(capsys):
    with pytest.raises(SystemExit, match="0"):
        _main("--help")
    assert "--output" in capsys.readouterr().out


def test_wrong_command_lines(tmp_path, capsys):
    run = recorded_runs.write(tmp_path / "run")
    assert "a run, or several, found none" in _failed(capsys)
    found = _failed(capsys, run, "--output=page.htm")
    assert found == (
        "Expected --output as a file that ends in .html, found 'page.htm'.\n"
    )
    assert "did you mean --output?" in _failed(capsys, run, "--outptu=page.html")
    assert "without a metrics.csv" in _failed(capsys, tmp_path / "none")
    missing = tmp_path / "none" / "page.html"
    assert f"(output={missing})" in _failed(capsys, run, f"--output={missing}")


def test_a_page_stays_as_it_is_if_there_is_no_new_one(tmp_path, capsys):
    output = tmp_path / "page.html"
    output.write_text("old")
    _failed(capsys, tmp_path / "none", f"--output={output}")
    assert output.read_text() == "old"


def test_runs_of_two_tasks(tmp_path):
    digits = _read(tmp_path / "digits")
    femnist = _read(tmp_path / "f", flags={"task": "femnist", "data_dir": "d"})
    with pytest.raises(ValueError, match="Expected runs of one task, found digits in "):
        page.render([digits, femnist])


def test_nothing_evaluated(tmp_path):
    run = _read(tmp_path / "run", accuracies=[None, None])
    with pytest.raises(ValueError, match=r"in the metrics.csv of .*, found none yet"):
        page.render([run])


def test_what_runs_were_made_for(tmp_path):
    known = {"up": 5e6, "down": 1e7, "latency": 0.1, "compute": 1.0}
    flags = {
        "default": {"up_bits_per_second": "5e6", "latency_seconds": "0.1"},
        "spread": {"spread": "0.5"},
        "file": {"links_file": "links.csv"},
        "normalised": {"cost": "normalised", "comm_time": "3"},
    }
    runs = [_read(tmp_path / name, flags=own) for name, own in flags.items()]
    default, spread, file, normalised = payload.build(runs, 9)["runs"]
    assert default["link"] == known
    assert default["is_alike"]
    assert not spread["is_alike"]
    assert spread["link"]["up"] == 1e6
    assert "differ" in spread["shown"]
    assert (file["link"], normalised["link"]) == (None, None)
    assert file["shown"] == "on the links of links.csv"
    assert (file["beta"], normalised["beta"]) == (None, 3.0)
    content = payload.build(runs, 9)
    assert content["start"] == known
    assert 5e6 in content["stops"]["up"]


def test_runs_of_one_method(tmp_path):
    flags = [
        {"controller": "waiting", **recorded_runs.link(9600)},
        {"controller": "fixed", "k": "10"},
        {"controller": "waiting", **recorded_runs.link(64_000), "rounds": "9"},
        {"controller": "waiting", "seed": "1", "target_accuracy": "0.5"},
        {"sparsifier": "send_all", "k": "1.0"},
    ]
    runs = [_read(tmp_path / str(n), flags=own) for n, own in enumerate(flags)]
    assert methods.group(runs) == [
        methods.Method("fab_top_k, waiting, seed=0", True, [0, 2]),
        methods.Method("fab_top_k, k = 10", False, [1]),
        methods.Method("fab_top_k, waiting, seed=1", True, [3]),
        methods.Method("send_all", False, [4]),
    ]


def test_what_tells_methods_of_one_name_apart(tmp_path):
    flags = [{}, {"local_steps": "3"}, {"batch_size": "8"}, {"local_steps": "2"}]
    runs = [_read(tmp_path / str(n), flags=own) for n, own in enumerate(flags)]
    assert [method.label for method in methods.group(runs)] == [
        "fab_top_k, k = 10, batch_size=32",
        "fab_top_k, k = 10, batch_size=32, local_steps=3",
        "fab_top_k, k = 10, batch_size=8",
        "fab_top_k, k = 10, batch_size=32, local_steps=2",
    ]


def test_rules_that_ignore_time_need_nothing():
    for rule in (
        controllers.FixedK(k=5),
        controllers.Schedule(schedule=((0, 5),)),
        controllers.Replay(sequence=(5,)),
    ):
        assert rule.needs == frozenset()
    assert {"fixed", "schedule", "replay"} == set(methods.UNAIDED)


def test_names_of_files_are_data(tmp_path):
    name = "<script>alert(1)</script>&<!--"
    flags = {"links_file": "</script><img src=x onerror=alert(2)>"}
    text = page.render([_read(tmp_path / name.replace("/", "|"), flags=flags)])
    assert "alert(1)<" not in text
    assert "<img" not in text
    assert text.count("</script>") == 2
    (run,) = _content(text)["runs"]
    assert run["name"] == name.replace("/", "|")
    assert ["links_file", flags["links_file"]] in run["flags"]


def test_marks_in_files_stay(tmp_path):
    text = page.render([_read(tmp_path / "@SCRIPT@")])
    assert _content(text)["runs"][0]["name"] == "@SCRIPT@"


def test_long_runs_are_thinned(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "MOST_BYTES", 200_000)
    rounds, noise = 1500, [n % 97 / 97 for n in range(1500)]
    run = _read(
        tmp_path / "run",
        accuracies=noise,
        rounds=[{"uplink_bits_max": 1000 + n, "k": n % 89} for n in range(rounds)],
    )
    text = page.render([run] * 4)
    assert len(text.encode()) < page.MOST_BYTES
    shown, *_ = _content(text)["runs"]
    evaluations = shown["evaluations"]
    assert evaluations["is_thinned"]
    assert (evaluations["round"][0], evaluations["round"][-1]) == (1, rounds)
    # Nothing is left out of the sums.
    assert evaluations["up"][-1] == sum(range(1000, 1000 + rounds))
    assert len(shown["table"]["round"]) == len(evaluations["round"]) < 600


def test_too_many_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "MOST_BYTES", 60_000)
    run = _read(tmp_path / "run", accuracies=[n / 200 for n in range(200)])
    with pytest.raises(ValueError, match=r"page of 0.06 MB, found 9 that do not: give"):
        page.render([run] * 9)


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    text = page.render([_read(tmp_path / "run")])
    assert "default-src 'none'" in text
    # The name of SVG, which no browser looks up.
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
