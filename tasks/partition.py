"""How the examples of one pool are dealt to clients."""

from collections.abc import Callable

import numpy as np

Partition = Callable[[np.ndarray, int, int], list[np.ndarray]]


def iid(labels: np.ndarray, clients: int, seed: int) -> list[np.ndarray]:
    """Deals the examples uniformly at random, in shares that differ by one at most.

    Args:
      labels: int [n], the class of each example.
      clients: How many clients to deal to.
      seed: Seeds the shuffle.

    Returns:
      For each client the ascending int64 indices of its examples; together they
      hold every example once.

    Raises:
      ValueError: There are fewer examples than clients.
    """
    _check_clients(clients)
    if clients > len(labels):
        raise ValueError(
            f"Expected at most {len(labels)} clients, one for each example, found "
            f"{clients}."
        )
    order = np.random.default_rng(seed).permutation(len(labels))
    return [np.sort(share) for share in np.array_split(order, clients)]


def by_class(
    labels: np.ndarray, clients: int, seed: int, *, classes_per_client: int = 2
) -> list[np.ndarray]:
    """Gives each client examples of a few classes only.

    Every client holds exactly `classes_per_client` classes; every class goes to
    about as many clients as any other, and its examples are divided evenly among
    them. With one class per client, this is the partition of CIFAR-10 in Han,
    Wang, Leung, ICDCS 2020, section V.

    Args:
      labels: int [n], the class of each example.
      clients: How many clients to deal to.
      seed: Seeds which classes meet at a client and which examples it gets.
      classes_per_client: How many classes a client holds.

    Returns:
      As `iid`.

    Raises:
      ValueError: A class would be left without a client, a client without a class,
        or a class has fewer examples than clients that are to hold it.
    """
    _check_clients(clients)
    classes = np.unique(labels)
    if not 1 <= classes_per_client <= len(classes):
        raise ValueError(
            f"Expected 1 to {len(classes)} classes per client, found "
            f"{classes_per_client}."
        )
    if clients * classes_per_client < len(classes):
        raise ValueError(
            f"Expected enough clients to hold {len(classes)} classes with "
            f"{classes_per_client} on each, found {clients}."
        )
    rng = np.random.default_rng(seed)
    held = _deal_classes(classes, clients, classes_per_client, rng)
    parts: list[list[np.ndarray]] = [[] for _ in range(clients)]
    for label in classes:
        holders = [client for client in range(clients) if label in held[client]]
        examples = rng.permutation(np.flatnonzero(labels == label))
        if len(examples) < len(holders):
            raise ValueError(
                f"Expected at least {len(holders)} examples of class {label}, one for "
                f"each of its clients, found {len(examples)}."
            )
        for holder, share in zip(
            holders, np.array_split(examples, len(holders)), strict=True
        ):
            parts[holder].append(share)
    return [np.sort(np.concatenate(part)) for part in parts]


def _deal_classes(
    classes: np.ndarray, clients: int, classes_per_client: int, rng: np.random.Generator
) -> list[list[int]]:
    """For each client its distinct classes; how often classes occur differs by 1."""
    held = []
    deck: list[int] = []
    for _ in range(clients):
        hand: list[int] = []
        while len(hand) < classes_per_client:
            if not deck:
                deck = rng.permutation(classes).tolist()
                # A hand that spans two decks must not hold a class twice.
                deck.sort(key=hand.__contains__)
            hand.append(deck.pop(0))
        held.append(hand)
    return held


def _check_clients(clients: int) -> None:
    if clients < 1:
        raise ValueError(f"Expected at least 1 client, found {clients}.")
