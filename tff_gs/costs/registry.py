"""The models of time by name; imports no TensorFlow."""

from tff_gs.costs import links, normalised
from tff_gs.costs.cost import Cost
from tff_gs.registry import Registry

#: From a model's name to its class, which says its options and its line of help.
COSTS: Registry[Cost] = Registry(
    "cost", Cost, {"normalised": normalised.NormalisedTime, "links": links.LinkTime}
)
