"""The `millmark` lines of pages and help texts, parsed by the commands' own parsers, which execute nothing.

A line is a command (`$ millmark ...` in a console block, or the example of a help text), which must be complete, or a
synopsis, in which signs stand for something: `a | b` and `a|b` for alternatives, `[x]` for what may be left out, `...`
for more of the same. What it leaves out it need not name, but what it names must be there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

__all__ = ["Line", "Tree", "Use", "find_lines", "read_pages"]

ROOT = Path(__file__).parents[2]
FOLDERS = ("", ".github", "contracts", "ledger", "quality", "scripts", "services", "tests")
WRITTEN_BY_PROGRAMS = (
    "ledger/VISIBLE.md",
    "scripts/DEPENDENCIES.md",
    "services/FORMATS.md",
    "tests/bench/TABLE.md",
)
"""Pages that a program writes as a whole. README.zh.md says what README.md says."""
_ROUTES = re.compile(r"<!-- routes -->.*<!-- end of routes -->", re.DOTALL)
_FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PROGRAM = r"(?:\.venv/bin/|scripts/)?"
_REDIRECTED = re.compile(r"^(?:\d?>|&|&&|;)$")


@dataclass(frozen=True, slots=True)
class Line:
    """A line that begins with `millmark`, and where it stands."""

    place: str
    text: str
    complete: bool
    """Whether somebody types it as it stands."""


@dataclass(frozen=True, slots=True)
class Use:
    """A command that a line names, and the options that it gives to it, by their first name."""

    words: tuple[str, ...]
    options: frozenset[tuple[tuple[str, ...], str]]
    """Each with the words of the command or group that it belongs to."""


def read_pages() -> Mapping[str, str]:
    """Every page that people write, by its path, without the tables in it that a program writes."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("**/*.md" if folder else "*.md")):
            name = path.relative_to(ROOT).as_posix()
            is_ours = "node_modules" not in path.parts and not name.startswith("contracts/lib/")
            if is_ours and name not in WRITTEN_BY_PROGRAMS and not name.endswith(".zh.md"):
                found[name] = _ROUTES.sub("", path.read_text("utf-8"))
    return found


def find_lines(place: str, text: str) -> Iterator[Line]:
    """The lines of a page: in console blocks, in other blocks, and in the prose between them."""
    for language, body in _FENCE.findall(text):
        joined = body.replace("\\\n", " ")
        begin = r"^\$ " if language == "console" else r"^\s*"
        for found in re.findall(rf"{begin}{_PROGRAM}(millmark .*)$", joined, re.MULTILINE):
            yield Line(place, found, complete=language == "console")
    rest = _FENCE.sub("", text)
    for found in re.findall(rf"^    {_PROGRAM}(millmark .*)$", rest, re.MULTILINE):
        yield Line(place, re.split(r"\s{2,}", found)[0], complete=False)
    prose = re.sub(r"^    .*$", "", rest, flags=re.MULTILINE)
    for found in re.findall(r"`(millmark\s[^`]*)`", prose):
        yield Line(place, " ".join(found.split()), complete=False)


class Tree:
    """All commands of an application."""

    def __init__(self, app: typer.Typer) -> None:
        self._root: Any = typer.main.get_command(app)
        self.commands: dict[tuple[str, ...], Any] = dict(_walk(self._root, ()))
        """Groups and commands by their words; the program itself has none."""

    def examples(self) -> Iterator[Line]:
        """The lines that the help texts end with."""
        for words, command in self.commands.items():
            for text in re.findall(r"(millmark .*)", command.epilog or ""):
                yield Line(f"millmark {' '.join(words)} --help", text, complete=True)

    def options(self) -> Mapping[tuple[tuple[str, ...], str], str]:
        """The help of every option, by command and first name."""
        return {
            (words, one.opts[0]): one.help or ""
            for words, command in self.commands.items()
            for one in command.params
            if _is_option(one)
        }

    def parse(self, line: Line) -> list[Use]:
        """What a line names. Raises ValueError for a word, an option or an argument that does not exist, and for one
        that a complete line lacks."""
        try:
            words = shlex.split(line.text, comments=True)[1:]
        except ValueError:  # an apostrophe in a synopsis
            words = line.text.split()[1:]
        if line.complete:
            end = next((at for at, word in enumerate(words) if _REDIRECTED.match(word) or word == "|"), len(words))
            return [self._parse(words[:end], complete="..." not in words)]
        return [self._parse(one, complete=False) for one in self._expand(words)]

    def _expand(self, words: Sequence[str]) -> Iterator[list[str]]:
        """The commands of a synopsis without its signs."""
        base: list[str] = []
        for part in _split(words):
            plain = [word.strip("[]").removesuffix("...") for word in part]
            plain = [word for word in plain if word and word != "\N{HORIZONTAL ELLIPSIS}"]
            if base and plain:
                plain = [*self._stem(base, plain[0]), *plain]
            base = plain
            yield from _alternatives(plain)

    def _stem(self, base: Sequence[str], first: str) -> Sequence[str]:
        """The words before an alternative: of the command, if it begins with an option, or of the group."""
        for length in range(len(base), -1, -1):
            words = tuple(word.split("|")[0] for word in base[:length])
            if words in self.commands and (first.startswith("-") or (*words, first.split("|")[0]) in self.commands):
                return base[:length]
        raise ValueError(f"{first} follows no command")

    def _parse(self, words: Sequence[str], *, complete: bool) -> Use:
        command, rest = self._root, list(words)
        path: tuple[str, ...] = ()
        given: set[tuple[tuple[str, ...], str]] = set()
        while True:
            context = command.context_class(command, info_name="millmark", resilient_parsing=True)
            try:
                values, rest, order = command.make_parser(context).parse_args(rest)
            except typer.TyperException as error:
                raise ValueError(error.format_message()) from None
            given |= {(path, one.opts[0]) for one in order if _is_option(one)}
            if not hasattr(command, "commands"):
                break
            if not rest:
                return Use(path, frozenset(given))
            if rest[0] not in command.commands:
                raise ValueError(f"{' '.join((*path, rest[0]))} is no command")
            path, command, rest = (*path, rest[0]), command.commands[rest[0]], rest[1:]
        if rest:
            raise ValueError(f"{rest[0]} is one argument too many")
        lacking = [one.name for one in command.params if one.required and not values.get(one.name)]
        if complete and lacking:
            raise ValueError(f"{' and '.join(lacking)} is missing")
        return Use(path, frozenset(given))


def _split(words: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for word in words:
        if word == "|":
            yield part
            part = []
        else:
            part.append(word)
    yield part


def _alternatives(words: Sequence[str]) -> Iterator[list[str]]:
    """One list of words for each of the alternatives in a word."""
    for at, word in enumerate(words):
        if "|" in word:
            for one in word.split("|"):
                yield from _alternatives([*words[:at], one, *words[at + 1 :]])
            return
    yield list(words)


def _walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _walk(inner, (*words, name))


def _is_option(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "option")
