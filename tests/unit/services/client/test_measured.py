"""Events that are added to a stream by hand: kept once, and never beside a node."""

from __future__ import annotations

from pathlib import Path

import pytest

from millmark.ledger.errors import InputError, MillmarkError
from millmark.ledger.evidence import LeafKind, build_leaf_data
from millmark.ledger.merkle import Tree, leaf_hash
from millmark.ledger.store import Book
from millmark.services.commands.acts.machines import build_event, keep_event
from millmark.services.settings import read_settings
from millmark.services.store import open_store

STREAM = b"s" * 32
EVENT = build_event("press-118", ["force_n=1180", "tool=T4"], None)


def test_an_event_is_what_a_node_would_store() -> None:
    assert EVENT == {"id": "press-118", "data": {"force_n": 1180, "tool": "T4"}}
    assert build_event("e", ["a=-1"], {"b": [1]})["data"] == {"a": -1, "b": [1]}


@pytest.mark.parametrize(
    ("identity", "values", "told"),
    [
        ("e", [], "nothing was measured"),
        ("e", ["force"], "names no value"),
        ("window/1", ["a=1"], "those of windows"),
        ("", ["a=1"], "1 to 128 printable characters"),
    ],
)
def test_what_a_node_would_refuse_is_refused(identity: str, values: list[str], told: str) -> None:
    with pytest.raises(MillmarkError, match=told):
        build_event(identity, values, None)


def test_an_event_is_kept_once_and_its_anchor_can_be_sent_again(tmp_path: Path) -> None:
    size, root = keep_event(tmp_path, STREAM, 0, EVENT)
    assert keep_event(tmp_path, STREAM, 0, EVENT) == (size, root) == (1, root), "its anchor was lost"
    with pytest.raises(InputError, match="already, and anchored"):
        keep_event(tmp_path, STREAM, 1, EVENT)
    with pytest.raises(InputError, match="with other content"):
        keep_event(tmp_path, STREAM, 1, build_event("press-118", ["force_n=1181"], None))
    size, root = keep_event(tmp_path, STREAM, 1, build_event("press-119", ["force_n=1"], None))
    with open_store(read_settings(tmp_path).database_url) as store, store.reading() as connection:
        entries = Book(connection).evidence(STREAM).entries
    assert [one.entry["id"] for one in entries] == ["press-118", "press-119"]  # type: ignore[call-overload,index]
    leaves = [leaf_hash(build_leaf_data(LeafKind.EVENT, one.salt, one.entry)) for one in entries]
    assert (size, root) == (2, Tree(leaves).root())


def test_a_stream_that_a_node_captures_is_left_to_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not kept here"):
        keep_event(tmp_path, STREAM, 3, EVENT)
    (tmp_path / "streams").mkdir()
    with pytest.raises(InputError, match="a node captures"):
        keep_event(tmp_path, STREAM, 0, EVENT)
