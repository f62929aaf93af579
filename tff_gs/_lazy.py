"""Public names of a package, each imported when it is first used.

Importing a package then imports neither its modules nor TensorFlow, which takes
seconds. A package says its names once, in imports that type checkers read too:

    if TYPE_CHECKING:
        from tff_gs.costs.cost import Cost as Cost
    else:
        __getattr__, __dir__, __all__ = _lazy.exports(__name__)
"""

import ast
import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from typing import Any


def exports(
    package: str,
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package calls `__getattr__`, `__dir__` and `__all__`.

    `dir` shows the public names and nothing else. The modules of the package stay
    attributes of it, whether they were imported before or not.

    Args:
      package: The package's `__name__`. Its source is read: imports that only type
        checkers run say which names it has, and where they are.
    """
    homes = _homes(package)

    def get(name: str) -> Any:
        module, original = homes.get(name, (package, name))
        if module == package:
            return _module(package, name)
        value = getattr(importlib.import_module(module), original)
        # Python asks for it no more.
        setattr(sys.modules[package], name, value)
        return value

    names = sorted(homes)
    return get, lambda: list(names), names


def _homes(package: str) -> dict[str, tuple[str, str]]:
    """From each public name to its module and its name there."""
    loader: Any = sys.modules[package].__loader__
    return {
        alias.asname or alias.name: (f"{statement.module}", alias.name)
        for branch in ast.parse(loader.get_source(package)).body
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for statement in branch.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def _module(package: str, name: str) -> types.ModuleType:
    module = f"{package}.{name}"
    if name.startswith("__") or importlib.util.find_spec(module) is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return importlib.import_module(module)
