"""The dictionary attack on a real ledger: nothing is hit; without salts, everything is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from millmark.services.store import open_store
from tests.bench.dictionary import CLASSES, Secrets, _produce, attack, build_control, collect_published, collect_secrets

pytestmark = pytest.mark.integration
GUESSES = 60_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, set[bytes]], Secrets]]:
    path = tmp_path_factory.mktemp("dictionary") / "ledger.db"
    with open_store(f"sqlite:///{path}") as store:
        line = _produce(store, 2)
        secrets = collect_secrets(line)
        yield collect_published(line, [line.jobs[0].lot], secrets), secrets


def test_nothing_is_hit_and_all_of_the_control_is(world: tuple[dict[str, set[bytes]], Secrets]) -> None:
    published, secrets = world
    found, tried = attack(published, secrets, GUESSES)
    assert tried == GUESSES
    assert {one.name for one in found} == set(CLASSES)
    for one in found:
        assert (one.hits, one.control_hits) == (0, one.control), one.name
        assert one.published, one.name
        assert one.control, one.name


def test_a_single_value_without_its_salt_is_hit(world: tuple[dict[str, set[bytes]], Secrets]) -> None:
    published, secrets = world
    for name, values in build_control(secrets).items():
        leaking = {**published, name: published[name] | {min(values)}}
        found, _ = attack(leaking, secrets, 1)
        assert [one.name for one in found if one.hits] == [name]


def test_a_value_that_the_catalogue_lacks_is_not_hit(world: tuple[dict[str, set[bytes]], Secrets]) -> None:
    """The control counts what is found, not what is there."""
    published, secrets = world
    known = replace(secrets, documents=secrets.documents[:1])
    twin = build_control(secrets)
    found, _ = attack({**published, "claims": twin["claims"]}, known, 1)
    assert {one.name: one.hits for one in found}["claims"] < len(twin["claims"])
