import json
import re

import pytest

from launch import inspect as inspect_program
from launch import inspection, run_directory
from tests import fresh_python
from tff_gs import _sealed_folder

_FLAGS = {
    "task": "digits",
    "controller": "fixed",
    "rounds": "9",
    "time_budget": "80.0",
    "seed": "0",
}
_START = {"date": "2026-01-01", "tff_gs": "0.0.1", "commit": None, "numpy": "1.2"}
_METRICS = """\
round,time,k,training_loss,clients,non_finite,loss_probe,test_accuracy,test_loss
1,1.5,30,2.25,6,0,nan,,
2,3.0,30,2.125,6,0,nan,0.5,2.0
3,4.5,31,2.0625,6,1,1.5,,
"""
_TIMING = """\
round,round_seconds,evaluation_seconds,encode_seconds,decode_seconds
1,0.5,0.0,0.1,0.1
2,0.25,0.25,0.1,0.1
3,1.0,0.0,0.1,0.1
"""


def _write_checkpoint(directory, number, **changed):
    folder = directory.checkpoint(number)
    folder.mkdir(parents=True)
    (folder / "states").write_bytes(bytes(1000))
    _sealed_folder.seal(folder, {"flags": _FLAGS | changed})


@pytest.fixture(name="directory")
def _directory(tmp_path):
    """A run of 9 rounds that was stopped after 3, with 2 checkpoints."""
    directory = run_directory.RunDirectory(tmp_path / "run")
    directory.create(_FLAGS)
    directory.note_start({"tff_gs": "0.0.0"})
    directory.note_start(_START)
    directory.metrics.write_text(_METRICS)
    directory.timing.write_text(_TIMING)
    for number in (1, 3):
        _write_checkpoint(directory, number)
    return directory


def _conditions(directory):
    found = inspection.inspect(directory.path).checkpoints
    return {each.name: each.condition for each in found}


def test_a_run_that_was_stopped(directory):
    found = inspection.inspect(directory.path)
    assert found.state == "stopped"
    assert found.flags == _FLAGS
    assert found.starts == [{"tff_gs": "0.0.0"}, _START]
    assert found.rounds == 3
    assert found.seconds == 2.0
    assert found.written.timestamp() == int(directory.metrics.stat().st_mtime)
    assert found.last_round["k"] == 31
    assert found.last_evaluation["round"] == 2
    assert found.resume == f"python -m launch.train --resume={directory.path}"
    assert [each.round for each in found.checkpoints] == [3, 1]
    assert all(each.condition == "whole" for each in found.checkpoints)
    size = 1000 + (directory.checkpoint(3) / _sealed_folder.SEAL).stat().st_size
    assert found.checkpoints[0].size == size


