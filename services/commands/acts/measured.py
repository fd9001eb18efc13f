"""Events that people or programs add to a stream of their company, where no node captures it."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError
from millmark.ledger.evidence import SALT_BYTES, EvidenceEntry, LeafKind, build_leaf_data
from millmark.ledger.merkle import Tree, leaf_hash
from millmark.ledger.store import Book, Connection
from millmark.services.node.events import check_event, parse_event
from millmark.services.settings import read_settings
from millmark.services.store import open_store

_WHOLE = re.compile("-?[0-9]{1,15}")
CAPTURED = "streams"
"""Folder in the home of a gateway whose home is a node's data folder: the node keeps its logs there."""


def build_event(identity: str, values: Sequence[str], data: Mapping[str, Json] | None) -> Mapping[str, Json]:
    """An event as a node would take it. Raises InputError for values that are not NAME=VALUE, EventRefusedError."""
    measured = dict(data or {})
    for one in values:
        name, sign, value = one.partition("=")
        if not (name and sign):
            raise InputError(f"--value {one[:80]} names no value", hint="write NAME=VALUE, such as diameter_um=40012")
        measured[name] = int(value) if _WHOLE.fullmatch(value) else value
    if not measured:
        raise InputError("nothing was measured", hint="give --value NAME=VALUE, or --data FILE")
    text = json.dumps({"id": identity, "data": measured}).encode()
    return cast("Mapping[str, Json]", json.loads(check_event(parse_event(text)).content))


def keep_event(home: Path, stream: bytes, anchored: int, event: Mapping[str, Json]) -> tuple[int, bytes]:
    """Keeps an event in the private book of the home, unless it is there. Returns size and root to be anchored.

    It is durable before the anchor is sent; the same command again sends an anchor that was lost. Raises InputError for
    an event that a node would refuse, an id that has other content, and a stream that is captured elsewhere.
    """
    if (home / CAPTURED).is_dir():
        raise InputError("a node captures the streams of this home", hint="send the event to the node")
    settings = read_settings(home)
    with open_store(settings.database_url, settings.evidence_path) as store, store.transaction() as connection:
        size = _keep(connection, stream, anchored, event)
        return size, Tree(Book(connection).leaves(stream, size)).root()


def _keep(connection: Connection, stream: bytes, anchored: int, event: Mapping[str, Json]) -> int:
    book, name = Book(connection), str(event["id"])
    size, found = book.evidence_size(stream), book.find_event(stream, name)
    if size < anchored:
        raise InputError("the evidence of this stream is not kept here", hint="send the event to the node that does")
    if found is None:
        salt = secrets.token_bytes(SALT_BYTES)
        leaf = leaf_hash(build_leaf_data(LeafKind.EVENT, salt, event))
        book.add_evidence(stream, [EvidenceEntry(size, salt, event, leaf)])
        return size + 1
    kept = book.evidence_entry(stream, found)
    if kept is None or kept.entry != event:
        raise InputError(f"event {name} is in the stream with other content", hint="give it another id")
    if size == anchored:
        raise InputError(f"event {name} is in the stream already, and anchored", hint="name it as it is")
    return size
