"""Advice is for errors that exist."""

from ledger.chain import load_abi
from ledger.chain.artifacts import load_artifact
from ledger.chain.hints import HINTS
from ledger.records import Contract


def test_every_mend_is_for_an_error_of_the_contracts() -> None:
    entries = [entry for contract in Contract for entry in load_abi(contract)]
    errors = {
        entry["name"]
        for entry in (
            *entries,
            *(one for name in ("Council", "Evaluator", "Forwarder") for one in load_artifact(name).abi),
        )
        if entry["type"] == "error"
    }
    assert set(HINTS) <= errors
