"""Adaptive gradient sparsification for TensorFlow Federated.

The packages, each importing only those after it:

* `programs`: program logic that trains, evaluates, releases, saves and resumes;
* `runtime`: execution contexts in which clients' state stays in the TFF runtime;
* `learning`: federated SGD and averaging over sparse messages, with a k that is
  learned;
* `aggregators`, `distributors`: sparse messages for TFF's own algorithms, without
  client state;
* `exchange`: the sparse exchange as a TFF computation with client state;
* `sparsifiers`, `encoders`, `controllers`, `costs`: what is sent and selected, its
  bytes, the rules for k, and models of time.

Parts of one's own are `Configuration`s with an `option` or several, and enter a
`Registry` by their name.

Importing `tff_gs`, or one of these, imports no TensorFlow before a name in it is used.
"""

from typing import TYPE_CHECKING

from tff_gs import _lazy

#: The package's version; pyproject.toml reads it here.
__version__ = "0.1.0"

if TYPE_CHECKING:
    from tff_gs import (
        aggregators as aggregators,
        controllers as controllers,
        costs as costs,
        distributors as distributors,
        encoders as encoders,
        exchange as exchange,
        learning as learning,
        programs as programs,
        runtime as runtime,
        sparsifiers as sparsifiers,
    )
    from tff_gs.configuration import (
        Configuration as Configuration,
        option as option,
        options_of as options_of,
    )
    from tff_gs.registry import Registry as Registry
else:
    __getattr__, __dir__, __all__ = _lazy.exports(__name__)
