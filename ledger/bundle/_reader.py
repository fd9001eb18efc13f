"""Parses a bundle in two passes from left to right: from the headers on, and then what precedes them.

All disclosed JSON precedes the headers. It costs most to parse, and is worth nothing unless headers, trust and
checkpoint are right: a verifier looks at those in between (`open_bundle`).

The members and their order are fixed, so the parser knows which pattern must come next, and stops at the first that
does not match: no object is built from text whose size is not bounded yet. The patterns take one text for each content:
numbers without superfluous digits, base64url without superfluous bits, identifiers of characters that need no escape.
What has disclosed JSON is encoded again, and must result in the same bytes. So no byte of a file can change without
changing the bundle's content.
"""

from __future__ import annotations

import binascii
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, TypeVar

from millmark.ledger.bundle import _model as layout
from millmark.ledger.bundle._writer import encode_disclosed
from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, parse_json
from millmark.ledger.claims import Disclosure, parse_disclosure
from millmark.ledger.errors import BundleError, CanonicalError, ClaimsError, NotABundleError
from millmark.ledger.evidence import LeafKind
from millmark.ledger.ids import SubjectKind
from millmark.ledger.names import NAME_PROOF_BYTES
from millmark.ledger.seals import MAX_CHANGES, MAX_VALIDATORS, SEAL_BYTES, SealedHeader, Seals

T = TypeVar("T")

_OPENING = b'{"bundle_version":'
# Possessive quantifiers (*+) never backtrack, so matching takes linear time whatever the file contains.
_NUMBER = rb"(0|[1-9][0-9]{0,15})"
_TEXT = rb'"([A-Za-z0-9_-]*+)"'
_KIND = rb'"([A-Za-z]{1,64})"'
_NUMBER_ONLY = re.compile(_NUMBER)
_SIGNED_ONLY = re.compile(rb"(-?[1-9][0-9]{0,9}|0)")
_TEXT_ONLY = re.compile(_TEXT)
_RECORD = re.compile(rb"\[%s,%s,%s,%s,%s\]" % (_KIND, _NUMBER, _NUMBER, _NUMBER, _TEXT))
_LINK = re.compile(rb"%s|\[%s,%s\]" % (_NUMBER, _KIND, _TEXT))
_IDENTITY = re.compile(
    rb'\{"creator":%s,"identifier":"([!#-\[\]-~]{1,2048})","kind":"(order|lot|stream|machine)","proofs":' % _NUMBER
)
_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+([\[\]{}])', re.DOTALL)
"""Text up to the next bracket that is not in a string."""
_VALUE_BYTES = 8
"""Length of an integer in a window."""
_LAST = {1: frozenset(b"AEIMQUYcgkosw048"), 2: frozenset(b"AQgw")}
"""Last digits of base64url whose unused bits, 2 or 4, are zero."""
_URL_TO_STANDARD = bytes.maketrans(b"-_+/", b"+/!!")


def read_bundle(path: Path) -> bytes:
    """Read a bundle's file, at most one byte beyond the size limit of `parse_bundle`. Raises NotABundleError."""
    try:
        with path.open("rb") as file:
            return file.read(layout.MAX_BUNDLE_BYTES + 1)
    except OSError as error:
        raise NotABundleError(f"cannot read {path}: {error.strerror}", hint="name the file of a bundle") from None


def parse_bundle(data: bytes) -> layout.Bundle:
    """Parse a bundle. Raises BundleError when it is malformed or not in canonical form.

    Raises NotABundleError when the file does not even begin like a bundle, or has a different version. Not established:
    that any of its content is true.
    """
    return open_bundle(data).parse()


@dataclass(frozen=True, slots=True)
class OpenBundle:
    """A bundle that is parsed except for its disclosures."""

    frame: layout.Bundle
    """Without `claims`, `contracts` and `evidence`."""
    data: bytes
    at: int
    """Where the headers begin: at the comma before their name."""

    def parse(self) -> layout.Bundle:
        """Parse the rest. Raises BundleError."""
        scan = _Scanner(self.data)
        bundle = _disclosed(scan, self.frame)
        if scan.at != self.at:
            scan.refuse("headers is missing")
        _verify_canonical(self.data, _encoded(bundle))
        return bundle


