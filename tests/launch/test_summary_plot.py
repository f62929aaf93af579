import numpy as np
import pandas as pd
import pytest
from PIL import Image

from launch import summary_plot
from tasks import ACCURACY, Metric


def _write(tmp_path, rounds, **columns):
    number = np.arange(1, rounds + 1)
    evaluated = number % 5 == 0
    metrics = {
        "round": number,
        "time": 2.5 * number,
        "k": 100 + number,
        "k_probe": 50 + number,
        "clients": np.full(rounds, 4),
        "training_loss": 1.0 / number,
        "test_accuracy": np.where(evaluated, 0.9, np.nan),
        "test_loss": np.where(evaluated, 0.3, np.nan),
    }
    pd.DataFrame({**metrics, **columns}).to_csv(tmp_path / "metrics.csv", index=False)
    clients = {"client_id": range(4), "contributed": [10, 400, 30, 30]}
    pd.DataFrame(clients).to_csv(tmp_path / "clients.csv", index=False)


@pytest.mark.parametrize(
    ("rounds", "columns"),
    [
        (60, {}),
        (1, {}),
        (3, {"k_probe": 0}),
        (30, {"training_loss": [1.0] * 28 + [np.inf, np.nan]}),
        (5, {"training_loss": np.nan, "test_loss": np.nan}),
    ],
)
@pytest.mark.parametrize("metric", [ACCURACY, Metric("accuracy", abs), None])
def test_a_picture_is_drawn(tmp_path, rounds, columns, metric):
    _write(tmp_path, rounds, **columns)
    path = tmp_path / "summary.png"
    summary_plot.draw(
        tmp_path / "metrics.csv",
        tmp_path / "clients.csv",
        path,
        summary_plot.Captions(
            title="a run",
            dimension=1000,
            time_label="time (s)",
            guaranteed=True,
            metric=metric,
            loss_label="nats",
        ),
    )
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[0] > 800
    assert pixels.shape[1] > 1200
    # Each of the four panels shows something.
    for half in np.array_split(pixels, 2):
        for panel in np.array_split(half, 2, axis=1):
            assert (panel != 255).any(axis=2).mean() > 0.01
