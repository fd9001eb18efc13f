"""What an objective says of transport: each way once, and between two companies."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from millmark.services.planning.calendar import ObjectiveFile, TransportWay, build_objective
from millmark.services.planning.errors import CalendarError


@pytest.mark.parametrize(
    ("ways", "says"),
    [
        ([(1, 1)], "has a transport from participant 1 to itself"),
        ([(1, 2), (2, 1), (1, 2)], "has a transport from participant 1 to participant 2 twice"),
    ],
)
def test_a_way_to_itself_or_a_second_one_is_refused(ways: Sequence[tuple[int, int]], says: str) -> None:
    transport = [TransportWay(origin=origin, destination=destination, minutes=5) for origin, destination in ways]
    with pytest.raises(CalendarError, match=says):
        build_objective(ObjectiveFile(unit="EUR", transport=transport), [], [1, 2], 900, int, bytes.fromhex, {})
