"""Options of all models of time, as flags give them; imports no TensorFlow."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class CostOptions:
    """What a model of time is built with; None leaves its own default.

    An option that the chosen model does not take is an error, but for those that
    describe the run: `batch_size`, `probe_examples` and `seed`.

    Attributes:
      comm_time: `normalised`: beta.
      price_probe_downlink: `normalised`: whether the probe's message is paid for.
      links_file: `links`: CSV of clients (`links.read_links`), in place of the
        other options of `links`.
      compute_seconds: `links`: (median) time of a minibatch gradient.
      up_bits_per_second: `links`: (median) uplink bandwidth.
      down_bits_per_second: `links`: (median) downlink bandwidth.
      latency_seconds: `links`: (median) delay of a message.
      spread: `links`: standard deviation of the logarithms over clients.
      batch_size: Examples of a minibatch.
      probe_examples: Examples that a probe evaluates per client.
      seed: The run's seed, for drawing links.
    """

    comm_time: float | None = None
    price_probe_downlink: bool | None = None
    links_file: str | None = None
    compute_seconds: float | None = None
    up_bits_per_second: float | None = None
    down_bits_per_second: float | None = None
    latency_seconds: float | None = None
    spread: float | None = None
    batch_size: int | None = None
    probe_examples: int | None = None
    seed: int | None = None

    def given(self) -> dict[str, Any]:
        """The options that are not None."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in fields.items() if value is not None}
