"""Resolution of verification methods: of did:key, and of did:web from given documents. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from millmark.ledger.canonical import Json
from millmark.ledger.errors import IdentifierError, NotFoundError
from millmark.ledger.ids import canonical_identifier
from millmark.services.interop.credentials.keys import PublicKey, parse_multikey
from millmark.services.interop.errors import CredentialError

DID_CONTEXT: Final = "https://www.w3.org/ns/did/v1"
MULTIKEY_CONTEXT: Final = "https://w3id.org/security/multikey/v1"


def did_key(key: PublicKey) -> str:
    """The verification method of a key's did:key: `did:key:z...#z...`."""
    return f"did:key:{key.multikey}#{key.multikey}"


def build_did_document(did: str, keys: Mapping[str, PublicKey]) -> dict[str, Json]:
    """A did:web document that lets `keys`, named by fragment, issue credentials. The owner serves it at the DID's
    host."""
    return {
        "@context": [DID_CONTEXT, MULTIKEY_CONTEXT],
        "id": did,
        "verificationMethod": [
            {"id": f"{did}#{name}", "type": "Multikey", "controller": did, "publicKeyMultibase": key.multikey}
            for name, key in keys.items()
        ],
        "assertionMethod": [f"{did}#{name}" for name in keys],
    }


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolves verification methods without any network."""

    documents: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """Documents by DID. They are trusted as they are; the caller vouches for them."""

    def key(self, method: str, purpose: str = "assertionMethod") -> PublicKey:
        """The key of a verification method (a DID URL with a fragment) that its DID allows for `purpose`.

        Raises NotFoundError if the DID or the key is unknown, CredentialError if it is not allowed for the purpose.
        """
        did, _, fragment = method.partition("#")
        if not fragment:
            raise CredentialError("the verification method names no key", hint="give a DID with a fragment")
        if did.startswith("did:key:"):
            # A did:key contains its only key, which the fragment has to repeat.
            if did != f"did:key:{fragment}":
                raise CredentialError("the fragment of the did:key differs from its key")
            return parse_multikey(fragment)
        return self._document_key(did, method, purpose)

    def _document_key(self, did: str, method: str, purpose: str) -> PublicKey:
        try:
            document = self.documents.get(canonical_identifier(did))
        except IdentifierError as error:
            raise CredentialError(f"{did[:80]!a}: {error.cause}") from None
        # The caller vouches for the documents, but may have filed one under the wrong DID.
        if document is None or document.get("id") != did:
            raise NotFoundError(f"the document of {did[:80]!a} is not available", hint="fetch it from its owner's host")
        # A purpose lists its methods by reference, or embeds them (DID 1.0 section 5.3).
        allowed = _items(document, purpose)
        if method not in allowed and not any(isinstance(one, dict) and one.get("id") == method for one in allowed):
            raise CredentialError(f"{did[:80]!a} does not allow that key for {purpose}")
        for one in [*_items(document, "verificationMethod"), *allowed]:
            if isinstance(one, dict) and one.get("id") == method:
                if one.get("type") != "Multikey" or one.get("controller") != did:
                    raise CredentialError("the verification method is not a Multikey controlled by its DID")
                return parse_multikey(str(one.get("publicKeyMultibase")))
        raise NotFoundError(f"{did[:80]!a} has no such key")


def _items(document: Mapping[str, Json], name: str) -> list[Json]:
    found = document.get(name)
    return list(found) if isinstance(found, (list, tuple)) else []
