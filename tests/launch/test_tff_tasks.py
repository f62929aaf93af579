"""The tasks whose data TFF keeps, from a file on disk to a trained model."""

import io

import numpy as np
import pandas as pd
import pytest

from tasks import cifar100, emnist
from tests import tff_files

_SHORT = (
    "--rounds=2",
    "--batch_size=4",
    "--eval_every=1",
    "--controller=fixed",
    "--k=1000",
)


@pytest.mark.parametrize(
    ("task", "file_name", "splits", "arguments", "names", "examples", "dimension"),
    [
        (
            "emnist",
            emnist.FILE_NAME,
            tff_files.emnist_splits,
            ("--clients=3", "--min_examples=3"),
            ["f0001_41", "f0002_07", "f0003_11"],
            [5, 4, 3],
            444_062,
        ),
        pytest.param(
            "cifar100",
            cifar100.FILE_NAME,
            tff_files.cifar100_splits,
            ("--clients=3",),
            ["0", "1", "10"],
            [6, 6, 6],
            578_308,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_run_on_a_copy(
    task, file_name, splits, arguments, names, examples, dimension, train, tmp_path
):
    data_dir = tmp_path / "data"
    tff_files.write(data_dir / file_name, splits())
    run = train(
        f"--task={task}",
        f"--data_dir={data_dir}",
        *arguments,
        *_SHORT,
        directory=tmp_path / "run",
    )
    assert run.code == 0, run.err
    assert run.out.startswith(f"{task}: 2 rounds of 3 clients in ")
    assert f"D = {dimension:,}" in run.out
    # The program's own lines, and nothing of what TensorFlow and TFF say.
    assert all(line.startswith("round ") for line in run.err.splitlines())
    metrics = pd.read_csv(io.BytesIO(run.read("metrics.csv")))
    assert metrics["downlink_elements"].tolist() == [1000, 1000]
    losses = metrics[["training_loss", "test_loss", "test_accuracy"]]
    assert np.isfinite(losses.to_numpy()).all()
    assert metrics["test_loss"].nunique() == 2
    clients = pd.read_csv(io.BytesIO(run.read("clients.csv")), dtype={"name": str})
    assert clients["name"].tolist() == names
    assert clients["examples"].tolist() == examples


def test_no_network_and_no_copy(train, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    # A proxy that is not there: no request leaves the machine, with a network or not.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    run = train("--task=emnist", directory=tmp_path / "run")
    assert run.code == 2
    assert run.out == ""
    assert run.err.startswith(
        f"Expected emnist_all.sqlite in {tmp_path / '.tff'}, found none, and its "
        "download failed ("
    )
    assert len(run.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_directory_without_the_file(train, tmp_path):
    run = train("--task=cifar100", f"--data_dir={tmp_path}")
    assert run.code == 2
    assert run.err == f"Expected cifar100.sqlite in {tmp_path}, found none.\n"
