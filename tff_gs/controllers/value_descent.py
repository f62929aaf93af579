"""Value-based descent on k."""

from __future__ import annotations

from tff_gs.controllers import descent


class ValueDescent(descent.ValueSlope, descent.AdditiveDescent):
    """Descent by the value of the estimated derivative.

    Online gradient descent on k, which Han, Wang, Leung (ICDCS 2020, section V) compare
    their sign descent with; the descent is Zinkevich's ("Online Convex Programming and
    Generalized Infinitesimal Gradient Ascent", ICML 2003). With
    g = (tau - tau') / (k_m - k'_m) and B = k_max - k_min,

        delta_m = B / sqrt(2 m),
        k_(m+1) = clip(k_m - delta_m g),   k'_(m+1) = k_(m+1) - delta_m |g| / 2,

    where an undefined round keeps the g before it. As in the authors' trajectories,
    m counts every round and k' is at most k - 1.
    """
