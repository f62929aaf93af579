"""Seven clients of unlike sizes, and gradients for them."""

import numpy as np

DIMENSION = 40
SIZES = [3, 250, 17, 40, 40, 1, 128]


def draw_gradients(seed, rounds):
    """float32 [rounds, clients, D], of coordinates whose scales differ."""
    rng = np.random.default_rng(seed)
    scale = rng.lognormal(sigma=1.5, size=DIMENSION)
    shape = (rounds, len(SIZES), DIMENSION)
    return (rng.normal(size=shape) * scale).astype(np.float32)
