"""The generated client is what the OpenAPI document says, and has every operation or a reason why not."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from millmark.services.client import Client
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.docs import NOT_IN_CLIENT, build_client
from millmark.services.gateway.recording.writes import WRITES

CLIENT = Path(__file__).parents[4] / "services" / "client"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    from millmark.services.store import open_store  # noqa: PLC0415 - used here only

    with open_store(f"sqlite:///{tmp_path_factory.mktemp('empty')}/empty.db") as store:
        return create_gateway(GatewayParts(store, build_policy())).openapi()


def test_the_checked_in_code_is_what_the_document_says(document: dict[str, Any]) -> None:
    """Compared as syntax trees, in which imports have an order of no meaning: the formatter's work is not repeated."""
    for name, text in build_client(document).items():
        checked_in = (CLIENT / name).read_text("utf-8")
        assert _tree(text) == _tree(checked_in), f"run scripts/generate_client: {name} differs"


def _tree(text: str) -> tuple[list[str], list[str]]:
    body = ast.parse(text).body
    imports = [ast.dump(one) for one in body if isinstance(one, ast.ImportFrom)]
    lists = (one for one in body if not isinstance(one, ast.ImportFrom))
    return sorted(imports), [
        str(sorted(ast.literal_eval(one.value)))
        if isinstance(one, ast.Assign) and isinstance(one.value, ast.List)
        else ast.dump(one)
        for one in lists
    ]


def test_each_operation_has_a_method_or_a_reason(document: dict[str, Any]) -> None:
    operations = [
        one for path in document["paths"].values() for one in path.values() if not {"relay", "epcis"} & set(one["tags"])
    ]
    names = {one["operationId"] for one in operations}
    assert set(NOT_IN_CLIENT) <= names
    for name in names - set(NOT_IN_CLIENT):
        assert hasattr(Client, _snake(name)), name
    assert {write.operation for write in WRITES} <= names - set(NOT_IN_CLIENT)


def _snake(name: str) -> str:
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in name)
