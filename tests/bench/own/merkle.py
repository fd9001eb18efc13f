"""A Merkle tree of many entries, and proofs of some."""

from collections.abc import Mapping
from typing import Any

from millmark.ledger.merkle import Tree, hash_leaves
from tests.bench.peers.answer import Act, Prepare


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    entries = [number.to_bytes(4) * 25 for number in range(arguments["leaves"])]
    built = Tree(hash_leaves(entries))

    def build() -> Act:
        def act() -> tuple[int, object]:
            return 1, Tree(hash_leaves(entries)).root().hex()

        return act

    def prove() -> Act:
        asked = range(0, len(entries), len(entries) // arguments["proofs"])

        def act() -> tuple[int, object]:
            for index in asked:
                proof = built.inclusion_proof(index)
            return len(asked), [node.hex() for node in proof]

        return act

    return {"build": build, "prove": prove}
