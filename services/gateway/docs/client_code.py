"""Python code of the methods and types of `millmark.services.client`, made from the OpenAPI document.

`scripts/generate_client` writes them; a test holds the checked-in code equal to what this module makes.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

_Schema = Mapping[str, Any]
NOT_IN_CLIENT: Mapping[str, str] = {
    "addDocument": "its body is the document, not JSON: `millmark documents` encrypts and sends it",
    "addDocumentVersion": "as addDocument",
    "fetchDocument": "its answer is sealed for the recipient: `millmark documents fetch`",
    "followEvents": "a feed without an end: a webhook delivers the same",
    "getMetrics": "text for Prometheus",
    "handOver": "gateways hand over to each other: `millmark handovers`",
}
"""Operations without a method, and why."""
_TAGS_ELSEWHERE = {"relay", "epcis"}
"""millmark.services.relay has the client of the first; the second is GS1's own API."""
_ROOMS = {
    "orders": "orders",
    "assignments": "orders",
    "calls": "planning",
    "offers": "planning",
    "plans": "planning",
    "forecasts": "planning",
    "preferences": "planning",
    "lots": "lots",
    "custody": "custody",
    "certificates": "inspections",
    "models": "inspections",
    "machines": "machines",
    "streams": "machines",
    "documents": "documents",
    "recipient-key": "documents",
    "recipient-keys": "documents",
    "webhooks": "documents",
}
"""The module that has the methods of a path, by the path's first part; the others are in `general`."""
_HEAD = """\"\"\"{about}. Written by scripts/generate_client: change the API, not this.\"\"\"

from __future__ import annotations
"""
_PLAIN = {"integer": "int", "number": "float", "string": "str", "boolean": "bool", "null": "None"}


def build_client(document: Mapping[str, Any]) -> dict[str, str]:
    """The source of each module, by its path below services/client; not yet formatted."""
    code = _Code(document)
    rooms: dict[str, list[str]] = defaultdict(list)
    for path, operations in sorted(document["paths"].items()):
        for verb, operation in operations.items():
            if _is_method(operation):
                rooms[_room(path)] += code.method(path, verb.upper(), operation)
    files = {f"methods/{room}.py": _room_module(room, "\n".join(lines), code) for room, lines in rooms.items()}
    return {**files, "methods/__init__.py": _whole(rooms), "shapes.py": code.shapes()}


def _is_method(operation: _Schema) -> bool:
    return not _TAGS_ELSEWHERE & set(operation["tags"]) and operation["operationId"] not in NOT_IN_CLIENT


def _room(path: str) -> str:
    return _ROOMS.get(path.removeprefix("/v1/").partition("/")[0], "general")


def _class_of(room: str) -> str:
    return f"{room.capitalize()}Methods"


def _room_module(room: str, methods: str, code: _Code) -> str:
    bare = re.sub(r'""".*?"""', "", methods, flags=re.DOTALL)
    used, typing = (
        ", ".join(name for name in names if re.search(rf"\b{name}\b", bare))
        for names in (sorted(code.needed), ("Any", "Literal", "cast"))
    )
    iterator = "from collections.abc import Iterator\n" if "Iterator[" in methods else ""
    return (
        f"{_HEAD.format(about=f'Methods of the API: {room}')}\n{iterator}from typing import {typing}\n\n"
        f"from millmark.services.client.shapes import {used}\n"
        f"from millmark.services.client.transport import Methods\n\n"
        f'__all__ = ["{_class_of(room)}"]\n\n\nclass {_class_of(room)}(Methods):\n{methods}'
    )


def _whole(rooms: Mapping[str, object]) -> str:
    names = sorted(rooms)
    imports = "".join(f"from millmark.services.client.methods.{room} import {_class_of(room)}\n" for room in names)
    bases = ", ".join(map(_class_of, names))
    return (
        f"{_HEAD.format(about='All methods of the API')}\n{imports}\n"
        f'__all__ = ["AllMethods"]\n\n\nclass AllMethods({bases}):\n    """Every operation of the API."""\n'
    )


