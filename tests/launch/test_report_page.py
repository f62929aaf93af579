"""The page in a real browser."""

import pytest

from launch.reporting import airtime, page, recorded
from tests.launch import browser, recorded_runs

pytestmark = pytest.mark.skipif(
    browser.missing() is not None, reason=browser.missing() or ""
)
_NAME = "<script>alert(1)<|script>"
_GOALS = """
const said = (cell) => cell.dataset.value === undefined
  ? cell.textContent : Number(cell.dataset.value);
const rows = document.querySelectorAll("#goals tbody tr");
return [...rows].map((row) => [...row.cells].map(said));
"""


@pytest.fixture(name="runs", scope="module")
def _runs(tmp_path_factory):
    """Dense, fixed k, and a k that was learned on two links; the last has a probe."""
    folder = tmp_path_factory.mktemp("runs")
    rising = [n / 40 if n % 2 else None for n in range(1, 40)]
    waiting = {"controller": "waiting", "sparsifier": "fab_consensus"}
    elected = {"ballot_bits": 1600, "announcement_bits": 300, "update_elasticity": 0.5}
    dense = {"k": 1000, "uplink_bits_max": 32_000, "downlink_bits": 32_000}
    paths = [
        recorded_runs.write(
            folder / _NAME,
            accuracies=rising,
            rounds=[dense] * 39,
            flags={"sparsifier": "send_all", **recorded_runs.link(9600)},
        ),
        recorded_runs.write(folder / "fixed", accuracies=rising),
        *(
            recorded_runs.write(
                folder / f"learned_{up}",
                accuracies=rising,
                rounds=[{**elected, "k": k + n, "k_probe": n % 2} for n in range(39)],
                flags={**waiting, **recorded_runs.link(up)},
            )
            for up, k in ((9600, 10), (1_000_000, 60))
        ),
    ]
    return [recorded.read(path) for path in paths]


@pytest.fixture(name="window", scope="module")
def _window(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "page.html").write_text(page.render(runs), encoding="utf-8")
    with browser.opened(folder) as window:
        window.resize(1400)
        window.open(folder / "page.html")
        yield window
        assert window.complaints() == []
        fetched = "return performance.getEntriesByType('resource').length"
        assert window.run(fetched) == 0


@pytest.fixture(name="begun")
def _begun(window):
    """The window as it is at first."""
    window.resize(1400)
    window.run("location.reload()")
    return window


def _seconds(run, round_number, up, down, latency=0.1, compute=0.5):
    """The time until the end of a round: every client has one link."""
    sums = airtime.add_up(run)
    until = {name: column[round_number - 1] for name, column in sums._asdict().items()}
    return (
        compute * until["computing"]
        + until["up"] / up
        + until["down"] / down
        + latency * until["messages"]
    )


def test_the_table_at_first(begun, runs):
    dense, fixed, learned = begun.run(_GOALS)
    for row, run in zip((dense, fixed, learned), runs, strict=False):
        _, seconds, number, *_ = row
        assert seconds == pytest.approx(_seconds(run, number, 9600, 9600))
    assert [row[0] for row in (dense, fixed, learned)] == [
        "A send_all",
        "B fab_top_k, k = 10",
        "C fab_consensus, waiting",
    ]
    # All rise alike: the goal is what the last evaluation has.
    assert dense[2] == 39
    # 39 rounds of 4 clients, and 32,000 bits for each at first.
    up, down = (4000 + 256) * 39 / 8e6, (4 * (32_024 * 39 + 32_000)) / 8e6
    assert dense[3:5] == pytest.approx([up, down])
    assert fixed[5] == "exact"
    assert learned[5] == "exact; k was learned on this link"


def test_the_keyboard_changes_the_link(begun, runs):
    begun.press("#up", "right")
    _, fixed, learned = begun.run(_GOALS)
    number = fixed[2]
    assert fixed[1] == pytest.approx(_seconds(runs[1], number, 12_000, 9600))
    assert "On this link the rule would choose another k" in learned[5]
    begun.press("#down", "end")
    begun.press("#latency", "home")
    begun.press("#compute", "home")
    _, fixed, learned = begun.run(_GOALS)
    wanted = _seconds(runs[1], number, 12_000, 1e8, latency=0.0, compute=0.0)
    assert fixed[1] == pytest.approx(wanted)
    text = begun.run("return document.querySelector('#up').ariaValueText")
    assert (text or "12 kbit/s") == "12 kbit/s"


def test_a_slow_node_slows_all(begun, runs):
    begun.press("#slowdown", "right", "right")
    _, fixed, _ = begun.run(_GOALS)
    assert fixed[5] == "at most this long: the slow node may send less than others"
    wanted = _seconds(runs[1], fixed[2], 4800, 4800, compute=1.0)
    assert fixed[1] == pytest.approx(wanted)


def test_the_nearest_run_is_taken_and_named(begun, runs):
    begun.press("#up", *["right"] * 16)
    begun.press("#down", *["right"] * 16)
    *_, learned = begun.run(_GOALS)
    assert "not exact: k was learned on 1 Mbit/s both ways" in learned[5]
    up = begun.run("return document.querySelector('output[for=up]').textContent")
    assert up == "1.5 Mbit/s"
    assert learned[1] == pytest.approx(_seconds(runs[3], learned[2], 1.5e6, 1.5e6))


