"""Installed packages with which a run would fail only after a while."""

from importlib import metadata

# With a later version TensorFlow 2.14 cannot write a checkpoint: "this __dict__
# descriptor does not support '_DictWrapper' objects".
_PACKAGE, _LAST = "typing_extensions", (4, 5)


def check() -> None:
    """Raises ValueError, in one sentence, if a version cannot work."""
    found = metadata.version(_PACKAGE)
    if tuple(int(number) for number in found.split(".")[:2]) > _LAST:
        raise ValueError(
            f"Expected {_PACKAGE} {'.'.join(map(str, _LAST))}, found {found}, with "
            f"which TensorFlow cannot write a checkpoint: pip install -c "
            f"constraints.txt {_PACKAGE}"
        )
