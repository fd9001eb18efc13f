"""Acts: each kind of record has one, or a reason; each act a route, a command and a form, or a reason; and the three
agree about what is stated."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest

from millmark.ledger.records import RECORD_TYPES
from millmark.services.acts import ACTS, COMMANDS, FORMS, NO_ACTS, Act, Field, Kind
from millmark.services.gateway.recording.writes import WRITES, Write
from millmark.services.portal.acting.acting import STAGED
from millmark.services.portal.order_act import ORDER_PRODUCT


def test_every_kind_of_record_has_an_act_or_a_reason() -> None:
    made = {one.kind for one in ACTS.values()}
    assert made | NO_ACTS.keys() == {one.__name__ for one in RECORD_TYPES}
    assert not made & NO_ACTS.keys()
    assert all(NO_ACTS.values())


@pytest.mark.parametrize("act", ACTS.values(), ids=lambda act: act.name)
def test_every_act_has_a_command_and_a_form_or_a_reason(act: Act) -> None:
    assert bool(act.commands) is not bool(act.no_command)
    assert bool(act.forms) is not bool(act.no_form)


def test_nothing_is_declared_twice() -> None:
    assert len({(one.path, one.name) for one in ACTS.values()}) == len(ACTS)
    assert len(FORMS) == sum(len(one.forms) for one in ACTS.values())
    assert len(COMMANDS) == sum(len(one.commands) for one in ACTS.values())


def test_every_form_is_staged_once() -> None:
    assert sorted([*(one.form.name for one in STAGED), ORDER_PRODUCT]) == sorted(FORMS)


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.operation)
def test_what_a_form_and_a_command_state_are_members_of_the_body(write: Write) -> None:
    members = write.body.model_fields.keys()
    for one in write.act.fields:
        assert one.target.partition(".")[0] in members, one.name
    for states in (*(one.states for one in write.act.forms), *(one.states for one in write.act.commands)):
        assert states.keys() <= members


def test_the_texts_of_a_command_have_values_that_it_knows() -> None:
    known = {"sequence", "subject", "count", "whole", "packed"}
    for one in COMMANDS.values():
        named: list[Field] = [field for field in (one.thing, *one.fields) if field is not None]
        own = {field.name for field in named} | one.states.keys() | known | set(one.told)
        for text in (one.said, *one.then):
            assert {name for _, name, _, _ in string.Formatter().parse(text) if name} <= own, one.words


def test_a_command_asks_for_nothing_that_follows() -> None:
    for one in COMMANDS.values():
        for field in one.fields:
            assert field.kind.follows or field.help, (one.words, field.name)
            assert field.kind is not Kind.HIDDEN


def test_the_page_shows_an_act_as_it_is_in_all_four_places() -> None:
    services = Path(__file__).parents[3] / "services"
    page, source = (services / "portal" / "ACTING.md").read_text(), (services / "acts" / "lots.py").read_text()
    act = ACTS["quarantineLot"]
    [command] = act.commands
    declared = source[source.index('    _lot("quarantineLot"') : source.index('    _lot("releaseLot"')]
    assert declared in page
    assert f"POST {act.path} " in page
    assert f"\n    {json.dumps(act.body_example)}\n" in page
    assert f"\n    millmark {command.words} {command.example}\n" in page
    assert all(f"GET /portal/act/{form.name}?subject=" in page for form in act.forms)
