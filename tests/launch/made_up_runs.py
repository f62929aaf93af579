"""Complete runs with numbers written by hand, as launch.train leaves them."""

import json

import pandas as pd

from launch import flags, targets
from launch.comparison import plan, preset
from tasks import ACCURACY, LOSS


def metrics(times, losses, accuracies=None, **columns):
    """metrics.csv of a round for each time; None: not evaluated."""
    count = len(times)
    if accuracies is None:
        accuracies = [None if loss is None else 0.1 for loss in losses]
    default = {
        "k": 100,
        "clients": 4,
        "uplink_bits": 800,
        "report_bits": 0,
        "downlink_bits": 1600,
        "probe_downlink_bits": 0,
    }
    return pd.DataFrame(
        {
            "round": range(1, count + 1),
            "time": times,
            **default,
            "test_accuracy": pd.Series(accuracies, dtype=float),
            "test_loss": pd.Series(losses, dtype=float),
            **columns,
        }
    )


def leave(run, table, contributed=(10, 20, 30, 40), bits=32_000, **result):
    """Writes what the run would leave, with a first download of `bits` a client."""
    run.directory.mkdir(parents=True)
    table.to_csv(run.directory / "metrics.csv", index=False)
    clients = {"client_id": range(len(contributed)), "contributed": contributed}
    pd.DataFrame(clients).to_csv(run.directory / "clients.csv", index=False)
    last = table.iloc[-1]
    content = {
        "flags": dict(run.completed),
        "dimension": 1000,
        "clients": len(contributed),
        "initial_bits": bits,
        "rounds": len(table),
        "time": float(last["time"]),
        "test_accuracy": float(last["test_accuracy"]),
        "test_loss": float(last["test_loss"]),
        **result,
    }
    (run.directory / "result.json").write_text(json.dumps(content))


def wanted(*, loss=None, accuracy=None):
    """The targets that are given."""
    bounds = {LOSS: loss, ACCURACY: accuracy}
    return tuple(
        targets.Target(measure, bound)
        for measure, bound in bounds.items()
        if bound is not None
    )


def method(name, *arguments, **fields):
    fields = {"label": name, **fields}
    return preset.Method(name=name, flags=flags.given(arguments), **fields)


def make_preset(*methods, **fields):
    fields = {"source": "test", "name": "test", "title": "A test", **fields}
    return preset.Preset(methods=methods, **fields)


def make_runs(comparison, *methods, seeds=(0,), **fields):
    return plan.make(make_preset(*methods, seeds=seeds, **fields), comparison)


def cells(row):
    """The cells of a row of a Markdown table."""
    return [cell.strip() for cell in row.strip("|").split(" | ")]
