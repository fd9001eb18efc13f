"""Whom other companies reach at a company: a person or an office, by mail or telephone, and the country."""

from __future__ import annotations

import re
from dataclasses import dataclass

from millmark.ledger.canonical import Json, canonical_json, parse_json
from millmark.ledger.errors import InputError, TrustError
from millmark.ledger.trust import parse_members
from millmark.ledger.verify.printable import printable

_MAX_NAME = 200
_MAIL = re.compile(r"[A-Za-z0-9.!$'*+/^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,7}")
"""What HTML takes for an address, with a dot in the domain, but without the characters that mean something in a mailto
URI (RFC 6068): with those, whoever follows the link could write to others than the page shows."""
_TELEPHONE = re.compile(r"\+[1-9][0-9]{4,14}")
"""ITU-T E.164, without spaces."""
_COUNTRY = re.compile(r"[A-Z]{2}")
"""ISO 3166-1 alpha-2. Not compared with the list, which changes."""
_HINT = 'as in "Quality office, quality@alder.example, DE", or with a telephone number such as +49301234567'


@dataclass(frozen=True, slots=True)
class Contact:
    """At least one of `mail` and `telephone` is set."""

    name: str
    """Name of a person or an office."""
    mail: str | None
    telephone: str | None
    country: str

    def __str__(self) -> str:
        return ", ".join(one for one in (self.name, self.mail, self.telephone, self.country) if one)

    def to_json(self) -> dict[str, Json]:
        return {"name": self.name, "mail": self.mail, "telephone": self.telephone, "country": self.country}

    def to_text(self) -> str:
        """For a column of text; `from_text` reads it."""
        return canonical_json(self.to_json()).decode()

    @staticmethod
    def from_text(text: str) -> Contact | None:
        """None for empty text."""
        return contact_from_json(parse_json(text.encode(), max_bytes=2048, max_depth=2)) if text else None


def contact_from_json(value: Json) -> Contact:
    """Raises TrustError."""
    name, mail, telephone, country = parse_members(value, "name", "mail", "telephone", "country")
    if not isinstance(name, str) or not isinstance(country, str):
        raise TrustError("a contact's name or country is not a string")
    if not (mail is None or isinstance(mail, str)) or not (telephone is None or isinstance(telephone, str)):
        raise TrustError("a contact's mail or telephone is neither a string nor null")
    return _verified(Contact(name, mail, telephone, country))


def parse_contact(text: str) -> Contact:
    """A contact as a person writes it: name, mail or telephone or both, country, with commas. Raises InputError."""
    *parts, country = [one.strip() for one in text.split(",")]
    mail = next((one for one in parts if "@" in one), None)
    telephone = next((one for one in parts if one.startswith("+")), None)
    name = ", ".join(one for one in parts if one not in (mail, telephone))
    digits = None if telephone is None else re.sub(r"[ ()/.-]", "", telephone)
    try:
        return _verified(Contact(name, mail, digits, country))
    except TrustError as error:
        raise InputError(error.cause, hint=error.hint) from None


def _verified(contact: Contact) -> Contact:
    name, mail, telephone = contact.name, contact.mail, contact.telephone
    if not 1 <= len(name) <= _MAX_NAME or name != name.strip() or printable(name) != name:
        raise TrustError(f"a contact's name is not 1 to {_MAX_NAME} visible characters", hint=_HINT)
    if mail is None and telephone is None:
        raise TrustError("a contact has neither a mail address nor a telephone number", hint=_HINT)
    if mail is not None and not _MAIL.fullmatch(mail):
        raise TrustError(f"{mail[:80]!a} is not a mail address", hint=_HINT)
    if telephone is not None and not _TELEPHONE.fullmatch(telephone):
        raise TrustError(f"{telephone[:80]!a} is not a telephone number with + and the country's prefix", hint=_HINT)
    if not _COUNTRY.fullmatch(contact.country):
        raise TrustError(f"{contact.country[:80]!a} is not a country in two capital letters", hint=_HINT)
    return contact
