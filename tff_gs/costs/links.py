"""Time in seconds, from measured bits and each client's link."""

from __future__ import annotations

import dataclasses
import math
import os

import numpy as np
from typing_extensions import override

from tff_gs import _checks, _csv_rows
from tff_gs._tensorflow import tf
from tff_gs.configuration import option
from tff_gs.costs import cost


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Links:
    """The links of N clients; float64 [N] each, row i being client i.

    Attributes:
      compute_seconds: Time of a minibatch gradient, at least 0.
      up_bits_per_second: Uplink bandwidth, above 0.
      down_bits_per_second: Downlink bandwidth, above 0.
      latency_seconds: Delay of a message in either direction, at least 0.
    """

    compute_seconds: np.ndarray
    up_bits_per_second: np.ndarray
    down_bits_per_second: np.ndarray
    latency_seconds: np.ndarray

    def __post_init__(self) -> None:
        shapes = {np.shape(getattr(self, name)) for name in _COLUMNS}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1 or shapes == {(0,)}:
            raise ValueError(
                "Expected links to be vectors of one length, at least 1, found shapes "
                f"{[np.shape(getattr(self, name)) for name in _COLUMNS]}."
            )
        for name, check in _COLUMNS.items():
            for client, value in enumerate(getattr(self, name).tolist()):
                check(value, f"{name} of client {client}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Links) and self._rows() == other._rows()

    def __hash__(self) -> int:
        return hash(self._rows())

    def _rows(self) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(getattr(self, name).tolist()) for name in _COLUMNS)


_COLUMNS = {
    "compute_seconds": _checks.require_non_negative,
    "up_bits_per_second": _checks.require_positive,
    "down_bits_per_second": _checks.require_positive,
    "latency_seconds": _checks.require_non_negative,
}


_MEDIANS = {
    "compute_seconds": 1.0,
    "up_bits_per_second": 1e6,
    "down_bits_per_second": 1e7,
    "latency_seconds": 0.05,
}


def draw_links(
    num_clients: int,
    *,
    compute_seconds: float = _MEDIANS["compute_seconds"],
    up_bits_per_second: float = _MEDIANS["up_bits_per_second"],
    down_bits_per_second: float = _MEDIANS["down_bits_per_second"],
    latency_seconds: float = _MEDIANS["latency_seconds"],
    spread: float = 0.0,
    seed: int = 0,
) -> Links:
    """Links around given medians, equal or lognormal.

    Args:
      num_clients: N.
      compute_seconds: Median time of a minibatch gradient.
      up_bits_per_second: Median uplink bandwidth.
      down_bits_per_second: Median downlink bandwidth.
      latency_seconds: Median delay of a message in either direction.
      spread: Standard deviation of the logarithms, drawn independently for each
        client and column; 0: all clients are equal.
      seed: Fixes the draw; client i's link does not depend on N.

    Raises:
      ValueError: If an argument is outside its range.
    """
    _checks.require_positive(num_clients, "num_clients")
    _checks.require_non_negative(spread, "spread")
    medians = np.array(
        [compute_seconds, up_bits_per_second, down_bits_per_second, latency_seconds],
        np.float64,
    )
    for (name, check), median in zip(_COLUMNS.items(), medians.tolist(), strict=True):
        check(median, name)
    normals = np.random.Generator(np.random.PCG64(seed)).standard_normal(
        (num_clients, len(_COLUMNS))
    )
    table = medians * np.exp(spread * normals)
    return Links(**dict(zip(_COLUMNS, table.T, strict=True)))


def read_links(path: str | os.PathLike[str], num_clients: int) -> Links:
    """Reads the links of clients 0 to `num_clients` - 1 from a CSV file.

    The file has a header with the columns `compute_seconds`, `up_bits_per_second`,
    `down_bits_per_second`, `latency_seconds`, and one row for each client, in the
    clients' order; other columns and rows beyond the last client are ignored.

    Raises:
      ValueError: If the file is missing or no CSV text, lacks a column or a
        client, or a value is not a number or outside its range.
    """
    _checks.require_positive(num_clients, "num_clients")
    rows = _csv_rows.read(path, list(_COLUMNS))
    if len(rows) < num_clients:
        raise ValueError(
            f"Expected links of {num_clients} clients in {path}, found {len(rows)}."
        )
    return Links(
        **{
            name: np.array(
                [_parse(row, name) for row in rows[:num_clients]], np.float64
            )
            for name in _COLUMNS
        }
    )


