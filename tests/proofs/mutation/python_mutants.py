"""What is changed in Python code: the operators of mutmut and cosmic-ray that leave code which still runs.

Not changed are annotations, docstrings, `__all__`, what stands under `if TYPE_CHECKING`, and sentences for people: a
string with a space in it is text, and text is judged by reading it. Nor is what makes no difference to callers: what a
value is cast to, how a dataclass is stored, how much is cached, and `strict` of zip, which states what holds anyway.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import TypeAlias

__all__ = ["UNCHANGED", "PythonMutant", "build", "find_mutants"]

UNCHANGED = -1
"""The number of no mutant: the code as it is, on which all tests must succeed."""
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any", "ceil": "floor", "floor": "ceil"}
_SILENT = ("strict", "slots", "frozen", "maxsize", "hint")
"""Arguments that are not changed."""
_TYPES = ("int", "str", "bytes", "dict", "list")
_Place: TypeAlias = tuple[ast.AST, str, int | None]
"""Parent, its field, and the position in the field if that is a list."""
_Found: TypeAlias = tuple[ast.AST, _Place, tuple[str, ...], ast.stmt | None, bool]


@dataclass(frozen=True, slots=True)
class PythonMutant:
    """One change. `name` stays the same while the function stays as it is."""

    path: str
    name: str
    number: int
    """Among all mutants of the file, by which it is built."""
    lines: tuple[int, ...]
    """Of the changed expression; then, of the statement that it is in."""
    in_function: bool


def find_mutants(root: Path, path: str) -> list[PythonMutant]:
    """All mutants of a file below root, in the order of the code."""
    seen: dict[str, int] = {}
    found = []
    for number, (node, new, qualified, statement, inside) in enumerate(_changes(ast.parse((root / path).read_text()))):
        change = f"{path}:{'.'.join(qualified)}: {_tell(node)} -> {_tell(new)}"
        seen[change] = seen.get(change, 0) + 1
        name = change if seen[change] == 1 else f"{change} ({seen[change]})"
        found.append(PythonMutant(path, name, number, _lines(node, statement), inside))
    return found


def build(root: Path, mutant: PythonMutant) -> CodeType:
    """The changed module's code, with the line numbers of the original."""
    tree = ast.parse((root / mutant.path).read_text())
    for number, (_, new, place) in enumerate(_places(tree)):
        if number == mutant.number:
            parent, field, position = place
            ast.copy_location(new, _old(place))
            if position is None:
                setattr(parent, field, new)
            else:
                getattr(parent, field)[position] = new
            break
    return compile(ast.fix_missing_locations(tree), str(root / mutant.path), "exec", dont_inherit=True)


def _old(place: _Place) -> ast.AST:
    parent, field, position = place
    found: ast.AST = getattr(parent, field) if position is None else getattr(parent, field)[position]
    return found


def _tell(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:120]


def _lines(node: ast.AST, statement: ast.stmt | None) -> tuple[int, ...]:
    own = range(getattr(node, "lineno", 0), (getattr(node, "end_lineno", 0) or 0) + 1)
    return (*own, *([statement.lineno] if statement else []))


def _places(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.AST, _Place]]:
    for node, place, _, _, _ in _walk(tree, (), None, False):
        for new in _variants(node):
            yield node, new, place


def _changes(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.AST, tuple[str, ...], ast.stmt | None, bool]]:
    for node, _, qualified, statement, inside in _walk(tree, (), None, False):
        for new in _variants(node):
            yield node, new, qualified, statement, inside


def _walk(node: ast.AST, qualified: tuple[str, ...], statement: ast.stmt | None, inside: bool) -> Iterator[_Found]:
    for field, position, child in _children(node):
        own = (*qualified, child.name) if isinstance(child, ast.FunctionDef | ast.ClassDef) else qualified
        its = child if isinstance(child, ast.stmt) else statement
        # Defaults and decorators are evaluated where the function is defined.
        within = field == "body" if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) else False
        here = within or (inside and not isinstance(node, ast.ClassDef))
        yield child, (node, field, position), qualified, its, here
        yield from _walk(child, own, its, here)


def _children(node: ast.AST) -> Iterator[tuple[str, int | None, ast.AST]]:
    if _is_left_alone(node):
        return
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "ctx", "type_params", "type_comment") or _is_cast(node, field):
            continue
        if isinstance(value, ast.AST):
            yield field, None, value
        elif isinstance(value, list):
            for position, one in enumerate(value):
                if isinstance(one, ast.AST) and not (position == 0 and field == "body" and _is_text(one)):
                    yield field, position, one


def _is_cast(node: ast.AST, field: str) -> bool:
    """Whether the field holds the arguments of `cast`. Its value is rarely more than a name."""
    return isinstance(node, ast.Call) and field == "args" and ast.unparse(node.func) in ("cast", "TypeVar", "NewType")


def _is_left_alone(node: ast.AST) -> bool:
    if isinstance(node, ast.keyword):
        return node.arg in _SILENT
    if isinstance(node, ast.Assign):
        return any(isinstance(one, ast.Name) and one.id == "__all__" for one in node.targets)
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.annotation) == "TypeAlias"
    return isinstance(node, ast.JoinedStr) or _is_text(node)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that may stand in this one's place."""
    if _is_left_alone(node):
        return
    if isinstance(node, ast.Compare):
        for position, operator in enumerate(node.ops):
            new = copy.deepcopy(node)
            new.ops[position] = _COMPARISONS[type(operator)]()
            yield new
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.Not | ast.USub):
            yield node.operand
    elif isinstance(node, ast.BinOp):
        if not _makes_type(node):
            yield ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right)
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            yield ast.Call(ast.Name(_CALLS[node.func.id], ast.Load()), node.args, node.keywords)
    elif isinstance(node, ast.stmt):
        yield from _statements(node)
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)


def _makes_type(node: ast.BinOp) -> bool:
    """Whether it is `A | B` of classes, as isinstance takes it, or `X | None`."""
    sides: Sequence[ast.expr] = (node.left, node.right)
    return isinstance(node.op, ast.BitOr) and any(
        (isinstance(side, ast.Constant) and side.value is None) or _is_class(side) for side in sides
    )


def _is_class(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and (node.id in _TYPES or (node.id[:1].isupper() and not node.id.isupper()))


def _constants(node: ast.Constant) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
    elif isinstance(value, str):
        if " " not in value:
            yield ast.Constant(f"XX{value}XX" if value else "XX")
    elif isinstance(value, bytes):
        yield ast.Constant(b"XX" + value)


def _statements(node: ast.stmt) -> Iterator[ast.AST]:
    if isinstance(node, ast.If | ast.While):
        # A comparison or an operator in it is changed by itself.
        if isinstance(node.test, ast.Name | ast.Attribute | ast.Call | ast.NamedExpr | ast.Subscript):
            new = copy.copy(node)
            new.test = ast.UnaryOp(ast.Not(), node.test)
            yield new
    elif isinstance(node, ast.Raise | ast.Delete) or (isinstance(node, ast.Expr) and not _is_text(node)):
        yield ast.Pass()
    elif isinstance(node, ast.AugAssign):
        yield ast.AugAssign(node.target, _ARITHMETIC[type(node.op)](), node.value)
    elif isinstance(node, ast.Return):
        if node.value is not None and not isinstance(node.value, ast.Constant):
            yield ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Break):
        yield ast.Continue()
    elif isinstance(node, ast.Continue):
        yield ast.Break()
