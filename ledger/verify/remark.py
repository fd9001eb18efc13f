"""Remarks: lines of a report that readers must not overlook, in a form that can be translated."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime

__all__ = ["REMARKS", "Remark"]

_MAX_LISTED = 10

REMARKS: Mapping[str, str] = {
    # what needs attention
    "compromised": "record {record} was signed with a key that was later declared compromised by then; "
    "declared on {declared}",
    "checkpoint_revoked": "the checkpoint is signed for {signer} with a key that the ledger has as revoked",
    "checkpoint_foreign": "the checkpoint is signed for {signer} with a key that the ledger has as that of {owner}",
    "corrected": "record {record} is corrected by record {by}",
    "certificate": "certificate {certificate} of {lot}: {verdict}, {status}",
    "demanded": "certificate {certificate} must be opened before {until}, or counts no more",
    "quarantined": "{lot} is quarantined by {by}",
    "recall_notice": "record {record}: {by} calls back {about}",
    "note": "record {record}: a note by {by} on {about} ({kind})",
    "waived": "record {record}: {by} took {lot} without the gate of {inspector}, whose certificate {certificate} is: "
    "{verdict}",
    "waived_uncertified": "record {record}: {by} took {lot} without the gate of {inspector}, who had not certified it",
    "lifted": "record {record} lifts a quarantine by {by}: the ledger takes that if {by} may not act",
    "spent": "nothing is left of {lot}: it was scrapped, or other lots were made of it",
    "uncertified": "{lot} has no certificate, and its order asks for one",
    "other_gate": "the certificate of {lot} is not what its order asks for: one of {inspector} with model {model}",
    "own_work": "certificate {certificate} of {lot} is by {inspector}, who did operations of the same order",
    "one_inference": "certificates {first} and {second} are of different lots with one inference",
    "one_measurement": "records {first} and {second} name one measurement",
    "no_window": "certificate {certificate} names an entry that is no window of {lot}: it was not measured there",
    "other_window": "certificate {certificate} is by an inference on other data than the measurement that it names",
    "suspended": "{participant} is suspended",
    "departed": "{participant} has left the consortium",
    "renamed": "{participant} replaced the name key that made salts of identifiers here, on {replaced}",
    "odd_yield": "record {record} converts {given} {unit} to {made} {output_unit}, which by definition differ",
    # what is not proved
    "after": "anything after the proof block",
    "truth": "that documents, sensors or people told the truth; that the part in your hand is the one named here, or "
    "that nobody else recorded another by its name",
    "others": "that no other lots are like these, by model, machine or order: who made the file chose its parts",
    "made_of": "what became of {lots} lots that were made of the parts and are not among them",
    "packed": "how {lots} lots stand that are packed in the parts and have no history here",
    "conversions": "quantities across conversions (records {records}): their makers stated the yields",
    "received": "where {lots} lots came from that were received from outside: who received them says so",
    "nameless": "which things {parts} parts are: the file has their subjects without identifiers",
    "documents": "what {documents} documents say that records commit to: nothing of them is shown",
    "measured": "measured data of certificates {certificates}: no evidence is shown",
    "inferences": "inferences of certificates {certificates}: input, salt and logits are not shown",
    "execution": "that the models give these logits: execute them again with `python -m quality audit`",
    "finished": "that the measured entries of finished operations were in their streams before the proof block",
    "signatures": "whose signatures the bundle carries: the trust file names the checkpoint itself",
    "withheld": "how much is left of lots with withheld records; only an upper bound is",
}
"""The English text of each remark, by code, with the names of its values."""


class Remark(str):
    """A remark as its English text; `code` and `values` are for translations."""

    code: str
    values: Mapping[str, object]

    def __new__(cls, code: str, **values: object) -> Remark:
        made = super().__new__(cls, REMARKS[code].format(**{name: _plain(value) for name, value in values.items()}))
        made.code, made.values = code, values
        return made


def _plain(value: object) -> str:
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, tuple):
        more = len(value) - _MAX_LISTED
        return ", ".join(map(str, value[:_MAX_LISTED])) + (f" and {more} more" if more > 0 else "")
    return str(value)
