"""What a run may be made to reach: a test loss or a test accuracy."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

_WORDS = {
    "test_loss": "a test loss of at most",
    "test_accuracy": "a test accuracy of at least",
}


@dataclasses.dataclass(frozen=True)
class Target:
    """A bound on a result of the evaluations.

    Attributes:
      column: The column of metrics.csv, `test_loss` or `test_accuracy`.
      bound: The largest loss, or the least accuracy, that will do.
    """

    column: str
    bound: float

    def __str__(self) -> str:
        return f"{_WORDS[self.column]} {self.bound:g}"

    def is_reached(self, values: Mapping[str, Any]) -> Any:
        """Whether an evaluation's values, by column, will do.

        Args:
          values: Evaluated rows of metrics.csv: one row, or a table of them.

        Returns:
          A bool for a row, a series of them for a table.
        """
        value = values[self.column]
        if self.column == "test_loss":
            return value <= self.bound
        return value >= self.bound


def wanted(*, loss: float | None, accuracy: float | None) -> tuple[Target, ...]:
    """The targets that are given."""
    bounds = {"test_loss": loss, "test_accuracy": accuracy}
    return tuple(Target(c, bound) for c, bound in bounds.items() if bound is not None)


def first_reached(
    targets: Sequence[Target], rows: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The first evaluated row of metrics.csv that reaches all targets, if any."""
    for row in rows:
        if row["test_loss"] != "" and all(t.is_reached(row) for t in targets):
            return row
    return None
