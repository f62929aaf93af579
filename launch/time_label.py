"""What the time of a run is, with its unit, by the model of time."""

from collections.abc import Mapping

TIME_LABELS: Mapping[str, str] = {
    "normalised": "normalised time (1 is a round of computing)",
    "links": "time (seconds)",
}
