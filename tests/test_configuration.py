"""Parts are configured first, and bound later; options are declared once."""

import dataclasses
import math
import pickle

import numpy as np
import pytest

from tests import fresh_python
from tff_gs.configuration import Configuration, option, options_of
from tff_gs.controllers import amount
from tff_gs.controllers.registry import CONTROLLERS
from tff_gs.costs.registry import COSTS
from tff_gs.registry import Registry
from tff_gs.sparsifiers.registry import SPARSIFIERS
from tff_gs.sparsifiers.sparsifier import Sparsifier


class Part(Configuration):
    """A part, for these tests.

    More about it.
    """

    needed: int = option(help="it cannot do without", at_least=2)
    share: float = option(default=0.5, help="a share", above=0, below=1)
    shape: tuple[int, ...] = option(default=(), help="some numbers")
    word: str | None = option(default=None, help="a word", one_of=("here", "there"))
    hidden: int = option(default=3, help="no text can say it", has_flag=False)

    def bind(self, dimension):
        return self._bound(dimension=dimension)

    def _prepare(self):
        self._set(count=round(self.share * self.dimension))


class Other(Part):
    """3-fold part."""

    share: float = option(default=0.25, help="a share", above=0, below=1)
    margin: float = option(default=0.0, help="a margin", at_least=0)


def test_a_part_is_frozen_printable_and_comparable():
    part = Part(needed=2, shape=[1, 2])
    text = "Part(needed=2, share=0.5, shape=(1, 2), word=None, hidden=3)"
    assert repr(part) == text
    assert part == Part(needed=2, shape=(1, 2))
    assert hash(part) == hash(Part(needed=2, shape=(1, 2)))
    assert part != Part(needed=2)
    assert part != Other(needed=2, shape=(1, 2), share=0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        part.share = 0.1
    with pytest.raises(TypeError):
        Part(2)
    assert pickle.loads(pickle.dumps(part)) == part


def test_binding_makes_a_copy():
    part = Part(needed=2)
    bound, again = part.bind(10), part.bind(20)
    assert (bound.count, again.count, again.bind(30).count) == (5, 10, 15)
    assert bound == part
    assert repr(bound) == repr(part)
    assert isinstance(bound, Part)
    assert not hasattr(bound, "something")


@pytest.mark.parametrize(
    ("registry", "name"),
    [
        (registry, name)
        for registry in (CONTROLLERS, COSTS, SPARSIFIERS)
        for name in registry
    ],
)
def test_a_part_that_is_not_bound_says_so_in_one_sentence(registry, name):
    needed = {"k": 5, "arms": (2, 3), "schedule": ((0, 1),), "replay_file": "x"}
    names = [found.name for found in options_of(registry[name])]
    part = registry.build(name, {k: v for k, v in needed.items() if k in names})
    with pytest.raises(
        AttributeError, match=r"^Expected \w+\(...\).bind\(...\)"
    ) as error:
        part.dimension  # noqa: B018
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"needed": 1}, "Expected needed to be at least 2, found 1."),
        ({"share": 1.0}, "Expected share to be in (0, 1), found 1.0."),
        ({"share": math.nan}, "Expected share to be in (0, 1), found nan."),
        ({"margin": math.inf}, "Expected margin to be at least 0, found inf."),
        ({"word": "away"}, "Expected word to be one of here, there, found 'away'."),
    ],
)
def test_what_is_outside_its_range_is_one_sentence(options, sentence):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        Other(**{"needed": 2, **options})
    assert str(error.value) == sentence


def test_none_is_an_option_that_is_not_given():
    assert Part(needed=2, word=None).word is None


def test_options_are_listed_in_order():
    options = options_of(Other)
    names = ["needed", "share", "shape", "word", "hidden", "margin"]
    assert [found.name for found in options] == names
    assert [found.type for found in options][:3] == [int, float, tuple[int, ...]]
    assert [found.required for found in options] == [True] + 5 * [False]
    assert options[1].default == 0.25
    assert str(options[1].range) == "in (0, 1)"
    assert options[1].help == "a share"
    assert options_of(Other(needed=2)) == options
    kinds = {found.name: found.type for found in options_of(CONTROLLERS["sign"])}
    assert kinds["k_min"] == amount.Amount


def test_an_own_init_is_compared_by_identity():
    class Own(Part):
        def __init__(self, number):
            self.number = number

    assert Own(1) != Own(1)
    assert Own(1).bind(4).number == 1


PARTS = Registry("part", Part, {"first": Part, "second": Other})


def test_a_registry_lists_what_it_has():
    assert PARTS.summaries == {
        "first": "a part, for these tests",
        "second": "3-fold part",
    }
    options = PARTS.options()
    assert list(options) == ["needed", "share", "shape", "word", "margin"]
    assert {name: found.default for name, found in options["share"].items()} == {
        "first": 0.5,
        "second": 0.25,
    }
    assert PARTS.name_of(Other(needed=2)) == "second"
    assert PARTS.build("first", {"needed": 4}) == Part(needed=4)


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        (
            "frist",
            {},
            "a part among first, second, found 'frist': did you mean 'first'?",
        ),
        ("none", {}, "a part among first, second, found 'none'."),
        ("first", {}, "needed for part 'first', found none (it cannot do without)."),
        (
            "first",
            {"margin": 1.0},
            "for part 'first' only its options (needed, share, shape, word), "
            "found margin, an option of second.",
        ),
        (
            "second",
            {"magrin": 1.0},
            "for part 'second' only its options (needed, share, shape, word, "
            "margin), found magrin: did you mean 'margin'?",
        ),
        (
            "second",
            {"zzz": 1.0},
            "for part 'second' only its options (needed, share, shape, word, "
            "margin), found zzz.",
        ),
        ("first", {"needed": 0}, "needed to be at least 2, found 0."),
    ],
)
def test_a_registry_says_what_is_wrong_in_one_sentence(name, given, sentence):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        PARTS.build(name, given)
    assert str(error.value) == f"Expected {sentence}"


