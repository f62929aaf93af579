"""How long a round takes, from what travelled.

A model of time is made from its options and bound to a run later; neither imports
TensorFlow. `COSTS` has all models by name.
"""

from typing import TYPE_CHECKING

from tff_gs import _lazy

if TYPE_CHECKING:
    from tff_gs.costs.cost import (
        Computing as Computing,
        Cost as Cost,
        Traffic as Traffic,
    )
    from tff_gs.costs.links import (
        LinkTime as LinkTime,
        Links as Links,
        draw_links as draw_links,
        read_links as read_links,
    )
    from tff_gs.costs.normalised import NormalisedTime as NormalisedTime
    from tff_gs.costs.registry import COSTS as COSTS
else:
    __getattr__, __dir__, __all__ = _lazy.exports(__name__)
