import numpy as np
import pytest

_SEED = np.array([0, 7], np.int32)


class Rounds:
    """Runs an exchange round by round, from zero weights and empty residuals."""

    def __init__(self, exchange, client_weights, *, weights=None):
        from tff_gs.controllers import controller
        from tff_gs.exchange import client_work, messages, server_update

        self._config = messages.RoundConfig
        self._exchange = exchange
        self._replica = server_update.Replica
        self._given = client_work.Given
        self._decision = controller.Decision
        self.method_state = exchange.sparsifier.initialize()
        self.client_weights = [np.float32(weight) for weight in client_weights]
        if weights is None:
            weights = np.zeros(exchange.dimension, np.float32)
        self.weights = weights
        self.roster = np.arange(len(client_weights), dtype=np.int32)
        self.clients = exchange.initialize_clients(
            self._replica(weights, ()), _SEED, list(range(len(client_weights)))
        )

    def residuals(self):
        return np.stack([client.residual for client in self.clients])

    def reset_weights(self):
        """Sets the weights of the server and of all clients to zero."""
        self.weights = np.zeros_like(self.weights)
        self.clients = [
            client._replace(weights=self.weights) for client in self.clients
        ]

    def run(self, gradients, k, k_probe=0):
        """One round; keeps its state and returns its output."""
        method = self._exchange.sparsifier
        output = self._exchange.next(
            self._replica(self.weights, ()),
            self._config(
                self._decision(np.int32(k), np.int32(k_probe)),
                method.share(self.method_state, _SEED, np.int32(k)),
            ),
            self.roster,
            _SEED,
            self.clients,
            [
                self._given(np.asarray(gradient, np.float32), weight)
                for gradient, weight in zip(gradients, self.client_weights, strict=True)
            ],
        )
        self.weights, self.clients = output.replica.weights, output.clients
        self.method_state = method.advance(
            self.method_state,
            k,
            output.outcome.kappa,
            output.outcome.downlink_elements,
            output.outcome.election.ranking if output.outcome.election else (),
        )
        return output


@pytest.fixture(scope="session")
def build_rounds():
    """Starts `Rounds`."""
    return Rounds


@pytest.fixture(scope="session")
def build_exchange(exact_encoder):
    """Builds the exchange of a sparsifier; each one once."""
    from tff_gs.exchange import consensus_exchange, server_update, sparse_exchange

    built = {}

    def build(sparsifier_class, dimension, *, probes=False, learning_rate=1.0):
        key = (sparsifier_class, dimension, probes, learning_rate)
        if key not in built:
            encoder = exact_encoder.bind(dimension=dimension)
            exchange = (
                consensus_exchange.ConsensusExchange
                if sparsifier_class().elects
                else sparse_exchange.SparseExchange
            )
            built[key] = exchange(
                sparsifier=sparsifier_class().bind(dimension=dimension, probes=probes),
                uplink_encoder=encoder,
                downlink_encoder=encoder,
                probe_encoder=encoder,
                update=server_update.SparseSgd(learning_rate=learning_rate).bind(
                    dimension
                ),
            )
        return built[key]

    return build