def test_a_part_of_another_kind_has_no_name():
    with pytest.raises(ValueError, match="a part among first, second, found FixedK"):
        PARTS.name_of(CONTROLLERS.build("fixed", {"k": 1}))


def test_parts_are_made_and_refused_without_tensorflow():
    code = """
import sys
from tff_gs.controllers.sign_descent import SignDescent
from tff_gs.costs.links import LinkTime
from tff_gs.encoders.encoder import Encoder
from tff_gs.sparsifiers.gtop_k import GTopK

print(SignDescent(alpha=2.0).bind(1000).alpha, GTopK(), Encoder("rice", "quantised8"))
LinkTime(spread=1.0).bind(dimension=10, num_clients=3)
try:
    SignDescent(alpha=0.5)
except ValueError as error:
    print(error)
print([m for m in sys.modules if m.startswith("tensorflow")])
"""
    assert fresh_python.printed(code).splitlines() == [
        "2.0 GTopK() rice+quantised8",
        "Expected alpha to be at least 1, found 0.5.",
        "[]",
    ]


class Typed(Configuration):
    """One option of each type that is checked."""

    count: int = option(default=1, help="a count")
    number: float = option(default=1.0, help="a number", at_least=0)
    word: str | None = option(default=None, help="a word")
    yes: bool = option(default=False, help="yes or no")
    amount: int | float = option(default=0.5, help="an amount")
    pairs: tuple[tuple[int, float], ...] = option(default=(), help="pairs")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"count": 1.0}, "count to be a whole number, found 1.0"),
        ({"count": True}, "count to be a whole number, found True"),
        ({"count": None}, "count to be a whole number, found None"),
        ({"number": "x"}, "number to be a number, found 'x'"),
        ({"number": True}, "number to be a number, found True"),
        ({"number": [1.0]}, r"number to be a number, found \(1.0,\)"),
        ({"word": 3}, "word to be text or None, found 3"),
        ({"yes": 1}, "yes to be True or False, found 1"),
        ({"amount": "0.5"}, "amount to be a number, found '0.5'"),
        ({"pairs": 3}, r"pairs to be a tuple, each item \(a whole number, a number\)"),
        ({"pairs": [(1, 2), (1.5, 2)]}, r"pairs .* found \(\(1, 2\), \(1.5, 2\)\)"),
        ({"pairs": [(1, 2, 3)]}, "pairs to be a tuple"),
    ],
)
def test_an_option_of_another_type_is_one_sentence(given, wanted):
    with pytest.raises(ValueError, match=f"^Expected {wanted}"):
        Typed(**given)


def test_numbers_of_numpy_are_as_good():
    part = Typed(
        count=np.int32(3),
        number=np.float32(2),
        yes=np.bool_(True),
        amount=np.int64(2),
        pairs=[(np.int8(1), np.float16(2))],
    )
    assert part.count == 3
    assert part.pairs == ((1, 2.0),)
    assert Typed(number=2, pairs=[[1, 2]]).pairs == ((1, 2),)


def test_a_part_of_ones_own_by_a_call_or_a_decorator():
    parts = Registry("part", Part, {"first": Part})

    @parts.register("decorated")
    class Decorated(Part):
        """Another part."""

    parts.register("called", Other)
    assert dict(parts) == {"first": Part, "decorated": Decorated, "called": Other}
    assert parts.summaries["decorated"] == "another part"
    assert parts.build("called", {"needed": 2}) == Other(needed=2)


@pytest.mark.parametrize(
    ("name", "part", "sentence"),
    [
        ("first", Other, "Expected a name of its own for the part of .*Other, found "),
        ("a-b", Other, "letters, digits and _, beginning with a letter, found 'a-b'"),
        ("own", Typed, "Expected for part 'own' a subclass of .*Part, found .*Typed"),
        ("own", 3, "Expected for part 'own' a subclass of .*Part, found 3"),
    ],
)
def test_what_cannot_be_registered_is_one_sentence(name, part, sentence):
    parts = Registry("part", Part, {"first": Part})
    with pytest.raises(ValueError, match=sentence) as error:
        parts.register(name, part)
    assert len(str(error.value).splitlines()) == 1
    assert dict(parts) == {"first": Part}


def test_a_class_that_lacks_a_method_cannot_be_registered():
    unfinished = type("Unfinished", (Sparsifier,), {})
    with pytest.raises(ValueError, match=r"'own' a class that defines .*zero"):
        SPARSIFIERS.register("own", unfinished)


def test_what_a_user_typed_is_said_as_flags():
    with pytest.raises(
        ValueError,
        match=r"^Expected for --part=first only its options \(--needed, --share, "
        r"--shape, --word\), found --margin, an option of second: give --part=second "
        r"with it\.$",
    ):
        PARTS.build("first", {"margin": 1}, flag="part")
    with pytest.raises(
        ValueError, match=r"^Expected --needed for --part=first, found none \(it cannot"
    ):
        PARTS.build("first", flag="part")
