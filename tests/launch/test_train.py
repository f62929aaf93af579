"""The program as a whole; each of the long runs is made once, in conftest.py."""

import inspect
import json
import zlib

import numpy as np
import pandas as pd
import pytest
import tensorflow_federated as tff
from PIL import Image

import tasks
import tff_gs
from tests.launch import files_page
from tests.launch.conftest import SMALL
from tff_gs import programs
from tff_gs.costs.links import draw_links
from tff_gs.encoders import names as encoder_names

_FILES = {
    "metrics.csv",
    "timing.csv",
    "clients.csv",
    "flags.txt",
    "flags.json",
    "events",
    "summary.png",
    "checkpoints",
    "about.json",
}
_COMPLETE = {*_FILES, "result.json", "model"}


def _metrics(run):
    return pd.read_csv(run.directory / "metrics.csv")


def test_a_run_leaves_all_files(small_run):
    assert small_run.code == 0, small_run.err
    assert {path.name for path in small_run.directory.iterdir()} == _COMPLETE
    assert list((small_run.directory / "events").glob("events.out.tfevents.*"))
    with Image.open(small_run.directory / "summary.png") as image:
        image.verify()


def test_the_page_of_files_says_what_is_there(small_run, interrupted_run):
    assert files_page.files() == {*_COMPLETE, "clients.states"}
    for run, waits in ((small_run, True), (interrupted_run, False)):
        columns = files_page.metrics(waits=waits)
        files_page.check(run.directory / "metrics.csv", columns)
        for name in ("clients.csv", "timing.csv"):
            files_page.check(run.directory / name, files_page.tables(name)[0])
    result = json.loads(small_run.read("result.json"))
    assert files_page.keys("result.json") == list(result)


def test_the_papers_method_and_rule_probe(paper_run):
    run = paper_run
    assert run.code == 0, run.err
    columns = files_page.metrics(elects=False, waits=False)
    files_page.check(run.directory / "metrics.csv", columns)
    metrics = _metrics(run)
    assert (metrics["k_probe"] > 0).all()
    assert (metrics["probe_downlink_bits"] > 0).all()
    assert metrics["loss_probe"].notna().all()


