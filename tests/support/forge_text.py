"""Forgeries for step 1: files that express a bundle in another form, or contain more than a bundle may."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

from millmark.ledger.canonical import canonical_json
from millmark.ledger.verify import Step
from tests.support.bundle_content import Content, publish_bytes
from tests.support.forging import Forged, forgery

_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{},:]', re.DOTALL)
_NUMBER = re.compile(rb'"(?:record|root|creator|at|chain_id)":([0-9]+)(?=[,}])')
"""Numbers of the bundle itself. In disclosed documents, another form of a number may be another value."""
_TABLES = ("contracts", "histories", "identities", "keys", "nodes", "participants", "records", "claims", "evidence")


def text(function: Callable[[bytes, Random], bytes | None]) -> None:
    """Registers a generator that changes the text."""

    def forge(content: Content, rng: Random) -> Forged | None:
        data, trust = publish_bytes(content)
        changed = function(data, rng)
        return None if changed is None else Forged(changed, trust, content.time + 100)

    forge.__name__ = function.__name__
    forgery(Step.FORMAT)(forge)


def value(function: Callable[[dict[str, Any], Random], bool | None]) -> None:
    """Registers a generator that changes the parsed value, which is then written canonically."""

    def change(data: bytes, rng: Random) -> bytes | None:
        parsed = json.loads(data)
        return None if function(parsed, rng) is False else canonical_json(parsed)

    change.__name__ = function.__name__
    text(change)


@text
def white_space(data: bytes, rng: Random) -> bytes:
    places = [found.end() for found in _STRUCTURE.finditer(data) if found[0][:1] != b'"']
    at = rng.choice(places)
    return data[:at] + rng.choice([b" ", b"\n", b"\t", b"\r", b"\xc2\xa0"]) + data[at:]


@text
def members_in_another_order(data: bytes, rng: Random) -> bytes:
    parsed = json.loads(data)
    names = list(parsed)
    one, two = sorted(rng.sample(range(1, len(names)), 2))
    names[one], names[two] = names[two], names[one]
    return _written({name: parsed[name] for name in names})


@text
def member_twice(data: bytes, rng: Random) -> bytes:
    name, content = rng.choice(list(json.loads(data).items()))
    return data[:-1] + b"," + _written({name: content})[1:]


@text
def other_number(data: bytes, rng: Random) -> bytes:
    found = rng.choice(list(_NUMBER.finditer(data)))
    form = rng.choice([b"0%s", b"%s.0", b"%se0", b"-%s", b"+%s", b"%s00000000000000000", b'"%s"'])
    return data[: found.start(1)] + form % found[1] + data[found.end(1) :]


@text
def other_base64(data: bytes, rng: Random) -> bytes | None:
    at = rng.choice([found.end() for found in re.finditer(rb'[\[,:]"[A-Za-z0-9_-]{43}(?=")', data)])
    digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = digits.index(data[at - 1 : at])
    changed = rng.choice([digits[last ^ 1 : (last ^ 1) + 1], data[at - 1 : at] + b"=", b"+", b"/", b"", b"AAA"])
    return data[: at - 1] + changed + data[at:]


@text
def truncated(data: bytes, rng: Random) -> bytes:
    """The file cut off at any byte."""
    return data[: rng.randrange(len(data))]


@text
def continued(data: bytes, rng: Random) -> bytes:
    return data + rng.choice([b"\n", b" ", b"\0", b"{}", b"}", data, rng.randbytes(rng.randrange(1, 40))])


@text
def preceded(data: bytes, rng: Random) -> bytes:
    return rng.choice([b"\xef\xbb\xbf", b" ", b"\n", b"[", rng.randbytes(rng.randrange(1, 40))]) + data


@text
def escaped_letter(data: bytes, rng: Random) -> bytes:
    names = list(re.finditer(rb'"([A-Za-z]+)"', data))
    found = rng.choice(names)
    at = rng.randrange(found.start(1), found.end(1))
    return data[:at] + b"\\u%04x" % data[at] + data[at + 1 :]


@text
def disclosed_key_twice(data: bytes, rng: Random) -> bytes:
    found = rng.choice(list(re.finditer(rb'\{"at":[0-9]+,', data)))
    return data[: found.end()] + found[0][1:] + data[found.end() :]


@text
def nested(data: bytes, rng: Random) -> bytes:
    """A disclosed value nested thousands of levels deep."""
    found = rng.choice(list(re.finditer(rb'"value":("[^"]*"|[0-9]+|true|false)', data)))
    depth = rng.randrange(40, 5000)
    return data[: found.start(1)] + b"[" * depth + b"]" * depth + data[found.end(1) :]


@text
def not_utf8(data: bytes, rng: Random) -> bytes:
    found = rng.choice(list(re.finditer(rb'"value":"', data)))
    return data[: found.end()] + bytes([rng.randrange(0x80, 0x100)]) + data[found.end() :]


@value
def member_missing(parsed: dict[str, Any], rng: Random) -> None:
    del parsed[rng.choice(list(parsed))]


@value
def member_more(parsed: dict[str, Any], rng: Random) -> None:
    parsed[f"x{rng.randrange(10**9)}"] = rng.choice([None, 1, "x", [], {}])


@value
def other_version(parsed: dict[str, Any], rng: Random) -> None:
    parsed["bundle_version"] = rng.choice([0, 2, -1, None, "1", True, 1.5, rng.randrange(3, 10**6)])


@value
def entries_swapped(parsed: dict[str, Any], rng: Random) -> bool | None:
    table = parsed[rng.choice(_TABLES)]
    if len(table) < 2:
        return False
    one, two = rng.sample(range(len(table)), 2)
    table[one], table[two] = table[two], table[one]
    return None


@value
def entry_twice(parsed: dict[str, Any], rng: Random) -> bool | None:
    table = parsed[rng.choice(_TABLES)]
    if not table:
        return False
    at = rng.randrange(len(table))
    table.insert(at, table[at])
    return None


@value
def entry_of_another_type(parsed: dict[str, Any], rng: Random) -> bool | None:
    table = parsed[rng.choice(_TABLES)]
    if not table:
        return False
    table[rng.randrange(len(table))] = rng.choice([None, True, [], {}, -1, "é", [[]], 1.5])
    return None


@value
def member_of_another_type(parsed: dict[str, Any], rng: Random) -> bool | None:
    name = rng.choice(list(parsed))
    other: Any = rng.choice([None, True, {}, "x", "é", [[]], [{}], 1.5])
    if name == "seals" and other is None:
        return False  # a bundle without seals, which those may believe who trust a checkpoint
    parsed[name] = other
    return None


@value
def too_long(parsed: dict[str, Any], rng: Random) -> None:
    name, size, most = rng.choice([("nodes", 533, 2000), ("headers", 16_385, 20_000), ("contracts", 21, 60)])
    parsed[name][rng.randrange(len(parsed[name]))] = _base64(rng.randbytes(rng.randrange(size, most)))


@value
def too_many(parsed: dict[str, Any], rng: Random) -> None:
    if rng.random() < 0.5:
        parsed["headers"] = parsed["headers"] * rng.randrange(258, 400)
    else:
        parsed["contracts"] = sorted(_base64(rng.randbytes(20)) for _ in range(rng.randrange(17, 40)))


@value
def malformed_header(parsed: dict[str, Any], rng: Random) -> None:
    at = rng.randrange(len(parsed["headers"]))
    header = parsed["headers"][at]
    parsed["headers"][at] = rng.choice([header[: 4 * rng.randrange(1, 100)], header + "AAAA", "AAAA" + header[4:]])


@value
def nothing_to_prove(parsed: dict[str, Any], rng: Random) -> None:
    parsed[rng.choice(["headers", "parts"])] = []
    parsed["chain_id"] += rng.randrange(10**6)


@value
def ragged_disclosure(parsed: dict[str, Any], rng: Random) -> None:
    """Paths that do not belong to one document, or positions that are not in it."""
    disclosure = rng.choice(parsed["claims"])["disclosure"]
    choice = rng.randrange(4)
    if choice == 0:
        disclosure["paths"].append(["\U0010ffff" * rng.randrange(1, 9), rng.randrange(1, 99)])
    elif choice == 1:
        disclosure["paths"].insert(0, disclosure["paths"][rng.randrange(len(disclosure["paths"]))])
    elif choice == 2:
        disclosure["shown"][-1]["at"] += rng.randrange(len(disclosure["paths"]), 10**6)
    else:
        disclosure["version"] = rng.randrange(2, 10**6)


@value
def odd_text(parsed: dict[str, Any], rng: Random) -> None:
    """Identifiers with characters that no identifier has."""
    identity = rng.choice(parsed["identities"])
    letter = rng.choice([" ", '"', "\\", "\n", "\0", "é", "\u202e", "\x7f"])
    at = rng.randrange(len(identity["identifier"]) + 1)
    identity["identifier"] = identity["identifier"][:at] + letter + identity["identifier"][at:]


def _written(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
