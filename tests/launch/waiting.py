"""Waiting for a run to come so far."""

import time

# Far beyond what it takes, so that a hanging run fails.
_SECONDS = 600


def for_rows(process, directory, rows):
    """Until metrics.csv has so many rounds, or the program has ended."""
    metrics = directory / "metrics.csv"
    deadline = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if metrics.exists() and metrics.read_text().count("\n") > rows:
            return
        time.sleep(0.02)
