"""Reads a stream back, to show the walk that leads to a place where contracts and model differ."""

from __future__ import annotations

from tests.support.model.acts import acts_of
from tests.support.model.stream import REFUSED, UP
from tests.support.model.world import World

__all__ = ["walk_to_place"]

HEAD = 8


def walk_to_place(stream: bytes, place: int, world: World) -> list[str]:
    """The acts on the way to that place, the state before it, and the act at it."""
    names = {(int(act.kind), act.actor, act.argument): str(act) for act in acts_of(world)}
    layout, width = world.layout(), stream[HEAD - 1]
    walk: list[tuple[str, int]] = []
    at = HEAD
    while at < place:
        kind = stream[at]
        if kind == UP:
            walk.pop()
            at += 1
        elif kind & REFUSED:
            at += 3
        else:
            key = int.from_bytes(stream[at + 3 : at + 3 + width], "big")
            walk.append((names[kind, stream[at + 1], stream[at + 2]], key))
            at += 3 + width
    last = (stream[place] & ~REFUSED & 0xFF, stream[place + 1], stream[place + 2])
    before = {name: value for name, value in layout.describe(walk[-1][1]).items() if value} if walk else {}
    return [*(name for name, _ in walk), str(before), names[last]]
