"""Paths of the fields of a claims document (CLAIMS.md, "Fields and paths"): found in a document, checked, written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from millmark.ledger.canonical import Json, canonical_json, quoted
from millmark.ledger.errors import CanonicalError, ClaimsError

Path: TypeAlias = tuple[str | int, ...]
"""Object keys (str) and array indices (int) from the root down; () is the root, the only path of an empty document."""

MAX_FIELDS = 10_000
MAX_DEPTH = 32
"""Maximum number of elements in a path."""
MAX_BYTES = 1 << 20
"""Largest canonical JSON of a document, and of its list of paths."""


def flatten(path: Path, text: str, value: Json, into: list[tuple[Path, str, Json]]) -> None:
    """Append (path, `path_text`, value) of each field of the value at a path, in ascending order of paths. Raises
    ClaimsError, CanonicalError."""
    # Checked before descending, so that this recursion is bounded, too.
    if len(path) > MAX_DEPTH:
        raise ClaimsError(f"the claims are nested more than {MAX_DEPTH} levels deep")
    before = f"{text}," if path else ""
    if isinstance(value, dict) and value:
        for key in _in_order(value):
            flatten((*path, key), before + quoted(key), value[key], into)
    elif isinstance(value, (list, tuple)) and value:
        for index, item in enumerate(value):
            flatten((*path, index), f"{before}{index}", item, into)
    else:
        # Equal values after a round trip through JSON.
        into.append((path, text, [] if isinstance(value, tuple) else value))
        if len(into) > MAX_FIELDS:
            raise ClaimsError(f"the claims have more than {MAX_FIELDS} fields")


def _in_order(value: Mapping[str, Json]) -> list[str]:
    """The keys of an object by UTF-16 code units, which for ASCII is the order of strings."""
    try:
        if "".join(value).isascii():
            return sorted(value)
    except TypeError:
        raise CanonicalError("object keys must be strings") from None
    return sorted(value, key=_code_units)


def _code_units(key: str) -> bytes:
    try:
        return key.encode("utf-16-be")
    except UnicodeEncodeError:
        raise CanonicalError("a key contains a lone surrogate") from None


def check_paths(paths: Sequence[Path]) -> tuple[str, ...]:
    """Verify that these are exactly the paths of one JSON object, strictly ascending; return the `path_text` of each.
    Raises ClaimsError, CanonicalError.

    Otherwise a path could be committed twice, or the list could be that of no document.
    """
    if not 0 < len(paths) <= MAX_FIELDS:
        raise ClaimsError(f"claims must have 1 to {MAX_FIELDS} fields")
    previous: Path = ()
    for number, path in enumerate(paths):
        _check_steps(path)
        if number == 0:
            _check_opening(path, 0)
            if path and not isinstance(path[0], str):
                raise ClaimsError("claims must be a JSON object")
        else:
            _check_after(previous, path)
        previous = path
    texts = tuple(map(path_text, paths))
    check_size(texts)
    return texts


def check_size(texts: Sequence[str]) -> None:
    """Raises ClaimsError if the list of all paths, each as `path_text` writes it, is too large."""
    if len(paths_json(texts)) > MAX_BYTES:
        raise ClaimsError(f"the list of paths has more than {MAX_BYTES} bytes")


def _check_steps(path: Path) -> None:
    if len(path) > MAX_DEPTH:
        raise ClaimsError(f"the claims are nested more than {MAX_DEPTH} levels deep")
    for step in path:
        if isinstance(step, bool) or not isinstance(step, (str, int)):
            raise ClaimsError("the elements of a path must be strings and integers")


def _check_after(previous: Path, path: Path) -> None:
    """Verify that `path` may directly follow `previous` (CLAIMS.md, "Fields and paths", rules 1 to 3).

    Where the two diverge, the same container continues; every container below that point is a new one.
    """
    shared = 0
    for one, two in zip(previous, path, strict=False):
        if one != two:
            break
        shared += 1
    if shared == len(path) or (shared < len(previous) and not _ascends(previous[shared], path[shared])):
        raise ClaimsError(f"{show_path(path)} must come before {show_path(previous)}")
    if shared == len(previous):
        raise ClaimsError(f"{show_path(previous)} is a value, so it cannot contain {show_path(path)}")
    last, step = previous[shared], path[shared]
    if isinstance(last, str) != isinstance(step, str):
        raise ClaimsError(f"{show_path(path[:shared])} has both keys and indices")
    if isinstance(last, int) and step != last + 1:
        raise ClaimsError(f"{show_path(path[:shared])} skips an index")
    if len(path) > shared + 1:
        _check_opening(path, shared + 1)


def _ascends(last: str | int, step: str | int) -> bool:
    """Whether two different elements of paths ascend: integers, by value, before strings, by UTF-16 code units."""
    if isinstance(step, str):
        if isinstance(last, str) and not (last.isascii() and step.isascii()):
            return _code_units(last) < _code_units(step)
        return isinstance(last, int) or last < step
    return isinstance(last, int) and last < step


def _check_opening(path: Path, start: int) -> None:
    if any(isinstance(step, int) and step != 0 for step in path[start:]):
        raise ClaimsError(f"{show_path(path)} is in an array whose first index is not 0")


def path_text(path: Path) -> str:
    """A path in canonical JSON, without its brackets. Raises CanonicalError."""
    steps = [
        quoted(step)
        if type(step) is str and step.isascii()
        else str(step)
        if type(step) is int and 0 <= step < MAX_FIELDS
        else ""
        for step in path
    ]
    return canonical_json(path)[1:-1].decode() if "" in steps else ",".join(steps)


def paths_json(texts: Sequence[str]) -> bytes:
    """Canonical JSON of the list of all paths, from the `path_text` of each."""
    return f"[[{'],['.join(texts)}]]".encode()


def show_path(path: Path) -> str:
    """A path in messages: in ASCII, of at most 120 characters."""
    return ascii("/" + "/".join(map(str, path)))[:120]
