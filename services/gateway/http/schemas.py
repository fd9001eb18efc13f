"""Response schemas derived from the view classes, so that the two cannot differ."""

from __future__ import annotations

import ast
import enum
import inspect
import itertools
import sys
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from millmark.ledger.events import HISTORY_EVENTS, ArrayOf, Event, PackedOf, Struct, Type, struct_of

_Hex = Annotated[str, Field(pattern="^0x[0-9a-f]*$")]
_PLAIN = (bool, int, str, datetime, type(None))


@cache
def model_of(view: type) -> type[BaseModel]:
    """The pydantic model of what `Printable.to_json` returns for a frozen dataclass: bytes as 0x-hex, times as
    date-time, enumerations as lower-case words, tuples as arrays, events as one of their kinds. Descriptions are the
    docstrings in the dataclass's source.

    Raises TypeError for a field whose type has no JSON form.
    """
    hints, docs = get_type_hints(view), _attribute_docs(view)
    members: dict[str, Any] = {
        # A trailing underscore (`from_`) avoids Python's keywords, and is not part of the JSON name.
        field.name.rstrip("_"): (_as_json(hints[field.name]), Field(description=docs.get(field.name)))
        for field in fields(view)
    }
    return create_model(view.__name__, __doc__=inspect.getdoc(view) if _has_docstring(view) else None, **members)


def _as_json(hint: Any) -> Any:
    """The type annotation of a field's JSON form."""
    arguments = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return Union[tuple(_as_json(one) for one in arguments)]  # noqa: UP007  # the members are known only now
    if get_origin(hint) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return list[_as_json(arguments[0])]  # type: ignore[misc]  # as above
    if get_origin(hint) is Mapping and arguments[0] is str:
        return dict[str, _as_json(arguments[1])]  # type: ignore[misc]  # as above
    return _scalar(hint)


def _scalar(hint: Any) -> Any:
    if hint is bytes:
        return _Hex
    if hint is Event:
        kinds: list[type] = list(HISTORY_EVENTS.values())
        return Union[tuple(_fields_of(kind) for kind in kinds)]  # noqa: UP007  # as above
    if isinstance(hint, type) and is_dataclass(hint):
        return model_of(hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return Literal[tuple(member.name.lower() for member in hint)]
    if hint is object:
        return Any
    if hint in _PLAIN:
        return hint
    raise TypeError(f"{hint} has no JSON form")


@cache
def _fields_of(kind: type) -> type[BaseModel]:
    """The pydantic model of what `Event.to_json` returns for an event or a struct in it. Enumerations are numbers."""
    members: dict[str, Any] = {name.rstrip("_"): (_as_field(member), ...) for name, member in struct_of(kind).members}
    return create_model(f"{kind.__name__}Fields", __config__=ConfigDict(extra="forbid"), **members)


def _as_field(member: Type) -> Any:
    if isinstance(member, Struct):
        return _fields_of(member.kind)
    if isinstance(member, (ArrayOf, PackedOf)):
        return list[_as_field(member.item)]  # type: ignore[misc]  # the item is known only now
    if member.abi == "bool":
        return bool
    return int if member.abi.startswith("uint") else _Hex


def _has_docstring(view: type) -> bool:
    """Whether the class has a docstring. `dataclass` sets the signature as docstring of a class that has none."""
    return not (view.__doc__ or "").startswith(f"{view.__name__}(")


def _attribute_docs(view: type) -> dict[str, str]:
    """The docstring under each field, by field name; empty if the source is not available."""
    body = _class_bodies(view.__module__).get(view.__qualname__, [])
    return {
        field.target.id: inspect.cleandoc(doc.value.value)
        for field, doc in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(doc, ast.Expr)
        and isinstance(doc.value, ast.Constant)
        and isinstance(doc.value.value, str)
    }


@cache
def _class_bodies(module: str) -> Mapping[str, list[ast.stmt]]:
    """The statements of each class of a module's top level, by name; empty if the source is not available.

    A module is parsed once: `inspect.getsource` would do so for every class in it.
    """
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except OSError:
        return {}
    return {one.name: one.body for one in tree.body if isinstance(one, ast.ClassDef)}