def _parse(row: _csv_rows.Row, name: str) -> float:
    value = _csv_rows.number(row.cells[name])
    if math.isnan(value):
        raise ValueError(
            f"Expected {name} to be a number in {row.place}, found {row.cells[name]!r}."
        )
    _COLUMNS[name](value, f"{name} in {row.place}")
    return value


class LinkTime(cost.Cost):
    """Seconds, from measured bits and each client's bandwidth and latency.

    A synchronous round lasts as long as its slowest client. A client computes, sends
    its message and receives the server's:

        compute (tau + probe_examples / batch_size if probed), tau its local steps,
        + trips latency + uplink bits / up bandwidth
        + trips latency + (downlink bits + probe's downlink bits) / down bandwidth,

    with one trip, or two if the coordinates are elected before values travel, and
    before that, if it has to be brought up to date,

        latency + catch-up bits / down bandwidth.

    The bits are those of `Traffic`, headers included; scalars such as k and the
    probe losses travel free, and so does the server's own computing.
    """

    time_label = "time (seconds)"

    links: Links | None = option(
        default=None, help="the clients' links, if they are known", has_flag=False
    )
    links_file: str | None = option(
        default=None,
        help="a CSV file with a row for each client, in place of the options below",
        is_path=True,
    )
    compute_seconds: float = option(
        default=_MEDIANS["compute_seconds"],
        help="median time of a minibatch gradient, in seconds",
        at_least=0,
    )
    up_bits_per_second: float = option(
        default=_MEDIANS["up_bits_per_second"], help="median uplink bandwidth", above=0
    )
    down_bits_per_second: float = option(
        default=_MEDIANS["down_bits_per_second"],
        help="median downlink bandwidth",
        above=0,
    )
    latency_seconds: float = option(
        default=_MEDIANS["latency_seconds"],
        help="median delay of a message, in seconds",
        at_least=0,
    )
    spread: float = option(
        default=0.0,
        help="standard deviation of the logarithms over clients",
        at_least=0,
    )

    def __post_init__(self) -> None:
        """Checks that links come from one place."""
        super().__post_init__()
        known = {"links": self.links, "links_file": self.links_file}
        places = [name for name, value in known.items() if value is not None]
        usual = {**_MEDIANS, "spread": 0.0}
        drawn = [name for name, value in self._drawn().items() if value != usual[name]]
        places += [", ".join(drawn)] if drawn else []
        if len(places) > 1:
            raise ValueError(f"Expected either {' or '.join(places)}, found both.")

    def _prepare(self) -> None:
        links = self.links
        if links is None:
            if self.num_clients is None:
                raise ValueError(
                    "Expected links, or num_clients when LinkTime is bound, found "
                    "neither."
                )
            if self.links_file is not None:
                links = read_links(self.links_file, self.num_clients)
            else:
                links = draw_links(self.num_clients, seed=self.seed, **self._drawn())
        self._set(_links=links)

    def _drawn(self) -> dict[str, float]:
        """What links are drawn by."""
        return {name: getattr(self, name) for name in (*_COLUMNS, "spread")}

    @override
    def round_time(self, traffic: cost.Traffic) -> tf.Tensor:
        """In seconds."""

        def of_clients(column: np.ndarray) -> tf.Tensor:
            return tf.gather(tf.constant(column, tf.float64), traffic.client_ids)

        compute = of_clients(self._links.compute_seconds)
        compute *= self.computing.factor(traffic)
        up = traffic.uplink_bits / of_clients(self._links.up_bits_per_second)
        catch_up = tf.cast(traffic.catch_up_bits, tf.float64)
        down_bits = traffic.downlink_bits + traffic.probe_downlink_bits + catch_up
        down = down_bits / of_clients(self._links.down_bits_per_second)
        messages = 2.0 * traffic.trips + tf.cast(catch_up > 0.0, tf.float64)
        latency = messages * of_clients(self._links.latency_seconds)
        # Without clients the maximum is -inf, and nothing took any time.
        return tf.maximum(tf.reduce_max(compute + up + down + latency), 0.0)
