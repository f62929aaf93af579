"""Sign descent on k, with a shrinking or a fixed interval."""

from __future__ import annotations

from tff_gs.controllers import descent, interval


class FixedIntervalSignDescent(descent.SignSlope, descent.AdditiveDescent):
    """Sign descent with a fixed interval (the paper's Algorithm 2).

    Online learning of k by the sign of an estimated derivative: Han, Wang, Leung,
    "Adaptive Gradient Sparsification for Efficient Federated Learning: An Online
    Learning Approach", ICDCS 2020, section IV. With
    s = sign((tau - tau') / (k_m - k'_m)) and B = k_max - k_min,

        delta_m = B / sqrt(2 m),
        k_(m+1) = clip(k_m - delta_m s),   k'_(m+1) = k_(m+1) - delta_m / 2.

    Where the paper leaves a choice, the rule is the one that the authors' own
    trajectories show: m counts every round since the last adoption, also those
    whose sign was undefined; k' is recomputed in every round, from the rounded k
    and with the step of that round. Defaults are the paper's; that of `k_initial` is
    our own.
    """


class SignDescent(interval.ShrinkingInterval, FixedIntervalSignDescent):
    """Sign descent with the shrinking interval (the paper's Algorithm 3).

    As `FixedIntervalSignDescent`, but k_min and k_max move (`Shrinking`). As
    in the authors' trajectories, only updates with a defined sign fill the window, and
    an adopted interval takes effect in the next round.
    """
