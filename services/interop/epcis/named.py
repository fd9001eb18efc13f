"""Questions under a name (EPCIS 2.0 REST bindings, `/queries`): the JSON of a definition, made into parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ledger.canonical import Json, canonical_json, parse_json
from ledger.errors import CanonicalError, InputError, NotFoundError
from ledger.store import Store
from services.interop.epcis.query_parameters import COUNTS, QueryError, parse_question
from services.interop.epcis.repository import EpcisRepository
from services.interop.epcis.tables import EpcisQueryRow

__all__ = [
    "NAME",
    "Definition",
    "NamedQueries",
    "QueryNameTakenError",
    "SubscriptionError",
    "UnknownQueryError",
    "parse_definition",
]

NAME: Final = r"^[A-Za-z0-9._~-]{1,64}$"
_RESERVED: Final = ("SimpleEventQuery", "SimpleMasterDataQuery")
"""Names that the standard gives to its own."""
_MOST_QUERIES: Final = 100
"""Of one participant."""
_MOST_BYTES: Final = 32 << 10
_WITHOUT: Final = ("perPage", "nextPageToken")
"""They belong to who asks, not to what is asked."""
_SINGLE: Final = ("GE_", "LT_", "order")
"""How parameters begin that are one text; the others are lists."""


class UnknownQueryError(NotFoundError):
    """There is no query of that name."""

    code = "epcis-query-unknown"


class QueryNameTakenError(InputError):
    """There is a query of that name already."""

    code = "epcis-query-name-taken"


class SubscriptionError(InputError):
    """Nobody can be subscribed to a query here."""

    code = "epcis-subscription-refused"


@dataclass(frozen=True, slots=True)
class Definition:
    """A checked question with its name."""

    name: str
    query: Mapping[str, Json]
    """As it came."""

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """As in the address of a question that is asked at once."""
        return [(name, _text(name, value)) for name, value in self.query.items() if name != "@context"]

    def to_json(self) -> dict[str, Json]:
        return {"name": self.name, "query": dict(self.query)}


def parse_definition(body: bytes) -> Definition:
    """Raises InputError for what is no definition, QueryError for a question that is not taken."""
    try:
        value = parse_json(body, max_bytes=_MOST_BYTES, max_depth=8)
    except CanonicalError as error:
        raise InputError(error.cause, hint="send JSON") from None
    if not isinstance(value, dict) or value.keys() != {"name", "query"}:
        raise InputError("a definition has a name and a query, and no more", hint='{"name": "...", "query": {...}}')
    name, query = value["name"], value["query"]
    if not isinstance(name, str) or not re.fullmatch(NAME, name) or not isinstance(query, dict):
        raise InputError(
            "the name is no text of 1 to 64 letters, digits and ._~-, or the query is no object", hint="see the schema"
        )
    if len(canonical_json(query)) > _MOST_BYTES:
        raise InputError("the query is too long once its numbers are written out", hint="write it in another way")
    definition = Definition(name, query)
    parse_question(definition.parameters, most_per_page=1, per_page=1)
    return definition


def _text(name: str, value: Json) -> str:
    """A parameter's value as it stands in an address. Raises QueryError for one of another kind."""
    if name in _WITHOUT:
        raise QueryError(f"{name} is no part of a definition", hint="give it with each page")
    if name in COUNTS and type(value) is int:
        return str(value)
    if name.startswith("EXISTS_") and (value is None or value in (0, 1)):
        return "false" if value is not None and value == 0 else "true"
    if name.startswith(_SINGLE) and isinstance(value, str):
        return value
    single = name in COUNTS or name.startswith(("EXISTS_", *_SINGLE))
    texts = [one for one in value if isinstance(one, str) and "|" not in one] if isinstance(value, list) else []
    if single or not isinstance(value, list) or not texts or len(texts) < len(value):
        raise QueryError(f"the value of {name[:80]!a} is of another kind", hint="see the schema of EPCIS queries")
    return "|".join(texts)


class NamedQueries:
    """Of one participant."""

    def __init__(self, store: Store, participant: int) -> None:
        self._store, self._participant = store, participant

    def add(self, definition: Definition, now_ms: int) -> None:
        """Raises QueryNameTakenError, and InputError for one too many."""
        with self._store.transaction() as connection:
            desk = EpcisRepository(connection)
            if definition.name in _RESERVED or desk.query(self._participant, definition.name) is not None:
                raise QueryNameTakenError(f"{definition.name} is taken", hint="take another name, or delete that query")
            if len(desk.queries(self._participant, 0, _MOST_QUERIES)) == _MOST_QUERIES:
                raise InputError(f"there are {_MOST_QUERIES} queries already", hint="delete one")
            number = desk.next_query_number(self._participant)
            text = canonical_json(dict(definition.query)).decode()
            desk.add_query(EpcisQueryRow(self._participant, definition.name, number, now_ms, text))

    def get(self, name: str) -> Definition:
        """Raises UnknownQueryError."""
        with self._store.reading() as connection:
            row = EpcisRepository(connection).query(self._participant, name)
        if row is None:
            raise UnknownQueryError(f"there is no query {name[:80]!a}", hint="make it, or see the list of queries")
        return _definition(row)

    def find(self, after: int, limit: int) -> list[tuple[int, Definition]]:
        """In the order in which they were made, with their numbers."""
        with self._store.reading() as connection:
            rows = EpcisRepository(connection).queries(self._participant, after, limit)
        return [(row.number, _definition(row)) for row in rows]

    def drop(self, name: str) -> None:
        """Raises UnknownQueryError."""
        with self._store.transaction() as connection:
            if not EpcisRepository(connection).drop_query(self._participant, name):
                raise UnknownQueryError(f"there is no query {name[:80]!a}", hint="see the list of queries")


def _definition(row: EpcisQueryRow) -> Definition:
    value = parse_json(row.definition.encode(), max_bytes=_MOST_BYTES, max_depth=8)
    return Definition(row.name, value if isinstance(value, dict) else {})
