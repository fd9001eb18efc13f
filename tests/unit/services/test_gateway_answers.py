"""Answers as JSON: whatever a view holds, its text is what one plain rule makes of it, as the document promises."""

from __future__ import annotations

import enum
import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from millmark.ledger.events import HISTORY_EVENTS, Event, struct_of
from millmark.ledger.provenance.answers import OrderTrace, Printable, Recall, Trace
from millmark.services.gateway.http.routes import model_of
from tests.support.event_data import logged

_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**128), 2**256) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
_MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)).map(
    lambda value: value.replace(microsecond=0, tzinfo=UTC)
)
_SCALARS: dict[object, st.SearchStrategy[Any]] = {
    int: st.integers(0, 2**128),
    str: st.text(max_size=8),
    bool: st.booleans(),
    bytes: st.binary(max_size=33),
    datetime: _MOMENTS,
    object: _ANY_JSON,
    Event: st.sampled_from(list(HISTORY_EVENTS.values())).flatmap(lambda kind: logged(struct_of(kind))),
}


def anything(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type."""
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of(*(st.none() if kind is type(None) else anything(kind) for kind in get_args(hint)))
    if get_origin(hint) is tuple:
        return st.lists(anything(get_args(hint)[0]), max_size=2).map(tuple)
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{field.name: anything(hints[field.name]) for field in fields(hint)})
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return st.sampled_from(hint)
    return _SCALARS[hint]


def as_logged(value: Any) -> object:
    """The rule of events: enumerations are numbers there, as in the contract."""
    if is_dataclass(value):
        return {field.name.rstrip("_"): as_logged(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return [as_logged(item) for item in value] if isinstance(value, tuple) else value


def plain(value: object) -> object:
    """The rule, word for word."""
    if isinstance(value, Event):
        return as_logged(value)
    if isinstance(value, Printable):
        names = [field.name for field in fields(value)]  # type: ignore[arg-type]  # all views are dataclasses
        return {name.rstrip("_"): plain(getattr(value, name)) for name in names}
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, datetime):
        return f"{value.year:04}-{value:%m-%dT%H:%M:%S}Z"
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


@pytest.mark.parametrize("view", [Trace, OrderTrace, Recall])
@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_every_answer_is_by_the_rule_and_by_the_document(view: type[Printable], data: st.DataObject) -> None:
    answer = data.draw(anything(view))
    text = answer.encode()
    assert json.loads(text) == plain(answer) == answer.to_json()
    assert list(json.loads(text)) == [field.name.rstrip("_") for field in fields(view)]  # type: ignore[arg-type]  # as above
    model_of(view).model_validate_json(text, strict=True)  # type: ignore[arg-type]  # mypy judges a class by its instances' hash
