"""Of the capacity signals of one sender, the latest counts."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from millmark.ledger.canonical import sha256
from millmark.ledger.store import Rows
from millmark.services.planning.forecast.document import NeededCapacity
from millmark.services.planning.forecast.recording import CapacitySignal, read_received
from millmark.services.planning.reading import reading
from millmark.services.planning.repository import LeafRow, What
from tests.support.stores import new_store

SENDER, ME = 2, 3


def build_signal(minutes: int) -> CapacitySignal:
    needed = NeededCapacity("turning", (minutes,), (minutes,), (minutes,))
    return CapacitySignal(7, bytes(20), sha256(bytes([minutes])), SENDER, ME, date(2027, 1, 4), 1, 80, (needed,))


@pytest.mark.parametrize("hashes", [(b"\x01", b"\x02"), (b"\x02", b"\x01")])
def test_of_two_signals_under_one_anchor_the_later_entry_counts(tmp_path: Path, hashes: tuple[bytes, bytes]) -> None:
    """Whatever their hashes are, by which rows are found."""
    earlier, later = build_signal(10), build_signal(20)
    with new_store(tmp_path) as store:
        with store.transaction() as connection:
            for index, (leaf, one) in enumerate(zip(hashes, (earlier, later), strict=True)):
                place = SENDER, bytes(32), index, bytes(32), json.dumps(one.to_json()), 2, b"", 9
                Rows(connection).insert([LeafRow(leaf * 32, one.forecast, What.SIGNAL, *place)])
        with reading(store) as shelf:
            assert read_received(shelf, ME) == [later]
