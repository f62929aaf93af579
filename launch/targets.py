"""What a run may be made to reach: a test loss, or a metric of its task."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tasks import Metric


@dataclasses.dataclass(frozen=True)
class Target:
    """A bound on a result of the evaluations.

    Attributes:
      measure: What is bounded.
      bound: The largest value that will do; the least, if larger ones are better.
    """

    measure: Metric
    bound: float

    def __str__(self) -> str:
        than = "least" if self.measure.larger_is_better else "most"
        return f"a test {self.measure.name} of at {than} {self.bound:g}"

    def is_reached(self, values: Mapping[str, Any]) -> Any:
        """Whether an evaluation's values, by column, will do.

        Args:
          values: Evaluated rows of metrics.csv: one row, or a table of them.

        Returns:
          A bool for a row, a series of them for a table.
        """
        value = values[self.measure.column]
        if self.measure.larger_is_better:
            return value >= self.bound
        return value <= self.bound


def first_reached(
    targets: Sequence[Target], rows: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The first evaluated row of metrics.csv that reaches all targets, if any."""
    for row in rows:
        if row["test_loss"] != "" and all(t.is_reached(row) for t in targets):
            return row
    return None
