"""`%load_ext bookkit`: a cell that names its file becomes part of that module of the running kernel.

    #| filename: tinykube/scheduler/plugins.py
    #| class: Queue             (optional: the functions below are methods of that class)
    #| experiment: what changes (optional: a change for a while; the gate and `tangle` leave it alone)

What is defined there changes at once for everybody who imported it, for living objects and for a running
cluster (`live`). The public names of the cell can also be used in the cells that follow.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import signal
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import live, source
from .book import options, without_options

HIDDEN = "__bookkit_body__"
ROUTINE = {"__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__firstlineno__",
           "__static_attributes__"}
loaded = False  # the guard asks
_shell: Any = None
FUTURE = importlib.import_module("__future__").annotations


class BuildError(Exception):
    """A build cell that cannot go where it says, and why. Shown as one sentence, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


def load_ipython_extension(shell: Any) -> None:
    """Called by `%load_ext bookkit`."""
    global loaded, _shell
    loaded, _shell = True, shell
    transforms = shell.input_transformers_cleanup
    if redirect not in transforms:
        transforms.insert(0, redirect)
    _mind_hangups()
    _load_tools(shell)


def _mind_hangups() -> None:
    """Let a hangup end what a cell starts: a Jupyter that was started with `nohup` passes its deafness on."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup and threading.current_thread() is threading.main_thread() and signal.getsignal(hangup) is signal.SIG_IGN:
        signal.signal(hangup, signal.SIG_DFL)


def unload_ipython_extension(shell: Any) -> None:
    """Called by `%unload_ext bookkit`: build cells are refused from now on."""
    global loaded
    loaded = False
    if redirect in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(redirect)


def _load_tools(shell: Any) -> None:
    """What the show side of bookkit wants to do once a kernel (figures, defaults), if it is there."""
    if importlib.util.find_spec("bookkit.figures"):
        figures = importlib.import_module("bookkit.figures")
        hook: Callable[[Any], None] | None = getattr(figures, "on_load", None)
        if hook:
            hook(shell)


# ---- from the cell to the call

def redirect(lines: list[str]) -> list[str]:
    """Input transformer: a cell with option lines becomes a call that does what they ask."""
    text = "".join(lines)
    found = options(text)
    if "tier" in found:
        lines = _for_tier(lines, text, found["tier"])
        if "".join(lines) != text:
            return lines
    if "filename" in found:
        return _for_build(lines, text, found)
    return _without_options_before_magic(lines, text)


def _for_tier(lines: list[str], text: str, tier: str) -> list[str]:
    from . import tiers

    if tier in tiers.available():
        return lines
    return [f"__import__('bookkit.tiers', fromlist=['_']).stand_in({tier!r}, {text!r})\n"]


def _without_options_before_magic(lines: list[str], text: str) -> list[str]:
    """`%%bash` has to be a cell's first line: let option lines above it through."""
    body = without_options(text)
    return body.splitlines(keepends=True) if body != text and body.startswith("%%") else lines


def _for_build(lines: list[str], text: str, found: dict[str, str]) -> list[str]:
    try:
        compile(text, "<cell>", "exec", dont_inherit=True)
    except SyntaxError:
        if _runs_in_ipython(text):
            return _raise("a build cell becomes part of a file, so it holds plain Python: "
                          "no magics, no `!`, no `?`, no `await` outside a function")
        return lines  # IPython shows the syntax error as it shows any other
    return [f"__import__('bookkit.cells', fromlist=['_']).build({found['filename']!r}, "
            f"{found.get('class', '')!r}, {text.removesuffix(chr(10))!r})\n"]


