"""The same tree with pymerkle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymerkle import InmemoryTree

from tests.bench.peers.answer import Act, Prepare


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    entries = [number.to_bytes(4, "big") * 25 for number in range(arguments["leaves"])]

    def grow() -> Any:
        tree = InmemoryTree(algorithm="sha256")
        for entry in entries:
            tree.append_entry(entry)
        return tree

    built = grow()

    def build() -> Act:
        def act() -> tuple[int, object]:
            return 1, grow().get_state().hex()

        return act

    def prove() -> Act:
        asked = range(0, len(entries), len(entries) // arguments["proofs"])

        def act() -> tuple[int, object]:
            for index in asked:
                proof = built.prove_inclusion(index + 1)
            return len(asked), len(proof.path)

        return act

    return {"build": build, "prove": prove}
