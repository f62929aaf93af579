import numpy as np
import pytest


@pytest.fixture(scope="module")
def results():
    from examples import sparse_fed_avg

    return sparse_fed_avg.main(["--rounds=3", "--clients=5", "--k=0.05"])


def test_both_programs_learn(results):
    # Of ten classes; the weights of the start recognise 8% of the test examples.
    for accuracy, rounds in results.values():
        assert len(rounds) == 3
        assert accuracy > 0.15


def test_what_they_send(results):
    dense = 32 * 13706
    _, plain = results["plain"]
    assert {(r.uplink, r.downlink) for r in plain} == {(dense, dense)}
    _, sparse = results["sparse"]
    assert sparse[0].downlink == dense
    # 685 entries of 8 bits, and indices of less than that; header and checksum.
    for bits in [*(r.uplink for r in sparse), *(r.downlink for r in sparse[1:])]:
        assert 685 * 8 < bits < 685 * 16


def test_the_sparse_program_changes_what_it_received(results):
    _, sparse = results["sparse"]
    weights = [np.concatenate([np.ravel(t) for t in r.weights[0]]) for r in sparse]
    changed = np.count_nonzero(weights[1] - weights[0])
    # At least what one client sent, at most what all five did.
    assert 600 < changed <= 5 * 685
