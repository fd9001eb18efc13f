"""Named queries (EPCIS 2.0 REST bindings, `/queries`): their definitions, and their storage per participant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from millmark.ledger.canonical import Json, canonical_json, parse_json
from millmark.ledger.errors import CanonicalError, InputError, NotFoundError
from millmark.ledger.store import Connection, Store
from millmark.services.interop.epcis.query_parameters import COUNTS, QueryError, parse_query
from millmark.services.interop.epcis.repository import EpcisQueryRow, EpcisRepository

NAME: Final = r"^[A-Za-z0-9._~-]{1,64}$"
_RESERVED: Final = ("SimpleEventQuery", "SimpleMasterDataQuery")
"""Names that the standard reserves."""
_MAX_QUERIES: Final = 100
"""Maximum number of queries of one participant."""
_MAX_BYTES: Final = 32 << 10
_WITHOUT: Final = ("perPage", "nextPageToken")
"""Paging parameters, which belong to a single request and not to a definition."""
_SINGLE: Final = ("GE_", "LT_", "order")
"""Prefixes of parameters whose value is a single string; the other parameters are lists."""


class UnknownQueryError(NotFoundError):
    """No query has that name."""

    code = "epcis-query-unknown"


class QueryNameTakenError(InputError):
    """A query already has that name."""

    code = "epcis-query-name-taken"


class SubscriptionError(InputError):
    """A subscription to a query is not possible as asked."""

    code = "epcis-subscription-refused"


@dataclass(frozen=True, slots=True)
class Definition:
    """A validated query with its name."""

    name: str
    query: Mapping[str, Json]
    """The query as received."""

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The parameters as they would be written in the URL of a query."""
        return [(name, _text(name, value)) for name, value in self.query.items() if name != "@context"]

    def to_json(self) -> dict[str, Json]:
        return {"name": self.name, "query": dict(self.query)}


def parse_definition(body: bytes) -> Definition:
    """Parses a definition. Raises InputError if it is malformed, QueryError if its query is not supported."""
    try:
        value = parse_json(body, max_bytes=_MAX_BYTES, max_depth=8)
    except CanonicalError as error:
        raise InputError(error.cause, hint="send JSON") from None
    if not isinstance(value, dict) or value.keys() != {"name", "query"}:
        raise InputError(
            "a definition has exactly a name and a query", hint='send {"name": "...", "query": {...}} and nothing else'
        )
    name, query = value["name"], value["query"]
    if not isinstance(name, str) or not re.fullmatch(NAME, name) or not isinstance(query, dict):
        raise InputError(
            "the name is not 1 to 64 letters, digits and ._~-, or the query is not an object", hint="see the schema"
        )
    # Canonical JSON may be longer than what was sent: it writes 1e20 as 21 digits.
    if len(canonical_json(query)) > _MAX_BYTES:
        raise InputError("the query is too long when its numbers are written out", hint="shorten its numbers")
    definition = Definition(name, query)
    # Only for its errors: a query that cannot be run is refused before it is stored.
    parse_query(definition.parameters, most_per_page=1, per_page=1)
    return definition


def _text(name: str, value: Json) -> str:
    """A parameter's value as written in a URL. Raises QueryError for a value of the wrong type."""
    if name in _WITHOUT:
        raise QueryError(f"{name} does not belong in a definition", hint="give it when you request a page")
    if name in COUNTS and type(value) is int:
        return str(value)
    if name.startswith("EXISTS_") and (value is None or value in (0, 1)):
        return "false" if value is not None and value == 0 else "true"
    if name.startswith(_SINGLE) and isinstance(value, str):
        return value
    single = name in COUNTS or name.startswith(("EXISTS_", *_SINGLE))
    texts = [one for one in value if isinstance(one, str) and "|" not in one] if isinstance(value, list) else []
    if single or not isinstance(value, list) or not texts or len(texts) < len(value):
        raise QueryError(f"the value of {name[:80]!a} has the wrong type", hint="see the schema of EPCIS queries")
    return "|".join(texts)


class NamedQueries:
    """The named queries of one participant."""

    def __init__(self, store: Store, participant: int) -> None:
        self._store, self._participant = store, participant

    def add(self, definition: Definition, now_ms: int) -> None:
        """Stores a query. Raises QueryNameTakenError, or InputError if the participant has too many."""
        with self._store.transaction() as connection:
            repository = EpcisRepository(connection)
            if definition.name in _RESERVED or repository.query(self._participant, definition.name) is not None:
                raise QueryNameTakenError(f"{definition.name} is taken", hint="use another name, or delete that query")
            # Counted inside the transaction, so that concurrent requests cannot exceed the limit.
            if len(repository.queries(self._participant, 0, _MAX_QUERIES)) == _MAX_QUERIES:
                raise InputError(f"there are already {_MAX_QUERIES} queries", hint="delete one")
            number = repository.next_query_number(self._participant)
            text = canonical_json(dict(definition.query)).decode()
            repository.add_query(EpcisQueryRow(self._participant, definition.name, number, now_ms, text))

    def get(self, name: str) -> Definition:
        """The query of that name. Raises UnknownQueryError."""
        with self._store.reading() as connection:
            return read_query_named(connection, self._participant, name)

    def find(self, after: int, limit: int) -> list[tuple[int, Definition]]:
        """Queries with numbers above `after`, in the order of creation, with their numbers."""
        with self._store.reading() as connection:
            rows = EpcisRepository(connection).queries(self._participant, after, limit)
        return [(row.number, _definition(row)) for row in rows]

    def drop(self, name: str, unsubscribe: Callable[[Connection], object] = lambda _: None) -> None:
        """Deletes the query of that name, and its subscriptions in the same transaction. Raises UnknownQueryError."""
        with self._store.transaction() as connection:
            unsubscribe(connection)
            if not EpcisRepository(connection).drop_query(self._participant, name):
                raise UnknownQueryError(f"no query is named {name[:80]!a}", hint="see the list of queries")


def read_query_named(connection: Connection, participant: int, name: str) -> Definition:
    """A participant's query of that name. Raises UnknownQueryError."""
    row = EpcisRepository(connection).query(participant, name)
    if row is None:
        raise UnknownQueryError(f"no query is named {name[:80]!a}", hint="create it, or see the list of queries")
    return _definition(row)


def _definition(row: EpcisQueryRow) -> Definition:
    value = parse_json(row.definition.encode(), max_bytes=_MAX_BYTES, max_depth=8)
    return Definition(row.name, value if isinstance(value, dict) else {})
