"""Build cells: what they define changes at once, for everybody who has it."""

from __future__ import annotations

import asyncio
import inspect
import traceback

import pytest
from bookkit.cells import BuildError

from .conftest import Live


def test_an_importer_sees_the_new_function(live: Live) -> None:
    plugins = live.module("plugins", "def fits(pod, room=1):\n    return 'old'\n")
    user = live.module("user", "from .plugins import fits as f\ndef ask():\n    return f(1), f.__defaults__, f.__doc__\n")
    before = plugins.fits
    live.build("plugins", 'def fits(pod, room=7, *, why="so"):\n    """New."""\n    return f"new {room} {why}"')
    assert user.ask() == ("new 7 so", (7,), "New.")
    assert plugins.fits is before
    assert live.run("fits(1)") == "new 7 so", "the next cell can call it"


def test_the_name_is_rebound_where_the_object_cannot_change(live: Live) -> None:
    live.module("m", "LIMIT = 3\nNAMES = ('a',)\n")
    user = live.module("user", "from .m import LIMIT, NAMES as n\nOTHER = 3\ndef ask():\n    return LIMIT, n, OTHER\n")
    live.build("m", "LIMIT = 4\nNAMES = ('b', 'c')")
    assert user.ask() == (4, ("b", "c"), 3)


@pytest.mark.parametrize(("old", "new"), [
    ("{'a': 1, 'b': 2}", "{'b': 3, 'c': 4}"), ("[1, 2]", "[3]"), ("{1, 2}", "{2, 5}"),
    ("__import__('collections').deque([1, 2], 5)", "__import__('collections').deque([3], 5)"),
])
def test_a_table_keeps_its_identity(live: Live, old: str, new: str) -> None:
    module = live.module("m", f"TABLE = {old}\n")
    held = module.TABLE
    live.build("m", f"TABLE = {new}")
    assert module.TABLE is held
    assert held == eval(new)
    assert list(held) == list(eval(new))


def test_living_instances_change_with_their_class(live: Live) -> None:
    module = live.module("m", """
        class Base:
            def name(self): return "base"
        class Queue(Base):
            def __init__(self): self.items = []
            def name(self): return "old"
            def kept(self): return "kept"
        """)
    queue, cls = module.Queue(), module.Queue
    bound = queue.name
    live.build("m", '''
        class Queue(Base):
            """A queue."""
            limit = 5
            def __init__(self): self.items = []
            def name(self): return "new on " + super().name()
            @staticmethod
            def two(): return 2
            @classmethod
            def made(cls): return cls()
            @property
            def size(self): return len(self.items)
        ''')
    assert module.Queue is cls
    assert queue.name() == "new on base"
    assert (queue.two(), queue.size, queue.limit, type(queue.made())) == (2, 0, 5, cls)
    assert queue.kept() == "kept", "a member that another cell shows stays"
    assert cls.__doc__ == "A queue."
    assert bound() in {"old", "new on base"}


def test_a_bound_method_that_somebody_holds_changes(live: Live) -> None:
    module = live.module("m", "class A:\n    def f(self): return 1\n")
    held = module.A().f
    live.build("m", "class A:\n    def f(self): return 2")
    assert held() == 2


def test_members_are_added_to_a_class_with_super_and_properties(live: Live) -> None:
    module = live.module("m", """
        class Base:
            def hello(self): return "base"
        class A(Base):
            LIMIT = 3
            def __init__(self): self._size = 1
            @property
            def size(self): return self._size
            @size.setter
            def size(self, value): self._size = value
        """)
    a = module.A()
    live.build("m", '''
        def hello(self, n=LIMIT):
            return f"{super().hello()} {n}"

        @size.setter
        def size(self, value):
            self._size = value * 10

        @classmethod
        def kind(cls): return super().__name__ if False else cls.__name__

        @staticmethod
        def s(): return "static"

        async def later(self):
            return super().hello()

        def __private(self): return "mangled"
        def public(self): return self.__private()
        ''', "#| class: A")
    a.size = 2
    assert (a.hello(), a.size, a.kind(), a.s(), a.public()) == ("base 3", 20, "A", "static", "mangled")
    assert asyncio.run(a.later()) == "base"
    assert module.A.hello.__qualname__ == "A.hello"


