import io

from launch import progress
from tasks import ACCURACY


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def _row(number, accuracy=""):
    return {
        "round": number,
        "k": 100 * number,
        "time": 1.25 * number,
        "training_loss": 0.5,
        "test_accuracy": accuracy,
        "test_loss": "" if accuracy == "" else 0.25,
    }


def _progress(**options):
    return progress.Progress(metrics=(ACCURACY,), **options)


def test_without_a_terminal_it_is_one_line_an_evaluation():
    stream = io.StringIO()
    with _progress(rounds=4, time_budget=None, stream=stream) as show:
        show.update(_row(1))
        show.update(_row(2, 0.25))
        show.update(_row(3))
    assert stream.getvalue() == (
        "round 2/4  k 200  time 2.5  loss 0.5000  accuracy 25.0%\n"
    )


def test_limits_are_shown_where_there_are_some():
    stream = io.StringIO()
    with _progress(rounds=None, time_budget=600.0, stream=stream) as show:
        show.update(_row(2, 1.0))
    assert "round 2  " in stream.getvalue()
    assert "time 2.5/600  " in stream.getvalue()


def test_a_terminal_shows_a_bar():
    stream = _Terminal()
    with _progress(rounds=2, time_budget=None, stream=stream) as show:
        show.update(_row(1, 0.5))
        show.update(_row(2))
    last = stream.getvalue().rstrip().split("\r")[-1]
    assert last.startswith("100% |")
    assert "round=2/2, accuracy=50.0%, k=200, time=2.5" in last


def test_a_time_budget_has_a_bar_and_what_remains():
    stream = _Terminal()
    with _progress(rounds=None, time_budget=5.0, stream=stream) as show:
        show.update(_row(1, 0.5))
        show.update(_row(2))
        show.update(_row(5))
        assert show._bar.n == 5.0
    last = stream.getvalue().rstrip().split("\r")[-1]
    assert last.startswith("100% |")
    assert "round=5, accuracy=50.0%" in last


def test_a_narrow_terminal_shows_what_was_measured(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = _Terminal()
    with _progress(rounds=200, time_budget=None, stream=stream) as show:
        show.update(_row(150, 0.9712))
    last = stream.getvalue().rstrip().split("\r")[-1]
    assert "accuracy=97.1%" in last[:80]
