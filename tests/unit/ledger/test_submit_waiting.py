"""How long a submitter waits between two looks at a chain that does nothing."""

from __future__ import annotations

from itertools import islice, pairwise

from millmark.ledger.submit.submitter import _PAUSES_S, _pauses


def test_pauses_get_longer_and_then_stay() -> None:
    found = list(islice(_pauses(), len(_PAUSES_S) + 5))
    assert all(0 < one <= two for one, two in pairwise(found))
    assert found[len(_PAUSES_S) :] == [_PAUSES_S[-1]] * 5
