"""Claims: the JSON document behind a record, committed by one hash, disclosed field by field. See CLAIMS.md.

A document is flattened into fields. A field is a path of object keys and array indices, with the scalar or empty
container found there. Each field is a salted leaf of an RFC 9162 tree; leaf 0, before them, lists all paths. So anybody
who receives a field learns the structure of the whole document, but only those values that were disclosed.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, quoted, sha256
from millmark.ledger.errors import CanonicalError, ClaimsError, ProofError
from millmark.ledger.merkle import HASH_BYTES, Tree, leaf_hash, root_from_multiproof

# Paths of the fields of a claims document (CLAIMS.md, "Fields and paths"): found in a document, checked, written.

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
    """Verify that `path` may directly follow `previous` (CLAIMS.md, "Fields and paths", rules 1 to 3). Where the two
    diverge, the same container continues; every container below that point is a new one."""
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


SALT_BYTES = 32
_PATHS_TAG = b"millmark.claims-paths.v1\0"
_FIELD_TAG = b"millmark.claims-field.v1\0"
_ROOT_TAG = b"millmark.claims-root.v1\0"
_VERSION = 1
_HEX32 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Field:
    """A value and its salt."""

    value: Json
    """A scalar, [] or {}."""
    salt: bytes
    """32 random bytes, used for no other field."""

    def __post_init__(self) -> None:
        if not isinstance(self.salt, bytes) or len(self.salt) != SALT_BYTES:
            raise ClaimsError(f"a salt must have {SALT_BYTES} bytes")
        if isinstance(self.value, (list, tuple, dict)) and self.value:
            raise ClaimsError("the value of a field must be a scalar or an empty container")
        # RFC 8785 writes such a float as an integer, which `parse_json` refuses.
        if isinstance(self.value, float) and MAX_SAFE_INTEGER < abs(self.value) < 1e21:
            raise ClaimsError(
                f"canonical JSON would write {self.value} as an integer beyond 2^53", hint="pass it as a string"
            )

    def leaf_hash(self, path: Path) -> bytes:
        """Return the hash of this field's leaf under `path`. Raises CanonicalError."""
        return _leaf(path_text(path), self)


def claims_root(tree_size: int, tree_head: bytes) -> bytes:
    """Return SHA-256(tag || tree size, 8 bytes big-endian || tree head): the 32 bytes that the ledger records."""
    # With the size, which a proof against the tree head alone would not establish.
    return sha256(_ROOT_TAG + tree_size.to_bytes(8, "big") + tree_head)


