"""The statements in English, by section and code. See STATEMENTS.md for what each says and when."""

from __future__ import annotations

from collections.abc import Mapping

from millmark.ledger.errors import ENUMERATIONS

__all__ = ["ENUMERATIONS", "PHRASES", "STATEMENTS", "TITLES", "UNITS"]

STATEMENTS: Mapping[str, Mapping[str, str]] = {
    "head": {
        "as_of": "As of block {block}, {time} ({age}), chain {chain}, ledger {ledger} with id {ledger_id}",
        "checkpoint_named": "Checkpoint: block {block} {hash}, named by the trust file",
        "checkpoint_cosigned": "Checkpoint: block {block} {hash}, signed by {signers}; {quorum} of the {cosigners} "
        "co-signers in the trust file are enough",
        "checkpoint_sealed": "Checkpoint: block {block} {hash}, sealed by {signers} in round {round}; {quorum} of its "
        "{validators} validators are enough",
        "validators_changed": "Validators: those of the trust file have changed, in blocks {blocks}; enough of the "
        "earlier ones sealed each change",
        "succeeds": "This ledger replaced the one at {predecessor}, whose records are not here",
        "trust_file": "Trust file: SHA-256 {digest}",
        "counts": "{recorded} records of {histories} histories, all of them to the proof block",
        "withheld_kind": "{count} more are withheld: kind {event}, content not shown",
    },
    "part": {
        "part": "{lot}",
        "passed": "PASSED: certificate {certificate} by {issuer}, {model}, valid until {until}",
        "failed": "FAILED: certificate {certificate} by {issuer}, {model}",
        "no_valid_verdict": "NO VALID VERDICT: certificate {certificate} by {issuer}, {model}, says {verdict}, "
        "and is {status}",
        "no_gate_verdict": "NO VERDICT by {inspector}, whose certificate its order asks for",
        "no_verdict": "NO VERDICT: it has no certificate",
        "event_failed": "{time} {lot} failed: certificate {certificate} by {issuer}",
        "event_passed": "{time} {lot} passed: certificate {certificate} by {issuer}",
        "event_demanded": "{time} {by} demanded that certificate {certificate} of {lot} be opened",
        "event_upheld": "{time} certificate {certificate} of {lot} was opened by {by} and upheld",
        "event_refuted": "{time} certificate {certificate} of {lot} was opened by {by} and REFUTED; "
        "executed: {executed}",
        "event_revoked": "{time} certificate {certificate} of {lot} was revoked by {by}",
        "event_quarantined": "{time} {lot} was quarantined by {by}",
        "event_released": "{time} {lot} was released from quarantine by {by}",
        "event_waived": "{time} {by} waived the gate of {inspector} for {lot}",
        "event_reworked": "{time} {lot} was reworked by {by}",
        "stands": "{state}, {quantity} {unit}, held by {holder}",
        "quarantined_part": "QUARANTINED by {by}",
        "in_order": "order {order} of {buyer}, coordinated by {coordinator}",
        "gate": "its order asks for a certificate by {inspector}, {model}",
    },
    "origin": {
        "made": "{lot}: made by {by}, {time}",
        "received": "{lot}: received from outside by {by}, {time}",
        "split": "{lot}: split off {inputs} by {by}, {time}",
        "merged": "{lot}: merged from {inputs} by {by}, {time}",
        "converted": "{lot}: made by {by} from {inputs}, {time}",
        "assembled": "{lot}: assembled by {by} from {inputs}, {time}",
        "fitted": "{lot}: {inputs} fitted by {by}, {time}",
        "on_machine": "{lot}: worked on {machine} of {owner} (assignments {assignments})",
        "handed_over": "{lot}: handed over by {giver} to {by}, {time}",
        "reclaimed": "{lot}: taken back by {by} from {giver}, who may not act, {time}",
        "same_assignment": "{lot} was made under assignment {assignment}, as were others here; the verdict on it: "
        "{verdict}, {status}",
    },
    "attention": {
        "behind": "the proof block is {blocks} blocks and {span} older than the block that is believed: what was "
        "recorded in between is not here",
        "compromised": "record {record} was signed with a key that was later declared compromised by then; "
        "declared on {declared}",
        "checkpoint_revoked": "the checkpoint is signed for {signer} with a key that the ledger has as revoked",
        "checkpoint_foreign": "the checkpoint is signed for {signer} with a key that the ledger has as that of {owner}",
        "corrected": "record {record} is corrected by record {by}",
        "taken_back": "certificate {certificate} of {lot} is wrong, {issuer} says, who issued it, in record {by}: do "
        "not rely on it",
        "certificate": "certificate {certificate} of {lot} by {issuer}: {verdict}, {status}",
        "demanded": "{by} doubts certificate {certificate} of {lot}: {issuer} must show by {until} what it rests on; "
        "until then do not rely on it, and unless that is shown, it counts no more",
        "unmet": "the opening of certificate {certificate} of {lot} by {issuer} was demanded, and it was never opened",
        "quarantined": "{lot} is quarantined by {by}",
        "quarantined_or_spent": "{lot} was quarantined by {by}; withheld records may have used it up before",
        "recall_notice": "record {record}: {by} calls back {about}",
        "note": "record {record}: a note by {by} on {about} ({note})",
        "spent": "nothing is left of {lot}: it was scrapped, or other lots were made of it",
        "uncertified": "{lot} has no certificate, and its order asks for one",
        "other_gate": "the certificate of {lot} is not what its order asks for: one by {inspector}, {model}",
        "lifted": "record {record} lifts a quarantine by {by}: the ledger takes that if {by} may not act",
        "waived": "record {record}: {by} took {lot} without the gate of {inspector}, whose certificate {certificate} "
        "is: {verdict}",
        "waived_uncertified": "record {record}: {by} took {lot} without the gate of {inspector}, who had not "
        "certified it",
        "own_work": "certificate {certificate} of {lot} is by {inspector}, who worked on {work}",
        "own_goods": "certificate {certificate} of {lot} is by {inspector}, who received {work} from outside",
        "one_inference": "certificates {certificates} are of different lots with one inference",
        "one_measurement": "records {measured} name one measurement: entry {index} of stream {stream}",
        "one_measurement_elsewhere": "records {measured}, and {others} that you may not see, name one measurement: "
        "entry {index} of stream {stream}",
        "old_measurement": "certificate {certificate} of {lot} is on a measurement from before the work on it (record "
        "{work}): entry {index} of a stream that had {size} entries by then",
        "other_measurement": "certificate {certificate} of {lot} is on entry {index} of a stream, but the operation in "
        "which the lot was made names entry {finished} of it: what was certified may not be what was finished",
        "no_work": "record {record} names entry {index} of stream {stream} as what was done or measured, but that is "
        "of the kind {kind}",
        "no_window": "certificate {certificate} is on an entry that was not measured on {lot}",
        "other_window": "certificate {certificate} of {lot} is by an inference on other data than the measurement that "
        "it names",
        "odd_register": "the register readings of assignment {assignment}, entries {start} and {index} of stream "
        "{stream}, cannot be those of one register: one is wrong, or a reset is not stated",
        "footprint_malformed": "record {record}: the footprint of {lot} does not follow from what it states",
        "footprint_inputs": "record {record}: the footprint of {lot} does not count what the record says went into it",
        "footprint_source": "record {record}: the footprint of {lot} counts {source} by other amounts than its own "
        "footprint has",
        "footprint_reading": "record {record}: the footprint of {lot} counts {stated} Wh of assignment {assignment}, "
        "or another part of it, but its register readings, entries {start} and {index} of stream {stream}, "
        "say {read} Wh",
        "suspended": "{participant} is suspended",
        "departed": "{participant} has left the consortium",
        "renamed": "{participant} replaced the name key that made salts of identifiers here, on {replaced}",
        "odd_yield": "record {record} converts {given} {unit} to {made} {output_unit}, which by definition differ",
    },
    "disclosed": {
        "document": "record {record}, {event}, document {root}, on {about}, by {by}: {fields}",
        "fields_withheld": "{fields} more fields of these documents are withheld",
        "entry": "record {record}: entry {index} of stream {stream}, recorded by {machine} of {owner}, kind {leaf}",
    },
    "proved": {
        "complete": "these are all records of each history up to the proof block, in order, as the contracts took them",
        "signers": "which key made each record, for which participant, and in which block's time",
        "status": "what each certificate's status was at the proof block",
        "nothing_made": "no other lot was made of the parts, up to the proof block",
        "all_made": "all that was made of the parts, in any number of steps, is among them: {lots} lots, up to the "
        "proof block",
        "fields": "the disclosed fields are those that the records commit to; of these documents every field that is "
        "withheld is counted",
        "footprint": "the footprint of {lot}, {wh} Wh, {location} mg CO2e by location and {market} mg by market, is "
        "computed here again from what the file shows; {metered} per mille of it follows from register readings "
        "(assignments {readings})",
        "measured_certificates": "the measured entries of certificates {certificates} were in their streams when these "
        "were issued, and still are",
        "hashed_certificates": "some entry, not shown, with the hash that certificates {certificates} name was in its "
        "stream when these were issued, and still is",
        "measured_operations": "the measured entries of finished operations (records {finished}) are in their streams "
        "at the proof block",
        "hashed_operations": "some entry, not shown, with the hash that finished operations (records {finished}) name "
        "is in its stream at the proof block",
        "opened_operations": "the measured entries of finished operations (records {finished}) are those that these "
        "name; that they are in their streams is not shown",
        "inferences_shown": "the shown inferences (certificates {certificates}) are those that the certificates commit "
        "to, and name the lots and entries of these",
        "inputs": "the inputs of the inferences of certificates {certificates} are the measured windows that these "
        "name",
    },
    "not_proved": {
        "after": "anything after the proof block",
        "truth": "that documents, sensors or people told the truth; that the part in your hand is the one named here; "
        "or that nobody, its maker included, recorded it under another name as well",
        "trust": "that the trust file is right: who wrote it decides which chain and which blocks are believed",
        "predecessor": "what the ledger that this one replaced says about these lots",
        "validators": "that at most {faulty} of the {validators} validators were ever faulty: more of them could have "
        "sealed another block {block}",
        "earlier_validators": "that none of the earlier sets of validators had more faulty ones than it tolerates, "
        "also after they retired",
        "independent": "that the validators belong to different companies: blocks list addresses, and who runs them is "
        "the trust file's word",
        "seals": "whose seals the bundle carries: the trust file believes the block for another reason",
        "others": "that no other lots are like these, by model, machine or order: who made the file chose its parts",
        "other_lots": "which other lots were made under the same assignments ({assignments}), and their verdicts",
        "sisters": "how lots stand that were made in the same steps as lots here, and have no history here: {lots}",
        "elsewhere": "whether records {shared} were corrected in the histories of other lots and orders, which are not "
        "here",
        "made_of": "what became of {lots} lots that were made of the parts and are not among them",
        "packed": "how {lots} lots stand that are packed in the parts and have no history here",
        "conversions": "quantities across conversions (records {converted}): their makers stated the yields",
        "received_lots": "where {lots} lots came from that were received from outside: who received them says so",
        "nameless": "which things {parts} parts are: the file has their subjects without identifiers",
        "documents": "what {documents} documents say that records commit to: nothing of them is shown",
        "measured": "measured data of certificates {certificates}: no evidence is shown",
        "operations": "measured data of finished operations (records {finished}): no evidence is shown",
        "entries": "what the entries say that records {measured} name: only their hashes are shown",
        "inferences": "inferences of certificates {certificates}: input, salt and logits are not shown",
        "uncompared": "that the inputs of the inferences of certificates {certificates} are what was measured: the "
        "entries that these name are not shown as windows",
        "footprint_stated": "what else the footprints of {lots} are made of: of some of it no readings or documents "
        "are shown",
        "footprint_meters": "that meters were right, that operations which share a machine ran when their readings "
        "say, that an operation made as many good parts as the reading at its finish says, and that emission factors "
        "are fitting",
        "execution": "that the models give these logits: execute them again with `python -m millmark.quality audit`",
        "finished": "that the measured entries of finished operations were in their streams before the proof block",
        "timing": "that what certificates {certificates} are on was measured after the work on their lots: nothing "
        "here dates the entries",
        "signatures": "whose signatures the bundle carries: the trust file has no co-signers",
        "withheld": "how much is left of lots with withheld records; only an upper bound is",
    },
}

