"""Hints that tell users how to remedy the contracts' errors."""

from __future__ import annotations

__all__ = ["HINTS"]

HINTS = {
    "AssignmentLive": "wait until it is finished, or cancel it",
    "AssignmentNotCurrent": "name the operation's current assignment, see `millmark trace`",
    "AssignmentStateWrong": "see the assignment's state with `millmark trace`",
    "CertificateDataWrong": "show the certificate's record as the chain has it",
    "CertificateDemandTooSoon": "demand the next opening after the time shown",
    "CertificateForeign": "have the inspector that issued the certificate sign",
    "CertificateInferenceWrong": "show input, salt, logits and verdict of the certified inference",
    "CertificateInspectorWrong": "have the order's inspector certify it",
    "CertificateModelUnfit": "use a model that is approved and not withdrawn",
    "CertificateNotLatest": "name the lot's latest certificate, see `millmark trace`",
    "CertificateOpeningLate": "have the lot certified again",
    "CertificateStateWrong": "see the certificate's state with `millmark trace`",
    "CustodyNotOffered": "have the lot offered to the participant that signs",
    "EvaluatorModelMalformed": "use the model.bin that training wrote",
    "EvaluatorModelNotExecutable": "register only the model's digest: it is audited off chain",
    "EvaluatorModelTooLarge": "register only the model's digest: it is audited off chain",
    "EvidenceNotAnchored": "anchor the stream first",
    "EvidenceSizeNotGrown": "anchor the stream again once it has more entries",
    "GateClosed": "have the order's inspector certify the lot on the order's model",
    "HistoryOpeningStale": "read the history again and open it up to its current head",
    "HistoryParticipantUnfit": "name a participant that has the role",
    "HistoryRoleMissing": "have a participant with that role sign, or ask the registry's owner for the role",
    "HistorySubjectTaken": "use another identifier, or another salt",
    "LotForeign": "have its custodian sign, or take custody first",
    "LotOverConsumed": "take no more than the lot's remaining quantity",
    "LotPacked": "unpack the lot first",
    "LotStateWrong": "see the lot's state with `millmark trace`",
    "OrderPartyWrong": "have the buyer or the coordinator of the order sign",
    "OrderStateWrong": "see the order's state with `millmark trace`",
    "OwnableUnauthorizedAccount": "sign with the key that owns the registry",
    "RegistryKeyNotProposed": "have a key of the participant propose it with `millmark keys propose`",
    "RegistryKeyRevoked": "sign with another key of the participant; only the time of compromise of a revoked key can "
    "still be changed, to an earlier one",
    "RegistryKeyTaken": "use a new key: each can be added only once, for one participant",
    "RegistryKeyUnknown": "have the registry's owner admit the participant, or use the key that was admitted",
    "RegistryLastKey": "add another key first",
    "RegistryParticipantSuspended": "ask the registry's owner to reinstate the participant",
    "RegistryRoleMissing": "have a participant with that role sign, or ask the registry's owner for the role",
    "RegistrySubjectTaken": "it is registered already, with the sequence shown",
}
"""Hints by the error's name in Solidity. Errors without an entry need none."""
