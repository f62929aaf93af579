"""Runs a command that is killed when the thread that started it ends.

Started by its path, without any other module of this package:

    python -I -S _dying_with_parent.py PARENT_PID COMMAND [ARGUMENT ...]

The kernel is asked for the signal here, in a process of its own, because code that
runs between a fork and an exec (`preexec_fn`) makes the fork a full one, in which
gRPC's handlers of a busy program abort now and then.
"""

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _main() -> None:
    parent, *command = sys.argv[1:]
    # A system without prctl: the program itself ends the command when it can.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # A parent that ended before the request sends no signal any more.
    if os.getppid() == int(parent):
        os.execv(command[0], command)


if __name__ == "__main__":
    _main()
