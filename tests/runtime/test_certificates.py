"""What is said of a file that is no certificate. Nothing here imports TensorFlow."""

import re
import subprocess

import pytest

from tests import certificates
from tff_gs.runtime import _certificates


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(name="good", scope="module")
def _good(folder):
    return certificates.make(folder)


def _block(path, kind):
    (found,) = re.findall(
        rf"-----BEGIN {kind}-----.*?-----END {kind}-----\n",
        path.read_text(),
        re.DOTALL,
    )
    return found


def _write(path, *parts):
    path.write_text("".join(parts))
    path.chmod(0o600)
    return path


def test_one_as_the_page_makes_it(good):
    _certificates.check(good)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o601])
def test_others_may_not_read_it(good, tmp_path, mode):
    path = _write(tmp_path / "c.pem", good.read_text())
    path.chmod(mode)
    with pytest.raises(ValueError, match=rf"with mode {mode:o}: chmod 600 {path}$"):
        _certificates.check(path)


def _of(kind):
    return lambda good, folder: _write(folder / "part.pem", _block(good, kind))


def _another_key(good, folder):
    other = certificates.make(folder, "other.pem")
    return _write(
        folder / "mixed.pem", _block(good, "CERTIFICATE"), _block(other, "PRIVATE KEY")
    )


def _another_name(good, folder):
    change = ("DNS:tff-gs-worker", "DNS:elsewhere")
    return certificates.make(folder, "name.pem", changes=[change])


def _out_of_date(good, folder):
    signed = ["openssl", "x509", "-in", good, "-signkey", good, "-days", "-1"]
    ended = subprocess.run(signed, check=True, capture_output=True, text=True)
    return _write(folder / "old.pem", _block(good, "PRIVATE KEY"), ended.stdout)


def _with_password(good, folder):
    change = ("-nodes", "-passout pass:secret")
    return certificates.make(folder, "password.pem", changes=[change])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda good, folder: _write(folder / "empty.pem"), "not readable"),
        (lambda good, folder: _write(folder / "text.pem", "text\n"), "not readable"),
        (_of("CERTIFICATE"), "not readable"),
        (_of("PRIVATE KEY"), "not readable"),
        (_with_password, "not readable"),
        (_another_key, "key values mismatch"),
        (
            _another_name,
            "hostname mismatch, certificate is not valid for 'tff-gs-worker'",
        ),
        (_out_of_date, "certificate has expired"),
    ],
    ids=[
        "empty",
        "text",
        "no key",
        "no certificate",
        "password",
        "key",
        "name",
        "date",
    ],
)
def test_what_would_not_work_is_one_sentence(good, folder, make, reason):
    path = make(good, folder)
    with pytest.raises(ValueError, match="Expected a file") as raised:
        _certificates.check(path)
    assert str(raised.value) == (
        f"Expected a file with a key and its own certificate for tff-gs-worker, found "
        f"{path} ({reason}); docs/several_machines.md says how to make one."
    )


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        _certificates.check(tmp_path / "none.pem")
