"""How long a round takes, from what travelled.

Importing this package imports no TensorFlow: the names `COSTS` and `CostOptions` are
for flags, `build_cost` builds a model of time by its name.
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
        Links as Links,
        LinkTime as LinkTime,
        draw_links as draw_links,
        read_links as read_links,
    )
    from tff_gs.costs.names import COSTS as COSTS
    from tff_gs.costs.normalised import NormalisedTime as NormalisedTime
    from tff_gs.costs.options import CostOptions as CostOptions
    from tff_gs.costs.registry import build_cost as build_cost
else:
    __getattr__, __dir__, __all__ = _lazy.exports(__name__)
