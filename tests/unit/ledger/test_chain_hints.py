"""Advice is for errors that exist."""

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import load_abi
from millmark.ledger.chain.codec import HINTS, decode_revert, load_artifact
from millmark.ledger.records import AssignmentState, CertificateStatus, Contract, Verdict


def test_every_hint_is_for_an_error_of_the_contracts() -> None:
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


def test_a_state_is_a_word_and_operations_count_from_1_for_people() -> None:
    selector = keccak256(b"AssignmentStateWrong(bytes32,uint16,uint8)")[:4]
    arguments = (b"\x2b" * 32, (1).to_bytes(32, "big"), int(AssignmentState.FINISHED).to_bytes(32, "big"))
    refused = decode_revert(selector + b"".join(arguments))
    shown = f"AssignmentStateWrong(order=0x{'2b' * 32}, operation=2, state=finished)"
    assert str(refused) == f"{shown}; {HINTS['AssignmentStateWrong']}"
    assert (refused.values["operation"], refused.values["state"]) == (1, 5), "as the contract says, for programs"


def test_a_state_is_called_as_in_the_rest_of_the_product() -> None:
    selector = keccak256(b"GateClosed(bytes32,uint32,uint40,uint40,uint8,uint8,uint40,uint8,bool)")[:4]
    numbers = (5, 0, 36, int(CertificateStatus.VALID), int(Verdict.FAIL), 0, 0, 1)
    refused = decode_revert(selector + bytes(32) + b"".join(one.to_bytes(32, "big") for one in numbers))
    assert "certificate=36, status=in force, verdict=fail, certifiedOn=0" in str(refused)


def test_a_state_that_this_version_does_not_know_stays_a_number() -> None:
    selector = keccak256(b"LotStateWrong(bytes32,uint8)")[:4]
    assert "state=77" in str(decode_revert(selector + bytes(32) + (77).to_bytes(32, "big")))