def open_bundle(data: bytes) -> OpenBundle:
    """Parse a bundle, except its disclosures. Raises the errors of `parse_bundle`."""
    if not isinstance(data, bytes) or not data.startswith(_OPENING):
        raise NotABundleError("this is not a bundle", hint="use a file made by `millmark bundle`")
    if len(data) > layout.MAX_BUNDLE_BYTES:
        raise BundleError(f"the bundle has more than {layout.MAX_BUNDLE_BYTES} bytes", hint="make one for fewer parts")
    scan = _Scanner(data)
    scan.literal(_OPENING)
    if _number(scan) != layout.BUNDLE_VERSION:
        raise NotABundleError("the bundle has a different format version", hint="update this program")
    chain_id = _member(scan, "chain_id", _number)
    scan.literal(b',"claims":[')
    # The last place: only what precedes the headers has texts of any content, which may read like this.
    at = data.rfind(b',"headers":[', scan.at)
    if at < 0:
        _disclosed(_Scanner(data), _NOTHING)
        scan.refuse("headers is missing")
    scan.at = at
    return OpenBundle(_frame(scan, chain_id), data, at)


def _encoded(bundle: layout.Bundle) -> bytes:
    try:
        return encode_disclosed(bundle)
    except CanonicalError as error:
        raise BundleError(f"the bundle is malformed: {error.cause}") from None


def _verify_canonical(data: bytes, canonical: bytes) -> None:
    # Finds what the patterns cannot: members of disclosed JSON out of order, or another spelling of its values.
    if not data.startswith(canonical):
        at = next(
            (at for at, (one, two) in enumerate(zip(data, canonical, strict=False)) if one != two), len(canonical)
        )
        raise BundleError(f"the bundle is not in canonical form at byte {at}")


