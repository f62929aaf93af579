"""The few lines that end a run."""

from collections.abc import Sequence

from launch import metrics_rows, run_directory, targets, training
from launch.experiment import Experiment
from launch.metrics_rows import Row
from tasks import Task

_UNITS = ("B", "kB", "MB", "GB", "TB")


def closing_lines(
    experiment: Experiment,
    rows: Sequence[Row],
    result: training.Result,
    directory: run_directory.RunDirectory,
    *,
    task: str,
    time_label: str,
    wanted: Sequence[targets.Target] = (),
) -> str:
    """What came out of the run, and where it lies.

    Args:
      experiment: What was run.
      rows: The rows of metrics.csv, at least one.
      result: How it ended.
      directory: Where the files are.
      task: The name of the task.
      time_label: What the time is, with its unit.
      wanted: What the run was made to reach.
    """
    count, last = len(experiment.clients), rows[-1]
    evaluated = [row for row in rows if row["test_loss"] != ""]
    ks = [row["k"] for row in rows]
    # Clients join in different rounds if not all take part in every one.
    cohorts = "joined" in last
    has_checkpoint = directory.last_checkpoint() is not None
    checkpoints = f", {directory.checkpoints.name}/" if has_checkpoint else ""
    model = "" if result.ending.exit_code else f", {directory.model.name}/"
    has_states = directory.client_states.exists()
    states = f", {directory.client_states.name}" if has_states else ""
    entries = {
        "test": _describe_test(experiment.task, evaluated),
        **_describe_targets(wanted, rows),
        "time": f"{last['time']:,.1f}, {time_label}",
        "k": f"{ks[-1]:,} in the last round, {min(ks):,} to {max(ks):,} in all rounds",
        **(_describe_cohorts(rows) if cohorts else _describe_all(rows, result)),
        "files": f"{directory.path}/: {directory.metrics.name}, "
        f"{directory.clients.name}, {directory.timing.name}, {directory.plot.name}, "
        f"{directory.flags.name}, {directory.flags_json.name}, "
        f"{directory.about.name}, {directory.events.name}/{model}{checkpoints}{states}",
    }
    resumed = f", after round {result.resumed_from}" if result.resumed_from else ""
    taking_part = f"{last['clients']} of {count}" if cohorts else f"{count}"
    heading = (
        f"{task}: {len(rows)} rounds of {taking_part} clients in "
        f"{result.seconds:.0f} s{resumed}, D = {experiment.dimension:,}"
    )
    lines = [f"  {name:<10} {entry}" for name, entry in entries.items()]
    return "\n".join([heading, *lines])


def _describe_all(rows: Sequence[Row], result: training.Result) -> dict[str, str]:
    """The traffic, if all clients take part in every round."""
    count = rows[-1]["clients"]
    up, down = (
        sum(map(of, rows)) for of in (metrics_rows.bits_up, metrics_rows.bits_down)
    )
    initial = result.initial_bits
    return {
        "sent up": f"{_size(up)}, {_size(up / count)} by each client",
        "sent down": f"{_size(down + initial * count)}, {_size(down / count)} to each "
        f"client after a first dense download of {_size(initial)}",
    }


def _describe_cohorts(rows: Sequence[Row]) -> dict[str, str]:
    joined = sum(row["joined"] for row in rows)
    first = _size(sum(row["joined_bits"] for row in rows))
    later = _size(sum(row["catch_up_bits"] for row in rows))
    down = _size(sum(map(metrics_rows.bits_down, rows)))
    return {
        "sent up": _size(sum(map(metrics_rows.bits_up, rows))),
        "sent down": f"{down}, of it {first} in the first dense downloads of "
        f"{joined} clients, {later} to those that came back",
    }


def _describe_test(task: Task, evaluated: Sequence[Row]) -> str:
    if not evaluated:
        return "not evaluated"
    row = evaluated[-1]
    shown = [f"{m.name} {row[m.column]:{m.form(4)}}" for m in task.measures()]
    return f"{', '.join(shown)} after round {row['round']}"


def _describe_targets(
    wanted: Sequence[targets.Target], rows: Sequence[Row]
) -> dict[str, str]:
    described = []
    for target in wanted:
        row = targets.first_reached([target], rows)
        reached = (
            "not reached"
            if row is None
            else f"reached in round {row['round']}, time {row['time']:,.1f}"
        )
        described.append(f"{target}: {reached}")
    return {"target": "; ".join(described)} if described else {}


def _size(bits: float) -> str:
    """Bits as bytes with a unit."""
    size, unit = bits / 8, _UNITS[0]
    for larger in _UNITS[1:]:
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.3g} {unit}"
