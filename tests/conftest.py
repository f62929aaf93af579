"""What all tests share: a silent TensorFlow, and no TFF worker left behind."""

import os
import pathlib
import signal

import hypothesis
import pytest

# What CI says of a commit does not depend on luck; at home every run looks further.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A shell lets programs in the background ignore Ctrl-C, which their children inherit;
# TFF ends its workers by SIGINT and waits for ever for one that ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _own_workers():
    """The ids of the TFF worker processes that this process started."""
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            lines = status.read_text().splitlines()
        except OSError:  # The process ended meanwhile.
            continue
        fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        if fields["Name"] == "worker_binary" and int(fields["PPid"]) == os.getpid():
            yield int(fields["Pid"])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish():
    """Ends the workers, which TFF leaves running; runs in xdist's workers too."""
    for pid in _own_workers():
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def exact_encoder():
    """The exact encoder that exchanges are tested with."""
    from tff_gs.encoders import encoder

    return encoder.Encoder("int32", "float32")