class _Scanner:
    """A position in the text, and methods that read what must come next there. All of them raise BundleError."""

    __slots__ = ("at", "data", "links", "values")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.values = 0
        """Commas and opening brackets in disclosed JSON so far."""
        self.links = 0
        """Records of histories so far."""

    def literal(self, text: bytes) -> None:
        if not self.data.startswith(text, self.at):
            self.refuse(f"{text.decode()} is missing")
        self.at += len(text)

    def match(self, pattern: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        found = pattern.match(self.data, self.at)
        if found is None:
            self.refuse(f"{what} is malformed")
        self.at = found.end()
        return found

    def items(self, read: Callable[[_Scanner], T], what: str, most: int) -> tuple[T, ...]:
        """Read an array of at most `most` entries."""
        self.literal(b"[")
        data, items = self.data, list[T]()
        if data.startswith(b"]", self.at):
            self.at += 1
            return ()
        while True:
            if len(items) == most:  # before the entry is read, let alone stored
                self.refuse(f"there are more than {most} {what}")
            items.append(read(self))
            mark = data[self.at : self.at + 1]
            if mark not in (b",", b"]"):
                self.refuse(", is missing")
            self.at += 1
            if mark == b"]":
                return tuple(items)

    def ascending(
        self, read: Callable[[_Scanner], T], what: str, most: int, key: Callable[[T], object]
    ) -> tuple[T, ...]:
        """Read an array whose entries ascend strictly by `key`."""
        items = self.items(read, what, most)
        keys: list[object] = [key(item) for item in items]
        if any(not one < two for one, two in itertools.pairwise(keys)):  # type: ignore[operator]  # all of one type
            self.refuse(f"the {what} that end here are not in strictly ascending order")
        return items

    def json(self, what: str) -> Json:
        """Read an object with any members. Its end is found, and its depth bounded, before it is parsed."""
        start = self.at
        if not self.data.startswith(b"{", start):
            self.refuse(f"{what} is not an object")
        end = min(len(self.data), start + layout.MAX_SHOWN_BYTES)
        at, depth = start + 1, 1
        while depth:
            found = _TO_BRACKET.match(self.data, at, end)
            if found is None:
                self.refuse(f"{what} is truncated, or longer than {layout.MAX_SHOWN_BYTES} bytes")
            at = found.end()
            depth += 1 if found[1] in b"[{" else -1
            if depth > layout.MAX_SHOWN_DEPTH:
                self.refuse(f"{what} is nested more than {layout.MAX_SHOWN_DEPTH} levels deep")
        self.at = at
        text = self.data[start:at]
        self.values += sum(map(text.count, (b",", b"[", b"{")))
        if self.values > layout.MAX_SHOWN_VALUES:
            self.refuse(f"more than {layout.MAX_SHOWN_VALUES} values are disclosed")
        try:
            return parse_json(text, max_bytes=layout.MAX_SHOWN_BYTES, max_depth=layout.MAX_SHOWN_DEPTH)
        except CanonicalError as error:
            self.refuse(f"{what} is invalid: {error.cause}")

    def refuse(self, cause: str) -> NoReturn:
        raise BundleError(f"the bundle is malformed at byte {self.at}: {cause}")


def _disclosed(scan: _Scanner, frame: layout.Bundle) -> layout.Bundle:
    """Parse what precedes the headers, and complete the bundle with it."""
    scan.literal(_OPENING)
    _number(scan)
    _member(scan, "chain_id", _number)
    # The arguments are in the order of the text, since keyword arguments are evaluated from left to right.
    return replace(
        frame,
        claims=_member(scan, "claims", _shown("claims", _claims, lambda item: (item.record, item.root))),
        contracts=_member(scan, "contracts", _table("contracts", _bytes(20, 20), 16)),
        evidence=_member(scan, "evidence", _shown("evidence", _evidence, lambda item: item.record)),
    )


def _frame(scan: _Scanner, chain_id: int) -> layout.Bundle:
    """Parse the headers and all that follows."""
    bundle = layout.Bundle(
        chain_id=chain_id,
        contracts=(),
        headers=_member(scan, "headers", _list("headers", _bytes(1, layout.MAX_HEADER_BYTES), layout.MAX_HEADERS)),
        histories=_member(scan, "histories", _table("histories", _history, layout.MAX_SUBJECTS, _subject_of)),
        identities=_member(scan, "identities", _table("identities", _identity, layout.MAX_SUBJECTS, _name_of)),
        inferences=_member(scan, "inferences", _shown("inferences", _inference, lambda item: item.record)),
        keys=_member(scan, "keys", _table("keys", _bytes(20, 20), layout.MAX_SUBJECTS)),
        ledger=_member(scan, "ledger", _bytes(20, 20)),
        ledger_id=_member(scan, "ledger_id", _HASH),
        machines=_member(scan, "machines", _table("machines", _number, layout.MAX_SUBJECTS)),
        models=_member(scan, "models", _table("models", _number, layout.MAX_SUBJECTS)),
        nodes=_member(scan, "nodes", _table("nodes", _bytes(1, layout.MAX_NODE_BYTES), layout.MAX_NODES)),
        participants=_member(scan, "participants", _table("participants", _number, layout.MAX_SUBJECTS)),
        parts=_member(scan, "parts", _table("parts", _HASH, layout.MAX_SUBJECTS)),
        records=_member(scan, "records", _table("records", _record, layout.MAX_RECORDS, lambda item: item.sequence)),
        registry=_member(scan, "registry", _bytes(20, 20)),
        seals=_member(scan, "seals", _seals),
        signatures=_member(scan, "signatures", _list("signatures", _bytes(65, 65), layout.MAX_SIGNATURES)),
        streams=_member(scan, "streams", _table("streams", _HASH, layout.MAX_SUBJECTS)),
    )
    scan.literal(b"}")
    if scan.at != len(scan.data):
        scan.refuse("something follows the end of the object")
    if not bundle.parts:
        scan.refuse("the list of parts is empty")
    return bundle


def _member(scan: _Scanner, name: str, read: Callable[[_Scanner], T]) -> T:
    scan.literal(b',"%s":' % name.encode())
    return read(scan)


def _list(what: str, read: Callable[[_Scanner], T], most: int) -> Callable[[_Scanner], tuple[T, ...]]:
    return lambda scan: scan.items(read, what, most)


def _table(
    what: str, read: Callable[[_Scanner], T], most: int, key: Callable[[T], object] = lambda item: item
) -> Callable[[_Scanner], tuple[T, ...]]:
    """Return a reader of an array whose entries ascend strictly by `key`."""
    return lambda scan: scan.ascending(read, what, most, key)


def _shown(what: str, read: Callable[[_Scanner], T], key: Callable[[T], object]) -> Callable[[_Scanner], tuple[T, ...]]:
    return _table(what, read, layout.MAX_SHOWN, key)


def _subject_of(history: layout.HistoryShown) -> bytes:
    return history.subject


def _name_of(identity: layout.IdentityShown) -> tuple[int, int, str]:
    return identity.kind, identity.creator, identity.identifier


def _number(scan: _Scanner) -> int:
    return _small(scan, scan.match(_NUMBER_ONLY, "a number")[1])


def _small(scan: _Scanner, digits: bytes) -> int:
    number = int(digits)  # of at most 16 digits, by the pattern
    if number > MAX_SAFE_INTEGER:
        scan.refuse(f"a number is beyond {MAX_SAFE_INTEGER}")
    return number


def _bytes(least: int, most: int) -> Callable[[_Scanner], bytes]:
    """Return a reader of base64url text that encodes `least` to `most` bytes."""
    return lambda scan: _decoded(scan, scan.match(_TEXT_ONLY, "base64url text")[1], least, most)


def _decoded(scan: _Scanner, text: bytes, least: int, most: int) -> bytes:
    size, rest = divmod(len(text) * 3, 4)
    if rest == 3 or not least <= size <= most:  # rest 3: a single last digit, which is too short for a byte
        scan.refuse(f"a text of {len(text)} digits is not base64url of {least} to {most} bytes")
    if rest and text[-1] not in _LAST[rest]:
        scan.refuse("base64url text is not in canonical form: unused bits are set")
    return binascii.a2b_base64(text.translate(_URL_TO_STANDARD) + b"=" * (-len(text) % 4))


_HASH = _bytes(32, 32)
_NOTHING = layout.Bundle(
    chain_id=0, registry=b"", ledger=b"", ledger_id=b"", contracts=(), headers=(), signatures=(), nodes=(), parts=(),
    histories=(), records=(),
)  # fmt: skip
_NAME_PROOF = _bytes(NAME_PROOF_BYTES, NAME_PROOF_BYTES)


def _seals(scan: _Scanner) -> layout.SealsShown | None:
    if scan.data.startswith(b"null", scan.at):
        scan.literal(b"null")
        return None
    scan.literal(b'{"changes":')
    changes = scan.items(_change, "set changes", MAX_CHANGES)
    scan.literal(b",")
    return layout.SealsShown(_sealed(scan), changes)


def _change(scan: _Scanner) -> SealedHeader:
    scan.literal(b'{"header":')
    header = _bytes(1, layout.MAX_HEADER_BYTES)(scan)
    scan.literal(b",")
    return SealedHeader(header, _sealed(scan))


def _sealed(scan: _Scanner) -> Seals:
    scan.literal(b'"round":')
    committed = _number(scan)
    scan.literal(b',"seals":')
    seals = scan.items(_bytes(SEAL_BYTES, SEAL_BYTES), "seals", MAX_VALIDATORS)
    scan.literal(b"}")
    return Seals(committed, seals)


def _history(scan: _Scanner) -> layout.HistoryShown:
    scan.literal(b'{"records":')
    records = scan.items(_link, "records of a history", layout.MAX_LINKS)
    scan.links += len(records)
    if scan.links > layout.MAX_ALL_LINKS:
        scan.refuse(f"there are more than {layout.MAX_ALL_LINKS} records of all histories")
    scan.literal(b',"subject":')
    subject = _HASH(scan)
    scan.literal(b"}")
    return layout.HistoryShown(subject, records)


def _link(scan: _Scanner) -> int | layout.WithheldRecord:
    number, kind, inner = scan.match(_LINK, "the record of a history").groups()
    if number is not None:
        return _small(scan, number)
    return layout.WithheldRecord(kind.decode(), _decoded(scan, inner, 32, 32))


def _record(scan: _Scanner) -> layout.RecordShown:
    kind, sequence, participant, block_time, data = scan.match(_RECORD, "a record").groups()
    numbers = (_small(scan, sequence), _small(scan, participant), _small(scan, block_time))
    return layout.RecordShown(kind.decode(), *numbers, _decoded(scan, data, 1, layout.MAX_DATA_BYTES))


def _identity(scan: _Scanner) -> layout.IdentityShown:
    creator, identifier, kind = scan.match(_IDENTITY, "an identity").groups()
    named = SubjectKind[kind.decode().upper()]
    proofs = scan.items(_NAME_PROOF, "proofs of a name", layout.MAX_NAME_PROOFS)
    if not proofs:
        scan.refuse("a name has no proof")
    scan.literal(b"}")
    return layout.IdentityShown(named, _small(scan, creator), identifier.decode(), proofs)


def _claims(scan: _Scanner) -> layout.ShownClaims:
    scan.literal(b'{"disclosure":')
    disclosure = _disclosure(scan)
    scan.literal(b',"record":')
    record = _number(scan)
    scan.literal(b',"root":')
    root = _number(scan)
    scan.literal(b"}")
    return layout.ShownClaims(record, root, disclosure)


def _disclosure(scan: _Scanner) -> Disclosure:
    try:
        return parse_disclosure(scan.json("a disclosure"))
    except (ClaimsError, CanonicalError) as error:
        scan.refuse(f"a disclosure is invalid: {error.cause}")


def _evidence(scan: _Scanner) -> layout.ShownEvidence:
    scan.literal(b'{"consistency":')
    consistency = scan.items(_HASH, "hashes of a proof", layout.MAX_PROOF_HASHES)
    scan.literal(b',"inclusion":')
    inclusion = scan.items(_HASH, "hashes of a proof", layout.MAX_PROOF_HASHES)
    scan.literal(b',"record":')
    record = _number(scan)
    scan.literal(b',"shown":')
    shown = _entry(scan)
    scan.literal(b"}")
    return layout.ShownEvidence(record, inclusion, consistency, shown)


def _entry(scan: _Scanner) -> layout.EvidenceEntryShown | None:
    if scan.data.startswith(b"null", scan.at):
        scan.literal(b"null")
        return None
    value = scan.json("an evidence entry")
    if not isinstance(value, dict) or value.keys() != {"entry", "kind", "salt"} or not isinstance(value["salt"], str):
        scan.refuse("an evidence entry must be an object with the members entry, kind and salt")
    if type(value["kind"]) is not int or value["kind"] not in LeafKind.__members__.values():
        scan.refuse("an evidence entry is of an unknown kind")
    # A scanner of its own, so that the salt is subject to the same rules as other base64url text.
    salt = _HASH(_Scanner(b'"%s"' % value["salt"].encode()))
    return layout.EvidenceEntryShown(LeafKind(value["kind"]), salt, value["entry"])


def _inference(scan: _Scanner) -> layout.InferenceShown:
    scan.literal(b'{"logits":')
    logits = scan.items(_signed, "logits", layout.MAX_LOGITS)
    scan.literal(b',"record":')
    record = _number(scan)
    scan.literal(b',"salt":')
    salt = _HASH(scan)
    scan.literal(b',"window":')
    window = _bytes(_VALUE_BYTES, layout.MAX_WINDOW_BYTES)(scan)
    if len(window) % _VALUE_BYTES:
        scan.refuse("a window does not have 8 bytes for each integer")
    scan.literal(b"}")
    return layout.InferenceShown(record, salt, window, logits)


def _signed(scan: _Scanner) -> int:
    number = int(scan.match(_SIGNED_ONLY, "a logit")[1])
    if not -(2**31) <= number < 2**31:
        scan.refuse("a logit is not an int32")
    return number
