"""`participants admit` and the consortium's page at the same moment: whoever is second finds what the first one queued,
since both take one idempotency key for a company's key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import InputError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Admit, Record, Role
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, QueuedRecord
from millmark.ledger.store.rows import ParticipantRow
from millmark.ledger.submit import build_entry
from millmark.services.access import OPERATOR
from millmark.services.commands.context import Context
from millmark.services.commands.joining import admit_all, publish_directory
from millmark.services.directory.following import published_digest
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.home import Candidate, candidate_of, parse_request
from millmark.services.settings import Settings
from tests.support.company_site import FOUNDED, PAGE, Operator
from tests.support.gateway_client import build_caller, post, read
from tests.support.stores import new_store


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    with new_store(tmp_path) as store:
        world, (signer, _, number) = FOUNDED.copy(store)
        parts = {"operator": (world.chain, world.owner), "governing": lambda: world.chain}
        yield Operator(store, world, signer, number, build_caller(store, OPERATOR, **parts))


class Late(Context):
    """A command that has looked and decided, and whose records come after what somebody does on the page."""

    def __init__(self, operator: Operator, asked: Sequence[str]) -> None:
        super().__init__(Settings(chain_url="http://node.example"), operator.store, _chain=operator.world.chain)
        self.operator, self.asked = operator, list(asked)

    def _is_at_head(self) -> bool:
        return False  # a question to a node over HTTP, which there is none of here

    def record(self, signer: Signer, records: Sequence[Record], names: Sequence[str] = ()) -> list[QueuedRecord]:
        if self.asked:
            admit_on_page(self.operator, self.asked.pop(0))
        return super().record(signer, records, names)


def admit_on_page(operator: Operator, asked: str) -> str:
    person = operator.person()
    shown = post(person, f"{PAGE}/admission", person.get(PAGE).text, asked=asked)
    done = post(person, f"{PAGE}/admission/confirm", shown.text)
    assert done.status_code == 303
    return str(done.headers["location"])


def candidates(asked: Sequence[str]) -> list[Candidate]:
    return [candidate_of(parse_request(one.encode())) for one in asked]


def admitted(store: Store) -> list[int]:
    with store.reading() as connection:
        return sorted(row.number for row in Rows(connection).latest(ParticipantRow, "number", 10))


def test_a_command_that_is_second_waits_for_the_admission_of_the_page(operator: Operator) -> None:
    asked = [operator.request(name) for name in ("Elm Cutting", "Fir Turning", "Oak Milling")]
    numbers = admit_all(Late(operator, asked[:2]), operator.world.owner, candidates(asked))
    assert sorted(numbers.values()) == [2, 3, 4]
    assert admitted(operator.store) == [1, 2, 3, 4]
    records = Outbox(operator.store).of_kind("Admit")
    assert [one.state for one in records if one.idempotency_key.startswith("operator:")] == [OutboxState.FINAL] * 3


def test_a_page_that_is_second_leads_to_the_admission_of_the_command(operator: Operator) -> None:
    key = LocalSigner.generate()
    asked = operator.request(signer=key)
    person = operator.person()
    shown = post(person, f"{PAGE}/admission", person.get(PAGE).text, asked=asked)
    command = Late(operator, [])
    admit_all(command, operator.world.owner, candidates([asked]))
    assert post(person, f"{PAGE}/admission/confirm", shown.text).headers["location"] == PAGE, "it is in the index"
    assert admitted(operator.store) == [1, 2]


def test_an_admission_that_failed_is_not_left_to_be_resumed(operator: Operator) -> None:
    stranger, asked = LocalSigner.generate(), operator.request()
    operator.world.fund(stranger)
    command = Late(operator, [])
    with pytest.raises(Exception, match="Ownable"):
        admit_all(command, stranger, candidates([asked]))
    numbers = admit_all(command, operator.world.owner, candidates([asked]))
    assert list(numbers.values()) == [2]
    assert [one.state for one in Outbox(operator.store).of_kind("Admit")][-2:] == [
        OutboxState.CANCELLED,
        OutboxState.FINAL,
    ]


def test_an_admission_that_another_key_has_queued_is_named(operator: Operator) -> None:
    """The owner's key was recovered, say: what the old one queued goes out with that one alone."""
    lost, asked = LocalSigner.generate(), operator.request()
    (candidate,) = candidates([asked])
    name = f"operator:admit:0x{candidate.key.hex()}"
    outbox = Outbox(operator.store)
    outbox.enqueue(lost.address, [build_entry(name, Admit(candidate.roles, candidate.key, bytes(32)))])
    command = Late(operator, [])
    with pytest.raises(InputError, match=f"is queued for another key, {to_hex(lost.address)}") as refused:
        admit_all(command, operator.world.owner, candidates([asked]))
    assert f"millmark outbox cancel {name}" in str(refused.value.hint)
    outbox.cancel([name])
    assert list(admit_all(command, operator.world.owner, candidates([asked])).values()) == [2]


def test_a_page_is_not_led_to_an_admission_with_other_roles(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, person = operator.request(), operator.person()
    (candidate,) = candidates([asked])
    shown = post(person, f"{PAGE}/admission", person.get(PAGE).text, asked=asked)

    def cancel(store: Store, key: bytes) -> None:  # the last thing before the page queues
        other = Admit(Role.AUDITOR, candidate.key, bytes(32))
        Outbox(store).enqueue(operator.world.owner.address, [build_entry(f"operator:admit:0x{key.hex()}", other)])

    monkeypatch.setattr("millmark.services.home.admissions.cancel_failed", cancel)
    answer = post(person, f"{PAGE}/admission/confirm", shown.text)
    assert answer.status_code == 400
    assert "Another request with this key is being admitted" in read(answer.text)


def test_roles_stay_those_of_whoever_was_first(operator: Operator) -> None:
    key = LocalSigner.generate()
    asked = operator.request(signer=key)
    (candidate,) = candidates([asked])
    more = Candidate(candidate.key, Role.AUDITOR, candidate.entry)
    admit_all(Late(operator, [asked]), operator.world.owner, [more])
    assert admitted(operator.store) == [1, 2]
    with operator.store.reading() as connection:
        row = Rows(connection).get(ParticipantRow, 2)
    assert row is not None
    assert Role(row.roles) == candidate.roles


def test_two_directories_that_are_published_at_the_same_moment_end_as_one(operator: Operator) -> None:
    """The second one, which has a company more, is published while the first is on its way, and so before it."""
    asked = [operator.request(name) for name in ("Elm Cutting", "Fir Turning")]
    owner, beside = operator.world.owner, Late(operator, [])
    admit_all(beside, owner, candidates(asked[:1]))

    class Slow(Late):
        """What it signed is published after what somebody else signed later."""

        waits = True

        def record(self, signer: Signer, records: Sequence[Record], names: Sequence[str] = ()) -> list[QueuedRecord]:
            if self.waits:
                self.waits = False
                admit_all(beside, owner, candidates(asked[1:]))
                publish_directory(beside, owner)
            return super().record(signer, records, names)

    signed, is_other = publish_directory(Slow(operator, []), owner)
    assert is_other
    assert {"Elm Cutting", "Fir Turning"} <= {entry.name for entry in signed.directory.entries}
    with operator.store.reading() as connection:
        in_force = DirectoryRepository(connection).signed()
        assert in_force is not None
        assert in_force.digest == published_digest(connection) == signed.digest
    assert publish_directory(beside, owner) == (signed, False)
