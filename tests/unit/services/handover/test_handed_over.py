"""Companies with databases of their own hand over to each other what the table says."""

from __future__ import annotations

from pathlib import Path

from tests.support.apart import Apart, found_apart


def test_one_path(tmp_path: Path) -> None:
    import time

    t = time.perf_counter()

    def lap(what: str) -> None:
        nonlocal t
        now = time.perf_counter()
        print(what, round(now - t, 2))
        t = now

    apart = found_apart(tmp_path)
    lap("found")
    c = apart.consortium
    apart.equip()
    order = apart.place()
    lap("equip")
    print(apart.hand_over_all())
    lap("hand over")
    assert apart.home(c.coordinator).name_of(order) == "urn:example:hip"
    print(apart.home(c.coordinator).document(apart.roots["hip"]))
    apart.assign()
    print(apart.hand_over_all())
    print(apart.home(apart.world.maker).document(apart.roots["hip"]))
    lot = apart.make()
    print(apart.hand_over_all())
    lap("make")
    apart.certify()
    print(apart.hand_over_all())
    lap("certify")
    offer = apart.offer(lot, apart.world.maker, c.buyer, "offer", order)
    print(apart.hand_over_all())
    apart.accept(lot, c.buyer, offer, "accepted", order)
    print(apart.hand_over_all())
    lap("custody")
    print(apart.home(c.buyer).name_of(lot))
    for one, root in apart.roots.items():
        print(one, {h.company.name: list(h.document(root)) for h in apart.homes.values() if h.document(root)})
