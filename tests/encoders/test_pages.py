"""What docs/wire_format.md and docs/consensus.md say of messages, computed again."""

import pathlib
import re

import pytest
import tensorflow as tf

from tff_gs.encoders.encoder import Encoder
from tff_gs.encoders.message_encoder import MessageEncoder
from tff_gs.sparsifiers import fab_consensus

_DOCS = pathlib.Path(__file__).parents[2] / "docs"


def _page(name):
    return (_DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("codes", "indices", "values"),
    [
        (("fixed", "float32"), [4, 9], [1.5, -1.5]),
        (("ranked", "magnitude"), [300, 7, 12], [8, 4, 3]),
        (("fixed", "none"), [4, 9], [0, 0]),
    ],
)
def test_messages_in_hexadecimal(codec, codes, indices, values):
    message, _ = codec(*codes, 301).encode(indices, values)
    shown = re.findall(r"^ {4}(A4 [0-9A-F ]+)$", _page("wire_format.md"), re.MULTILINE)
    assert len(shown) == 3
    assert message in [bytes.fromhex(line) for line in shown]


def _numbers(text):
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", text)]


@pytest.fixture(name="page", scope="module")
def _consensus_page():
    return _page("consensus.md")


@pytest.fixture(name="legs", scope="module")
def _legs(page):
    """The last number of the columns of numbers and bits, by leg."""
    rows = re.findall(r"^\| ([a-z ]+) \| [a-z ]+ \| (.+) \| (.+) \|$", page, re.M)
    return {
        leg: (_numbers(numbers)[-1], _numbers(bits)[-1])
        for leg, numbers, bits in rows
        if _numbers(numbers)
    }


@pytest.fixture(name="setting", scope="module")
def _setting(page):
    """D, k, r and N of the worked round."""
    line = re.search(
        r"D = ([\d,]+), k = (\d+), r = (\d+) and (\d+) clients, with .*`rice\+float32`",
        page,
    )
    return [int(number.replace(",", "")) for number in line.groups()]


def test_the_worked_round_of_fab_consensus(legs, setting):
    dimension, k, ranks, _ = setting
    method = fab_consensus.FabConsensus().bind(dimension=dimension, probes=False)
    code = Encoder("rice", "float32").bind(dimension=dimension)
    values = float(code.without_indices().estimate_bits(tf.constant(k)))
    ballot = MessageEncoder.of_ballots(dimension).estimate_bits(tf.constant(ranks))
    announced = code.without_values().estimate_bits(tf.constant(k))
    units = float(method.units(tf.constant(k)))
    expected = {
        # An id and a weight go with each message of a client.
        "ballot": (2 * ranks, 64 + float(ballot)),
        "values": (units, 64 + values),
        "what is told": (1, 96),
        "announcement": (k, round(float(announced))),
        "means": (units, values),
    }
    expected["all"] = tuple(
        sum(column) for column in zip(*expected.values(), strict=True)
    )
    assert legs == expected


def test_what_other_codes_and_fab_top_k_take(page, setting):
    dimension, k, ranks, _ = setting
    found = re.search(r"In bits it has (.|\n)+?\.\n\n", page)[0]
    ballot = 64 + int(MessageEncoder.of_ballots(dimension).estimate_bits(ranks))
    expected = []
    for value in ("float32", "quantised8"):
        code = Encoder("rice", value).bind(dimension=dimension)
        pairs = round(float(code.estimate_bits(tf.constant(k))))
        announced = round(float(code.without_values().estimate_bits(tf.constant(k))))
        values = int(code.without_indices().estimate_bits(tf.constant(k)))
        expected.append(
            [64 + pairs, ballot + 64 + values, 64 + pairs, 96 + announced + values]
        )
    (up, ours_up, down, ours_down), quantised = expected
    assert f"64 + {up - 64:,} = {up:,} up, where this has {ours_up:,}" in found
    assert f"{down:,} down, where this has {ours_down:,}" in found.replace("\n", " ")
    up, ours_up, down, ours_down = quantised
    assert (
        f"{up:,} and {down:,} against {ours_up:,} and {ours_down:,}"
        in found.replace("\n", " ")
    )


def test_the_ranks_of_the_worked_round(page, setting):
    dimension, k, ranks, clients = setting
    kappa = int(re.search(r"after one with kappa = (\d+)", page)[1])
    method = fab_consensus.FabConsensus().bind(dimension=dimension, probes=False)
    state = method.advance(
        method.initialize(), tf.constant(k), tf.constant(kappa), tf.constant(k)
    )
    asked = method.share(state, tf.zeros([2], tf.int32), tf.constant(k))
    told = method.ranks(asked, tf.constant(k), tf.constant(clients))
    assert int(told[0]) == ranks > k // clients + 1
