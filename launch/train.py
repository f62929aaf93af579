"""Trains a model over sparse messages, with a k that is learned on the way.

    python -m launch.train
    python -m launch.train --task=femnist --data_dir=DIR --clients=30 --time_budget=600
    python -m launch.train --controller=fixed --k=0.01 --rounds=100
    python -m launch.train --resume=DIR

`python -m launch.train --help` lists the flags.
"""

import contextlib
import logging as std_logging
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import app, logging
from absl import flags as absl_flags

from launch import flags, populations, run_directory, time_label
from launch.options import RunOptions

if TYPE_CHECKING:
    from launch.experiment import Experiment

_HELP = ("help", "helpshort", "?", "h")
_WRONG_INPUT = 2
# In the paths of what logs more than a run has to say.
_TALKATIVE = ("tensorflow", f"{os.sep}tff_gs{os.sep}")


def main(options: RunOptions) -> int:
    """Runs the program; returns its exit code."""
    _silence_tensorflow()
    with contextlib.ExitStack() as held:
        return _run(options, run_directory.RunDirectory(options.output_dir), held)


def _run(
    options: RunOptions,
    directory: run_directory.RunDirectory,
    held: contextlib.ExitStack,
) -> int:
    try:
        if options.resumed:
            directory.check_resumable()
        else:
            directory.check()
        populations.check_directory(options.participation, resumed=options.resumed)
        # Not before the flags are known to be right: this is where the time goes.
        from launch import experiment

        try:
            built = experiment.build(options)
        finally:
            _replace_default_context()
        if not options.resumed:
            directory.create(flags.used())
        held.enter_context(directory.lock())
    except ValueError as error:
        return _fail(str(error), _WRONG_INPUT)
    except KeyboardInterrupt:
        return _fail("Interrupted before the first round.", 130)
    from tff_gs import programs

    try:
        return _train(built, options, directory)
    except programs.ProgramStateError as error:
        return _fail(f"{directory.path}: {error}", _WRONG_INPUT)
    except KeyboardInterrupt:
        return _fail(f"Interrupted twice; the rounds are in {directory.path}.", 130)


def _train(
    experiment: "Experiment", options: RunOptions, directory: run_directory.RunDirectory
) -> int:
    from launch import closing, progress, recorder, summary_plot, training

    limits = options.training
    with (
        recorder.Recorder(
            directory,
            experiment.task.clients,
            flags=flags.used(),
            resumed=options.resumed,
        ) as record,
        progress.Progress(rounds=limits.rounds, time_budget=limits.time_budget) as show,
    ):
        result = training.run(
            experiment,
            limits,
            record,
            show,
            directory,
            participation=options.participation,
            checkpoint_every=options.checkpoint_every,
            resumed=options.resumed,
        )
    time_unit = time_label.TIME_LABELS[options.cost]
    if record.rows:
        captions = summary_plot.Captions(
            title=_title(experiment, options),
            dimension=experiment.dimension,
            time_label=time_unit,
            guaranteed=options.method.sparsifier == "fab_top_k"
            and options.participation.clients_per_round is None,
        )
        summary_plot.draw(
            directory.metrics, directory.clients, directory.plot, captions
        )
        print(
            closing.closing_lines(
                experiment,
                record.rows,
                result,
                directory,
                time_label=time_unit,
                wanted=limits.targets,
            )
        )
    if result.ending.exit_code:
        return _fail(result.ending.sentence, result.ending.exit_code)
    directory.finish(_summary(experiment, record.rows[-1], result.initial_bits))
    return 0


def _summary(
    experiment: "Experiment", last: Mapping[str, Any], initial_bits: int
) -> dict[str, Any]:
    """What result.json holds of a run whose last row of metrics.csv is `last`."""
    columns = ("time", "k", "test_accuracy", "test_loss")
    return {
        "flags": flags.used(),
        "dimension": experiment.dimension,
        "clients": len(experiment.task.clients),
        "initial_bits": initial_bits,
        "rounds": last["round"],
        **{column: last[column] for column in columns},
    }


def _title(experiment: "Experiment", options: RunOptions) -> str:
    cohort = options.participation.clients_per_round
    share = "" if cohort is None else f"{cohort} of "
    return (
        f"{options.task}, {share}{len(experiment.task.clients)} clients: "
        f"{options.method.sparsifier}, k by {options.controller}, seed "
        f"{options.training.seed}"
    )


def _parse(argv: Sequence[str]) -> RunOptions:
    """The options of the command line; help and errors end the program."""
    names = [argument.lstrip("-") for argument in argv[1:] if argument.startswith("-")]
    if any(name in (*_HELP, "helpfull") for name in names):
        print(f"{__doc__.strip()}\n\n{flags.help_text()}", end="")
        if "helpfull" in names:
            print(f"\n{absl_flags.FLAGS.module_help('absl.logging')}")
        sys.exit(0)
    try:
        return flags.parse(argv)
    except ValueError as error:
        sys.exit(_fail(str(error), _WRONG_INPUT))


def _fail(sentence: str, exit_code: int) -> int:
    print(sentence, file=sys.stderr)
    return exit_code


def _silence_tensorflow() -> None:
    """Keeps what TensorFlow and its dependencies say of themselves off the screen."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    std_logging.getLogger("tensorflow").setLevel(std_logging.WARNING)
    logging.get_absl_logger().addFilter(
        lambda record: (
            record.levelno > logging.converter.STANDARD_INFO
            or not any(name in record.pathname for name in _TALKATIVE)
        )
    )


def _replace_default_context() -> None:
    """Lets go of TFF's default context, which ends with an error message at exit."""
    if "tensorflow_federated" not in sys.modules:
        return
    import tensorflow_federated as tff

    class NoContext(tff.framework.SyncContext):
        def invoke(self, comp: object, arg: object) -> None:
            raise RuntimeError("Expected a call inside an execution context.")

    tff.framework.set_default_context(NoContext())


def run() -> None:
    """Runs the program on the command line; the entry point of the package."""
    app.run(main, flags_parser=_parse)


if __name__ == "__main__":
    run()
