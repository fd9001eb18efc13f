"""What a user can do about a contract's refusal."""

from __future__ import annotations

__all__ = ["HINTS"]

HINTS = {
    "AssignmentLive": "wait until it is over, or cancel it",
    "AssignmentNotCurrent": "name the operation's current assignment, see `millmark trace`",
    "AssignmentStateWrong": "see the assignment's state with `millmark trace`",
    "CertificateDataWrong": "show the certificate's record as the chain has it",
    "CertificateDemandTooSoon": "demand the next opening after the time given",
    "CertificateForeign": "let the inspector that issued the certificate sign",
    "CertificateInferenceWrong": "show input, salt, logits and verdict of the certified inference",
    "CertificateInspectorWrong": "have the order's inspector certify it",
    "CertificateModelUnfit": "use a model that an auditor approved and nobody withdrew",
    "CertificateNotLatest": "name the lot's latest certificate, see `millmark trace`",
    "CertificateOpeningLate": "have the lot certified anew",
    "CertificateStateWrong": "see the certificate's state with `millmark trace`",
    "CustodyNotOffered": "have the lot offered to the participant that signs",
    "EvaluatorModelMalformed": "give the model.bin that training wrote",
    "EvaluatorModelNotExecutable": "register the model by its digest: it is audited off chain",
    "EvaluatorModelTooLarge": "register the model by its digest: it is audited off chain",
    "EvidenceNotAnchored": "anchor the stream first",
    "EvidenceSizeNotGrown": "anchor more entries than the last time",
    "GateClosed": "have the order's inspector certify the lot on the order's model",
    "HistoryOpeningStale": "read the history again and open it to its present head",
    "HistoryParticipantUnfit": "name a participant that holds the role",
    "HistoryRoleMissing": "let a participant with that role act, or ask the registry's owner for the role",
    "HistorySubjectTaken": "use another identifier, or another salt",
    "LotForeign": "have its custodian act, or take custody first",
    "LotOverConsumed": "take no more than the lot still holds",
    "LotPacked": "unpack the lot first",
    "LotStateWrong": "see the lot's state with `millmark trace`",
    "OrderPartyWrong": "let the order's own buyer or coordinator act",
    "OrderStateWrong": "see the order's state with `millmark trace`",
    "OwnableUnauthorizedAccount": "sign with the key that owns the registry",
    "RegistryKeyNotProposed": "have a key of the participant propose it with `millmark keys propose`",
    "RegistryKeyRevoked": "sign with another key of the participant; of a revoked one, only an earlier time of "
    "compromise than was declared can be recorded",
    "RegistryKeyTaken": "use a fresh key: one serves one participant, once",
    "RegistryKeyUnknown": "have the registry's owner admit the participant, or use the key that was admitted",
    "RegistryLastKey": "add another key first",
    "RegistryParticipantSuspended": "ask the registry's owner to reinstate the participant",
    "RegistryRoleMissing": "let a participant with that role act, or ask the registry's owner for the role",
    "RegistrySubjectTaken": "it is registered already, see the sequence given",
}
"""By the error's name in Solidity; errors that are not here say all there is."""