def test_a_dataclass_spread_over_cells(live: Live) -> None:
    module = live.module("m", """
        from dataclasses import dataclass
        @dataclass(frozen=True)
        class P:
            x: int
            def __post_init__(self):
                if self.x < 0: raise ValueError(self.x)
            def double(self): return 2 * self.x
        """)
    old = module.P(1)
    live.build("m", "@dataclass(frozen=True)\nclass P:\n    x: int\n    y: int = 5")
    new = module.P(2)
    assert (new.y, new.double(), old.double()) == (5, 4, 2)
    assert isinstance(old, type(new))
    with pytest.raises(ValueError, match="-1"):
        module.P(-1)
    with pytest.raises(AttributeError, match="cannot assign"):
        new.x = 3


def test_abstract_classes_and_protocols_spread_over_cells(live: Live) -> None:
    module = live.module("m", """
        import abc
        class I(abc.ABC):
            @abc.abstractmethod
            def f(self): ...
        class C(I):
            def g(self): return 1
            def f(self): return 2
        """)
    live.build("m", "class C(I):\n    def g(self): return 10")
    assert (module.C().f(), module.C().g()) == (2, 10)


def test_decorated_functions_and_generators(live: Live) -> None:
    module = live.module("m", """
        import contextlib, functools
        def loud(f):
            @functools.wraps(f)
            def call(*a): return f(*a).upper()
            return call
        @loud
        def say(x): return f"old {x}"
        @contextlib.contextmanager
        def hold():
            yield "old"
        def count():
            yield 1
        async def later(): return "old"
        """)
    user = live.module("user", "from .m import say, hold, count, later\n")
    live.build("m", """
        @loud
        def say(x): return f"new {x}"
        @contextlib.contextmanager
        def hold():
            yield "new"
        def count():
            yield from (1, 2)
        async def later(): return "new"
        """)
    with user.hold() as what:
        assert what == "new"
    assert (user.say("x"), list(user.count()), asyncio.run(user.later())) == ("NEW X", [1, 2], "new")
    assert module.say is user.say


def test_a_cached_function_is_replaced_for_importers(live: Live) -> None:
    live.module("m", "import functools\n@functools.cache\ndef f(): return 1\n")
    user = live.module("user", "from .m import f\ndef ask(): return f()\n")
    assert user.ask() == 1
    live.build("m", "@functools.cache\ndef f(): return 2")
    assert user.ask() == 2


def test_later_statements_of_a_cell_use_earlier_ones(live: Live) -> None:
    module = live.module("m", "def make(): return helper()\ndef helper(): return 1\nX = make()\n")
    live.build("m", "def helper(): return 5\ndef make(): return helper() + 1\nX = make()")
    assert module.X == 6


def test_running_the_package_text_changes_nothing(live: Live) -> None:
    text = "from dataclasses import dataclass\nA = [1]\ndef f(): return A\n@dataclass\nclass C:\n    x: int = 1\n"
    module = live.module("m", text)
    before = (module.A, module.f, module.C)
    for _ in range(3):
        live.build("m", text.split("\n", 1)[1])
    assert all(a is b for a, b in zip(before, (module.A, module.f, module.C), strict=True))
    assert module.C() == module.C(1)


def test_restore_takes_experiments_back(live: Live) -> None:
    module = live.module("m", '"""Doc."""\nfrom os import sep\ndef f(): return "file"\nT = {"a": 1}\n')
    live.build("m", 'def f(): return "cell"\nT = {}', "#| experiment: less")
    assert (module.f(), module.T) == ("cell", {})
    live.run(f"from bookkit import restore\nrestore('{live.package}/m.py')")
    assert (module.f(), module.T, module.sep) == ("file", {"a": 1}, "/")


