"""A long run with cohorts of ever other sizes takes no more than a short one."""

import numpy as np
import psutil
import pytest

from tasks import cnn
from tff_gs import learning, runtime

_CLIENTS = 30
_ROUNDS = 1000
_SETTLED = 200


def _usage(processes):
    """Bytes, threads and descriptors of each."""
    return np.array(
        [(p.memory_info().rss, p.num_threads(), p.num_fds()) for p in processes], float
    )


@pytest.mark.slow
def test_a_thousand_rounds_of_varying_cohorts_are_flat():
    process = learning.build_sparsified_fed_sgd(
        cnn.small_cnn((8, 8, 1), 10, 0),
        learning_rate=0.05,
        batch_size=4,
        participation=learning.PartialParticipation(),
    )
    rng = np.random.default_rng(0)
    data = [
        (
            rng.random((size, 8, 8, 1), dtype=np.float32),
            rng.integers(0, 10, size).astype(np.int32),
        )
        for size in rng.integers(4, 9, _CLIENTS)
    ]
    own = psutil.Process()
    known = set(own.children())
    usage = []
    with runtime.execution_context(), runtime.MemoryStore() as store:
        (worker,) = set(own.children()) - known
        state = process.initialize()
        for _ in range(_ROUNDS):
            size = rng.integers(1, _CLIENTS + 1)
            cohort = sorted(rng.choice(_CLIENTS, size, replace=False).tolist())
            output = runtime.run_round(
                process, state, store, cohort, [data[client] for client in cohort]
            )
            state = output.state
            usage.append(_usage([own, worker]))
    usage = np.stack(usage)
    settled, last = usage[:_SETTLED].max(axis=0), usage[-_SETTLED:].max(axis=0)
    np.testing.assert_array_less(last[:, 0], 1.15 * settled[:, 0])
    np.testing.assert_array_less(last[:, 1:], settled[:, 1:] + 5)