def test_what_is_printed(directory, capsys):
    assert inspect_program.main(["inspect", str(directory.path)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    text = re.sub(r"(?<=  written     )2.*", "TIME", said.out)
    assert text == (
        f"{directory.path}: stopped\n"
        "  rounds      3 of 9\n"
        "  time        4.5 of 80.0, in 2 s\n"
        "  written     TIME\n"
        "  last round  k 31, training_loss 2.0625, clients 6, non_finite 1\n"
        "  test        test_accuracy 0.5, test_loss 2, after round 2\n"
        "  checkpoints round_3, 0.0 MB, whole\n"
        "              round_1, 0.0 MB, whole\n"
        "  made with   tff_gs 0.0.1, numpy 1.2\n"
        "  flags       --task=digits --controller=fixed --rounds=9 "
        "--time_budget=80.0\n"
        "              --seed=0\n"
        f"  go on       python -m launch.train --resume={directory.path}\n"
    )


def test_json_has_everything_and_no_nan(directory, capsys):
    try:
        arguments = ["inspect", str(directory.path), "--json"]
        assert inspect_program.main(arguments) == 0
    finally:
        inspect_program.FLAGS["json"].unparse()

    def refuse(constant):
        raise AssertionError(constant)

    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    names = [
        field.name for field in inspection.dataclasses.fields(inspection.Inspection)
    ]
    assert list(found) == names
    assert found["last_round"]["loss_probe"] == 1.5
    assert found["last_evaluation"]["loss_probe"] is None
    assert found["checkpoints"][1] == {
        "name": "round_1",
        "round": 1,
        "size": found["checkpoints"][0]["size"],
        "condition": "whole",
        "reason": None,
    }


def test_a_complete_run(directory):
    directory.clients.write_text("client_id\n")
    directory.finish({"flags": _FLAGS})
    found = inspection.inspect(directory.path)
    assert (found.state, found.resume) == ("complete", None)


def test_a_run_at_work(directory):
    with directory.lock():
        found = inspection.inspect(directory.path)
    assert (found.state, found.resume) == ("running", None)
    assert inspection.inspect(directory.path).state == "stopped"


def test_a_run_that_has_just_begun(tmp_path):
    directory = run_directory.RunDirectory(tmp_path)
    directory.create(_FLAGS)
    found = inspection.inspect(tmp_path)
    assert (found.rounds, found.seconds, found.written) == (0, 0, None)
    assert (found.last_round, found.last_evaluation) == ({}, {})
    assert (found.checkpoints, found.starts, found.resume) == ([], [], None)
    assert json.loads(found.as_json())["written"] is None
    assert "  rounds      0 of 9\n  checkpoints none\n" in inspect_program._text(found)


def test_half_a_row_is_not_counted(directory):
    directory.metrics.write_text(f"{_METRICS}4,6.0,3")
    assert inspection.inspect(directory.path).rounds == 3


def test_a_damaged_checkpoint(directory):
    states = directory.checkpoint(3) / "states"
    states.write_bytes(bytes(999) + b"\1")
    found = inspection.inspect(directory.path)
    assert [each.condition for each in found.checkpoints] == ["damaged", "whole"]
    assert found.checkpoints[0].reason == (
        f"Expected the files of {states.parent} as they were written, found states "
        "changed."
    )
    assert found.resume is not None
    for number in (1, 3):
        (directory.checkpoint(number) / _sealed_folder.SEAL).unlink()
    found = inspection.inspect(directory.path)
    assert {each.condition for each in found.checkpoints} == {"damaged"}
    assert found.resume is None


def test_a_checkpoint_of_another_version(directory):
    seal = directory.checkpoint(3) / _sealed_folder.SEAL
    text = seal.read_text().splitlines()[1].replace('"format": 1', '"format": 2')
    seal.write_text(f"{_sealed_folder._digest(text.encode())}\n{text}\n")
    assert _conditions(directory) == {"round_3": "foreign", "round_1": "whole"}


def test_a_checkpoint_of_another_run(directory):
    _write_checkpoint(directory, 2, seed="1")
    # What ends a run may change.
    _write_checkpoint(directory, 0, rounds="5")
    assert _conditions(directory) == {
        "round_3": "whole",
        "round_2": "foreign",
        "round_1": "whole",
        "round_0": "whole",
    }


def test_a_checkpoint_without_its_rows(directory):
    directory.metrics.write_text("".join(_METRICS.splitlines(keepends=True)[:3]))
    assert _conditions(directory) == {"round_3": "damaged", "round_1": "whole"}


def test_what_a_killed_program_left(directory):
    doomed = _sealed_folder.doomed_name("round_2")
    for name in (".unfinished", doomed):
        (directory.checkpoints / name).mkdir()
        (directory.checkpoints / name / "part").write_bytes(bytes(7))
    found = inspection.inspect(directory.path).checkpoints[2:]
    assert [(each.name, each.round, each.size) for each in found] == [
        (doomed, None, 7),
        (".unfinished", None, 7),
    ]
    assert {each.condition for each in found} == {"unfinished"}


def test_nothing_is_changed(directory):
    def state():
        return {
            (path, path.stat().st_mtime_ns, path.stat().st_ino)
            for path in [directory.path, *directory.path.rglob("*")]
        }

    before = state()
    inspection.inspect(directory.path)
    assert state() == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["{tmp}"],
            "Expected the directory of a run, found {tmp} without a flags.txt that can "
            "be read.",
        ),
        (
            ["{tmp}/none"],
            "Expected the directory of a run, found {tmp}/none without a flags.txt "
            "that can be read.",
        ),
        (
            [],
            "Expected the directory of one run, as in python -m launch.inspect "
            "runs/mine, found none.",
        ),
        (
            ["a", "b"],
            "Expected the directory of one run, as in python -m launch.inspect "
            "runs/mine, found a b.",
        ),
        (
            ["a", "--jsn"],
            "Expected a flag that exists, found --jsn: did you mean --json?",
        ),
    ],
)
def test_what_is_no_run_is_one_sentence(tmp_path, capsys, arguments, sentence):
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    assert inspect_program.main(["inspect", *given]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", sentence.format(tmp=tmp_path) + "\n")


@pytest.mark.parametrize("name", ["metrics.csv", "timing.csv"])
def test_a_file_of_another_kind_is_one_sentence(directory, capsys, name):
    path = directory.path / name
    path.write_bytes(bytes(range(256)) + b"\n")
    assert inspect_program.main(["inspect", str(directory.path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Expected the ")
    assert str(path) in said
    assert len(said.splitlines()) == 1


def test_it_needs_no_tensorflow(directory):
    code = f"""
import sys
from launch import inspect
inspect.main(["inspect", {str(directory.path)!r}])
print([name for name in sys.modules if name.startswith("tensorflow")])
"""
    assert fresh_python.printed(code).endswith("\n[]\n")
