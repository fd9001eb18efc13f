"""Rules of the data model for credentials and presentations (W3C VC Data Model 2.0 section 4).

They are checked on the JSON itself, without JSON-LD processing. Types and terms that no context maps are refused if all
contexts of the document are known: the base context, and context objects inside the document. If it names another one,
nothing can be said about them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, cast

from millmark.ledger.canonical import Json
from millmark.services.interop.contexts.w3c import build_credentials_context
from millmark.services.interop.credentials.proofs import is_timestamp, parse_timestamp
from millmark.services.interop.credentials.terms import UnknownContextError, find_unmapped
from millmark.services.interop.errors import CredentialError

BASE_CONTEXT: Final = "https://www.w3.org/ns/credentials/v2"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s<>\"{}|\\^`]+")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+\-]+/[A-Za-z0-9!#$&^_.+\-]+(?:\s*;.*)?")
_SRI = re.compile(r"(?:sha256|sha384|sha512)-[A-Za-z0-9+/]+={0,2}(?:\s+(?:sha256|sha384|sha512)-[A-Za-z0-9+/]+={0,2})*")
_BASE: Final = build_credentials_context()
_PROTECTED: Final = frozenset(cast("dict[str, Json]", _BASE["@context"])) - {"@protected"}
"""Terms of the base context, all of which it protects: no other context may redefine them."""


def check_credential(value: Json) -> None:
    """Checks that a value is a verifiable credential. Raises CredentialError, which names the broken rule.

    Not established: that its proof holds, or that it is currently valid.
    """
    document = _document(value, "VerifiableCredential")
    if "issuer" not in document:
        raise _broken("issuer", "is missing")
    _check_named("issuer", document["issuer"])
    _check_subjects(document.get("credentialSubject"))
    _check_validity(document)
    for name in ("name", "description"):
        if name in document:
            _check_language(name, document[name])
    for name, check in _LINKED.items():
        for item in as_list(document.get(name, [])):
            check(name, item)
    _check_related(document.get("relatedResource", []))


def check_presentation(value: Json) -> None:
    """Checks that a value is a verifiable presentation of verifiable credentials. Raises CredentialError."""
    document = _document(value, "VerifiablePresentation")
    if "holder" in document:
        _check_named("holder", document["holder"])
    for item in as_list(document.get("verifiableCredential", [])):
        if not isinstance(item, dict):
            raise _broken("verifiableCredential", "is not an object", "wrap it as EnvelopedVerifiableCredential")
        if "EnvelopedVerifiableCredential" in as_list(item.get("type")):
            _check_enveloped(item)
        else:
            check_credential(item)
    if "proof" in document:
        for item in as_list(document["proof"]):
            _check_typed("proof", item)


def is_url(value: Json) -> bool:
    """Tells whether `value` is an absolute URL: a scheme, a colon, and something after it."""
    return isinstance(value, str) and _URL.fullmatch(value) is not None


def as_list(value: Json) -> list[Json]:
    """A JSON array as a list; any other value as a list of one."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _broken(name: str, what: str, hint: str = "") -> CredentialError:
    return CredentialError(f"{name} {what}", hint=hint)


def _document(value: Json, kind: str) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise CredentialError("the credential is not a JSON object")
    contexts = value.get("@context")
    if not isinstance(contexts, list) or not contexts or contexts[0] != BASE_CONTEXT:
        raise _broken("@context", f"is not a list that begins with {BASE_CONTEXT}")
    if any(not is_url(one) and not (isinstance(one, dict) and one) for one in contexts):
        raise _broken("@context", "contains a value that is neither a URL nor an object")
    if moved := sorted({name for one in contexts if isinstance(one, dict) for name in one} & _PROTECTED):
        raise _broken("@context", f"redefines {moved[0]!a}", "do not redefine terms of the base context")
    if "id" in value and not is_url(value["id"]):
        raise _broken("id", "is not a URL")
    _check_types(value.get("type"), kind)
    _check_mapped(value)
    return value


def _check_types(value: Json, kind: str) -> None:
    types = as_list(value)
    if not types or not all(isinstance(one, str) and one for one in types):
        raise _broken("type", "is neither a string nor a list of strings")
    if kind not in types:
        raise _broken("type", f"does not include {kind}")


