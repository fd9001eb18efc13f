"""Figures of the source: `python -m tests.support.house` prints them, `--seed N` draws messages and docstrings to read.

tests/unit/test_house.py holds the ceilings. Counted by the syntax tree, so that a string over many lines counts as it
is written.
"""

from __future__ import annotations

import argparse
import ast
import io
import random
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

__all__ = [
    "PACKAGES",
    "ROOT",
    "Function",
    "Source",
    "count_levels",
    "draw",
    "find_cycles",
    "find_duplicates",
    "find_imports",
    "is_hand_written",
    "read_sources",
]

ROOT = Path(__file__).parents[2]
PACKAGES = ("ledger", "services", "quality")
BESIDE = ("services/demo/",)
"""How the paths of the demonstration begin."""
SAME_LINES = 6
"""Lines that are the same to the letter, in two places, from which on they are a duplicate."""


@dataclass(frozen=True, slots=True)
class Function:
    """`lines` from `def` to the last statement, both counted; decorators are not."""

    path: str
    name: str
    lines: int


class Source:
    """One module."""

    def __init__(self, path: Path) -> None:
        self.path = path.relative_to(ROOT).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.lines = self.text.count("\n")

    @cached_property
    def module(self) -> str:
        name = self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return f"millmark.{name}" if name.partition(".")[0] in PACKAGES else name

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def functions(self) -> list[Function]:
        defined = [one for one in ast.walk(self.tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
        return [Function(self.path, one.name, (one.end_lineno or one.lineno) - one.lineno + 1) for one in defined]

    @cached_property
    def imports(self) -> list[ast.Import | ast.ImportFrom]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.Import | ast.ImportFrom)]

    @cached_property
    def deferred(self) -> list[int]:
        """The lines of imports that functions make."""
        functions = [one for one in ast.walk(self.tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
        inside = {node for one in functions for node in ast.walk(one) if isinstance(node, ast.Import | ast.ImportFrom)}
        return sorted(node.lineno for node in inside)

    @cached_property
    def rebound(self) -> list[str]:
        """Names to which the module itself assigns twice, also as one of several."""
        targets = [one for node in self.tree.body if isinstance(node, ast.Assign) for one in node.targets]
        targets += [node.target for node in self.tree.body if isinstance(node, ast.AnnAssign) and node.value]
        found = [one for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]
        names = Counter(one.id for one in found if isinstance(one.ctx, ast.Store))
        return sorted(name for name, count in names.items() if count > 1)

    @cached_property
    def header(self) -> int:
        """Lines of imports and of `__all__`, without the imports of functions."""
        nodes: list[ast.stmt] = [*_at_import(self.tree)]
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                nodes.append(node)
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                nodes += node.body
        return sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in nodes)

    @cached_property
    def told(self) -> tuple[int, int]:
        """Lines of docstrings, with those of attributes, and of comments that stand alone."""
        strings = [
            node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        ]
        lines = sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in strings)
        return lines, sum(line.lstrip().startswith("#") for line in self.text.splitlines())

    @cached_property
    def code(self) -> int:
        """Lines that are neither blank nor comment nor docstring."""
        return sum(bool(line.strip()) for line in self.text.splitlines()) - sum(self.told)

    @cached_property
    def comments(self) -> int:
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return sum(token.type == tokenize.COMMENT for token in tokens)

    @cached_property
    def bodies(self) -> list[list[tuple[int, str]]]:
        """Of each function, and of what of the module is in none: number and text of its lines, without indentation,
        comments, docstrings and what is declared: signatures, imports, fields of classes."""
        found: list[list[tuple[int, str]]] = []
        texts = [line.strip() for line in self.text.splitlines()]
        nodes: list[ast.stmt] = [*self.tree.body]
        while nodes:
            node = nodes.pop()
            if isinstance(node, ast.ClassDef):
                nodes += node.body
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                numbers = range(body[0].lineno, (node.end_lineno or 0) + 1) if body else range(0)
                found.append([(n, texts[n - 1]) for n in numbers if texts[n - 1] and texts[n - 1][0] != "#"])
        return found

    @cached_property
    def docstrings(self) -> list[str]:
        """Of the module, its classes and its functions."""
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        found = [ast.get_docstring(node) for node in ast.walk(self.tree) if isinstance(node, documented)]
        return [text for text in found if text]

    @cached_property
    def messages(self) -> list[str]:
        """What is said by errors that are raised: their first argument, as it is written."""
        raised = [node.exc for node in ast.walk(self.tree) if isinstance(node, ast.Raise)]
        calls = [one for one in raised if isinstance(one, ast.Call) and one.args]
        written = [ast.unparse(one.args[0]) for one in calls if isinstance(one.args[0], ast.Constant | ast.JoinedStr)]
        return [text for text in written if " " in text]


def is_hand_written(source: Source) -> bool:
    """Whether the house's figures count it: not a migration, or what is beside the product."""
    return (
        not source.path.startswith(BESIDE)
        and not source.path.endswith("/__init__.py")
        and ("/migrations/" not in source.path)
    )


