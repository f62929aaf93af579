"""Ctrl-C, SIGTERM and SIGHUP, put off or told at once."""

import contextlib
import os
import signal

import pytest

from launch import interruption

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _send(number):
    os.kill(os.getpid(), number)


@contextlib.contextmanager
def _raised_with_code(number):
    with pytest.raises(KeyboardInterrupt) as raised:
        yield
    assert interruption.exit_code(raised.value) == 128 + number


@pytest.mark.parametrize("first", _NUMBERS)
@pytest.mark.parametrize("second", _NUMBERS)
def test_the_first_signal_is_put_off_and_the_second_is_not(first, second):
    usual = [signal.getsignal(number) for number in _NUMBERS]
    with interruption.raised():
        with _raised_with_code(second), interruption.deferred() as interrupted:
            assert interrupted() is None
            _send(first)
            assert interrupted() == first
            _send(second)
        with _raised_with_code(second):
            _send(second)
    assert [signal.getsignal(number) for number in _NUMBERS] == usual


def test_what_nohup_ignores_stays_ignored():
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruption.raised(), interruption.deferred() as interrupted:
            _send(signal.SIGHUP)
            assert interrupted() is None
            _send(signal.SIGTERM)
            assert interrupted() == signal.SIGTERM
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, usual)


def test_exit_codes_are_those_of_a_shell():
    codes = [interruption.exit_code(number) for number in _NUMBERS]
    assert codes == [130, 143, 129]
    assert interruption.exit_code(KeyboardInterrupt()) == 130
