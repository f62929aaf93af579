import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tff_gs import distributors


def _choose(change, **options):
    rule = distributors.EnergyShare(**options).bind(len(change))
    change = tf.constant(change, tf.float32)
    return int(rule.choose(rule.initialize(), change))


@pytest.mark.parametrize(
    ("share", "k"), [(0.5, 1), (0.64, 1), (0.65, 2), (0.96, 2), (0.97, 3), (1.0, 4)]
)
def test_by_hand(share, k):
    # Energies of 64, 32, 3 and 1 in a hundred.
    assert _choose(np.sqrt([3, 64, 1, 32]), share=share) == k


def test_bounds():
    change = [1.0, 100.0, 1.0, 1.0]
    assert _choose(change, share=0.5, k_min=2) == 2
    assert _choose(change, share=1.0, k_max=0.5) == 2


def test_nothing_to_send():
    assert _choose(np.zeros(4), share=0.9) == 1
    assert _choose(np.zeros(4), share=1.0, k_min=3) == 3


@hypothesis.settings(deadline=None)
@hypothesis.given(
    change=hnp.arrays(np.float32, 6, elements=st.integers(-9, 9)),
    share=st.sampled_from([0.25, 0.5, 0.75, 1.0]),
)
def test_is_the_smallest_that_holds_the_share(change, share):
    energies = np.sort(change.astype(np.float64) ** 2)[::-1]
    wanted = share * energies.sum()
    k = next(k for k in range(1, 7) if energies[:k].sum() >= wanted)
    assert _choose(change, share=share) == k


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1, float("nan")])
def test_share_out_of_range(share):
    with pytest.raises(ValueError, match=r"share to be in \(0, 1\], found"):
        distributors.EnergyShare(share=share).bind(4)


def test_bounds_in_the_wrong_order():
    with pytest.raises(ValueError, match="k_min to be at most k_max = 1, found 3"):
        distributors.EnergyShare(share=0.5, k_min=3, k_max=1).bind(4)