def read_sources(packages: Iterable[str] = PACKAGES) -> list[Source]:
    return [Source(path) for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def find_imports(sources: Sequence[Source], *, hidden: bool = True) -> dict[str, set[str]]:
    """By module, those of `sources` that it imports. `hidden`: also in functions, and for types alone."""
    known = {source.module for source in sources}
    found: dict[str, set[str]] = {}
    for source in sources:
        nodes = source.imports if hidden else _at_import(source.tree)
        names = {name for node in nodes for name in _imported(node)}
        found[source.module] = {
            one for name in names if (one := name if name in known else name.rpartition(".")[0]) in known
        } - {source.module}
    return found


def _at_import(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    nodes: list[ast.AST] = [*tree.body]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes += ast.iter_child_nodes(node)


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    return [f"{node.module}.{one.name}" for one in node.names]


def find_cycles(imports: dict[str, set[str]]) -> list[set[str]]:
    """Modules that import each other, by way of others or not: one set for each circle and those it is tied to."""
    turned: dict[str, set[str]] = {name: set() for name in imports}
    for name, others in imports.items():
        for other in others & imports.keys():
            turned[other].add(name)
    left, found = set(imports), []
    while left:
        name = next(iter(left))
        tied = _reach(name, imports, left) & _reach(name, turned, left)
        left -= tied
        found += [tied] if len(tied) > 1 else []
    return sorted(found, key=min)


def _reach(start: str, imports: dict[str, set[str]], among: set[str]) -> set[str]:
    reached, waiting = {start}, [start]
    while waiting:
        new = imports[waiting.pop()] & among - reached
        reached |= new
        waiting += new
    return reached


def count_levels(imports: dict[str, set[str]], package: str) -> int:
    """How many of the rooms directly below a package stand on each other, at most."""
    rooms: dict[str, set[str]] = defaultdict(set)
    for name, others in imports.items():
        if name.startswith(f"{package}."):
            inside = {_room(other, package) for other in others if other.startswith(f"{package}.")}
            rooms[_room(name, package)] |= inside - {_room(name, package)}
    height: dict[str, int] = {}

    def climb(room: str) -> int:
        if room not in height:
            height[room] = 0  # a cycle would end here; find_cycles tells of it
            height[room] = 1 + max((climb(other) for other in rooms[room]), default=0)
        return height[room]

    return max(climb(room) for room in list(rooms))


def _room(module: str, package: str) -> str:
    return module.removeprefix(f"{package}.").partition(".")[0]


def find_duplicates(sources: Sequence[Source]) -> list[tuple[str, str, int]]:
    """Where functions have the same lines, and how many; the longest run of each pair of places."""
    bodies = [(source.path, body) for source in sources for body in source.bodies]
    places: dict[tuple[str, ...], list[_Place]] = defaultdict(list)
    for number, (_, body) in enumerate(bodies):
        for start in range(len(body) - SAME_LINES + 1):
            places[tuple(text for _, text in body[start : start + SAME_LINES])].append((number, start))
    pairs = {pair for found in places.values() for pair in pairwise(found) if _is_apart(*pair)}
    found = []
    for one, other in sorted(pairs):
        if (_moved(one, -1), _moved(other, -1)) not in pairs:
            length = SAME_LINES
            while (_moved(one, length - SAME_LINES + 1), _moved(other, length - SAME_LINES + 1)) in pairs:
                length += 1
            shown = [f"{bodies[number][0]}:{bodies[number][1][start][0]}" for number, start in (one, other)]
            found.append((shown[0], shown[1], length))
    return found


_Place = tuple[int, int]
"""Which body, and from which of its lines on."""


def _moved(place: _Place, lines: int) -> _Place:
    return place[0], place[1] + lines


def _is_apart(one: _Place, other: _Place) -> bool:
    """Lines that overlap with themselves are a table."""
    return one[0] != other[0] or other[1] - one[1] >= SAME_LINES


def draw(texts: Iterable[str], count: int, seed: int) -> list[str]:
    """Some of the texts, without doubles, at random."""
    return random.Random(seed).sample(sorted(set(texts)), count)  # noqa: S311 - a sample to read, no secret


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="print messages and docstrings drawn with this seed instead")
    parser.add_argument("--count", type=int, default=60, help="so many of each")
    asked = parser.parse_args(arguments)
    sources = read_sources()
    lines = _figures(sources) if asked.seed is None else _drawn(sources, asked.count, asked.seed)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _figures(sources: Sequence[Source]) -> Iterator[str]:
    for package in PACKAGES:
        own = [source for source in sources if source.path.startswith(f"{package}/")]
        lines, comments = sum(one.lines for one in own), sum(one.comments for one in own)
        yield f"{package}: {len(own)} modules, {lines} lines, {100 * comments / lines:.2f} comments per 100 lines"
    imports = find_imports(sources)
    written = [source for source in sources if is_hand_written(source)]
    lines, code = sum(one.lines for one in written), sum(one.code for one in written)
    told, header = sum(sum(one.told) for one in written), sum(one.header for one in written)
    yield f"hand-written: {len(written)} modules, {lines} lines, {code} of code, {told / code:.3f} told per line"
    yield f"  imports and __all__: {header} lines, {100 * header / lines:.1f} %"
    yield f"  imports in functions: {sum(len(one.deferred) for one in written)}"
    yield f"{len(sources)} modules; circles, hidden imports counted: {find_cycles(imports) or 'none'}"
    levels = {package: count_levels(imports, f"millmark.{package}") for package in PACKAGES}
    yield from (f"{package}: {count} levels" for package, count in levels.items())
    yield from (f"{one.path} {one.name}: {one.lines} lines" for s in sources for one in s.functions if one.lines > 50)
    yield from (f"{source.path}: {source.lines} lines" for source in sources if source.lines > 1_000)
    yield f"files over 300 lines: {sum(source.lines > 300 for source in sources)}"
    yield from (f"{one} = {other}: {count} lines" for one, other, count in find_duplicates(sources))


def _drawn(sources: Sequence[Source], count: int, seed: int) -> Iterator[str]:
    yield from draw((text for source in sources for text in source.messages), count, seed)
    for text in draw((text for source in sources for text in source.docstrings), count, seed):
        yield f"--- {text}"


if __name__ == "__main__":
    sys.exit(main())
