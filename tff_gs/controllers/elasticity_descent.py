"""Descent in log k by the elasticities of a round's time and progress."""

from __future__ import annotations

import math

from tff_gs.configuration import option
from tff_gs.controllers import amount, descent


class ElasticityDescent(descent.ElasticitySlope, descent.LogDescent):
    """Descent in log k, its slope bounded to what it can be.

    Our own rule, on the estimate of Han, Wang, Leung (ICDCS 2020, section IV). The
    time that k needs for a given progress is theta(k) over the progress of a round.
    Its derivative in log k is the difference of two elasticities: by how many percent
    one percent more entries prolongs a round, and by how many it furthers the loss,

        s_m = k [theta(k) - theta(k')] / [(k - k') theta(k)],
        e_m = [log (L0 - L1) - log (L0 - L1')] / [log k - log k'],

    if theta is affine in k, and progress a power of k. What s_m is, is known. e_m
    is noisy, but cannot be just anything: what is not sent stays in the residual and
    must be sent later, so in the long run more entries never further the loss
    less; and as the largest go first, progress grows no faster than k. Hence
    0 <= e <= 1, and the step, as `LogDescent` takes it, is along

        s_m - clip(e_m, 0, 1),

    with e_m = 1 if only k lowered the loss, and 0 if only k' did. Where an
    update overshoots, a smaller one lowers the loss more, round after round; a sign
    then leads down to ever smaller k, on which training is slow or diverges, while
    here such a round counts for no more than the time that a smaller k saves.

    The noise of e_m is that of the losses divided by log(k / k'), so probe_distance is
    larger than that of other descents.
    """

    k_initial: amount.Amount | None = option(
        default=None,
        help="the first k",
        default_text="the middle of k_min and k_max in log k",
    )
    probe_initial: float = option(
        default=0.5, help="the first k' relative to k", above=0, below=1
    )
    probe_distance: float = option(
        default=math.log(2.0),
        help="the least log(k / k')",
        at_least=0,
        default_text="log 2",
    )

    def _default_k_initial(self) -> int:
        return round(math.sqrt(self._least * self._largest))
