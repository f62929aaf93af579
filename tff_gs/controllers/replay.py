"""The replay of a recorded sequence of k."""

import csv
import os
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tff_gs import checks
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

    def __init__(
        self, dimension: int, *, sequence: Sequence[int], rounds: int | None = None
    ) -> None:
        """Builds the rule.

        Args:
          dimension: D, the number of weights.
          sequence: The k of each round, counts in [1, D].
          rounds: How many rounds the run will have, where that is known.

        Raises:
          ValueError: If the sequence is empty or shorter than `rounds`, or a k is
            not a count in [1, D].
        """
        checks.require(len(sequence) > 0, "a recording of at least one k", sequence)
        if rounds is not None:
            checks.require(
                len(sequence) >= rounds,
                f"a recording of at least the run's {rounds} rounds",
                len(sequence),
            )
        self._ks = [
            amount.to_count(k, dimension, f"k of recorded round {m}")
            for m, k in enumerate(sequence)
        ]

    @property
    def probes(self) -> bool:
        """See base class."""
        return False

    @property
    def needs(self) -> frozenset[str]:
        """See base class."""
        return frozenset()

    def initialize(self) -> ReplayState:
        """See base class."""
        return ReplayState(tf.constant(0, tf.int32))

    def decide(self, state: ReplayState) -> controller.Decision:
        """See base class.

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

    def update(
        self, state: ReplayState, feedback: controller.Feedback, seed: tf.Tensor
    ) -> ReplayState:
        """See base class."""
        del feedback, seed
        return ReplayState(state.round + 1)


def read_sequence(path: str | os.PathLike[str]) -> list[int]:
    """Reads the column `k` of a CSV file, such as the metrics of a run.

    Raises:
      ValueError: If the file is missing or no CSV text, has no column `k` or no
        rows, or a k is not an integer of at least 1.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            checks.require("k" in columns, f"a column 'k' in {path}", list(columns))
            cells = [(reader.line_num, row["k"]) for row in reader]
    except OSError as error:
        raise ValueError(
            f"Expected a CSV file with a column 'k' at {path}, found: {error.strerror}."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"Expected CSV text in {path}, found: {error}.") from error
    checks.require(len(cells) > 0, f"at least one row in {path}", len(cells))
    return [_parse_count(cell, f"line {line} of {path}") for line, cell in cells]


def _parse_count(cell: str | None, where: str) -> int:
    try:
        # pandas writes integers with missing neighbours as floats: 1000.0.
        value = float(cell) if cell is not None else float("nan")
    except ValueError:
        value = float("nan")
    if not (value >= 1 and value.is_integer()):
        raise ValueError(
            f"Expected k to be an integer of at least 1 in {where}, found {cell!r}."
        )
    return int(value)