def _check_mapped(document: Mapping[str, Json]) -> None:
    with suppress(UnknownContextError):  # a context that we do not have may map anything
        for name in find_unmapped(document, {BASE_CONTEXT: _BASE}):
            raise _broken(f"{name[:120]!a}", "is not mapped by any context", "declare it in @context")


def _check_named(name: str, value: Json) -> None:
    """Checks for a URL, or an object whose id is one."""
    if isinstance(value, dict):
        for part in ("name", "description"):
            if part in value:
                _check_language(f"{name}.{part}", value[part])
        value = value.get("id")
    if not is_url(value):
        raise _broken(name, "is neither a URL nor an object with one as its id")


def _check_subjects(value: Json) -> None:
    subjects = as_list(value)
    if not subjects or not all(isinstance(one, dict) and one for one in subjects):
        raise _broken("credentialSubject", "is missing, empty or not an object")
    for subject in subjects:
        if isinstance(subject, dict) and "id" in subject and not is_url(subject["id"]):
            raise _broken("credentialSubject.id", "is not a URL")


def _check_validity(document: Mapping[str, Json]) -> None:
    for name in ("validFrom", "validUntil"):
        if name in document and not is_timestamp(document[name]):
            raise _broken(name, "is not a time with an offset", "write it like 2027-12-31T00:00:00Z")
    if "validFrom" in document and "validUntil" in document:
        first, last = (parse_timestamp(str(document[name])) for name in ("validFrom", "validUntil"))
        if last < first:
            raise _broken("validUntil", "is before validFrom")


def _check_language(name: str, value: Json) -> None:
    """Checks for a string, or one or more strings with languages (section 11.1)."""
    for item in as_list(value):
        # A plain string may stand alone; in a list every item states its language.
        if isinstance(item, str) and not isinstance(value, list):
            continue
        if not isinstance(item, dict) or not isinstance(item.get("@value"), str):
            raise _broken(name, "is neither a string nor an object with @value")
        if item.keys() - {"@value", "@language", "@direction"}:
            raise _broken(name, "has members other than @value, @language and @direction")
        if not isinstance(item.get("@language", ""), str) or item.get("@direction", "ltr") not in ("ltr", "rtl", None):
            raise _broken(name, "has an invalid language or direction")


def _check_typed(name: str, item: Json) -> None:
    """Checks for an object with a type, and a URL as its id if it has one."""
    if not isinstance(item, dict):
        raise _broken(name, "is not an object")
    types = as_list(item.get("type"))
    if not types or not all(isinstance(one, str) and one for one in types):
        raise _broken(name, "has no type")
    if "id" in item and not is_url(item["id"]):
        raise _broken(f"{name}.id", "is not a URL")


def _check_schema(name: str, item: Json) -> None:
    _check_typed(name, item)
    if isinstance(item, dict) and "id" not in item:
        raise _broken(name, "has no id")


_LINKED: Final[Mapping[str, Callable[[str, Json], None]]] = {
    "credentialStatus": _check_typed,
    "credentialSchema": _check_schema,
    "refreshService": _check_typed,
    "termsOfUse": _check_typed,
    "evidence": _check_typed,
    "proof": _check_typed,
}


def _check_related(value: Json) -> None:
    seen = set()
    for item in as_list(value):
        if not isinstance(item, dict) or not is_url(item.get("id")):
            raise _broken("relatedResource", "has no URL as its id")
        if item["id"] in seen:
            raise _broken("relatedResource", "lists a resource twice")
        seen.add(item["id"])
        sri, multibase = item.get("digestSRI"), item.get("digestMultibase")
        if not (isinstance(sri, str) and _SRI.fullmatch(sri)) and not (isinstance(multibase, str) and multibase):
            raise _broken("relatedResource", "has no digest")
        if "mediaType" in item and not (
            isinstance(item["mediaType"], str) and _MEDIA_TYPE.fullmatch(item["mediaType"])
        ):
            raise _broken("relatedResource", "has an invalid mediaType")


def _check_enveloped(item: Mapping[str, Json]) -> None:
    contexts = item.get("@context")
    if (contexts[0] if isinstance(contexts, list) and contexts else contexts) != BASE_CONTEXT:
        raise _broken("an enveloped credential", f"has no @context {BASE_CONTEXT}")
    if not str(item.get("id")).startswith("data:"):
        raise _broken("an enveloped credential", "has no data: URL as its id")
