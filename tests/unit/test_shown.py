"""Whatever a user can ask for stands on a page that people wrote, with an example where it has a form.

Collected from the product: commands, options, settings, formats of files and of JSON, groups of routes, and methods of
the client. A part that no page shows is missing here, and so is an example that no command takes.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel

from millmark.services.cli import app
from millmark.services.commands.help_writer import build_formats
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.node import config
from millmark.services.settings import Settings
from tests.support.examples import ROOT, Line, Tree, Use, find_lines, read_pages
from tests.support.stores import new_store

PAGES = read_pages()
OF_ALL_ACTS = {"--json", "--no-wait"}
"""Options that a page explains once for all commands."""
OF_TYPER = {"--install-completion", "--show-completion", "--help"}
FILE_FORMAT = re.compile(r"millmark[-./][a-z-]+(?:/\d+)?")
_MENTIONS = re.compile(r'"millmark[-./]')
_NAMES_OF_FORMATS = re.compile(r"FORMAT$|^_?FORM$|^_(?:RING|RECIPIENT|REQUEST|NETWORK)$")


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree(app)


@pytest.fixture(scope="module")
def lines(tree: Tree) -> list[Line]:
    return [line for place, text in PAGES.items() for line in find_lines(place, text)] + list(tree.examples())


@pytest.fixture(scope="module")
def uses(tree: Tree, lines: list[Line]) -> Mapping[Line, list[Use]]:
    return {line: tree.parse(line) for line in lines}


def test_every_example_of_a_page_or_a_help_text_is_one_that_its_command_takes(tree: Tree, lines: list[Line]) -> None:
    wrong = []
    for line in lines:
        try:
            tree.parse(line)
        except ValueError as error:
            wrong.append(f"{line.place}: {line.text}: {error}")
    assert wrong == []


def test_every_command_stands_on_a_page(tree: Tree, uses: Mapping[Line, list[Use]]) -> None:
    named = {use.words for line, found in uses.items() if line.place in PAGES for use in found}
    leaves = {words for words, command in tree.commands.items() if not hasattr(command, "commands")}
    assert sorted(" ".join(words) for words in leaves - named) == []


def test_every_option_stands_in_an_example(tree: Tree, uses: Mapping[Line, list[Use]]) -> None:
    """An option that several commands share, with one help text, is shown by an example of one of them."""
    declared = tree.options()
    shown = {(name, declared[words, name]) for found in uses.values() for use in found for words, name in use.options}
    lacking = {
        f"{' '.join(words)} {name}"
        for (words, name), told in declared.items()
        if name not in OF_ALL_ACTS | OF_TYPER and (name, told) not in shown
    }
    assert sorted(lacking) == []


def test_every_setting_stands_on_a_page() -> None:
    page = PAGES["services/SETTINGS.md"]
    assert [name for name in Settings.model_fields if f"`{name}`" not in page] == []


def test_every_setting_of_the_node_stands_on_its_page() -> None:
    parts = [one for _, one in inspect.getmembers(config, inspect.isclass) if issubclass(one, BaseModel)]
    page = PAGES["services/node/OPERATIONS.md"]
    fields = {name for part in parts if part.__module__ == config.__name__ for name in part.model_fields}
    assert sorted(name for name in fields if not re.search(rf"\b{name}\b", page)) == []


def test_every_format_of_json_stands_on_a_page() -> None:
    """By name, or by a pattern in which `*` is one word."""
    patterns = [
        re.compile(re.escape(one).replace(r"\*", "[a-z-]+"))
        for text in PAGES.values()
        for one in re.findall(r"`(millmark\.[a-z.*-]+/\d+)`", text)
    ]
    formats = re.findall(r"`(millmark\.\S+/\d+)`", build_formats().partition("|---|---|")[2])
    assert len(formats) > 100
    assert [one for one in formats if not any(pattern.fullmatch(one) for pattern in patterns)] == []


def test_every_format_of_a_file_stands_on_a_page() -> None:
    text = "\n".join(PAGES.values())
    formats = set(_find_file_formats())
    assert len(formats) > 25, "else the search finds too little"
    assert sorted(one for one in formats if not re.search(rf'["`( ]{re.escape(one)}["`) ]', text)) == []


def test_every_group_of_routes_stands_on_a_page(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        paths = create_gateway(GatewayParts(store, build_policy())).openapi()["paths"]
    text = "\n".join(PAGES.values())
    groups = {_group_of(path) for path in paths}
    assert len(groups) > 40
    assert sorted(one for one in groups if not re.search(rf"{re.escape(one)}(?![a-z-])", text)) == []


def _group_of(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[:3]) if parts[1] in ("v1", "epcis") else f"/{parts[1]}"


def _find_file_formats() -> Iterator[str]:
    """The formats that documents and files say of themselves: constants of the product with such names, and the
    `format` of documents that it writes."""
    for folder in ("ledger", "quality", "services"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text("utf-8")
            for node in ast.walk(ast.parse(text)) if _MENTIONS.search(text) else ():
                for one in _said(node):
                    if isinstance(one, ast.Constant) and FILE_FORMAT.fullmatch(str(one.value)):
                        yield str(one.value)


def _said(node: ast.AST) -> Iterator[ast.AST | None]:
    if isinstance(node, ast.Dict):
        yield from (
            value for key, value in zip(node.keys, node.values, strict=True) if key and ast.unparse(key) == "'format'"
        )
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.value if _NAMES_OF_FORMATS.search(node.target.id) else None
    if isinstance(node, ast.Assign):
        [target, value] = [node.targets[0], node.value]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = zip(target.elts, value.elts, strict=True)
        else:
            pairs = zip([target], [value], strict=True)
        yield from (said for name, said in pairs if isinstance(name, ast.Name) and _NAMES_OF_FORMATS.search(name.id))