class _Code:
    """Writes methods, and remembers the schemas that they need."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._schemas: Mapping[str, Any] = document["components"]["schemas"]
        self.needed: set[str] = set()

    def method(self, path: str, verb: str, operation: _Schema) -> Iterator[str]:
        name = _snake(operation["operationId"])
        parameters = [one for one in operation.get("parameters", ()) if one["in"] != "header"]
        in_path = [one for one in parameters if one["in"] == "path"]
        query = [one for one in parameters if one["in"] == "query"]
        keyed = any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
        answer = self._answer(operation)
        place = "f" * bool(in_path) + json.dumps(re.sub(r"{(\w+)}", r"{self.quote(\1)}", path))
        said = _docstring(operation, verb, path)
        own = [f"{one['name']}: {self._type(one['schema'])}" for one in in_path]
        if any(one["name"] == "cursor" for one in query):
            item = self._type(self._schemas[answer]["properties"]["items"]["items"])
            filters = [one for one in query if one["name"] != "cursor"]
            yield from self._lines(
                "iterate_" + name.removeprefix("list_"),
                [*own, "*", *self._options(filters)],
                f"Iterator[{item}]",
                said.replace('"""', '"""All pages: ', 1),
                f"return self._pages({', '.join([place, *_named(filters)])})",
            )
        rest, sent = self._sent(operation, keyed)
        arguments = ", ".join([json.dumps(verb), place, *sent, *_named(query)])
        call = f"self._ask({arguments})"
        result = call if answer == "None" else f"return cast({json.dumps(answer)}, {call})"
        options = [*rest, *self._options(query)]
        yield from self._lines(name, [*own, *(["*", *options] if options else [])], answer, said, result)

    def _lines(self, name: str, arguments: list[str], answer: str, said: str, body: str) -> Iterator[str]:
        yield f"    def {name}({', '.join(['self', *arguments])}) -> {answer}:\n        {said}\n        {body}\n"

    def _options(self, query: list[_Schema]) -> Iterator[str]:
        for one in query:
            kind = self._type(one["schema"])
            yield f"{one['name']}: {kind}" if one["required"] else f"{one['name']}: {_or_none(kind)} = None"

    def _sent(self, operation: _Schema, keyed: bool) -> tuple[list[str], list[str]]:
        """The parameters for body and key, and the arguments that pass them on."""
        if "requestBody" not in operation:
            return [], []
        body = self._schemas[_referred(operation["requestBody"]["content"]["application/json"]["schema"])]
        members, needed = body.get("properties", {}), body.get("required", ())
        # Those that must be given come first, although all are named.
        names = sorted(members, key=lambda one: one not in needed)
        parameters = [
            f"{one}: {self._type(members[one])}"
            if one in needed
            else f"{one}: {_or_none(self._type(members[one]))} = None"
            for one in names
        ]
        body_of = "body={" + ", ".join(f'"{one}": {one}' for one in members) + "}"
        return parameters + ["key: str | None = None"] * keyed, [body_of] + ["key=self.key(key)"] * keyed

    def _answer(self, operation: _Schema) -> str:
        found = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
        content = found.get("content")
        return self._type(next(iter(content.values()))["schema"]) if content else "None"

    def _type(self, schema: _Schema) -> str:
        if "$ref" in schema:
            return self._named_type(_referred(schema))
        if "anyOf" in schema:
            return " | ".join(dict.fromkeys(map(self._type, schema["anyOf"])))
        if "enum" in schema:
            return f"Literal[{', '.join(json.dumps(one) for one in schema['enum'])}]"
        kind = schema.get("type", "object")
        if kind == "array":
            return f"list[{self._type(schema['items'])}]"
        if kind == "object":
            values = schema.get("additionalProperties")
            return f"dict[str, {self._type(values)}]" if isinstance(values, Mapping) else "dict[str, Any]"
        return _PLAIN[kind]

    def _named_type(self, name: str) -> str:
        if name.endswith("Fields"):  # of one kind of record each, as in ledger/EVENTS.md
            return "dict[str, Any]"
        if "enum" in self._schemas[name]:
            return self._type(self._schemas[name])
        if name not in self.needed:
            self.needed.add(name)
            for member in self._schemas[name].get("properties", {}).values():
                self._type(member)
        return name

    def shapes(self) -> str:
        """The module of all types that the methods need."""
        names = sorted(self.needed)
        listed = ", ".join(json.dumps(name) for name in names)
        shapes = "\n\n".join(map(self._shape, names))
        return (
            f"{_HEAD.format(about='What goes to a gateway and comes back, as JSON')}\n"
            f"from typing import Any, Literal, NotRequired, TypedDict\n\n__all__ = [{listed}]\n\n\n{shapes}\n"
        )

    def _shape(self, name: str) -> str:
        schema = self._schemas[name]
        needed = schema.get("required", ())
        members = {
            one: kind if one in needed else f"NotRequired[{kind}]"
            for one, kind in ((one, self._type(value)) for one, value in schema["properties"].items())
        }
        if "from" in members:  # a word of Python's own
            listed = ", ".join(f'"{one}": {_quoted(kind)}' for one, kind in members.items())
            return f'{name} = TypedDict("{name}", {{{listed}}})\n'
        lines = "".join(f"    {one}: {kind}\n" for one, kind in members.items())
        return f"class {name}(TypedDict):\n{lines}"


def _quoted(kind: str) -> str:
    """Evaluated at once in the functional form, where a type may be declared further down."""
    return json.dumps(kind)


def _docstring(operation: _Schema, verb: str, path: str) -> str:
    about = textwrap.fill(f"{operation['summary']}.", 105, subsequent_indent=" " * 8)
    return f'"""{about}\n\n        {verb} {path}\n        """'


def _referred(schema: _Schema) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _named(query: list[_Schema]) -> list[str]:
    return [f"{one['name']}={one['name']}" for one in query]


def _or_none(kind: str) -> str:
    return kind if kind.endswith("None") else f"{kind} | None"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
