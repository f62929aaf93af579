"""The replay of a recorded sequence of k."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from typing_extensions import override

from tff_gs import _checks, _csv_rows, configuration
from tff_gs._tensorflow import tf
from tff_gs.configuration import option
from tff_gs.controllers import amount, controller


class ReplayState(NamedTuple):
    """State of `Replay`.

    Attributes:
      round: int32 scalar, the coming round, counted from 0.
    """

    round: tf.Tensor


class Replay(controller.Controller):
    """The k of an earlier run, round by round; nothing is probed.

    Han, Wang, Leung (ICDCS 2020, section V) so run the sequence learned at one
    communication time under another. A round beyond the recording is an error.
    """

    sequence: tuple[int, ...] = option(help="the k of each round, counts")

    def __post_init__(self) -> None:
        """Checks the recording."""
        super().__post_init__()
        _checks.require(
            len(self.sequence) > 0, "a recording of at least one k", self.sequence
        )

    def _prepare(self) -> None:
        if self._rounds is not None:
            _checks.require(
                len(self.sequence) >= self._rounds,
                f"a recording of at least the run's {self._rounds} rounds",
                len(self.sequence),
            )
        self._set(
            _ks=[
                amount.to_count(k, self.dimension, f"k of recorded round {m}")
                for m, k in enumerate(self.sequence)
            ]
        )

    @property
    @override
    def needs(self) -> frozenset[str]:
        return frozenset()

    @property
    @override
    def largest_k(self) -> int:
        return max(self._ks)

    @override
    def initialize(self) -> ReplayState:
        return ReplayState(tf.constant(0, tf.int32))

    @override
    def decide(self, state: ReplayState) -> controller.Decision:
        """Plays the k of the recording.

        Raises:
          tf.errors.InvalidArgumentError: If the recording has no such round.
        """
        recorded = tf.debugging.assert_less(
            state.round,
            len(self._ks),
            f"Expected a round of the recording of {len(self._ks)}, found a later one.",
        )
        with tf.control_dependencies([] if recorded is None else [recorded]):
            k = tf.gather(tf.constant(self._ks, tf.int32), state.round)
        return controller.Decision(k, tf.constant(0, tf.int32))

    @override
    def update(
        self, state: ReplayState, feedback: controller.Feedback, seed: tf.Tensor
    ) -> ReplayState:
        del feedback, seed
        return ReplayState(state.round + 1)


class ReplayFile(configuration.Configuration):
    """The column k of an earlier run's CSV.

    Bound, it is a `Replay` of what the file holds then.
    """

    replay_file: str = option(
        help="a CSV file with a column k, such as an earlier run's metrics.csv",
        is_path=True,
    )

    def bind(self, dimension: int, **known: Any) -> Replay:
        """Reads the file; see `Controller.bind`.

        Raises:
          ValueError: As `read_sequence`, and as `Replay` does.
        """
        recording = Replay(sequence=tuple(read_sequence(self.replay_file)))
        return recording.bind(dimension, **known)


def read_sequence(path: str | os.PathLike[str]) -> list[int]:
    """Reads the column `k` of a CSV file, such as the metrics of a run.

    Raises:
      ValueError: If the file is missing or no CSV text, has no column `k` or no
        rows, or a k is not an integer of at least 1.
    """
    rows = _csv_rows.read(path, ["k"])
    _checks.require(len(rows) > 0, f"at least one row in {path}", len(rows))
    return [_parse_count(row) for row in rows]


def _parse_count(row: _csv_rows.Row) -> int:
    # pandas writes integers with missing neighbours as floats: 1000.0.
    value = _csv_rows.number(row.cells["k"])
    if not (value >= 1 and value.is_integer()):
        raise ValueError(
            f"Expected k to be an integer of at least 1 in {row.place}, found "
            f"{row.cells['k']!r}."
        )
    return int(value)