@dataclass(frozen=True, slots=True)
class Claims:
    """A document with its salts, as its owner keeps it. Of erased fields, only the leaf hash is left."""

    fields: tuple[tuple[Path, Field | bytes], ...]
    """(path, field) or, for an erased field, (path, leaf hash), in ascending order of paths."""
    _texts: tuple[str, ...] = dataclasses.field(default=(), init=False, repr=False, compare=False)
    """The paths in JSON, without their brackets."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_texts", check_paths(self.paths))
        for _, field in self.fields:
            if isinstance(field, bytes) and len(field) != HASH_BYTES:
                raise ClaimsError("the leaf hash of an erased field must have 32 bytes")

    @property
    def paths(self) -> tuple[Path, ...]:
        """All paths, including those of erased fields."""
        return tuple(path for path, _ in self.fields)

    @property
    def root(self) -> bytes:
        """The claims root, 32 bytes. Erasing fields does not change it."""
        tree = self._tree()
        return claims_root(tree.size, tree.root())

    @property
    def document(self) -> Json:
        """The JSON document. Raises ClaimsError if a field is erased."""
        return _assemble(self.fields)

    def value(self, path: Sequence[str | int]) -> Json:
        """Return the value of the field at a path. Raises ClaimsError if there is no such field, or it is erased."""
        return _value(dict(self.fields), tuple(path))

    def part(self, path: Sequence[str | int]) -> Json:
        """Return the part of the document that is at a path. Raises ClaimsError if there is none, or some of it is
        erased."""
        return _part(self.fields, tuple(path))

    def disclose(self, paths: Iterable[Sequence[str | int]]) -> Disclosure:
        """Return a disclosure of these fields. It reveals only the paths of all other fields. A path to a container
        selects all fields in it. Raises ClaimsError if a path selects no field or an erased one."""
        chosen = self._select(paths)
        leaves: dict[int, Field] = {}
        for number in chosen:
            path, field = self.fields[number]
            if isinstance(field, bytes):
                raise ClaimsError(f"{show_path(path)} is erased")
            leaves[number] = field
        # Leaf 0 is always shown: the verifier computes it from the paths.
        proof = self._tree().multiproof([0, *(number + 1 for number in chosen)])
        return Disclosure(self.paths, tuple(leaves.items()), tuple(proof))

    def erase(self, paths: Iterable[Sequence[str | int]]) -> Claims:
        """Return the claims without value and salt of these fields. The root and the other fields do not change. Copies
        handed out earlier remain. Raises ClaimsError if a path selects no field."""
        gone = set(self._select(paths))
        return Claims(
            tuple(
                (path, field.leaf_hash(path) if number in gone and isinstance(field, Field) else field)
                for number, (path, field) in enumerate(self.fields)
            )
        )

    def to_json(self) -> Json:
        """Return the storage form. It includes the salts, so it is as secret as the document."""
        return {
            "version": _VERSION,
            "fields": [
                {"path": list(path), "erased": field.hex()}
                if isinstance(field, bytes)
                else {"path": list(path), "value": field.value, "salt": field.salt.hex()}
                for path, field in self.fields
            ],
        }

    def _select(self, paths: Iterable[Sequence[str | int]]) -> list[int]:
        known = self.paths
        places = {path: number for number, path in enumerate(known)}
        chosen: set[int] = set()
        for wanted in map(tuple, paths):
            if wanted in places:  # the common case; otherwise it may name a container
                chosen.add(places[wanted])
                continue
            found = [number for number, path in enumerate(known) if path[: len(wanted)] == wanted]
            if not found:
                raise ClaimsError(f"the claims have no field {show_path(wanted)}")
            chosen.update(found)
        return sorted(chosen)

    def _tree(self) -> Tree:
        leaves = [_paths_hash(self._texts)]
        leaves += [
            field if isinstance(field, bytes) else _leaf(text, field)
            for text, (_, field) in zip(self._texts, self.fields, strict=True)
        ]
        return Tree(leaves)


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Some fields of a document, with a proof that the claims root commits to them and to the list of all paths."""

    paths: tuple[Path, ...]
    """All paths of the document, ascending."""
    shown: tuple[tuple[int, Field], ...]
    """(index of the path in `paths`, field), ascending."""
    proof: tuple[bytes, ...]
    """Roots of the largest subtrees that contain neither leaf 0 nor a shown leaf, left to right, 32 bytes each."""
    _texts: tuple[str, ...] = dataclasses.field(default=(), init=False, repr=False, compare=False)
    """The paths in JSON, without their brackets."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_texts", check_paths(self.paths))
        previous = -1
        for number, _ in self.shown:
            if isinstance(number, bool) or not isinstance(number, int) or not previous < number < len(self.paths):
                raise ClaimsError("the positions of shown fields must ascend and be within the list of paths")
            previous = number

    @property
    def fields(self) -> dict[Path, Field]:
        """The shown fields by path."""
        return {self.paths[number]: field for number, field in self.shown}

    @property
    def document(self) -> Json:
        """The JSON document. Raises ClaimsError unless all of its fields are shown."""
        fields = self.fields
        return _assemble(tuple((path, fields.get(path, b"")) for path in self.paths))

    def value(self, path: Sequence[str | int]) -> Json:
        """Return the value of a shown field. Raises ClaimsError if there is no such field, or it is not shown."""
        fields = self.fields
        return _value({known: fields.get(known, b"") for known in self.paths}, tuple(path))

    def part(self, path: Sequence[str | int]) -> Json:
        """Return the part of the document that is at a path. Raises ClaimsError if there is none, or not all of it is
        shown."""
        fields = self.fields
        return _part(tuple((known, fields.get(known, b"")) for known in self.paths), tuple(path))

    def to_json(self) -> Json:
        """Return the JSON form that bundles contain (CLAIMS.md, "Disclosure")."""
        return {
            "version": _VERSION,
            "paths": [list(path) for path in self.paths],
            "shown": [{"at": number, "value": field.value, "salt": field.salt.hex()} for number, field in self.shown],
            "proof": [element.hex() for element in self.proof],
        }


def build_claims(document: Json, *, salt: Callable[[], bytes] | None = None) -> Claims:
    """Return the claims of a JSON object. `salt` is called once for each field, in ascending order of paths; by default
    salts are random.

    Raises ClaimsError if the document is not a JSON object or is too large, CanonicalError for values that canonical
    JSON cannot represent.
    """
    if not isinstance(document, dict):
        raise ClaimsError("claims must be a JSON object")
    flat: list[tuple[Path, str, Json]] = []
    flatten((), "", document, flat)
    if len(canonical_json(document)) > MAX_BYTES:
        raise ClaimsError(
            f"the claims have more than {MAX_BYTES} bytes", hint="put only a hash of the document into the claims"
        )
    texts = tuple(text for _, text, _ in flat)
    check_size(texts)
    salts = _draw(len(flat)) if salt is None else [salt() for _ in flat]
    claims = object.__new__(Claims)  # not to be checked like any other list of paths: a document has those of one
    fields = tuple((path, Field(value, one)) for (path, _, value), one in zip(flat, salts, strict=True))
    for name, value in (("fields", fields), ("_texts", texts)):
        object.__setattr__(claims, name, value)
    return claims


def _draw(count: int) -> list[bytes]:
    """Random salts, drawn at once."""
    drawn = secrets.token_bytes(SALT_BYTES * count)
    return [drawn[start : start + SALT_BYTES] for start in range(0, len(drawn), SALT_BYTES)]


def verify_disclosure(disclosure: Disclosure, root: bytes) -> None:
    """Verify that the shown fields, and the list of all paths, are those that `root` commits to.

    1. The paths are those of a JSON document, strictly ascending (checked when the disclosure was constructed).
    2. Leaf 0 is computed from the paths, and each shown leaf from its path, salt and value.
    3. Together with the proof, all of which is used, they result in the tree head, and with the tree's size in `root`.

    Raises ProofError if they do not, CanonicalError if a value cannot be represented in canonical JSON. Not
    established: that any value is true, or what the hidden values are.
    """
    texts = disclosure._texts
    leaves = {0: _paths_hash(texts)}
    for number, field in disclosure.shown:
        leaves[number + 1] = _leaf(texts[number], field)
    size = len(disclosure.paths) + 1
    if not isinstance(root, bytes) or claims_root(size, root_from_multiproof(size, leaves, disclosure.proof)) != root:
        raise ProofError("the disclosed fields do not match the claims root")


def parse_claims(value: Json) -> Claims:
    """Parse claims from their storage form, which need not be trusted. Raises ClaimsError."""
    (items,) = _members(value, "fields")
    fields: list[tuple[Path, Field | bytes]] = []
    for item in _list(items):
        if not isinstance(item, dict):
            raise ClaimsError("a stored field must be an object")
        if item.keys() == {"path", "erased"}:
            fields.append((_path(item["path"]), _bytes(item["erased"])))
        elif item.keys() == {"path", "value", "salt"}:
            fields.append((_path(item["path"]), Field(item["value"], _bytes(item["salt"]))))
        else:
            raise ClaimsError("a stored field must have the members path, value and salt, or path and erased")
    return Claims(tuple(fields))


def parse_disclosure(value: Json) -> Disclosure:
    """Parse a disclosure. Raises ClaimsError. Not established: that it matches any claims root."""
    paths, shown, proof = _members(value, "paths", "shown", "proof")
    fields = []
    for item in _list(shown):
        if not isinstance(item, dict) or item.keys() != {"at", "value", "salt"}:
            raise ClaimsError("a shown field must have the members at, value and salt")
        fields.append((cast("int", item["at"]), Field(item["value"], _bytes(item["salt"]))))
    return Disclosure(
        tuple(_path(path) for path in _list(paths)), tuple(fields), tuple(_bytes(element) for element in _list(proof))
    )


def _assemble(fields: Sequence[tuple[Path, Field | bytes]]) -> Json:
    """Build the document from checked fields. The indices of an array arrive in order, so that appending suffices."""
    top: list[Json] = []
    for path, field in fields:
        if isinstance(field, bytes):
            raise ClaimsError(
                f"{show_path(path)} is erased or not disclosed",
                hint="a document can be built only from all of its fields",
            )
        at: dict[str, Json] | list[Json] = top
        step: str | int = 0
        for following in path:
            at = cast("dict[str, Json] | list[Json]", _member(at, step, {} if isinstance(following, str) else []))
            step = following
        _member(at, step, field.value)
    return top[0]


def _member(container: dict[str, Json] | list[Json], step: str | int, default: Json) -> Json:
    if isinstance(container, dict):
        return container.setdefault(cast("str", step), default)
    if step == len(container):
        container.append(default)
    return container[cast("int", step)]


def _value(fields: Mapping[Path, Field | bytes], path: Path) -> Json:
    field = fields.get(path)
    if field is None:
        raise ClaimsError(f"the claims have no field {show_path(path)}")
    if isinstance(field, bytes):
        raise ClaimsError(f"{show_path(path)} is not disclosed")
    return field.value


def _part(fields: Sequence[tuple[Path, Field | bytes]], path: Path) -> Json:
    found = [(known[len(path) :], field) for known, field in fields if known[: len(path)] == path]
    if not found:
        raise ClaimsError(f"the claims have nothing at {show_path(path)}")
    return _assemble(found)


def _paths_hash(texts: Sequence[str]) -> bytes:
    return leaf_hash(_PATHS_TAG + paths_json(texts))


def _leaf(text: str, field: Field) -> bytes:
    """The hash of a field's leaf. `text`: its path in JSON, without the brackets. Raises CanonicalError."""
    value = field.value
    if type(value) is str:
        shown = quoted(value)
    elif type(value) is int and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        shown = str(value)
    else:
        shown = canonical_json(value).decode()
    try:
        content = f"[[{text}],{shown}]".encode()
    except UnicodeEncodeError:
        content = canonical_json(value)  # raises: the value has a lone surrogate
    # Tag and salt have fixed lengths, so no other path, value or salt results in the same bytes.
    return leaf_hash(_FIELD_TAG + field.salt + content)


def _members(value: Json, *names: str) -> list[Json]:
    if not isinstance(value, dict) or value.keys() != {"version", *names}:
        raise ClaimsError(f"expected an object with version, {', '.join(names)}")
    if value["version"] is True or value["version"] != _VERSION:  # True == 1 in Python
        raise ClaimsError("the claims have an unknown format version", hint="update this program")
    return [value[name] for name in names]


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise ClaimsError("expected an array")
    return value


def _path(value: Json) -> Path:
    return tuple(cast("list[str | int]", _list(value)))


def _bytes(value: Json) -> bytes:
    # bytes.fromhex alone would also accept spaces and upper case, so that a disclosure would have several texts.
    if not isinstance(value, str) or not _HEX32.fullmatch(value):
        raise ClaimsError("expected 64 lower-case hexadecimal digits")
    return bytes.fromhex(value)
