import numpy as np
import pytest


@pytest.fixture(scope="session")
def distribute():
    """Runs a distributor for two clients: what it sends, and its output at SERVER.

    A distributor alone has no CLIENTS-placed argument that would say how many clients
    there are.
    """
    import tensorflow_federated as tff

    runs = {}

    def build(process):
        state_type, value_type = process.next.type_signature.parameter

        @tff.federated_computation(
            state_type, value_type, tff.FederatedType(np.int32, tff.CLIENTS)
        )
        def run(state, value, clients):
            del clients
            return process.next(state, value)

        return run

    def distribute(process, state, value):
        if id(process) not in runs:
            # The process is kept so that its id is not given to another.
            runs[id(process)] = process, build(process)
        output = runs[id(process)][1](state, value, [0, 1])
        return output.result, output

    return distribute
