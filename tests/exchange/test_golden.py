"""The authors' selections, through the real TFF exchange.

The golden file holds inputs and results of the code that Han, Wang and Leung
published; see `tests/shared_data.py` for where it is looked for.
"""

import numpy as np
import pytest

from tests.shared_data import shared_data
from tff_gs.sparsifiers import fab_top_k, fub_top_k, gtop_k

_METHODS = {"fab": fab_top_k.FabTopK, "fub": fub_top_k.FubTopK, "gtopk": gtop_k.GTopK}


@pytest.mark.parametrize("method", _METHODS)
@pytest.mark.parametrize("case", range(6))
def test_selection(build_exchange, build_rounds, method, case):
    golden = np.load(shared_data("golden/selection.npz"))
    clients, dimension, k, rounds = (int(n) for n in golden[f"c{case}_meta"])
    exchange = build_exchange(_METHODS[method], dimension)
    run = build_rounds(exchange, golden[f"c{case}_sizes"])
    assert len(run.clients) == clients
    for number in range(rounds):
        # From zero weights and with eta = 1, the new weights are -b to the bit.
        run.reset_weights()
        output = run.run(golden[f"c{case}_m{number}_grads"], k)

        prefix = f"c{case}_{method}_m{number}_"
        selected = golden[prefix + "selected"]
        assert output.outcome.downlink_elements == len(selected)
        np.testing.assert_array_equal(np.flatnonzero(run.weights), selected)
        np.testing.assert_allclose(
            -run.weights[selected], golden[prefix + "update"], rtol=1e-6
        )
        np.testing.assert_array_equal(
            output.contributed, golden[prefix + "contributed"]
        )
        sums = np.abs(run.residuals().astype(np.float64)).sum(axis=1)
        np.testing.assert_allclose(
            sums, golden[prefix + "residual_l1"], rtol=1e-8, atol=1e-5
        )
