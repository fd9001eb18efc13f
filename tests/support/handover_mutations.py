"""Mutates hand-overs and has each judged: `python -m tests.support.handover_mutations`.

Texts are what a stranger on the way could change: nothing of them may be taken. Contents are changed before they are
sealed and signed, as a company that hands over could: nothing of what is not on the ledger may be kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from ledger.errors import MillmarkError
from services.handover.building import build_content
from services.handover.content import encode_content
from services.handover.envelope import Envelope, encode_envelope, parse_envelope, seal
from tests.support.apart import Apart, Home, found_apart
from tests.support.forgeries import mutate

__all__ = ["Tally", "main", "run_content_mutations", "run_text_mutations", "tell_story"]


@dataclass
class Tally:
    """What became of the mutations."""

    refused: Counter[str] = field(default_factory=Counter)
    """By the first words of the reason."""
    accepted: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return sum(self.refused.values()) + len(self.accepted)

    def judge(self, taker: Home, data: bytes, what: str) -> None:
        try:
            kept = taker.receiver.import_file(data)
        except MillmarkError as error:
            self.refused[" ".join(error.cause.split()[:4])] += 1
        else:
            self.accepted.append(f"{what}: {kept}")

    def to_json(self) -> dict[str, object]:
        return {
            "tried": self.tried,
            "accepted": len(self.accepted),
            "examples": self.accepted[:20],
            "refused": dict(self.refused.most_common()),
        }


def tell_story(folder: Path) -> tuple[Apart, Home, Home, int]:
    """The companies, giver and taker of a part of an order, and the record of the offer, which is not handed over."""
    apart = found_apart(folder)
    apart.equip()
    order = apart.place()
    apart.hand_over_all()
    apart.assign()
    apart.hand_over_all()
    lot = apart.make()
    maker, buyer = apart.world.maker, apart.consortium.buyer
    apart.certify()
    offer = apart.offer(lot, maker, buyer, "offer", order)
    apart.follow()
    return apart, apart.home(maker), apart.home(buyer), offer


def run_text_mutations(taker: Home, text: bytes, count: int, seed: int) -> Tally:
    """Changes random bytes of a hand-over as it travels."""
    tally, rng = Tally(), Random(f"{seed} texts")  # noqa: S311 - to be had again, not secret
    head = text.index(b"\n") + 1
    while tally.tried < count:
        number = tally.tried
        # Every other one in the head, which is a fraction of the text and where most is decided.
        changed = mutate(text[:head], rng) + text[head:] if number % 2 else mutate(text, rng)
        if changed != text:
            tally.judge(taker, changed, "text")
    return tally


def run_content_mutations(giver: Home, taker: Home, envelope: Envelope, plain: bytes, count: int, seed: int) -> Tally:
    """Changes random bytes of a content, and seals and signs it as its sender would."""
    tally, rng = Tally(), Random(f"{seed} contents")  # noqa: S311 - as above
    line = plain.index(b"\n") + 1
    while tally.tried < count:
        number = tally.tried
        changed = mutate(plain[:line], rng) + plain[line:] if number % 2 else mutate(plain, rng)
        if changed != plain:
            tally.judge(taker, encode_envelope(seal(envelope.head.route, changed, giver.company.signer)), "content")
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs both and prints the results. Returns the exit code: 0 if everything was refused."""
    parser = argparse.ArgumentParser(description="Mutate hand-overs and have each judged.")
    parser.add_argument("--texts", type=int, default=90_000)
    parser.add_argument("--contents", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="millmark-handovers-") as folder:
        apart, giver, taker, offer = tell_story(Path(folder))
        text = giver.seal_now(offer, taker.company.number)
        envelope = parse_envelope(text)
        content = build_content(
            giver.store, apart.consortium.chain, offer, giver.company.number, taker.company.number, 2**40
        )
        texts = run_text_mutations(taker, text, given.texts, given.seed)
        plain = encode_content(content)
        contents = run_content_mutations(giver, taker, envelope, plain, given.contents, given.seed)
        genuine = taker.receiver.import_file(text)
        apart.close()
    seconds = round(time.monotonic() - started, 1)
    found = {"seconds": seconds, "texts": texts.to_json(), "contents": contents.to_json(), "genuine": not genuine.again}
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 1 if texts.accepted or contents.accepted or genuine.again else 0


if __name__ == "__main__":
    sys.exit(main())
