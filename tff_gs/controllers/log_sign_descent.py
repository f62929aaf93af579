"""Sign descent in the logarithm of k."""

from __future__ import annotations

from tff_gs.controllers import descent


class LogSignDescent(descent.SignSlope, descent.LogDescent):
    """Sign descent with steps in log k.

    The estimated sign is that of Han, Wang, Leung (ICDCS 2020), section IV.
    """
