"""Trains a model over sparse messages, with a k that is learned on the way.

    python -m launch.train
    python -m launch.train --task=femnist --data_dir=DIR --clients=30 --time_budget=600
    python -m launch.train --controller=fixed --k=0.01 --rounds=100
    python -m launch.train --resume=DIR

`python -m launch.train --help` lists the flags.
"""

import contextlib
import functools
import logging as std_logging
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

from absl import app, logging
from absl import flags as absl_flags

from launch import (
    about,
    flags,
    interruption,
    metrics_rows,
    plugins,
    populations,
    run_directory,
    screen,
    topic,
    worker_flags,
)
from launch.options import RunOptions
from tff_gs import _user_cache

if TYPE_CHECKING:
    from launch import summary_plot, training
    from launch.experiment import Experiment

_WRONG_INPUT = 2
# In the paths of what logs more than a run has to say.
_TALKATIVE = ("tensorflow", f"{os.sep}tff_gs{os.sep}")
# With a later version TensorFlow 2.14 cannot write a checkpoint: "this __dict__
# descriptor does not support '_DictWrapper' objects".
_PACKAGE, _LAST = "typing_extensions", (4, 5)


def main(options: RunOptions) -> int:
    """Runs the program; returns its exit code."""
    _silence_tensorflow()
    try:
        with contextlib.ExitStack() as held:
            held.enter_context(interruption.raised())
            code = _run(options, held)
        return code
    except OSError as error:
        return _fail(screen.error_sentence(error, flags.paths()), _WRONG_INPUT)
    except KeyboardInterrupt as error:
        return _fail(
            "Interrupted before the first round.", interruption.exit_code(error)
        )


def _run(options: RunOptions, held: contextlib.ExitStack) -> int:
    try:
        built, directory = _build(options)
        held.enter_context(directory.lock())
    except ValueError as error:
        return _fail(str(error), _WRONG_INPUT)
    from tff_gs import programs, runtime

    needed = 1
    try:
        return _train(built, options, directory)
    except programs.ProgramStateError as error:
        return _fail(f"{directory.path}: {error}", _WRONG_INPUT)
    except runtime.SpoolError as error:
        return _fail(f"{error}{directory.resume_hint()}", _WRONG_INPUT)
    except runtime.WorkerError as error:
        return _fail(f"{error}{directory.resume_hint()}", 1)
    except OSError as error:
        # The first checkpoint comes after the first round.
        needed = 2 if options.checkpoint_every else 1
        sentence = screen.error_sentence(error, flags.paths())
        return _fail(sentence + directory.resume_hint(), _WRONG_INPUT)
    except KeyboardInterrupt as error:
        return _fail(
            f"Interrupted twice.{directory.resume_hint()}",
            interruption.exit_code(error),
        )
    finally:
        if not options.resumed:
            _discard_failed_start(options, directory, needed)


def _build(
    options: RunOptions,
) -> tuple["Experiment", run_directory.RunDirectory]:
    """What is run, and where; a ValueError if a flag is wrong."""
    directory = run_directory.RunDirectory(options.output_dir)
    _check_versions()
    if options.resumed:
        directory.check_resumable()
    elif options.output_dir_given:
        directory.check()
    populations.check_directory(options.participation, resumed=options.resumed)
    worker_flags.check_certificate(options.machines)
    # Not before the flags are known to be right: this is where the time goes.
    from launch import experiment

    try:
        built = experiment.build(options)
    finally:
        if "tensorflow_federated" in sys.modules:
            _let_go_of_default_context()
    if options.resumed:
        return built, directory
    if options.output_dir_given:
        directory.create(flags.used())
        return built, directory
    return built, run_directory.create_numbered(options.output_dir, flags.used())


def _check_versions() -> None:
    """Raises ValueError if an installed package would fail only after a while."""
    found = metadata.version(_PACKAGE)
    if tuple(int(number) for number in found.split(".")[:2]) > _LAST:
        raise ValueError(
            f"Expected {_PACKAGE} {'.'.join(map(str, _LAST))}, found {found}, with "
            f"which TensorFlow cannot write a checkpoint: pip install -c "
            f"constraints.txt {_PACKAGE}"
        )


def _discard_failed_start(
    options: RunOptions, directory: run_directory.RunDirectory, needed: int
) -> None:
    """Removes what is of no use, and in the way of the same command.

    Args:
      options: Those of the run, a new one.
      directory: Its directory.
      needed: How many rounds are of use although there is no checkpoint.
    """
    if directory.last_checkpoint() is None and directory.count_rounds() < needed:
        states = populations.states_file(options.participation, directory)
        states.unlink(missing_ok=True)
        directory.discard()


