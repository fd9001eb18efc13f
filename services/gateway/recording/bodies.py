"""Request bodies, one for each kind of record, derived from the record class so that the two cannot differ.

A body has the fields of the record, with these changes:

    identifier_hash    becomes `identifier`: the gateway salts and hashes it, and stores it in the private book
    ..._root           becomes `...`, a JSON document that is salted and stored likewise; or the root itself, 0x-hex
    ..._at, ..._since  are RFC 3339 in UTC instead of seconds
    unit               is the UN/ECE code as text
    component          is false unless stated, and `components` empty, as are the lots of a delivery
    gates              of terms is a list of inspectors and models; without a model, a gate is by a procedure
    quantity, unit     of terms are optional: without them, no quantity is agreed, which an order of a product needs
    enumerations       are lower-case words, bytes 0x-hex
    consignment, items becomes `lots`, only subjects: the index knows the order of each
    order of a lot     is optional, for the same reason
    stream, leaf_...   of a finished assignment are optional, and leaf_... of a certificate: where the evidence is kept,
                       `event` names it by its id
    registers          have the reading; stream, size and root of the anchor follow from it
    setpoints          have the answer, likewise
    an opening         has only the word that what was measured may be published

Types are strict: neither "1" nor true is a number. Unknown members are refused.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model
from pydantic_core import PydanticCustomError

from millmark.ledger import ids, records

BODY = ConfigDict(extra="forbid", strict=True)
MAX_ITEMS = 100
"""Most items in one list: they fit into one transaction with a margin."""
_MAX_CONSIGNMENT = 1000
"""Most lots that move together: a pallet goes with all that is packed in it, in one record. Each takes 4,000 gas."""
_MAX_BLOB_BYTES = 24_576
"""Limit of EIP-170: a published model is stored as contract code."""
_TIME = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$"

Hex32 = Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")]
_Members = dict[str, Any]


@cache
def body_of(
    kind: type[records.Record], given: tuple[str, ...], asks: tuple[str, ...] = (), called: str = ""
) -> type[BaseModel]:
    """The body for a kind of record. It lacks the fields `given`, which come from elsewhere, and has the members
    `asks`, which the record lacks. `called`: its name, by default that of the kind."""
    members = {**{name: _ASKED[name] for name in asks}, **dict(_members(struct_of(kind), given))}
    return create_model((called or kind.__name__) + "Body", __config__=BODY, __doc__=None, **members)


def struct_of(kind: type) -> type:
    """The class that has the fields: the record itself, or the one struct that it wraps."""
    hints = get_type_hints(kind, include_extras=True)
    only = list(hints.values())[-1] if len(fields(kind)) == 1 else None
    return only if isinstance(only, type) and is_dataclass(only) else kind


def _members(struct: type, given: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(struct, include_extras=True)
    names = [field.name for field in fields(struct)]
    for name in names:
        if (struct, name) in _OPTIONAL:
            yield name, _OPTIONAL[struct, name]
        elif name not in given:
            yield from _member(name, hints[name], of_lot="lot" in names or "kind" in names)


def _member(name: str, hint: Any, *, of_lot: bool) -> Iterator[tuple[str, Any]]:
    if name == "identifier_hash":
        yield "identifier", (Identifier, ...)
    elif name.endswith("_root"):
        about = name.removesuffix("_root")
        yield about, (dict[str, Any] | None, Field(None, description=_DOCUMENT, examples=[{"note": "as ordered"}]))
        yield (
            name,
            (
                Hex32 | None,
                Field(None, description=f"Root of a document stored elsewhere, in place of `{about}`."),
            ),
        )
    elif name.endswith(("_at", "_since")):
        yield name, (Annotated[str, Field(pattern=_TIME, description="RFC 3339, UTC.", examples=[_WHEN])], ...)
    elif name == "order" and of_lot:
        yield name, (Hex32 | None, Field(None, description="Subject of the lot's order; by default as in the index."))
    elif name == "operation":
        yield name, (Annotated[int, Field(ge=0, le=2**16 - 1, description="Index of the operation, from 0.")], ...)
    elif name in ("consignment", "items"):
        yield "lots", (_CONSIGNMENT if name == "consignment" else _LOTS, ...)
    elif hint is bool:
        yield name, (bool, False)
    elif name == "gates":
        yield name, (_annotation(hint), [])
    elif name == "components":
        item = _annotation(get_args(hint)[0])
        yield name, (Annotated[list[item], Field(max_length=MAX_ITEMS)], [])  # type: ignore[valid-type]  # known only now
    else:
        yield name, (_annotation(hint), ...)


def _annotation(hint: Any) -> Any:
    """The type annotation of an unchanged field."""
    if get_origin(hint) is tuple:
        item = _annotation(get_args(hint)[0])
        return Annotated[list[item], Field(min_length=1, max_length=MAX_ITEMS)]  # type: ignore[valid-type]  # known only now
    if hint is records.Bytes3:
        return _UNIT
    if get_origin(hint) is Annotated:
        base, size, *_ = get_args(hint)
        if isinstance(size, records.Packed):
            item = _annotation(get_args(base)[0])
            return Annotated[list[item], Field(max_length=size.most)]  # type: ignore[valid-type]  # known only now
        if base is int:
            return Annotated[int, Field(ge=0, le=2**size - 1)]
        return Annotated[str, Field(pattern=f"^0x[0-9a-f]{{{2 * size}}}$", description=f"{size} bytes.")]
    if hint is bytes:
        return Annotated[str, Field(pattern="^0x([0-9a-f]{2})+$", max_length=2 * _MAX_BLOB_BYTES + 2)]
    if hint is bool:
        return bool
    if isinstance(hint, type) and issubclass(hint, enum.IntEnum):
        # NONE is the value of storage that was never written, not one that a caller may choose.
        words = [member.name.lower() for member in hint if member.name != "NONE"]
        return Annotated[str, Field(pattern=f"^({'|'.join(words)})$", examples=words[:1])]
    if isinstance(hint, type) and is_dataclass(hint) and hint is not records.Item:
        return _nested(hint)
    raise TypeError(f"{hint} has no JSON form")


@cache
def _nested(struct: type) -> type[BaseModel]:
    return create_model(struct.__name__ + "Body", __config__=BODY, __doc__=None, **dict(_members(struct, ())))


def _agreed(word: bool) -> bool:
    # Not Literal[True], which takes 1 for it.
    if not word:
        raise PydanticCustomError("not_agreed", "without this word, nothing is published")
    return word


_UNIT = Annotated[str, Field(pattern="^[A-Z0-9]{2,3}$", description="UN/ECE Rec. 20.", examples=["H87"])]
_WHEN = "2026-12-01T12:00:00Z"
_DOCUMENT = "JSON document that the gateway salts, hashes and stores; its root is recorded. Omit it for none."
Identifier = Annotated[
    str,
    Field(
        min_length=1,
        max_length=ids.MAX_IDENTIFIER_LENGTH,
        description="A URI in any spelling that has a canonical form. It is stored in the private book only.",
        examples=["https://id.gs1.org/01/09506000013459/21/A0001"],
    ),
]
_LOTS, _CONSIGNMENT = (
    Annotated[
        list[Hex32],
        Field(min_length=1, max_length=most, description="Subjects of lots.", examples=[["0x" + "1a" * 32]]),
    ]
    for most in (MAX_ITEMS, _MAX_CONSIGNMENT)
)
_LEAF_INDEX: Any = (
    Annotated[int, Field(ge=0, le=2**40 - 1)] | None,
    Field(None, description="Index of the entry that shows it; or name it by `event`."),
)
_LEAF_HASH: Any = (
    Hex32 | None,
    Field(None, description="Of that entry. Needed only where its evidence is not kept here; checked where it is."),
)
_OPTIONAL: dict[tuple[type, str], Any] = {
    (records.Gate, "model"): (Annotated[int, Field(ge=0, le=2**40 - 1)], 0),
    (records.OrderTerms, "quantity"): (Annotated[int, Field(ge=0, le=2**32 - 1)], 0),
    (records.OrderTerms, "unit"): (_UNIT | None, None),
    (records.Note, "about"): (
        Annotated[int, Field(ge=0, le=2**40 - 1)],
        Field(0, description="Number of the earlier record that it is about; a correction names one. 0 for none."),
    ),
    (records.ConfirmDelivery, "lots"): (Annotated[list[Hex32], Field(max_length=MAX_ITEMS)], []),
    (records.FinishAssignment, "stream"): (
        Hex32 | None,
        Field(None, description="By default the stream that the work was started with."),
    ),
    (records.FinishAssignment, "leaf_index"): _LEAF_INDEX,
    (records.FinishAssignment, "leaf_hash"): _LEAF_HASH,
    (records.Statement, "leaf_index"): _LEAF_INDEX,
    (records.Statement, "leaf_hash"): _LEAF_HASH,
}
"""Members that only these structs leave out."""


def _asked(hint: Any, description: str, example: object = None, **limits: Any) -> tuple[Any, Any]:
    return hint, Field(description=description, examples=None if example is None else [example], **limits)


_Wh = Annotated[int, Field(ge=0, le=2**53 - 1)]
_Reset = Annotated[list[_Wh], Field(min_length=2, max_length=2)]
_Made = Annotated[int, Field(ge=1, le=2**40 - 1)]
_Reason = Annotated[str, Field(min_length=1, max_length=500)]
_Event = Annotated[str, Field(min_length=1, max_length=128)]
_Agreed = Annotated[bool, AfterValidator(_agreed)]
_GOOD = "At the finish: how much the operation made that is good, if several records made lots of it."
_RESET = (
    "What the register showed just before and just after it was set back or replaced since the last reading, in Wh."
)
_PUBLISHED = "That everybody in the consortium may read what was measured."
_SHOWN = "Id of the event that shows it, as the node was sent it; in place of the leaf."
_ASKED: dict[str, tuple[Any, Any]] = {
    "subjects": _asked(
        list[Hex32], "Subjects of orders and lots, each once.", ["0x" + "1a" * 32], min_length=1, max_length=64
    ),
    "subject": _asked(Hex32, "Order or lot whose history contains the record."),
    "sequence": _asked(int, "Sequence of the record to correct.", ge=1, le=2**40 - 1),
    "moment": _asked(str, "When it is read.", "start", pattern="^(start|finish)$"),
    "register_wh": _asked(_Wh, "What the machine's meter has counted: whole Wh.", 1204310),
    "quantity": _asked(_Made | None, _GOOD, default=None),
    "reset": _asked(_Reset | None, _RESET, [1204310, 0], default=None),
    "stream": _asked(Hex32 | None, "By default the stream of the work, or the machine's only one.", default=None),
    "answer": _asked(str, "Of the operator.", "accepted", pattern="^(accepted|refused)$"),
    "reason_text": _asked(
        _Reason | None, "Why it is refused; required for a refusal.", "the tool is changed today", default=None
    ),
    "publish_window": _asked(_Agreed, _PUBLISHED, json_schema_extra={"const": True}),
    "event": _asked(_Event | None, _SHOWN, "press-2026-118", default=None),
}
"""Members of bodies that are not fields of a record."""
