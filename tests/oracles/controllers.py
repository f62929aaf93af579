"""Plain transcriptions of the rules for k, one number at a time."""

import math


def round_up_if(value, uniform):
    """Floor of `value`, or the next integer where `uniform` is below its fraction."""
    return math.floor(value) + (uniform < value - math.floor(value))


class Additive:
    """Steps of sign and value descent: k - delta slope, delta = B / sqrt(2 m)."""

    def __init__(self, by_value=False):
        self.by_value = by_value

    def delta(self, m, k_min, k_max):
        return (k_max - k_min) / math.sqrt(2 * m)

    def slope(self, tau, tau_probe, k, k_probe):
        if self.by_value:
            return (tau - tau_probe) / (k - k_probe)
        return float(tau > tau_probe) - float(tau < tau_probe)

    def move(self, k, step):
        return k + step

    def probe(self, k, delta, slope):
        return k - delta * (abs(slope) if self.by_value else 1) / 2


class Logarithmic(Additive):
    """Steps of the log-scale rule."""

    def __init__(self, scale=0.25, floor=0.0, probe_scale=0.5, distance=0.0):
        super().__init__()
        self.scale, self.floor = scale, floor
        self.probe_scale, self.distance = probe_scale, distance

    def delta(self, m, k_min, k_max):
        first = self.scale * math.log(k_max / k_min)
        return max(first / math.sqrt(m), self.floor)

    def move(self, k, step):
        return k * math.exp(step)

    def probe(self, k, delta, slope):
        return k * math.exp(-max(self.probe_scale * delta, self.distance))


class Elastic(Logarithmic):
    """Log-scale steps by the difference of bounded elasticities.

    Instead of tau, a step holds (theta, theta', decrease, decrease of the probe).
    """

    def __init__(self):
        super().__init__(distance=math.log(2))

    def slope(self, tau, tau_probe, k, k_probe):
        time, time_probe, decrease, decrease_probe = tau
        apart = math.log(k / k_probe)
        if decrease_probe <= 0:
            progress = 1.0
        elif decrease <= 0:
            progress = 0.0
        else:
            progress = math.log(decrease / decrease_probe) / apart
        share = k * (time - time_probe) / ((k - k_probe) * time)
        return share - min(max(progress, 0.0), 1.0)


def descend(
    rule,
    k_min,
    k_max,
    k,
    k_probe,
    steps,
    *,
    alpha=None,
    window=20,
    patience=10,
    probe_floor=0.1,
):
    """Yields (k, k', k_min, k_max) after each of `steps`.

    A step is (tau, tau' or NaN, uniform for k, uniform for k'). Without `alpha` the
    interval stays.
    """
    first_min, first_max = k_min, k_max
    m = undefined = last = 0
    slope = 0.0
    seen = []
    for tau, tau_probe, u, u_probe in steps:
        m += 1
        delta = rule.delta(m, k_min, k_max)
        defined = not math.isnan(tau_probe)
        if defined:
            undefined = 0
            slope = rule.slope(tau, tau_probe, k, k_probe)
            target = rule.move(k, -delta * slope)
        else:
            undefined += 1
            target = k
            if undefined > patience:
                target = rule.move(k, delta)
                undefined = 0
        k = round_up_if(min(max(target, k_min), k_max), u)
        k_probe = max(rule.probe(k, delta, slope), math.ceil(probe_floor * k_min))
        k_probe = min(round_up_if(k_probe, u_probe), k - 1)
        if first_min == first_max:
            k_probe = 0
        if alpha is not None and defined:
            seen.append(k)
            if len(seen) == window:
                low = max(round(min(seen) / alpha), first_min)
                high = min(round(max(seen) * alpha), first_max)
                seen = []
                shorter = high - low <= (math.sqrt(2) - 1) * (k_max - k_min)
                if high > low and shorter and m >= last:
                    k_min, k_max, last, m = low, high, m, 0
        yield k, k_probe, k_min, k_max


def exp3(num_arms, gamma, choices, rewards):
    """Yields the probabilities before each choice, and those after the last."""
    weights = [1.0] * num_arms

    def probabilities():
        total = sum(weights)
        return [(1 - gamma) * w / total + gamma / num_arms for w in weights]

    for arm, reward in zip(choices, rewards, strict=True):
        p = probabilities()
        yield p
        weights[arm] *= math.exp(gamma * reward / (num_arms * p[arm]))
    yield probabilities()


class Waiting:
    """The rule that reads the update, with uniforms and shares that are given."""

    def __init__(self, k_min, k_max, first):
        self.low, self.high = math.log(k_min), math.log(k_max)
        self.k, self.x = first, math.log(first)
        self.scale, self.early, self.memory, self.gain = 8, 20, 0.8, 0.25
        self.e = self.w = None
        self.rounds, self.last = 0, {}

    def update(self, update, share, uniform):
        """One round: pairs (j, b_j) in their order, and k theta'(k) / theta(k)."""
        self.rounds += 1
        m = self.rounds
        waits = [m - self.last.get(j, 0) for j, _ in update]
        self.last.update((j, m) for j, _ in update)
        worth = [b * b / t for (_, b), t in zip(update, waits, strict=True)]
        half = len(update) // 2
        if half >= 1 and sum(worth[:half]) > 0:
            e = math.log(sum(worth) / sum(worth[:half])) / math.log(len(update) / half)
            e = min(max(e, 0.0), 1.0)
            sizes = [abs(b) for _, b in update]
            w = sum(t * b for t, b in zip(waits, sizes, strict=True)) / sum(sizes)
            w *= max(1.0, self.early / m)
            kept = self.memory if self.e is not None else 0.0
            self.e = kept * (self.e or 0.0) + (1 - kept) * e
            self.w = kept * (self.w or 0.0) + (1 - kept) * w
        if self.e is not None:
            slope = share - self.e * self.w**2 / (self.w**2 + self.scale**2)
            self.x -= max(self.gain, m**-0.5) * slope
            self.x = min(max(self.x, self.low), self.high)
        self.k = round_up_if(math.exp(self.x), uniform)