def test_buttons_set_a_link(begun, runs):
    begun.click("#presets button:nth-child(4)")
    _, fixed, _ = begun.run(_GOALS)
    wanted = _seconds(runs[1], fixed[2], 1e7, 1e7, latency=0.05)
    assert fixed[1] == pytest.approx(wanted)
    pressed = "return document.querySelector('[aria-pressed=true]').textContent"
    assert begun.run(pressed).startswith("LTE")


def test_a_goal_that_is_lower(begun, runs):
    begun.press("#goal", "home")
    _, fixed, _ = begun.run(_GOALS)
    assert fixed[2] == 3
    assert fixed[1] == pytest.approx(_seconds(runs[1], 3, 9600, 9600))
    headline = begun.run("return document.querySelector('#first').textContent")
    assert headline.startswith("First at ")


def test_rounds_are_scrubbed(begun, runs):
    cell = """
      const row = [...document.querySelectorAll("#seen tbody tr")].find(
        (row) => row.cells[0].textContent === arguments[0]);
      return Number(row.cells[1].dataset.value);
    """
    begun.press("#round", "home", "right", "right")
    assert begun.run(cell, "k") == 12
    assert begun.run(cell, "update_elasticity") == 0.5
    begun.press("#rule-round", "right")
    assert begun.run(cell, "k") == 13
    for name in ("round", "rule-round"):
        said = f"return document.querySelector('output[for={name}]').textContent"
        assert begun.run(said) == "4 of 39"
    legs = """
      return [...document.querySelectorAll("#legs tbody tr:last-child td")].map(
        (cell) => Number(cell.dataset.value));
    """
    _, total, *parts = begun.run(legs)
    one = _seconds(runs[2], 4, 9600, 9600) - _seconds(runs[2], 3, 9600, 9600)
    assert total == pytest.approx(one)
    assert sum(parts) == pytest.approx(one)


def test_the_other_measure(begun):
    begun.run(
        """
        const select = document.querySelector("#measure");
        select.value = "1";
        select.dispatchEvent(new Event("change"));
        """
    )
    heads = "return document.querySelector('#goals thead').textContent"
    assert "Time to 0.0" in begun.run(heads)
    assert begun.run(_GOALS)[0][2] == 39


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_is_wider_than_the_page(begun, width):
    begun.resize(width)
    widths = """
      const drawings = [...document.querySelectorAll(".figure svg")];
      const ends = drawings.map((one) => one.getBoundingClientRect().right);
      return [document.documentElement.scrollWidth, ...ends];
    """
    assert max(begun.run(widths)) <= width
    drawn = "return document.querySelectorAll(arguments[0]).length"
    assert begun.run(drawn, "#curves path.line") == 3
    assert begun.run(drawn, "#strips rect.segment") > 10


def test_lines_differ_without_colour(begun):
    dashes = """
      return [...document.querySelectorAll("#curves path.line")].map(
        (line) => line.getAttribute("stroke-dasharray"));
    """
    found = begun.run(dashes)
    assert len(set(found)) == len(found) == 3
    names = "return document.querySelector('#curves svg').textContent"
    assert "C fab_consensus, waiting" in begun.run(names)


def test_dark_and_light(begun):
    colour = "return getComputedStyle(document.body).backgroundColor"
    begun.resize(1000, scheme="dark")
    assert begun.run(colour) == "rgb(21, 24, 29)"
    begun.resize(1000)
    assert begun.run(colour) == "rgb(255, 255, 255)"


def test_names_of_files_are_text(begun):
    cell = "return document.querySelector('#runs tbody th').textContent"
    assert begun.run(cell) == _NAME
    assert begun.run("return document.querySelectorAll('script').length") == 2


def test_every_control_has_a_name_and_the_keyboard_reaches_it(begun):
    unnamed = """
      return [...document.querySelectorAll("input, select")]
        .filter((one) => !one.labels.length || one.tabIndex < 0).map((one) => one.id);
    """
    assert begun.run(unnamed) == []


def test_runs_of_every_kind(tmp_path):
    """What a run may lack, or have only one of."""
    short = recorded_runs.write(
        tmp_path / "short",
        accuracies=[0.5],
        complete=False,
        flags={"links_file": "x", "seed": "2"},
    )
    (short / "clients.csv").unlink()
    cohort = recorded_runs.write(
        tmp_path / "cohort",
        rounds=[{"catch_up_bits": 90, "catch_up_bits_max": 50, "joined_bits": 70}] * 4,
        flags={"cost": "normalised", "controller": "sign", "clients_per_round": "4"},
    )
    equal = recorded_runs.write(
        tmp_path / "equal", accuracies=[0.5] * 3, flags={"seed": "1"}
    )
    text = page.render([recorded.read(path) for path in (short, cohort, equal)])
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    with browser.opened(tmp_path) as window:
        window.resize(700)
        window.open(tmp_path / "page.html")
        window.press("#round", "home")
        for number in ("0", "1", "2"):
            choose = """
              const select = document.querySelector("#run");
              select.value = arguments[0];
              select.dispatchEvent(new Event("change"));
              return document.querySelector("#seen-heading").textContent;
            """
            assert window.run(choose, number).startswith("Round 1 of ")
        standings = [row[5] for row in window.run(_GOALS)]
        assert window.complaints() == []
    first, second, third = standings
    assert (first, third) == ("exact", "exact")
    assert "k was learned in normalised time, beta = 10." in second
