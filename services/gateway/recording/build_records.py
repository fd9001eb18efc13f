"""Builds records from request bodies, and collects what the private book has to store for them."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

from ledger.canonical import Json
from ledger.claims import Claims, build_claims
from ledger.errors import InputError
from ledger.ids import Identity, SubjectKind, identifier_hash
from ledger.records import Item, Record
from ledger.store import Book, Rows
from ledger.store.rows import LotRow
from services.gateway.recording.bodies import struct_of

__all__ = ["Builder"]

_NONE = bytes(32)


@dataclass(slots=True)
class Builder:
    """Builds one record; not reusable."""

    rows: Rows
    """The index."""
    creator: int
    """The participant that records."""
    names: SubjectKind | None
    """The kind of thing that the record creates; None if it creates nothing with an identifier."""
    identities: list[Identity] = field(default_factory=list)
    documents: list[Claims] = field(default_factory=list)

    def build(self, kind: type[Record], body: Mapping[str, Any], given: Mapping[str, Any]) -> Record:
        """Returns the record. Raises InputError or a subclass for values that the body's types allow but that are
        invalid."""
        struct = struct_of(kind)
        made = self._struct(struct, body, given)
        whole: Callable[..., Record] = kind
        return cast(Record, made) if struct is kind else whole(made)

    def keep(self, book: Book) -> None:
        """Stores identifiers and documents in the book."""
        for identity in self.identities:
            book.add_identity(identity)
        for claims in self.documents:
            book.put_document(claims.root, json.dumps(claims.to_json()))

    def _struct(self, struct: type, body: Mapping[str, Any], given: Mapping[str, Any]) -> object:
        hints = get_type_hints(struct, include_extras=True)
        values = {one.name: given[one.name] for one in fields(struct) if one.name in given}
        for one in fields(struct):
            if one.name not in values:
                values[one.name] = self._field(one.name, hints[one.name], {**given, **body})
        return struct(**values)

    def _field(self, name: str, hint: Any, body: Mapping[str, Any]) -> object:
        if name == "identifier_hash":
            return self._name(body["identifier"])
        if name.endswith("_root"):
            return self._document(body.get(name.removesuffix("_root")), body.get(name), name)
        if name.endswith(("_at", "_since")):
            return _seconds(name, body[name])
        if name == "consignment":
            return tuple(Item(_raw(lot), self._order_of(_raw(lot))) for lot in body["lots"])
        if name == "order" and body.get(name) is None:
            lot = body.get("lot")
            return _NONE if lot is None else self._order_of(lot if isinstance(lot, bytes) else _raw(lot))
        return self._value(hint, body[name])

    def _value(self, hint: Any, value: Any) -> object:
        if get_origin(hint) is tuple:
            return tuple(self._value(get_args(hint)[0], one) for one in value)
        if get_origin(hint) is Annotated:
            base, size, *_ = get_args(hint)
            # Three bytes are a UN/ECE unit code, padded with zeros on the chain.
            return value if base is int else value.encode().ljust(3, b"\0") if size == 3 else _raw(value)
        if hint is bool:
            return value
        if hint is bytes:
            return _raw(value)
        if isinstance(hint, type) and issubclass(hint, enum.IntEnum):
            return hint[value.upper()]
        if isinstance(hint, type) and is_dataclass(hint):
            return self._struct(hint, value, {})
        raise TypeError(f"{hint} has no JSON form")

    def _name(self, identifier: str) -> bytes:
        if self.names is None:
            raise TypeError("a record of this kind names nothing new")
        identity = Identity(self.names, self.creator, identifier)
        self.identities.append(identity)
        return identifier_hash(identity.salt, identity.identifier)

    def _document(self, document: Json, root: str | None, name: str) -> bytes:
        if document is not None and root is not None:
            raise InputError(
                f"both {name} and its document are given", hint=f"omit {name}, or {name.removesuffix('_root')}"
            )
        if document is None:
            return _NONE if root is None else _raw(root)
        claims = build_claims(document)
        self.documents.append(claims)
        return claims.root

    def _order_of(self, lot: bytes) -> bytes:
        row = self.rows.get(LotRow, lot)
        # A lot that is not indexed yet has no known order. The contract rejects the record if the guess is wrong.
        return _NONE if row is None or row.order is None else row.order


def _raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _seconds(name: str, text: str) -> int:
    """Raises InputError for a date that does not exist, such as 30 February."""
    try:
        found = int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        found = -1
    if found < 0:
        raise InputError(f"{name} is not a time since 1970", hint="give RFC 3339 in UTC, such as 2026-12-01T12:00:00Z")
    return found