TITLES: Mapping[str, str] = {
    "origin": "Where they came from:",
    "attention": "Attention:",
    "disclosed": "Disclosed:",
    "proved": "Proved:",
    "not_proved": "Not proved:",
}

PHRASES: Mapping[str, str] = {
    "participant": "participant {number} (not in the trust file)",
    "owner": "the registry's owner",
    "machine": "machine {name}",
    "with_model": "with model {number}",
    "by_procedure": "by procedure",
    "more": "{shown} and {count} more",
    "unit": "unit {code}",
    "nothing": "nothing",
    "days": "{number} days",
    "hours": "{number} hours",
    "minutes": "{number} minutes",
    "seconds": "{number} seconds",
    "ago": "{span} ago",
    "ahead": "{span} ahead of this clock",
    "footprint": "{count} fields of its footprint",
    "no_field": "no field is shown",
    "note_kind": "kind {number}",
    "joiner": ", ",
}

UNITS: Mapping[str, str] = {
    "H87": "pc",
    "C62": "units",
    "SET": "sets",
    "MGM": "mg",
    "GRM": "g",
    "KGM": "kg",
    "TNE": "t",
    "MMT": "mm",
    "CMT": "cm",
    "MTR": "m",
    "KMT": "km",
    "MTK": "m²",
    "MLT": "ml",
    "LTR": "l",
    "MTQ": "m³",
}
"""Units of UN/ECE Recommendation 20. All others are shown as whoever made the lot wrote them, in quotation marks."""
