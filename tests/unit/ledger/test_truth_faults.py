"""The faults that `scripts/prove truth` plants can be planted."""

from __future__ import annotations

import pytest

from tests.proofs.truth.faults import FAULTS, ROOT, Fault


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_has_its_place(fault: Fault) -> None:
    assert (ROOT / "ledger" / "verify" / fault.file).read_text().count(fault.old) == 1
