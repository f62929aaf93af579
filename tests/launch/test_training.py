"""When a run ends, and what a lost worker does to it."""

import pathlib
from types import SimpleNamespace

import numpy as np
import pytest

from launch import run_directory, training
from launch.options import ParticipationOptions, WorkerOptions
from tff_gs import programs, runtime


def _row(number, non_finite=0, clients=3):
    return {
        "round": number,
        "training_loss": 1.0,
        "clients": clients,
        "non_finite": non_finite,
        "time": float(number),
    }


@pytest.mark.parametrize(
    ("non_finite", "lost"),
    [([], 0), ([3, 3, 3], 3), ([3, 2, 3, 3], 2), ([3, 3, 0], 0), ([2, 3], 1)],
)
def test_rounds_in_which_no_work_could_be_used_are_counted(non_finite, lost):
    rows = [_row(number, count) for number, count in enumerate(non_finite, 1)]
    assert training._lost_rounds(rows) == lost


def test_the_sentence_names_the_clients_and_the_learning_rate():
    record = SimpleNamespace(
        rows=[_row(number, 30 * (number > 1), 30) for number in range(1, 7)],
        last_ids=np.arange(40, 10, -1),
    )
    sentence = training._why_nothing_came(record, SimpleNamespace(learning_rate=0.5))
    assert sentence == (
        "In rounds 2 to 6 the work of all clients was not finite, in the last one of "
        "30 clients (11, 12, 13, 14, 15, 16, 17, 18, 19, 20, ...), with learning_rate "
        "0.5: try a smaller one."
    )


_LOST = runtime.WorkerLostError("The worker was ended by signal 9 (SIGKILL).")


def _run(monkeypatch, directory, deaths, *, checkpoint=True, workers=None):
    """Runs with attempts that die after rounds; the rounds and what was raised."""
    record = SimpleNamespace(rows=[], last_ids=np.zeros(0))
    reached = iter(deaths)
    attempts = []

    def attempt(*arguments):
        attempts.append(arguments)
        number = next(reached, None)
        if number is None:
            return programs.TrainOutput(None, 9, 0, programs.Stop.COMPLETE, 0, 1.0)
        record.rows[:] = [_row(n) for n in range(1, number + 1)]
        raise _LOST

    monkeypatch.setattr(training, "_attempt", attempt)
    if checkpoint:
        (directory / "checkpoints" / "round_1").mkdir(parents=True)
    nobody = ParticipationOptions(
        clients_per_round=None, client_store=None, client_store_dir=None
    )
    machines = WorkerOptions(workers=workers, certificate=None, worker_patience=60.0)
    files = run_directory.RunDirectory(directory)
    plan = training.Plan(None, nobody, machines, files, {})
    try:
        return training.run(None, plan, record, None), len(attempts)
    except runtime.WorkerLostError as error:
        return str(error), len(attempts)


@pytest.mark.parametrize("deaths", [[], [0], [3], [3, 5], [3, 4, 5, 6]])
def test_a_lost_worker_is_started_again_where_there_is_progress(
    monkeypatch, tmp_path, deaths
):
    result, attempts = _run(monkeypatch, tmp_path, deaths)
    assert result.ending.exit_code == 0
    assert attempts == len(deaths) + 1


@pytest.mark.parametrize(
    ("deaths", "attempts"), [([3, 3, 9], 2), ([0, 0], 2), ([3, 5, 4], 3)]
)
def test_without_progress_a_lost_worker_ends_the_run(
    monkeypatch, tmp_path, deaths, attempts
):
    sentence, made = _run(monkeypatch, tmp_path, deaths)
    assert made == attempts
    assert sentence == f"{_LOST} That was in round {deaths[attempts - 1] + 1}."


def test_without_a_checkpoint_there_is_nothing_to_start_again_from(
    monkeypatch, tmp_path
):
    sentence, made = _run(monkeypatch, tmp_path, [3], checkpoint=False)
    assert made == 1
    assert sentence == f"{_LOST} That was in round 4."
    assert list(pathlib.Path(tmp_path).iterdir()) == []


def test_states_of_a_round_that_is_run_again_are_gone(monkeypatch, tmp_path):
    states = tmp_path / "clients.states"
    states.write_text("of the first attempt")
    result, attempts = _run(monkeypatch, tmp_path, [0], checkpoint=False)
    assert (result.ending.exit_code, attempts) == (0, 2)
    assert not states.exists()
