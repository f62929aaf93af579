import pytest
import tensorflow as tf

from tff_gs.controllers import fixed, replay, schedule


def ks(rule, feedback, rounds):
    """The k of each round; asserts that nothing is probed."""
    state = rule.initialize()
    found = []
    for m in range(rounds):
        decision = rule.decide(state)
        assert decision.k.dtype == decision.k_probe.dtype == tf.int32
        assert decision.k_probe == 0
        assert rule.sign(state) == 0
        found.append(int(decision.k))
        state = rule.update(state, feedback(), tf.constant([0, m]))
    assert not rule.probes
    return found


@pytest.mark.parametrize(("k", "count"), [(7, 7), (0.05, 5), (1.0, 100), (1, 1)])
def test_fixed(feedback, k, count):
    assert ks(fixed.FixedK(k=k).bind(100), feedback, 3) == [count] * 3


def test_fixed_refuses_k_above_dimension():
    with pytest.raises(ValueError, match=r"\[1, 100\].*found 101"):
        fixed.FixedK(k=101).bind(100)


def test_schedule(feedback):
    rule = schedule.Schedule(schedule=[(0, 10), (2, 0.5), (3, 1)]).bind(100)
    assert ks(rule, feedback, 6) == [10, 10, 50, 1, 1, 1]


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([], "schedule of at least one entry"),
        ([(1, 5)], "begins with round 0, found 1"),
        ([(0, 5), (3, 6), (3, 7)], r"ascending rounds, found \[0, 3, 3\]"),
        ([(0, 5), (3, 101)], "k from round 3 on .*found 101"),
        ([(0, float("nan"))], "k from round 0 on .*found nan"),
    ],
)
def test_schedule_refuses(pieces, message):
    with pytest.raises(ValueError, match=message):
        schedule.Schedule(schedule=pieces).bind(100)


def test_replay(feedback):
    rule = replay.Replay(sequence=[5, 100, 1]).bind(100, rounds=3)
    assert ks(rule, feedback, 3) == [5, 100, 1]


def test_replay_ends_with_an_error(feedback):
    rule = replay.Replay(sequence=[5, 100, 1]).bind(100)
    with pytest.raises(tf.errors.InvalidArgumentError, match="recording of 3"):
        ks(rule, feedback, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence": []}, "recording of at least one k"),
        ({"sequence": [5, 6]}, "at least the run's 3 rounds, found 2"),
        ({"sequence": [5, 101, 1]}, "k of recorded round 1 .*found 101"),
    ],
)
def test_replay_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        replay.Replay(**options).bind(100, rounds=3)


def test_reads_a_sequence(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("round,k,loss\n0,1000,2.5\n1,888.0,2.4\n")
    assert replay.read_sequence(path) == [1000, 888]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the column k in .*metrics.csv, found an empty file"),
        ("round,loss\n0,1\n", "the column k in .*, found round, loss"),
        ("round,k\n", "at least one row in .*metrics.csv, found 0"),
        ("round,k\n0,5\n1,many\n", "line 3 of .*metrics.csv, found 'many'"),
        ("round,k\n0,5\n1\n", "line 3 of .*metrics.csv, found None"),
        ("round,k\n0,5.5\n", "line 2 of .*metrics.csv, found '5.5'"),
        ("round,k\n0,0\n", "line 2 of .*metrics.csv, found '0'"),
        ("round,k\n0,nan\n", "line 2 of .*metrics.csv, found 'nan'"),
        ("round,k\n0,inf\n", "line 2 of .*metrics.csv, found 'inf'"),
    ],
)
def test_refuses_a_bad_file(tmp_path, text, message):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        replay.read_sequence(path)


def test_refuses_a_missing_or_binary_file(tmp_path):
    with pytest.raises(ValueError, match=r"none.csv, found: No such file"):
        replay.read_sequence(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"k\n\xff\xfe\n")
    with pytest.raises(ValueError, match=r"CSV text in .*binary.csv, found: "):
        replay.read_sequence(tmp_path / "binary.csv")
