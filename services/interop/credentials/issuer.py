"""What one company gives out of its certificates: its DID, signed credentials, and the lists that say which fell.

A credential is made anew from the index each time, with the same bytes for the same certificate; whether it still holds
is said by its status list alone, which is made from the index as well. So it falls with the certificate on the chain:
revoked, refuted, unopened past its deadline, or fallen with its model.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, cast
from urllib.parse import quote, urlsplit

from ledger.canonical import Json, parse_json
from ledger.claims import parse_claims
from ledger.errors import MillmarkError, NotFoundError
from ledger.provenance import certificate
from ledger.provenance.reader import open_reader
from ledger.records import CertificateState, CertificateStatus
from ledger.store import Book, Store
from ledger.store.rows import CertificateRow
from services.interop.credentials.certificate import CertificateFacts, issue_credential
from services.interop.credentials.did import build_did_document
from services.interop.credentials.from_index import read_facts, read_statuses
from services.interop.credentials.keys import CredentialKey
from services.interop.credentials.proofs import add_proof
from services.interop.credentials.status_list import SIZE, STANDING, build_status_list, status_bits
from services.interop.errors import CertificateDocumentError
from services.interop.inspection.document import build_from_claims

__all__ = ["STATUS_PATH", "Issuer"]

STATUS_PATH: Final = "/v1/status-lists"
CLAIM: Final = "en10168"
"""Member of a certificate's claims that has what an inspection document says beyond the ledger."""


_MOST_LISTS: Final = 16
"""Signed lists that are kept: 131,072 certificates each, some 17 KB at most."""


class Issuer:
    """One company's, at one site. Threads may share it.

    `origin` is scheme, host and port under which it is reached; of `keys`, by name in the DID document, the first
    signs. It gives out the certificates of `participant`; None for everybody's, on a gateway that is open on the
    loopback."""

    def __init__(self, store: Store, origin: str, keys: Mapping[str, CredentialKey], participant: int | None) -> None:
        self.store, self.origin, self.keys, self.participant = store, origin, keys, participant
        self._lock = threading.Lock()
        self._lists: OrderedDict[tuple[bytes, int], tuple[dict[str, Json], float]] = OrderedDict()
        """By index and number, with the block time until which it holds; what was asked for longest ago first."""

    @property
    def did(self) -> str:
        """`did:web` of the site (did:web method, section 3: a port is percent-encoded)."""
        return "did:web:" + quote(urlsplit(self.origin).netloc, safe="")

    def document(self) -> dict[str, Json]:
        """The DID document. Raises NotFoundError without keys."""
        self._verify_keys()
        return build_did_document(self.did, {name: key.public for name, key in self.keys.items()})

    def credential(self, sequence: int, viewer: int | None) -> dict[str, Json]:
        """The signed credential of a certificate that there is for the viewer, and that this company issued. Raises
        NotFoundError."""
        self._verify_keys()
        name, key = next(iter(self.keys.items()))
        url = f"{self.origin}{STATUS_PATH}/{sequence // SIZE}"
        facts, _ = self._facts(sequence, viewer)
        return issue_credential(facts, self.did, key, f"{self.did}#{name}", status_list_url=url)

    def inspection_document(self, sequence: int, viewer: int | None) -> bytes:
        """The certificate as EN 10204 3.1, in the JSON of EN 10168, from what its claims have under `en10168`. Raises
        NotFoundError when they have nothing there, CertificateDocumentError when that is not enough, and for a
        certificate that was taken back: the document has no list that would say so."""
        facts, status = self._facts(sequence, viewer)
        if status not in STANDING:
            raise CertificateDocumentError(
                f"certificate {sequence} was taken back: {status.name.lower()}", hint="ask its inspector for a new one"
            )
        with self.store.reading() as connection:
            text = Book(connection).document(facts.claims_root)
        claims = {} if text is None else _claims(text)
        found = claims.get(CLAIM)
        if not isinstance(found, dict):
            raise NotFoundError(
                f"certificate {sequence} has no claims for an inspection document",
                hint=f"ask its inspector for {CLAIM}",
            )
        return build_from_claims(facts, found)

    def status_list(self, number: int) -> dict[str, Json]:
        """The signed list at the index's block. Raises NotFoundError for one that no certificate is in yet."""
        self._verify_keys()
        with open_reader(self.store) as reader:
            cursor = reader.cursor
        with self._lock:
            found, until = self._lists.pop((cursor.digest, number), (None, 0))
            if found is None or until <= cursor.block_time:
                found = self._build_list(number, cursor.ledger_sequence, cursor.block_time)
                until = self._next_lapse(cursor.block_time)
            self._lists[cursor.digest, number] = found, until
            while len(self._lists) > _MOST_LISTS:
                self._lists.popitem(last=False)
        return found

    def _next_lapse(self, block_time: int) -> float:
        """When the next certificate falls because nobody opened it: there is no record of that."""
        with open_reader(self.store) as reader:
            demanded = reader.rows.find(CertificateRow, state=CertificateState.DEMANDED)
            deadlines = [row.opening_deadline for row in demanded]
        return min((one for one in deadlines if one > block_time), default=math.inf)

    def _build_list(self, number: int, last: int, block_time: int) -> dict[str, Json]:
        if number > last // SIZE:
            raise NotFoundError(f"there is no status list {number}", hint="take the address from a credential")
        name, key = next(iter(self.keys.items()))
        url = f"{self.origin}{STATUS_PATH}/{number}"
        made = datetime.fromtimestamp(block_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        unsigned = build_status_list(url, self.did, status_bits(number, read_statuses(self.store)), valid_from=made)
        return add_proof(unsigned, key, f"{self.did}#{name}", created=made)

    def _facts(self, sequence: int, viewer: int | None) -> tuple[CertificateFacts, CertificateStatus]:
        found = certificate(self.store, sequence, viewer=viewer)
        if self.participant not in (None, found.inspector.participant):
            raise NotFoundError(
                f"certificate {sequence} is of participant {found.inspector.participant}", hint="ask at its gateway"
            )
        with open_reader(self.store) as reader:
            identity = reader.identity
        return read_facts(self.store, sequence, chain_id=identity.chain_id, ledger=identity.ledger), found.status

    def _verify_keys(self) -> None:
        if not self.keys:
            raise NotFoundError("this gateway signs no credentials", hint="its operator sets credential_keys")


def _claims(text: str) -> Mapping[str, Json]:
    """The document behind kept claims, as far as it was not erased."""
    try:
        document = parse_claims(parse_json(text.encode(), max_bytes=1 << 24, max_depth=64)).document
    except MillmarkError:
        return {}
    return cast("Mapping[str, Json]", document) if isinstance(document, dict) else {}
