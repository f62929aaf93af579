"""Ctrl-C, SIGTERM and SIGHUP: put off to the end of a round, or told at once."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

_ENDING = (signal.SIGTERM, signal.SIGHUP)


class SignalError(KeyboardInterrupt):
    """A signal that asks the program to end, as Ctrl-C does.

    Attributes:
      number: The signal.
    """

    def __init__(self, number: int) -> None:
        """Tells of the signal `number`."""
        super().__init__(number)
        self.number = number


def exit_code(error: KeyboardInterrupt | int) -> int:
    """The exit code of a program that a signal has ended, as a shell has it.

    Args:
      error: The signal, or what was raised for it.
    """
    if isinstance(error, KeyboardInterrupt):
        error = getattr(error, "number", signal.SIGINT)
    return 128 + error


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Turns SIGTERM and SIGHUP into an exception, as Ctrl-C is one."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise SignalError(number)

    with _handled(_heard(_ENDING), interrupt):
        yield


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], int | None]]:
    """Puts off the first signal of the block; the second one interrupts as usual.

    Yields:
      A function that gives the signal that there was, or None.
    """
    seen: int | None = None

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        seen = number
        undo.close()

    with contextlib.ExitStack() as undo:
        undo.enter_context(_handled((signal.SIGINT, *_heard(_ENDING)), note))
        yield lambda: seen


def _heard(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Those that are not ignored from the start on, as nohup has it."""
    return tuple(n for n in numbers if signal.getsignal(n) is not signal.SIG_IGN)


@contextlib.contextmanager
def _handled(numbers: tuple[int, ...], handler: Callable) -> Iterator[None]:
    usual = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in usual.items():
            signal.signal(number, former)
