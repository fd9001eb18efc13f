"""A company reports, follows and overrides causes through its gateway, whose thread takes each step once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.errors import SettingsError
from millmark.ledger.store import Book
from millmark.services.commands.gateway import _notes_drift
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.own_records import Feedback
from millmark.services.gateway.recording import Recorder
from millmark.services.planning.feedback.taking import NoSetpoints
from millmark.services.serving.logs import build_logger
from millmark.services.settings import Settings
from tests.support.company_site import Site, open_site
from tests.support.gateway_client import Caller


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    for made in open_site(tmp_path):
        parts = GatewayParts(
            made.store,
            build_policy("loopback-open", owner=made.number),
            recording=(made.world.chain, made.signer),
            name_keys=made.name_keys,
            setpoints=NoSetpoints(),
        )
        made.caller = Caller(create_gateway(parts))
        yield made


def build_feedback(site: Site) -> Feedback:
    """As the gateway's own thread has it, in another process on the same database."""
    recorder = Recorder(site.store, site.world.chain, site.signer, build_logger())
    clock = lambda: int(time.time())  # noqa: E731 - what the gateway is given
    return Feedback(site.store, recorder, site.number, site.signer, NoSetpoints(), clock, build_logger())


def equip(site: Site) -> tuple[int, str]:
    machine = site.final("/v1/machines", identifier="urn:example:press")["sequence"]
    stream = site.final("/v1/streams", identifier="urn:example:press-offers", machine=machine)["subjects"][0]
    build_feedback(site).step()  # what was recorded until now is history
    return machine, stream


def test_a_reported_failure_is_evidence_and_withdraws_the_machine_until_it_is_mended(site: Site) -> None:
    machine, stream = equip(site)
    answer = site.post("/v1/causes", {"machine": machine, "kind": "machine-down", "text": "the spindle broke"})
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert (found["outcome"], found["rung"], found["efficiency_per_mille"]) == ("acted", 4, 0)
    assert [(step["step"], step["state"]) for step in found["steps"]] == [("withdraw", "done")]
    site.send()
    with site.store.reading() as connection:
        assert Book(connection).evidence_size(bytes.fromhex(stream[2:])) == 2
    anchored = site.caller.ask(f"/v1/streams/{stream}").json()
    assert anchored["size"] == 2
    assert site.post(f"/v1/machines/{machine}/mended", {"reason": "a new spindle"}).status_code == 204
    again = site.post(f"/v1/machines/{machine}/mended", {"reason": "once more"})
    assert again.status_code == 409
    assert "not withdrawn" in again.json()["detail"]
    shown = site.caller.ask(f"/v1/causes/{found['cause']}").json()
    assert shown["efficiency_per_mille"] == 1000
    assert shown["steps"][-1]["detail"] == "a new spindle"


def test_an_overhauled_machine_comes_down_from_any_rung(site: Site) -> None:
    machine, _ = equip(site)
    found = site.post("/v1/causes", {"machine": machine, "kind": "machine-down", "text": "the spindle broke"}).json()
    done = {"reason": "all bearings are new", "overhauled": True}
    assert site.post(f"/v1/machines/{machine}/mended", done).status_code == 204
    shown = site.caller.ask(f"/v1/causes/{found['cause']}").json()
    assert (shown["rung"], shown["efficiency_per_mille"]) == (0, 1000)
    assert shown["steps"][-1]["detail"] == "all bearings are new"


def test_the_thread_looks_once_and_goes_on_after_a_restart(site: Site) -> None:
    machine, _ = equip(site)
    site.post("/v1/causes", {"machine": machine, "kind": "drift", "text": "the temperature drifts"})
    site.send()
    first = site.caller.ask("/v1/causes").json()["items"]
    # No model proposes settings, so the machine is derated at once.
    assert [(step["step"], step["state"]) for step in first[0]["steps"]] == [
        ("setpoint", "refused"),
        ("derate", "done"),
    ]
    while build_feedback(site).step():
        pass
    assert not build_feedback(site).step()
    site.send()
    while build_feedback(site).step():  # its own anchors are records as well
        pass
    assert site.caller.ask("/v1/causes").json()["items"] == first


def test_a_person_dismisses_with_a_reason(site: Site) -> None:
    machine, _ = equip(site)
    name = site.post("/v1/causes", {"machine": machine, "kind": "drift", "text": "it drifts"}).json()["cause"]
    answer = site.post(f"/v1/causes/{name}/dismissal", {"reason": "the sensor was being cleaned"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["outcome"], answer.json()["efficiency_per_mille"]) == ("dismissed", 1000)
    assert site.post(f"/v1/causes/{name}/dismissal", {"reason": "again"}).status_code == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"machine": 404, "kind": "drift", "text": "it drifts"}, 400),
        ({"machine": 1, "kind": "certificate", "text": "it failed"}, 422),
        ({"machine": 1, "kind": "drift", "text": ""}, 422),
        ({"machine": 1, "kind": "drift"}, 422),
    ],
)
def test_what_cannot_be_a_report_is_refused(site: Site, body: dict[str, object], status: int) -> None:
    assert site.post("/v1/causes", body).status_code == status
    assert site.caller.ask("/v1/causes").json()["items"] == []
    assert site.caller.ask(f"/v1/causes/0x{'00' * 32}").status_code == 404


@pytest.mark.parametrize("missing", ["gateway_feedback", "gateway_signer", "gateway_participant"])
def test_drift_notes_that_nothing_would_record_are_refused(tmp_path: Path, missing: str) -> None:
    whole = Settings(home=tmp_path, gateway_drift_notes=True, gateway_signer="file:key", gateway_participant=7)
    assert _notes_drift(whole) is True
    assert _notes_drift(Settings(home=tmp_path)) is False
    lacking = whole.model_copy(update={missing: False if missing == "gateway_feedback" else None})
    with pytest.raises(SettingsError, match="gateway_drift_notes is set"):
        _notes_drift(lacking)
