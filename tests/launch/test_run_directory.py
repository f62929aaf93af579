import json

import pytest

from launch import run_directory
from tests import file_limit
from tff_gs import _sealed_folder


def test_it_is_made_with_the_flags(tmp_path):
    directory = run_directory.RunDirectory(tmp_path / "a" / "b")
    directory.check()
    assert not directory.path.exists()
    directory.create({"task": "digits", "k": "0.1"})
    assert directory.flags.read_text() == "--task=digits\n--k=0.1\n"
    assert json.loads(directory.flags_json.read_text()) == {
        "task": "digits",
        "k": "0.1",
    }


def test_an_empty_directory_is_taken(tmp_path):
    run_directory.RunDirectory(tmp_path).create({})


def test_results_are_neither_overwritten_nor_appended_to(tmp_path):
    (tmp_path / "metrics.csv").write_text("round\n1\n")
    directory = run_directory.RunDirectory(tmp_path)
    for refuse in (directory.check, lambda: directory.create({})):
        with pytest.raises(
            ValueError, match=r"new or empty directory .* found files in"
        ):
            refuse()
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="Expected a directory as output_dir, found"):
        run_directory.RunDirectory(tmp_path / "file").check()
    with pytest.raises(ValueError, match="output_dir"):
        run_directory.RunDirectory(tmp_path / "file" / "below").create({})


def test_only_one_run_is_at_work_in_a_directory(tmp_path):
    directory = run_directory.RunDirectory(tmp_path)
    with (
        directory.lock(),
        pytest.raises(ValueError, match="to be free, found a run at work in it"),
        directory.lock(),
    ):
        pass
    with directory.lock():
        pass


def test_the_last_checkpoint_is_that_of_the_latest_round(tmp_path):
    directory = run_directory.RunDirectory(tmp_path)
    assert directory.last_checkpoint() is None
    for name in ("round_9", "round_100", "round_200_temp12", "other"):
        (directory.checkpoints / name).mkdir(parents=True)
    directory.remove_leftovers()
    found = {path.name for path in directory.checkpoints.iterdir()}
    assert found == {"round_9", "round_100", "other"}
    assert directory.last_checkpoint() == 100
    directory.check_resumable()


@pytest.mark.parametrize("size", [0, 5, 30])
def test_a_directory_whose_files_find_no_room_is_not_there(tmp_path, size):
    directory = run_directory.RunDirectory(tmp_path / "a" / "b")
    flags = {"task": "digits", "seed": "0"}
    with (
        file_limit.no_file_above(size),
        pytest.raises(ValueError, match=r"written, found .*b \("),
    ):
        directory.create(flags)
    assert list(tmp_path.iterdir()) == []
    directory.create(flags)


def test_what_is_discarded_leaves_what_was_there_before(tmp_path):
    (tmp_path / "mine").mkdir()
    directory = run_directory.RunDirectory(tmp_path / "mine" / "new" / "run")
    directory.create({})
    for path in (directory.metrics, directory.client_states):
        path.write_text("x")
    (directory.checkpoints / "round_1").mkdir(parents=True)
    directory.discard()
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


def test_two_runs_of_one_name_get_two_directories(tmp_path):
    name = str(tmp_path / "runs" / "digits-20260101-120000")
    found = [run_directory.create_numbered(name, {"k": "1"}) for _ in range(3)]
    assert [str(directory.path) for directory in found] == [
        name,
        f"{name}-2",
        f"{name}-3",
    ]
    for directory in found:
        assert directory.flags.read_text() == "--k=1\n"


def test_a_name_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"as output_dir, found .*\(Not a directory\)"):
        run_directory.create_numbered(str(tmp_path / "file" / "run"), {})


def test_the_flags_of_the_last_checkpoint_that_is_sealed(tmp_path):
    directory = run_directory.RunDirectory(tmp_path)
    assert directory.saved_notes() == {}
    for number in (9, 10, 11):
        (directory.checkpoints / f"round_{number}").mkdir(parents=True)
        _sealed_folder.seal(
            directory.checkpoints / f"round_{number}", {"flags": {"k": str(number)}}
        )
    assert directory.saved_notes()["flags"] == {"k": "11"}
    seal = directory.checkpoints / "round_11" / _sealed_folder.SEAL
    seal.write_bytes(seal.read_bytes()[:-5])
    assert directory.saved_notes()["flags"] == {"k": "10"}


def test_a_complete_run_says_what_its_tables_were(tmp_path):
    directory = run_directory.RunDirectory(tmp_path)
    # The check value of the CRC-32.
    directory.metrics.write_text("123456789")
    directory.clients.write_text("")
    directory.finish({"rounds": 1})
    assert json.loads(directory.result.read_text()) == {
        "rounds": 1,
        "checksums": {"metrics.csv": "cbf43926", "clients.csv": "00000000"},
    }