def _runs_in_ipython(text: str) -> bool:
    """Whether IPython would run what Python would not; then it would define things in the wrong place."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        code = TransformerManager().transform_cell(text)  # type: ignore[no-untyped-call]
        compile(code, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError:
        return False
    return True


def _raise(message: str) -> list[str]:
    return [f"raise __import__('bookkit.cells', fromlist=['_']).BuildError({message!r})\n"]


# ---- the call

def build(path: str, class_name: str, text: str) -> None:
    """Run the text of a build cell inside the module of `path`, or inside a class of it.

    Raises BuildError when the module or the class does not exist.
    """
    __tracebackhide__ = True
    module = module_of(path)
    filename = _remember(text)
    if class_name:
        _build_members(module, class_name, text, filename, path)
        return
    names = _build_module(module, text, filename)
    _show_names(module, names)


def restore(path: str) -> None:
    """Put a module back to what its file says, after experiments in cells."""
    __tracebackhide__ = True
    module = module_of(path)
    file = Path(str(module.__file__))
    text = file.read_text("utf-8")
    _show_names(module, _build_module(module, text, str(file), plumbing=False), only_known=True)


def module_of(path: str) -> types.ModuleType:
    """The module that lies at `path` below labs/. Raises BuildError when there is none."""
    parts = path.split("/")
    if not path.endswith(".py") or path.startswith("/") or ".." in parts:
        raise BuildError(f"`#| filename: {path}` names no module; write it like `tinykube/store/mvcc.py`")
    name = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise BuildError(f"{path}: there is no such module, so this cell has no place to go "
                             f"(missing: {error.name})") from None
        raise


def _remember(text: str) -> str:
    """The file name under which tracebacks and inspect find the cell's own lines."""
    if _shell is None:
        import linecache

        name = f"<build cell {len(linecache.cache)}>"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        return name
    return str(_shell.compile.cache(text, _shell.execution_count, raw_code=text))


def _flags(module: types.ModuleType) -> int:
    """The module's own `from __future__` line holds for what is added to it."""
    has = getattr(module, "annotations", None) is FUTURE
    return int(FUTURE.compiler_flag) if has else 0


def _build_module(module: types.ModuleType, text: str, filename: str, plumbing: bool = True) -> list[str]:
    """Run the text statement by statement in the module, pouring each new definition into the old one."""
    __tracebackhide__ = True
    tree = ast.parse(text, filename)
    if not plumbing and tree.body and ast.get_docstring(tree, clean=False) is not None:
        tree.body.pop(0)
    touched: list[str] = []
    namespace = vars(module)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            continue
        before = dict(namespace)
        made_by_def = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if isinstance(node, ast.ClassDef):
            node = _complete(module, node)
        _execute(ast.Module([node], []), filename, module)
        for name in live.each_new(before, namespace):
            if name in before:
                namespace[name] = live.replace(module, name, before[name], namespace[name], made_by_def=made_by_def)
            if not isinstance(node, ast.Import | ast.ImportFrom):
                touched.append(name)
        if isinstance(node, ast.ClassDef):
            _sweep(module, node)
    return touched


def _execute(tree: ast.Module, filename: str, module: types.ModuleType) -> None:
    __tracebackhide__ = True
    code = compile(tree, filename, "exec", _flags(module), dont_inherit=True)
    try:
        exec(code, vars(module))
    finally:
        vars(module).pop(HIDDEN, None)


# ---- classes whose body is spread over cells

def _complete(module: types.ModuleType, node: ast.ClassDef) -> ast.ClassDef:
    """Let the class see its members from other cells before its decorators (a dataclass looks for `__post_init__`)."""
    old = vars(module).get(node.name)
    if not isinstance(old, type) or old.__module__ != module.__name__:
        return node
    here = {name.split(".")[1] for name in _member_names(node)}
    elsewhere = [name for name in _members_elsewhere(module, node.name) if name not in here and name in vars(old)]
    if not elsewhere:
        return node

    def complete(new: type) -> type:
        for name in elsewhere:
            value = vars(old)[name]
            setattr(new, name, value)
        if isinstance(new, type) and hasattr(new, "__abstractmethods__"):
            import abc

            abc.update_abstractmethods(new)
        return new

    vars(module)[HIDDEN] = complete
    call = ast.copy_location(ast.Name(HIDDEN, ast.Load()), node)
    node.decorator_list.append(call)
    return node


