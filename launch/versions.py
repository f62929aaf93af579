"""The versions that the numbers of a run may depend on."""

import platform
from importlib import metadata

import tff_gs

_PACKAGES = ("tensorflow", "tensorflow-federated", "numpy")


def installed() -> dict[str, str]:
    """The versions of this program, its Python and the packages that compute."""
    return {
        "tff_gs": tff_gs.__version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _PACKAGES},
    }