def _train(
    experiment: "Experiment", options: RunOptions, directory: run_directory.RunDirectory
) -> int:
    from launch import progress, recorder, training

    limits, notes = options.training, _notes(options, directory)
    start = functools.partial(
        directory.note_start,
        about.describe(sys.argv),
        dimension=experiment.dimension,
        clients=len(experiment.clients),
    )
    with (
        recorder.Recorder(
            directory,
            experiment.clients,
            experiment.task.metrics,
            flags=flags.used(),
            note_start=start,
            resumed=options.resumed,
        ) as record,
        progress.Progress(
            rounds=limits.rounds,
            time_budget=limits.time_budget,
            metrics=experiment.task.metrics,
        ) as show,
    ):
        plan = training.Plan(
            limits,
            options.participation,
            options.machines,
            directory,
            notes,
            options.checkpoint_every,
            options.resumed,
        )
        result = training.run(experiment, plan, record, show)
    if record.rows:
        _show(experiment, options, directory, record.rows, result)
    if result.ending.exit_code:
        return _fail(result.ending.sentence, result.ending.exit_code)
    _save_model(experiment, result, directory)
    summary = _summary(experiment, record.rows[-1], result.initial_bits)
    directory.finish({**notes, **summary})
    return 0


def _save_model(
    experiment: "Experiment",
    result: "training.Result",
    directory: run_directory.RunDirectory,
) -> None:
    """Writes the trained model."""
    from tff_gs import programs

    directory.model.mkdir(exist_ok=True)
    programs.save_model_weights(
        directory.weights, experiment.process.get_model_weights(result.state)
    )


def _show(
    experiment: "Experiment",
    options: RunOptions,
    directory: run_directory.RunDirectory,
    rows: "Sequence[metrics_rows.Row]",
    result: "training.Result",
) -> None:
    """Draws the picture, and prints what came out of the run."""
    from launch import closing, summary_plot

    captions = summary_plot.captions(
        options,
        flags.used(),
        dimension=experiment.dimension,
        clients=len(experiment.clients),
    )
    _draw(directory, captions)
    screen.say(
        closing.closing_lines(
            experiment,
            rows,
            result,
            directory,
            task=flags.used()["task"],
            time_label=options.cost.time_label,
            wanted=options.training.targets,
        )
    )


def _draw(
    directory: run_directory.RunDirectory, captions: "summary_plot.Captions"
) -> None:
    """Draws the picture; a run can do without."""
    from launch import summary_plot

    try:
        summary_plot.draw(
            directory.metrics, directory.clients, directory.plot, captions
        )
    except OSError as error:
        directory.plot.unlink(missing_ok=True)
        logging.warning("No picture: %s", screen.error_sentence(error, flags.paths()))


def _summary(
    experiment: "Experiment", last: Mapping[str, Any], initial_bits: int
) -> dict[str, Any]:
    """What result.json holds of a run whose last row of metrics.csv is `last`."""
    measured = [measure.column for measure in experiment.task.measures()]
    return {
        "dimension": experiment.dimension,
        "clients": len(experiment.clients),
        "initial_bits": initial_bits,
        "rounds": last["round"],
        **{column: last[column] for column in ("time", "k", *measured)},
    }


def _notes(
    options: RunOptions, directory: run_directory.RunDirectory
) -> dict[str, Any]:
    """What the run was made with."""
    notes: dict[str, Any] = {"flags": flags.used()}
    source = options.training.init_from
    if source is not None:
        # That run may be gone when this one is resumed.
        notes["initial_model"] = (
            directory.saved_notes().get("initial_model")
            if options.resumed
            else run_directory.checksum(run_directory.RunDirectory(source).weights)
        )
    named = flags.plugins_used()
    return {**notes, "plugins": plugins.checksums(named)} if named else notes


def _parse(argv: Sequence[str]) -> RunOptions:
    """The options of the command line; help and errors end the program."""
    names = [argument.lstrip("-") for argument in argv[1:] if argument.startswith("-")]
    try:
        if any(name in topic.HELP for name in names):
            flags.load_plugins(argv)
            screen.say(f"{__doc__.strip()}\n\n{flags.help_text()}".rstrip("\n"))
            if "helpfull" in names:
                screen.say(f"\n{absl_flags.FLAGS.module_help('absl.logging')}")
            sys.exit(0)
        if "version" in names:
            screen.say(about.version())
            sys.exit(0)
        return flags.parse(argv)
    except ValueError as error:
        sys.exit(_fail(str(error), _WRONG_INPUT))
    except OSError as error:
        sys.exit(_fail(screen.error_sentence(error, flags.paths()), _WRONG_INPUT))


def _fail(sentence: str, exit_code: int) -> int:
    screen.say_error(sentence)
    return exit_code


@functools.cache
def _silence_tensorflow() -> None:
    """Keeps what TensorFlow and its dependencies say of themselves off the screen.

    And off the disk: Keras makes a folder for its settings, named "~" in the current
    directory if there is no home directory.
    """
    if _user_cache.find_home() is None:
        os.environ.setdefault("KERAS_HOME", os.devnull)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    std_logging.getLogger("tensorflow").setLevel(std_logging.WARNING)
    logging.get_absl_logger().addFilter(
        lambda record: (
            record.levelno > logging.converter.STANDARD_INFO
            or not any(name in record.pathname for name in _TALKATIVE)
        )
    )


def _let_go_of_default_context() -> None:
    from tff_gs.runtime import _default_context

    _default_context.let_go()


def run() -> None:
    """Runs the program on the command line; the entry point of the package."""
    # Before flags are read: a plugin may import TensorFlow.
    _silence_tensorflow()
    app.run(main, flags_parser=_parse)


if __name__ == "__main__":
    run()