def _member_names(node: ast.ClassDef) -> list[str]:
    """Members that the statement itself defines, as "Queue.push"."""
    copy = ast.unparse(ast.ClassDef(node.name, node.bases, node.keywords, node.body, [], **_type_params(node)))
    return [d.name for d in source.definitions(copy) if d.name != node.name and d.name.count(".") == 1]


def _type_params(node: ast.ClassDef) -> dict[str, Any]:
    return {"type_params": node.type_params} if hasattr(node, "type_params") else {}


_added: dict[tuple[str, str], set[str]] = {}   # (module, class): what `#| class:` cells put there
_before: dict[tuple[str, str], set[str]] = {}  # (module, class): what its own statement held when it last ran


def _members_elsewhere(module: types.ModuleType, class_name: str) -> set[str]:
    """Functions of the class by its file and by the cells that added to it."""
    found = set(_added.get((module.__name__, class_name), ()))
    path = getattr(module, "__file__", None)
    if path and Path(path).is_file():
        for node in ast.parse(Path(path).read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name == class_name:
                found |= {s.name for s in node.body if isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef)}
    return found


def _sweep(module: types.ModuleType, node: ast.ClassDef) -> None:
    """A method that only an earlier run of this cell defined goes away."""
    key = (module.__name__, node.name)
    now = {name.split(".")[1] for name in _member_names(node)}
    owner = vars(module).get(node.name)
    for gone in _before.get(key, set()) - now - _members_elsewhere(module, node.name):
        if isinstance(owner, type) and gone in vars(owner):
            delattr(owner, gone)
    _before[key] = now


class _Body(dict[str, Any]):
    """The names that a class body sees: its own, then what the class has already (`@size.setter` needs `size`)."""

    def __init__(self, owner: type) -> None:
        super().__init__()
        self.owner = owner

    def __missing__(self, name: str) -> Any:
        return vars(self.owner)[name]


def _build_members(module: types.ModuleType, class_name: str, text: str, filename: str, path: str) -> None:
    __tracebackhide__ = True
    owner = vars(module).get(class_name)
    if not isinstance(owner, type):
        there = ", ".join(sorted(name for name, value in vars(module).items()
                                 if isinstance(value, type) and value.__module__ == module.__name__)) or "none"
        raise BuildError(f"{path} has no class {class_name!r} to add to; its classes: {there}")

    body = _Body(owner)

    class Members(type):
        @classmethod
        def __prepare__(cls, name: str, bases: tuple[type, ...], /, **kwds: Any) -> _Body:
            return body

    vars(module)[HIDDEN] = Members
    tree = _as_class(text, class_name, filename)
    before = vars(module)[class_name]
    try:
        _execute(tree, filename, module)
        members = vars(module)[class_name]
    finally:
        vars(module)[class_name] = before
    names = [name for name in vars(members) if name not in ROUTINE]
    live.adopt(owner, members, names)
    _added.setdefault((module.__name__, class_name), set()).update(names)


def _as_class(text: str, class_name: str, filename: str) -> ast.Module:
    """The functions of the cell as the body of a class, on the lines and columns where the cell has them."""
    lines = text.splitlines()
    head = next(i for i, line in enumerate(lines) if options(line).get("class"))
    body = [f"    {line}" if line.strip() else line for line in lines]
    body[head] = f"class {class_name}(metaclass={HIDDEN}):"
    tree = ast.parse("\n".join(body) + "\n    pass\n", filename)
    for node in ast.walk(tree):
        if getattr(node, "col_offset", 0) >= 4:
            node.col_offset -= 4  # type: ignore[attr-defined]
        if (getattr(node, "end_col_offset", 0) or 0) >= 4:
            node.end_col_offset -= 4  # type: ignore[attr-defined]
    return tree


def _show_names(module: types.ModuleType, names: list[str], only_known: bool = False) -> None:
    """What the cell defined can be used in the next cell."""
    if _shell is None:
        return
    for name in names:
        if not name.startswith("__") and (not only_known or name in _shell.user_ns):
            _shell.user_ns[name] = vars(module)[name]

