"""A salted Merkle root of a document's fields, written plainly with json and hashlib. It refuses no document, does not
commit to the set of paths, and discloses nothing."""

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from tests.bench.peers.answer import Act, Prepare


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    def root() -> Act:
        def act() -> tuple[int, object]:
            for document in arguments["documents"]:
                found = _root(document)
            return len(arguments["documents"]), len(found)

        return act

    return {"root": root}


def _root(document: Any) -> bytes:
    level = []
    for path, value in sorted(_fields("", document)):
        text = json.dumps([path, value], sort_keys=True, separators=(",", ":")).encode()
        level.append(hashlib.sha256(b"\0" + secrets.token_bytes(32) + text).digest())
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [hashlib.sha256(b"\1" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def _fields(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _fields(f"{path}/{key}", one)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _fields(f"{path}/{number}", one)
    else:
        yield path, value
