import json

import pytest

from launch import run_directory


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


def test_atomic_writing_leaves_nothing_else_behind(tmp_path):
    path = tmp_path / "clients.csv"
    for text in ("a\n", "b\n"):
        run_directory.write_atomically(path, text)
        assert path.read_text() == text
    assert [found.name for found in tmp_path.iterdir()] == ["clients.csv"]
