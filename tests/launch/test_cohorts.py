"""The program with a cohort a round, over two stores, killed and resumed."""

import shutil

import pandas as pd
import pytest
from PIL import Image

from launch.comparison import results
from tests.launch import files_page

_COHORTS = (
    "--clients=6",
    "--clients_per_round=2",
    "--rounds=7",
    "--eval_every=3",
    "--batch_size=16",
    "--checkpoint_every=2",
)


@pytest.fixture(name="disk_run", scope="module")
def _disk_run(train, tmp_path_factory):
    return train(*_COHORTS, directory=tmp_path_factory.mktemp("disk") / "run")


@pytest.fixture(name="metrics", scope="module")
def _metrics(disk_run):
    assert disk_run.code == 0, disk_run.err
    return pd.read_csv(disk_run.directory / "metrics.csv")


def test_a_cohort_takes_part_in_a_round(disk_run, metrics):
    assert (metrics["clients"] == 2).all()
    assert metrics["joined"].iloc[0] == 2
    assert metrics["joined"].sum() <= 6
    assert (metrics["catch_up_rounds"] >= metrics["catch_up_rounds_max"]).all()
    came_back = metrics["catch_up_rounds"] > 0
    assert came_back.any()
    assert ((metrics["catch_up_bits"] > 0) == came_back).all()
    assert (metrics["catch_up_request_bits"] == 2 * 32).all()
    each = metrics["joined_bits"].iloc[0] / 2
    # 13,706 weights, the seed and the round.
    assert each == 32 * (13_706 + 2 + 1)
    assert (metrics["joined_bits"] == metrics["joined"] * each).all()
    with Image.open(disk_run.directory / "summary.png") as image:
        image.verify()


def test_the_page_of_files_has_the_columns_of_cohorts(disk_run):
    columns = files_page.metrics(cohorts=True)
    files_page.check(disk_run.directory / "metrics.csv", columns)


def test_the_closing_lines_count_what_cohorts_received(disk_run, metrics):
    assert disk_run.out.startswith("digits: 7 rounds of 2 of 6 clients in ")
    _, down = results.sent_megabytes(metrics)
    first = metrics["joined_bits"].sum() / 8e3
    later = metrics["catch_up_bits"].sum() / 8e3
    assert (
        f"sent down  {down.iloc[-1] * 1e3:.3g} kB, of it {first:.3g} kB in the first "
        f"dense downloads of {metrics['joined'].sum()} clients, {later:.3g} kB to those"
    ) in disk_run.out


def test_the_states_are_in_one_file_and_the_checkpoint_is_small(disk_run, metrics):
    # 13,706 weights and as many numbers of the residual.
    states = (disk_run.directory / "clients.states").stat().st_size
    assert states > metrics["joined"].sum() * 8 * 13_706
    saved = disk_run.directory / "checkpoints" / "round_7" / "variables"
    # last_changed and the weights, once; not the clients' states.
    size = sum(path.stat().st_size for path in saved.iterdir())
    assert size < 2 * 8 * 13_706


def test_a_killed_run_goes_on_as_if_it_had_not_been(
    disk_run, train, train_until_killed, tmp_path
):
    killed, copied = tmp_path / "killed", tmp_path / "copied"
    train_until_killed(*_COHORTS, directory=killed)
    checkpoints = sorted(path.name for path in (killed / "checkpoints").iterdir())
    assert checkpoints == ["round_2", "round_4"]
    shutil.copytree(killed, copied)
    run = train(f"--resume={copied}")
    assert run.code == 0, run.err
    assert run.err.startswith("goes on after round 4\n")
    for name in ("metrics.csv", "clients.csv", "result.json"):
        assert (copied / name).read_bytes() == disk_run.read(name), name
    (killed / "clients.states").unlink()
    run = train(f"--resume={killed}")
    assert run.code == 2
    assert "Expected the saved state of client" in run.err
    assert len(run.err.splitlines()) == 1
    assert (killed / "checkpoints" / "round_4").is_dir()


def test_another_store_gives_the_same_files(disk_run, train, tmp_path):
    run = train(*_COHORTS, "--client_store=memory", directory=tmp_path / "run")
    assert run.code == 0, run.err
    for name in ("metrics.csv", "clients.csv"):
        assert run.read(name) == disk_run.read(name), name
    assert not (run.directory / "clients.states").exists()
