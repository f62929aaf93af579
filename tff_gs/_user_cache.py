"""Where the user's caches lie."""

import os
import pathlib


def find() -> pathlib.Path | None:
    """The directory, which may not exist yet; None: the user has none."""
    root = os.environ.get("XDG_CACHE_HOME")
    if root:
        return pathlib.Path(root) / "tff_gs"
    home = find_home()
    return home / ".cache" / "tff_gs" if home else None


def find_home() -> pathlib.Path | None:
    """The user's home directory; None if there is none."""
    try:
        return pathlib.Path.home()
    except RuntimeError:
        return None