def test_the_default_probes_nothing_and_shows_what_it_sees(small_run):
    metrics = _metrics(small_run)
    assert (metrics["k_probe"] == 0).all()
    assert (metrics["probe_downlink_bits"] == 0).all()
    # D = 13,706, beta = 10: sqrt(27 D) is below where communication takes as long.
    assert metrics["k"][0] == 608
    # 608 of 6 clients: at least 102 ranks.
    assert (metrics["ballot_ranks"] > metrics["k"] // 6).all()
    assert metrics["update_elasticity"].between(0, 1).all()
    assert metrics["k"].nunique() > 1


def test_metrics_have_a_row_a_round(small_run):
    metrics = _metrics(small_run)
    assert metrics["round"].tolist() == list(range(1, 8))
    assert (metrics["clients"] == 6).all()
    assert (metrics["time"].diff().dropna() > 0).all()
    np.testing.assert_allclose(metrics["time"], metrics["round_time"].cumsum())
    for column in metrics:
        if column.startswith("refused_"):
            assert (metrics[column] == 0).all()
    assert {f"refused_{name}" for name in encoder_names.ERRORS[1:]} <= set(metrics)


def test_every_third_round_and_the_last_are_evaluated(small_run):
    metrics = _metrics(small_run)
    evaluated = metrics.dropna(subset="test_accuracy")
    assert evaluated["round"].tolist() == [3, 6, 7]
    assert metrics["test_loss"].notna().sum() == 3
    assert evaluated["test_accuracy"].between(0, 1).all()


def test_clients_sum_up_what_they_contributed(small_run):
    clients = pd.read_csv(small_run.directory / "clients.csv")
    metrics = _metrics(small_run)
    assert clients["client_id"].tolist() == list(range(6))
    assert clients["name"].tolist() == [f"client_{number}" for number in range(6)]
    # Four of every five of 1,797 examples are for training, class by class.
    assert clients["examples"].sum() == 1442
    assert (clients["contributed"] >= metrics["contributed_min"].sum()).all()
    assert (clients["contributed"] <= metrics["contributed_max"].sum()).all()
    overlapping = metrics["overlap"] * metrics["downlink_elements"]
    assert clients["contributed"].sum() == round(overlapping.sum())


def test_the_model_loads_and_starts_another_run(small_run, train, tmp_path):
    model = tasks.TASKS["digits"]().build_model(0)
    test = tasks.TASKS["digits"]().load(seed=0).test
    like = tff.learning.models.ModelWeights(*model.initial_weights)
    path = small_run.directory / "model" / "weights.npz"
    weights = programs.load_model_weights(path, like)
    outputs = model.predict_on_batch(
        (weights.trainable, weights.non_trainable), test.features, training=False
    )
    found = np.mean(np.argmax(outputs, axis=-1) == test.labels)
    last = _metrics(small_run).iloc[-1]
    np.testing.assert_allclose(found, last["test_accuracy"])
    run = train(
        *SMALL, f"--init_from={small_run.directory}", directory=tmp_path / "next"
    )
    assert run.code == 0, run.err
    begun = _metrics(run)
    # It goes on from there: from the first round on the loss is that of a trained one.
    first = _metrics(small_run)["training_loss"].iloc[0]
    assert begun["training_loss"].iloc[0] < 0.95 * first
    result = json.loads(run.read("result.json"))
    assert result["initial_model"] == f"{zlib.crc32(path.read_bytes()):08x}"


def test_a_model_that_cannot_be_started_from(small_run, train, tmp_path):
    run = train(f"--init_from={tmp_path}", directory=tmp_path / "a")
    assert run.code == 2
    assert run.err == (
        "Expected the directory of a complete run as init_from, found "
        f"{tmp_path} without model/weights.npz.\n"
    )
    weights = tmp_path / "model" / "weights.npz"
    weights.parent.mkdir()
    np.savez(weights, trainable_0=np.zeros(3, np.float32))
    run = train(f"--init_from={tmp_path}", directory=tmp_path / "b")
    assert run.code == 2
    assert "tensors of the model's, found 1, or of other names" in run.err
    assert run.err.count("\n") == 1
    assert not (tmp_path / "b").exists()


def test_what_a_run_was_made_with(small_run):
    about = json.loads(small_run.read("about.json"))
    assert (about["dimension"], about["clients"]) == (13_706, 6)
    (start,) = about["starts"]
    assert start["command"].startswith("python -m launch.train --clients=6")
    assert start["tff_gs"] == tff_gs.__version__
    of_run = ["dimension", "clients", "starts"]
    assert [*of_run, *start] == files_page.keys("about.json")


def test_wall_clock_time_has_its_own_file(small_run):
    timing = pd.read_csv(small_run.directory / "timing.csv")
    assert list(timing) == [
        "round",
        "round_seconds",
        "evaluation_seconds",
        "encode_seconds",
        "decode_seconds",
    ]
    assert timing["round"].tolist() == list(range(1, 8))
    assert (timing["round_seconds"] > 0).all()


def test_the_flags_that_were_used_are_kept(small_run):
    flags = json.loads(small_run.read("flags.json"))
    assert flags["clients"] == "6"
    assert flags["learning_rate"] == "0.2"
    assert "output_dir" not in flags


def test_the_closing_lines_count_the_traffic(small_run):
    metrics = _metrics(small_run)
    assert small_run.out.startswith("digits: 7 rounds of 6 clients in ")
    assert f"{metrics['test_accuracy'].iloc[-1]:.2%}" in small_run.out
    assert f"{metrics['k'].iloc[-1]:,} in the last round" in small_run.out
    up = (metrics["uplink_bits"] + metrics["report_bits"]).sum() / 8
    assert f"sent up    {up / 1e3:.3g} kB, " in small_run.out
    assert str(small_run.directory) in small_run.out


def test_without_a_terminal_progress_is_one_line_an_evaluation(small_run):
    lines = small_run.err.splitlines()
    assert [line.partition("  ")[0] for line in lines] == [
        "round 3/7",
        "round 6/7",
        "round 7/7",
    ]


def test_one_seed_gives_identical_files(small_run, repeated_run):
    assert repeated_run.code == 0, repeated_run.err
    for name in ("metrics.csv", "clients.csv", "flags.txt", "flags.json"):
        assert small_run.read(name) == repeated_run.read(name), name


def test_another_seed_differs(small_run, interrupted_run):
    first = _metrics(small_run)["training_loss"].iloc[0]
    assert first != _metrics(interrupted_run)["training_loss"].iloc[0]


def test_ctrl_c_keeps_what_ran(interrupted_run):
    rounds = len(_metrics(interrupted_run))
    assert interrupted_run.code == 130, interrupted_run.err
    assert interrupted_run.err.splitlines()[-1] == (
        f"Interrupted after round {rounds}. Go on: python -m launch.train "
        f"--resume={interrupted_run.directory}"
    )
    checkpoints = (interrupted_run.directory / "checkpoints").iterdir()
    assert {path.name for path in checkpoints} >= {f"round_{rounds}"}
    assert rounds >= 5
    assert {path.name for path in interrupted_run.directory.iterdir()} == _FILES
    assert interrupted_run.out.startswith(f"digits: {rounds} rounds of 6 clients")


def test_a_fixed_k_stays_and_nothing_is_probed(interrupted_run):
    metrics = _metrics(interrupted_run)
    # A hundredth of 13,706 weights.
    assert (metrics["k"] == 137).all()
    assert (metrics["k_probe"] == 0).all()
    assert metrics["loss_probe"].isna().all()


def test_links_price_the_bits_that_were_counted(interrupted_run):
    metrics = _metrics(interrupted_run)
    # Equal links: a gradient, two uplinks, two downlinks, and the latency of each.
    links = inspect.signature(draw_links).parameters
    per_second = {
        name: links[f"{name}_bits_per_second"].default for name in ("up", "down")
    }
    expected = (
        links["compute_seconds"].default
        + 4 * links["latency_seconds"].default
        + metrics["uplink_bits_max"] / per_second["up"]
        + metrics["downlink_bits"] / per_second["down"]
    )
    assert links["spread"].default == 0
    np.testing.assert_allclose(metrics["round_time"], expected, rtol=1e-4)


def test_local_epochs_take_as_long_as_the_largest_client(train, tmp_path):
    run = train(
        "--clients=5",
        "--batch_size=64",
        "--rounds=1",
        "--local_epochs=2",
        "--controller=fixed",
        "--k=0.1",
        "--comm_time=0",
        directory=tmp_path / "run",
    )
    assert run.code == 0, run.err
    largest = pd.read_csv(run.directory / "clients.csv")["examples"].max()
    steps = -(-2 * largest // 64)
    assert _metrics(run)["local_steps"].tolist() == [steps]
    assert _metrics(run)["round_time"].tolist() == [steps]


def test_rounds_without_any_finite_work_stop_the_run(diverged_run):
    assert diverged_run.code == 1
    losses = _metrics(diverged_run)["training_loss"]
    last = len(losses)
    assert not np.isfinite(losses[-5:]).any()
    assert diverged_run.err.splitlines()[-1] == (
        f"In rounds {last - 4} to {last} the work of all clients was not finite, in "
        "the last one of 6 clients (0, 1, 2, 3, 4, 5), with learning_rate 1e+30: try a "
        "smaller one."
    )
    assert "Traceback" not in diverged_run.err
    assert last <= 7
    assert {path.name for path in diverged_run.directory.iterdir()} == _FILES


def test_results_are_left_alone(small_run, train):
    before = small_run.read("metrics.csv")
    run = train(directory=small_run.directory)
    assert run.code == 2
    assert run.err.startswith("Expected a new or empty directory as output_dir")
    assert len(run.err.splitlines()) == 1
    assert small_run.read("metrics.csv") == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--task=femnist"],
            "Expected --data_dir for --task=femnist, found none (the LEAF",
        ),
        (["--task=femnist", "--data_dir=/nowhere"], "/nowhere"),
        (
            ["--data_dir=/nowhere"],
            "its options (--clients, --partition), found --data_dir, an option of",
        ),
        (
            ["--partition=odd"],
            "Flag --partition=odd: expected one of by_class, iid, one_class",
        ),
        (
            ["--controller=fixed", "--k=20000"],
            "Expected k to be a count (int) in [1, 13706]",
        ),
        (["--client_optimizer=adam"], "found 1 local step and 'adam'"),
        (
            ["--local_epochs=2", "--local_steps=3"],
            "epochs, found 3 steps and 2 epochs.",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(arguments, sentence, train, tmp_path):
    directory = tmp_path / "run"
    run = train(*arguments, directory=directory)
    assert run.code == 2
    assert sentence in run.err
    assert len(run.err.splitlines()) == 1
    assert run.out == ""
    assert not directory.exists()
