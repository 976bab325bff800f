"""Does the prose hold? Names of our code exist, links lead somewhere, pictures have words, words mean one thing."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

from .book import Book, Cell, Chapter

BANNED = ("simply", "just", "obviously", "of course", "easy", "easily", "trivial", "trivially", "basically", "clearly",
          "powerful", "seamless", "seamlessly", "robust", "leverage", "delve")
ALLOW = re.compile(r"<!-- allow: (.+?) -->")
FENCE = re.compile(r"^(`{3,}|~{3,}|:{3,})")


def problems(chapter: Chapter, book: Book) -> list[str]:
    """What is wrong with the words of a chapter, one line each."""
    found: list[str] = []
    for cell in chapter.cells:
        if not cell.is_code:
            found += [*_banned(cell), *_names(cell, book), *_links(cell, book), *_pictures(cell)]
    return found


def prose_of(text: str) -> str:
    """The sentences of a markdown cell: no code, no quotations, no targets of links, no comments."""
    kept, fence = [], ""
    for line in text.splitlines():
        mark = line.strip()[:3]
        if not fence and mark in {"```", "~~~"} and "{" not in line:
            fence = mark
        elif fence:
            if line.strip().startswith(fence) and set(line.strip()) == {fence[0]}:
                fence = ""
        elif not line.lstrip().startswith(("> ", "```", ":::")):
            kept.append(line)
    text = re.sub(r"<!--.*?-->", "", "\n".join(kept), flags=re.S)
    text = re.sub(r"(`+).+?\1", "` `", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(r"[\"“][^\"”\n]*[\"”]", '" "', text)


def _banned(cell: Cell) -> list[str]:
    allowed = {word.strip().lower() for match in ALLOW.findall(cell.source) for word in match.split(",")}
    text = prose_of(cell.source)
    return [f"{cell.where}: “{word}” tells a reader nothing; leave it out (or `<!-- allow: {word} -->`)"
            for word in BANNED if word not in allowed and re.search(rf"\b{word}\b", text, re.I)]


# ---- names of our code

@functools.lru_cache(maxsize=4)
def _known(root: str) -> dict[str, set[str]]:
    """What a dotted name may say: module → what it holds, class → its members (and attributes set on self)."""
    labs = Path(root)
    known: dict[str, set[str]] = {}
    for path in labs.rglob("*.py"):
        name = path.relative_to(labs).as_posix().removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        tree = ast.parse(path.read_text("utf-8"))
        names = {node.asname or node.name for item in tree.body if isinstance(item, ast.ImportFrom | ast.Import)
                 for node in item.names}
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                known.setdefault(node.name, set()).update(_members(node))
                names.add(node.name)
            names |= _bound(node)
        known.setdefault(name, set()).update(names)
        parent, _, leaf = name.rpartition(".")
        if parent:
            known.setdefault(parent, set()).add(leaf)
    return known


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _members(node: ast.ClassDef) -> set[str]:
    found = {n.name for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    found |= {n.id for s in node.body for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    found |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
              and n.value.id == "self"}
    found |= {base.id for base in node.bases if isinstance(base, ast.Name)}
    return found


def _names(cell: Cell, book: Book) -> list[str]:
    """`tinykube.store.mvcc`, `tinykube/store/mvcc.py` and `Store.put` in backticks have to exist."""
    known = _known(str(book.labs))
    found = []
    for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", cell.source):
        path = re.fullmatch(r"(?:labs/)?((?:tinykube|bookkit|genuine)/[\w./-]*)", span)
        if path and not (book.labs / path[1]).exists():
            found.append(f"{cell.where}: there is no file `{span}`")
        dotted = re.fullmatch(r"((?:tinykube|bookkit|genuine)(?:\.\w+)+)(?:\(.*\))?", span)
        if dotted and not _resolves(dotted[1], known):
            found.append(f"{cell.where}: `{span}` does not exist")
        member = re.fullmatch(r"([A-Z]\w+)\.(\w+)(?:\(.*\))?", span)
        if member and member[1] in known and not _has(member[1], member[2], known):
            found.append(f"{cell.where}: `{member[1]}` has no `{member[2]}`")
    return found


def _resolves(dotted: str, known: dict[str, set[str]]) -> bool:
    if dotted in known:
        return True
    owner, _, leaf = dotted.rpartition(".")
    if owner in known:
        return leaf in known[owner]
    return _has(owner.rpartition(".")[2], leaf, known) and _resolves(owner, known)


def _has(owner: str, member: str, known: dict[str, set[str]], depth: int = 5) -> bool:
    """A member of the class or of what it inherits from (a base from elsewhere is taken at its word)."""
    names = known.get(owner, set())
    return member in names or (depth > 0 and any(_has(base, member, known, depth - 1) for base in names & known.keys()))


# ---- links and pictures

def _links(cell: Cell, book: Book) -> list[str]:
    found = []
    text = re.sub(r"(?s)```(?!\{).*?```", "", cell.source)
    text = re.sub(r"`[^`\n]*`", "", text)
    for target in re.findall(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)[^)]*\)", text):
        if re.match(r"(https?:|mailto:)", target):
            continue
        file, _, anchor = target.partition("#")
        page = (cell.chapter.path.parent / file).resolve() if file else cell.chapter.path
        if file and not any(page.with_name(page.name + ending).exists() for ending in ("", ".ipynb", ".md")):
            found.append(f"{cell.where}: the link to {target} leads nowhere")
        elif anchor and page.suffix == ".ipynb" and anchor not in anchors(Chapter(page)):
            found.append(f"{cell.where}: {page.name} has no section #{anchor}")
    return found


def anchors(chapter: Chapter) -> set[str]:
    """The names by which sections of a chapter can be linked."""
    found = set()
    for cell in chapter.cells:
        if not cell.is_code:
            found |= set(re.findall(r"^\((\S+)\)=$", cell.source, re.M))
            for title in re.findall(r"^#+ (.+?)\s*$", cell.source, re.M):
                words = re.sub(r"[^\w\- ]", "", title.lower())
                found.add(words.replace(" ", "-"))
    return found


def _pictures(cell: Cell) -> list[str]:
    found = [f"{cell.where}: a picture without alt text: {target}"
             for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", cell.source) if not alt.strip()]
    for directive in re.findall(r"(?ms)^(?:`{3,}|:{3,})\{(?:image|figure)\}.*?^(?:`{3,}|:{3,})\s*$", cell.source):
        if not re.search(r"^:alt: *\S", directive, re.M):
            found.append(f"{cell.where}: a picture without `:alt:`")
    found += [f"{cell.where}: an <img> without alt text" for tag in re.findall(r"<img\b[^>]*>", cell.source)
              if not re.search(r'alt="[^"]+"', tag)]
    return found
