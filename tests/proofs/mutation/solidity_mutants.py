"""What is changed in Solidity code, found in the compiler's syntax tree: operators, numbers, conditions, and statements
and modifiers that are left out. Events and interfaces are not changed: the ABI's snapshots judge those."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.support import toolchain

__all__ = ["SolidityMutant", "apply", "find_mutants", "sources"]

_SOURCE = toolchain.PROJECT / "src"
_PAIRS = "== != < <= > >= && || + - * / % * & | ^ & << >> += -= *= /= |= &= ^= |= <<= >>="
_BOTH_WAYS = ("==", "<", ">", "&&", "+", "*", "&", "<<", "+=", "*=", "|=", "<<=")
_OPERATORS = dict(zip(_PAIRS.split()[::2], _PAIRS.split()[1::2], strict=True))
_OPERATORS |= {_OPERATORS[one]: one for one in _BOTH_WAYS}
_Node: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SolidityMutant:
    """Bytes `start` to `end` of a file become `text`."""

    path: str
    """Below the checkout."""
    name: str
    start: int
    end: int
    text: str


def sources() -> list[str]:
    """The contracts' files, without interfaces."""
    every = sorted(_SOURCE.rglob("*.sol"))
    return [str(one.relative_to(_SOURCE.parents[1])) for one in every if "interfaces" not in one.parts]


def apply(mutant: SolidityMutant) -> bytes:
    content = (_SOURCE.parents[1] / mutant.path).read_bytes()
    return content[: mutant.start] + mutant.text.encode() + content[mutant.end :]


def find_mutants() -> list[SolidityMutant]:
    """All mutants of the contracts, in the order of the code. Raises CalledProcessError if they do not compile."""
    trees, found = _trees(), list[SolidityMutant]()
    for path in sources():
        content, seen = (_SOURCE.parents[1] / path).read_bytes(), dict[str, int]()
        for where, (first, last), (start, end, text) in _changes(trees[path.removeprefix("contracts/")], content, ""):
            after = content[first:start] + text.encode() + content[end:last]
            change = f"{path}:{where}: {_tell(content[first:last])} -> {_tell(after)}"
            seen[change] = seen.get(change, 0) + 1
            name = change if seen[change] == 1 else f"{change} ({seen[change]})"
            found.append(SolidityMutant(path, name, start, end, text))
    return found


def _tell(code: bytes) -> str:
    return " ".join(code.decode().split())[:120]


def _trees() -> dict[str, _Node]:
    paths = [path.removeprefix("contracts/") for path in sources()]
    asked = {
        "language": "Solidity",
        "sources": {path: {"content": (toolchain.PROJECT / path).read_text()} for path in paths},
        "settings": {
            "stopAfter": "parsing",
            "remappings": ["@openzeppelin/=node_modules/@openzeppelin/"],
            "outputSelection": {"*": {"": ["ast"]}},
        },
    }
    command = [str(toolchain.PROJECT / "tools" / "solc"), "--base-path", ".", "--standard-json"]
    done = subprocess.run(
        command, input=json.dumps(asked), capture_output=True, text=True, check=True, cwd=toolchain.PROJECT
    )
    answer = json.loads(done.stdout)
    return {path: answer["sources"][path]["ast"] for path in paths}


_Change: TypeAlias = tuple[int, int, str]
"""From which byte to which, and what stands there then."""


def _changes(node: _Node, content: bytes, where: str) -> Iterator[tuple[str, tuple[int, int], _Change]]:
    """Each change with the function and the expression or statement that it is in."""
    kind = node.get("nodeType")
    if kind in ("EventDefinition", "ErrorDefinition", "ImportDirective", "PragmaDirective", "StructDefinition"):
        return
    if kind in ("ContractDefinition", "FunctionDefinition", "ModifierDefinition"):
        own = node.get("name") or node.get("kind", "")
        where = f"{where}.{own}" if where else own
    for change in _variants(node, content):
        yield where, _span(node), change
    for child in _children(node):
        yield from _changes(child, content, where)


def _children(node: _Node) -> Iterator[_Node]:
    for name, value in node.items():
        if name in ("documentation", "typeName", "returnParameters", "parameters") and node["nodeType"] != "Block":
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and "nodeType" in one:
                yield one


def _span(node: _Node) -> tuple[int, int]:
    start, length, _ = map(int, node["src"].split(":"))
    return start, start + length


def _variants(node: _Node, content: bytes) -> Iterator[_Change]:
    kind, (start, end) = node.get("nodeType"), _span(node)
    if kind in ("BinaryOperation", "Assignment"):
        yield from _operator(node, content)
    elif kind == "UnaryOperation" and node["operator"] == "!":
        yield start, start + 1, ""
    elif kind == "Literal" and node["kind"] in ("number", "bool"):
        yield from _literal(node, start, end)
    elif kind in ("IfStatement", "WhileStatement") and node["condition"]["nodeType"] not in ("BinaryOperation",):
        first, last = _span(node["condition"])
        yield first, last, f"!({content[first:last].decode()})"
    elif kind == "Conditional":
        (first, last), (other, final) = _span(node["trueExpression"]), _span(node["falseExpression"])
        condition = content[start:first].decode()
        yield start, end, f"{condition}{content[other:final].decode()} : {content[first:last].decode()}"
    elif kind in ("RevertStatement", "EmitStatement", "ExpressionStatement"):
        if kind != "ExpressionStatement" or node["expression"]["nodeType"] in ("FunctionCall", "UnaryOperation"):
            yield start, end + (content[end : end + 1] == b";"), "{}"
    elif kind == "ModifierInvocation" and content[end:].lstrip()[:1] != b"(":
        yield start, end, ""


def _operator(node: _Node, content: bytes) -> Iterator[_Change]:
    left = node.get("leftExpression") or node["leftHandSide"]
    right = node.get("rightExpression") or node["rightHandSide"]
    operator = node["operator"]
    if operator in _OPERATORS:
        between = content[_span(left)[1] : _span(right)[0]]
        start = _span(left)[1] + between.index(operator.encode())
        yield start, start + len(operator), _OPERATORS[operator]


def _literal(node: _Node, start: int, end: int) -> Iterator[_Change]:
    value: str = node["value"]
    if node["kind"] == "bool":
        yield start, end, "false" if value == "true" else "true"
    elif value.isdigit() and not node.get("subdenomination"):
        yield start, end, str(int(value) + 1)
