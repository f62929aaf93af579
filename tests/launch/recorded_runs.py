"""Directories of runs with numbers written by hand, as launch.train leaves them."""

import csv
import json

_FLAGS = {
    "task": "digits",
    "sparsifier": "fab_top_k",
    "controller": "fixed",
    "cost": "links",
    "batch_size": "32",
    "probe_examples": "8",
}
#: The round that `write` repeats; no probe, and no cohort.
ROUND = {
    "k": 10,
    "k_probe": 0,
    "uplink_bits": 4000,
    "uplink_bits_max": 1200,
    "downlink_bits": 1000,
    "probe_downlink_bits": 24,
    "report_bits": 256,
    "contributed_min": 2,
    "contributed_median": 3.0,
    "contributed_max": 4,
    "local_steps": 1,
    "training_loss": 2.25,
    "clients": 4,
    "refused_wrong_length": 0,
}


def write(
    path, *, accuracies=(0.25, None, 0.5, 0.75), rounds=(), flags=(), complete=True
):
    """Writes a run of a round for each accuracy; None: not evaluated.

    Args:
      path: Its directory.
      accuracies: Of the rounds.
      rounds: What each round has otherwise than `ROUND`, from the first one on.
      flags: Flags, beside or in place of the usual ones.
      complete: Whether there is a result.
    """
    path.mkdir(parents=True)
    rows = []
    for number, accuracy in enumerate(accuracies):
        own = rounds[number] if number < len(rounds) else {}
        tested = {
            "test_accuracy": "" if accuracy is None else accuracy,
            "test_loss": "" if accuracy is None else 1 - accuracy,
        }
        rows.append({"round": number + 1, **ROUND, **own, **tested})
    _write_csv(path / "metrics.csv", rows)
    clients = [
        {"client_id": n, "name": n, "examples": 9, "contributed": 4 * n}
        for n in range(4)
    ]
    _write_csv(path / "clients.csv", clients)
    found = {**_FLAGS, **dict(flags)}
    if found["controller"] == "fixed":
        found = {"k": "10", **found}
    lines = [f"--{name}={text}\n" for name, text in found.items()]
    (path / "flags.txt").write_text("".join(lines))
    shape = {"dimension": 1000, "clients": 4}
    (path / "about.json").write_text(json.dumps({**shape, "starts": []}))
    if complete:
        result = {**shape, "initial_bits": 32_000}
        (path / "result.json").write_text(json.dumps(result))
    return path


def _write_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def link(up, down=None, latency=0.1, compute=0.5):
    """The flags of a run over a link."""
    return {
        "cost": "links",
        "up_bits_per_second": str(up),
        "down_bits_per_second": str(up if down is None else down),
        "latency_seconds": str(latency),
        "compute_seconds": str(compute),
    }
