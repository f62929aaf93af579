"""Sign descent in the logarithm of k."""

import tensorflow as tf

from tff_gs.controllers import amount, controller, descent, log_descent, losses


class LogSignDescent(log_descent.LogDescent):
    """The estimated sign of Han, Wang, Leung (ICDCS 2020), steps taken in log k."""

    def __init__(
        self,
        dimension: int,
        *,
        k_min: amount.Amount = 0.002,
        k_max: amount.Amount = 1.0,
        k_initial: amount.Amount | None = None,
        step_scale: float = 0.25,
        step_floor: float = 0.0,
        probe_scale: float = 0.5,
        probe_distance: float = 0.0,
        patience: int = 10,
        probe_initial: float = 0.9,
        probe_floor: float = 0.1,
    ) -> None:
        """Builds the rule.

        Args:
          dimension: D, the number of weights.
          k_min: The least k; a count (int) or a fraction of D (float).
          k_max: The largest k, likewise.
          k_initial: k_1, likewise, in [k_min, k_max]; where None, D / 10 moved into
            the interval.
          step_scale: delta_1 as a fraction of log(k_max / k_min).
          step_floor: The least delta_m; above 0 the rule never settles, and so can
            follow an optimum that moves. A factor of 1.1 is log(1.1) = 0.095.
          probe_scale: log(k / k') in steps.
          probe_distance: The least log(k / k'); above 0 it keeps k' so far from k
            that the losses' noise does not hide their difference.
          patience: Rounds in a row without a defined sign for which k stays.
          probe_initial: k'_1 / k_1, in (0, 1).
          probe_floor: The least k' in units of k_min, in [0, 1).

        Raises:
          ValueError: If an argument is outside its range or k_min above k_max.
        """
        super().__init__(
            dimension,
            k_min=k_min,
            k_max=k_max,
            k_initial=k_initial,
            step_scale=step_scale,
            step_floor=step_floor,
            probe_scale=probe_scale,
            probe_distance=probe_distance,
            patience=patience,
            probe_initial=probe_initial,
            probe_floor=probe_floor,
        )

    def _slope(
        self, state: descent.DescentState, feedback: controller.Feedback
    ) -> tf.Tensor:
        del state  # k' < k wherever tau' is defined
        costs = losses.estimate_costs(feedback)
        return tf.sign(costs.cost - costs.cost_probe)