def test_the_future_line_of_the_module_holds(live: Live) -> None:
    module = live.module("m", "from __future__ import annotations\ndef f(x: int): ...\n")
    live.build("m", "def f(x: NotThere) -> Nor(This): return x")
    assert module.f.__annotations__ == {"x": "NotThere", "return": "Nor(This)"}


# ---- what goes wrong is said

def test_no_such_module_names_the_file(live: Live) -> None:
    with pytest.raises(BuildError, match=r"nowhere/mod\.py: there is no such module"):
        live.run("#| filename: nowhere/mod.py\ndef f(): ...")


@pytest.mark.parametrize("path", ["tinykube.store", "/etc/x.py", "../x.py", "x"])
def test_a_path_that_is_none_says_what_one_looks_like(live: Live, path: str) -> None:
    with pytest.raises(BuildError, match=r"write it like `tinykube/store/mvcc\.py`"):
        live.run(f"#| filename: {path}\ndef f(): ...")


def test_no_such_class_names_those_there_are(live: Live) -> None:
    live.module("m", "class Queue: ...\n")
    with pytest.raises(BuildError, match=r"has no class 'Quee' to add to; its classes: Queue"):
        live.build("m", "def f(self): ...", "#| class: Quee")


def test_an_import_error_inside_the_module_is_its_own(live: Live) -> None:
    with pytest.raises(ModuleNotFoundError, match="surely_not_there"):
        live.module("broken", "import surely_not_there\n")
    with pytest.raises(ModuleNotFoundError, match="surely_not_there"):
        live.build("broken", "def f(): ...")


def test_a_syntax_error_is_a_syntax_error(live: Live) -> None:
    live.module("m", "def f(): return 1\n")
    with pytest.raises(SyntaxError) as caught:
        live.build("m", "def f(:\n    return 2")
    assert caught.value.lineno == 2, "the line of the cell"


@pytest.mark.parametrize("text", ["%time\ndef f(): return 2", "!ls\ndef f(): return 2", "await g()\ndef f(): return 2"])
def test_what_only_ipython_understands_is_refused(live: Live, text: str) -> None:
    module = live.module("m", "def f(): return 1\n")
    with pytest.raises(BuildError, match="plain Python"):
        live.build("m", text)
    assert module.f() == 1
    assert "f" not in live.shell.user_ns


@pytest.mark.parametrize("option", ["", "#| class: A"])
def test_tracebacks_and_inspect_show_the_cell(live: Live, option: str) -> None:
    module = live.module("m", "class A:\n    def f(self, x): return 1\ndef f(self, x): return 1\n")
    live.build("m", "def f(self, x):\n    y = 1\n    return x / 0  # here", *filter(None, [option]))
    function = module.A.f if option else module.f
    assert inspect.getsource(function).splitlines()[-1].strip() == "return x / 0  # here"
    with pytest.raises(ZeroDivisionError) as caught:
        function(None, 1)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert last.line == "return x / 0  # here"
    assert last.lineno == (5 if option else 4)


def test_an_error_at_the_top_of_a_cell_shows_its_line(live: Live, capsys: pytest.CaptureFixture[str]) -> None:
    live.module("m", "def f(): return 1\n")
    with pytest.raises(ZeroDivisionError):
        live.build("m", "def f(): return 2\nX = 1 / 0")
    shown = capsys.readouterr().out
    assert "X = 1 / 0" in shown
    assert "bookkit/cells.py" not in shown


def test_a_removed_table_entry_and_a_method_of_the_cell_go_away(live: Live) -> None:
    module = live.module("m", "class A:\n    def f(self): return 1\n")
    live.build("m", "class A:\n    def f(self): return 1\n    def g(self): return 2")
    live.build("m", "class A:\n    def f(self): return 1")
    assert not hasattr(module.A, "g")


def test_magics_under_a_tier_line_run(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOKKIT_TIERS", "anywhere")
    live.run("#| tier: anywhere\n%%capture out\nprint('hello')")
    assert live.run("out.stdout") == "hello\n"
