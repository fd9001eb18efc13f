"""The page about what the consortium sees has every event, field and call of the contracts, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[3] / "ledger" / "VISIBLE.md").read_text()
CONTRACTS = ("Registry", "ITraceLedger", "Forwarder")
SHOWS = {"clear", "name", "hash"}
NAMES = re.compile(r"subject|histories|identifierHash|stream|lots?|order")
"""Fields of 32 bytes that stand for a thing, by the last part of their name; all others end in root, hash or digest."""


def abi() -> Iterator[dict[str, Any]]:
    for contract in CONTRACTS:
        yield from json.loads((resources.files("millmark.ledger") / "artifacts" / f"{contract}.json").read_text())[
            "abi"
        ]


def flat(inputs: list[dict[str, Any]], prefix: str = "") -> Iterator[tuple[str, str]]:
    for one in inputs:
        if one["type"].startswith("tuple"):
            yield from flat(one["components"], f"{prefix}{one['name']}.")
        else:
            yield prefix + one["name"], one["type"]


def events() -> dict[str, list[tuple[str, str]]]:
    return {one["name"]: list(flat(one["inputs"])) for one in abi() if one["type"] == "event"}


def described() -> dict[str, list[tuple[str, str, str, str]]]:
    """By event: field, type, what it shows, what it says."""
    part = PAGE.split("## Events")[1].split("## Calls")[0]
    found = {}
    for name, text in re.findall(r"^\*\*(\w+)\*\*\n(.*?)(?=^\*\*|^### |\Z)", part, re.MULTILINE | re.DOTALL):
        found[name] = re.findall(r"^\| `([\w.]+)` \| `([\w\[\]]+)` \| (\w+) \| (.+) \|$", text, re.MULTILINE)
    return found


def test_every_event_is_described_and_every_one_there_exists() -> None:
    assert described().keys() == events().keys()


@pytest.mark.parametrize("event", sorted(events()))
def test_every_field_is_described_in_order(event: str) -> None:
    rows = described()[event]
    assert [(name, kind) for name, kind, _, _ in rows] == events()[event]
    for name, kind, shows, says in rows:
        assert shows in SHOWS
        assert says.strip()
        if shows != "clear":
            assert kind in ("bytes32", "bytes32[]"), f"{name}: a value of {kind} hides nothing"
            last = name.rpartition(".")[2]
            is_name = NAMES.fullmatch(last) is not None
            assert shows == ("name" if is_name else "hash")
            assert is_name or re.search("(root|hash|digest)$", last, re.IGNORECASE)


def test_every_call_is_described_with_its_arguments() -> None:
    calls = {
        one["name"]: [given["name"] for given in one["inputs"] if given["name"]]
        for one in abi()
        if one["type"] == "function" and one["stateMutability"] not in ("view", "pure")
    }
    part = PAGE.split("## Calls")[1].split("## State")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", part, re.MULTILINE)
    assert {name: re.findall(r"`(\w+)`", given) for name, given, _ in rows} == calls
    assert all(beyond.strip() for _, _, beyond in rows)


def test_arguments_that_no_event_has_are_pointed_out() -> None:
    """What a call shows beyond its event has a sentence of its own."""
    in_events = {name.rpartition(".")[2] for fields in events().values() for name, _ in fields}
    part = PAGE.split("## Calls")[1].split("## State")[0]
    silent = set(re.findall(r"^\| `(\w+)` \| .+? \| nothing \|$", part, re.MULTILINE))
    structural = {
        "identifierHash",
        "consignment",
        "parent",
        "lots",
        "participant",
        "terms",
        "transformation",
        "rework",
        "statement",
    }
    for one in abi():
        if one["type"] == "function" and one["name"] in silent:
            names = {given["name"] for given in one["inputs"]}
            assert names <= in_events | structural, one["name"]


def test_what_a_hash_is_made_of_has_salts() -> None:
    """The two fields in clear that look like hashes say so."""
    for rows in described().values():
        for name, kind, shows, says in rows:
            if kind == "bytes32" and shows == "clear":
                assert name in ("subject", "digest")
                assert "without a salt" in says or "number" in says or "follows from" in says
