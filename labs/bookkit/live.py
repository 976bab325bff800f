"""Change a running program: functions, classes and tables keep their identity and take a new meaning.

Other modules hold what they imported, objects hold their class, bound methods hold their function. So a new
definition is poured into the old object wherever Python allows it; where it does not (a number, a tuple, another
shape of object), every module of the package that imported the name gets the new object.
"""

from __future__ import annotations

import abc
import ast
import contextlib
import sys
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

Namespace = dict[str, Any]
CONTAINERS = (dict, list, set, deque, bytearray)
KEPT = {"__dict__", "__weakref__", "__abstractmethods__", "_abc_impl", "__module__", "__qualname__"}
_WRAPPERS = ("__func__", "fget", "fset", "fdel", "func", "__wrapped__")


def replace(module: types.ModuleType, name: str, old: Any, new: Any, *, made_by_def: bool) -> Any:
    """Give `name` of `module` its new meaning; returns what it stands for now (the old object, if that could change)."""
    if old is new:
        return new
    ours = getattr(old, "__module__", None) == module.__name__
    if made_by_def and ours and isinstance(old, type) and isinstance(new, type) and update_class(old, new):
        return old
    if ours and isinstance(old, types.FunctionType) and isinstance(new, types.FunctionType):
        plain = not (old.__closure__ or new.__closure__)
        if (made_by_def or plain) and update_function(old, new):
            return old
    if type(old) is type(new) and isinstance(old, CONTAINERS):
        update_container(old, new)
        return old
    for namespace, key in importers(module.__name__, name):
        if namespace.get(key) is old:
            namespace[key] = new
    return new


def update_function(old: types.FunctionType, new: types.FunctionType) -> bool:
    """Make `old` do what `new` does; False where their closures differ in shape."""
    if old.__code__.co_freevars != new.__code__.co_freevars:
        return False
    for mine, its in zip(old.__closure__ or (), new.__closure__ or (), strict=True):
        if mine is its:
            continue
        with contextlib.suppress(ValueError):  # an empty cell has nothing to give
            mine.cell_contents = its.cell_contents
    old.__code__ = new.__code__
    old.__defaults__ = new.__defaults__
    old.__kwdefaults__ = new.__kwdefaults__
    old.__doc__ = new.__doc__
    old.__annotations__ = new.__annotations__
    old.__dict__.update(new.__dict__)
    return True


def update_container(old: Any, new: Any) -> None:
    """Give a list, dict, set or deque the contents of `new`, without a moment in which a key that stays is missing."""
    if isinstance(old, dict):
        old.update(new)
        for key in [key for key in old if key not in new]:
            del old[key]
        if list(old) != list(new):
            for key in new:
                old[key] = old.pop(key)
    elif isinstance(old, set):
        old |= new
        old &= new
    elif isinstance(old, deque):
        old.clear()
        old.extend(new)
    else:
        old[:] = new


def update_class(old: type, new: type) -> bool:
    """Make `old` the class that `new` is, so that its instances change with it; False where Python cannot."""
    if type(old) is not type(new) or "__members__" in dir(type(old)) or _slots(old) != _slots(new):
        return False
    if old.__bases__ != new.__bases__:
        try:
            old.__bases__ = new.__bases__
        except TypeError:
            return False
    adopt(old, new, [name for name in vars(new) if name not in KEPT])
    return True


def adopt(owner: type, source: type, names: list[str]) -> None:
    """Take the attributes `names` of `source` over into `owner`, as if they had been written there."""
    for name in names:
        value = vars(source)[name]
        if isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType):
            continue
        for function in functions_in(value):
            _point_closure(function, source, owner)
        mine = vars(owner).get(name)
        if isinstance(mine, types.FunctionType) and isinstance(value, types.FunctionType):  # noqa: SIM102
            if update_function(mine, value):
                continue
        if name == "__annotations__" and mine is not None:
            mine |= value
            continue
        setattr(owner, name, value)
    if isinstance(owner, abc.ABCMeta):
        abc.update_abstractmethods(owner)  # type: ignore[arg-type]


def functions_in(value: Any, seen: set[int] | None = None) -> Iterator[types.FunctionType]:
    """The functions that an attribute of a class is made of: itself, or inside a property, a wrapper, a decorator."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, types.FunctionType):
        yield value
        for cell in value.__closure__ or ():
            with contextlib.suppress(ValueError):
                if isinstance(cell.cell_contents, types.FunctionType):
                    yield from functions_in(cell.cell_contents, seen)
    elif isinstance(value, type) or type(value).__module__ == "types":
        return
    for attribute in _WRAPPERS:
        inner = getattr(value, attribute, None)
        if inner is not None:
            yield from functions_in(inner, seen)


def _point_closure(function: types.FunctionType, source: type, owner: type) -> None:
    """`super()` and frozen dataclasses hold their class in a closure: let it be `owner`."""
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):
            if cell.cell_contents is source:
                cell.cell_contents = owner


def _slots(cls: type) -> list[str]:
    return [name for name, value in vars(cls).items() if isinstance(value, types.MemberDescriptorType)]


# ---- who imported a name

_imports: dict[str, tuple[str | None, list[tuple[str, str, str]]]] = {}


def importers(module: str, name: str) -> Iterator[tuple[Namespace, str]]:
    """Namespaces of the same package that did `from module import name`, and what they call it there."""
    root = module.partition(".")[0]
    for other in [m for key, m in sys.modules.items() if key == root or key.startswith(root + ".")]:
        for source, original, alias in _imports_of(other):
            if (source, original) == (module, name):
                yield vars(other), alias


def _imports_of(module: types.ModuleType) -> list[tuple[str, str, str]]:
    """The `from x import y as z` of a module, as (x, y, z), read from its source."""
    path = getattr(module, "__file__", None)
    known = _imports.get(module.__name__)
    if known and known[0] == path:
        return known[1]
    found: list[tuple[str, str, str]] = []
    if path and path.endswith(".py"):
        with contextlib.suppress(OSError, SyntaxError), open(path, encoding="utf-8") as file:
            for node in ast.walk(ast.parse(file.read())):
                if isinstance(node, ast.ImportFrom):
                    source = _absolute(module, node)
                    found += [(source, alias.name, alias.asname or alias.name) for alias in node.names]
    _imports[module.__name__] = (path, found)
    return found


def _absolute(module: types.ModuleType, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = (module.__package__ or "").split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def each_new(before: Namespace, after: Namespace) -> Iterator[str]:
    """Names that a statement bound anew."""
    for name, value in list(after.items()):
        if name not in before or before[name] is not value:
            yield name


