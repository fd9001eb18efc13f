"""The pages of plans at each company's own gateway: coordinator and readers see the whole, owners their part."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from tests.support.apart import Home
from tests.support.gateway_client import SESSION, Browser, build_caller
from tests.support.sign_in import open_session
from tests.unit.services.handover.conftest import Delivered

COORDINATOR, READER, OWNER, STRANGER = "kestrel", "vector", "birch", "nordwind"


def browse(home: Home, path: str) -> tuple[int, str]:
    """What somebody who is signed in at the company's own gateway is shown."""
    now, company = int(datetime.now(UTC).timestamp()), home.company
    caller = build_caller(home.store, company.number, clock=lambda: now)
    token = open_session(home.store, company.number, now, company.signer.address)
    answer = Browser(caller, {SESSION: token}).get(path)
    return answer.status_code, answer.text


@pytest.mark.parametrize("word", [COORDINATOR, READER])
def test_readers_see_the_whole_plan_and_that_it_was_checked(told: Delivered, word: str) -> None:
    plan, home = told.planned.plan, told.home(word)
    status, page = browse(home, f"/portal/plans/{plan.digest.hex()}")
    assert status == 200
    assert len(re.findall(r'<svg class="planned"', page)) == len(plan.rows)
    assert "Checked here, now" in page
    assert f">{plan.cost.total / 100:.2f}<" in page.replace(",", "")


def test_an_owner_sees_its_own_rows_alone(told: Delivered) -> None:
    plan, home = told.planned.plan, told.home(OWNER)
    own = [row for row in plan.rows if row.owner == home.company.number]
    status, page = browse(home, f"/portal/plans/{plan.digest.hex()}")
    assert status == 200
    assert len(re.findall(r'<svg class="planned"', page)) == len(own)
    assert "Checked here" not in page
    assert f"own operations alone: {len(own)} of {len(plan.rows)}" in page


def test_an_owner_is_told_that_an_offer_of_its_own_was_left_out(told: Delivered) -> None:
    """It made offers after the plan, and before the call closes: they count, and the plan lacks them."""
    status, page = browse(told.home("alder"), f"/portal/plans/{told.planned.plan.digest.hex()}")
    assert status == 200
    assert "This plan does not hold." in page
    assert "was left out" in page
    assert '<svg class="gantt"' not in page
    page = browse(told.home("alder"), f"/portal/plans/{told.planned.plan.digest.hex()}?lang=zh")[1]
    assert "（规则 offers）：遗漏了报价 " in re.sub("<[^>]+>", "", page)


def test_who_was_not_called_sees_no_call_and_no_plan(told: Delivered) -> None:
    home = told.home(STRANGER)
    assert browse(home, f"/portal/plans/{told.planned.plan.digest.hex()}")[0] == 404
    status, page = browse(home, "/portal/plans")
    assert status == 200
    assert "No call concerns this company yet" in page


@pytest.mark.parametrize("word", [COORDINATOR, READER, OWNER])
def test_the_list_leads_to_the_plan(told: Delivered, word: str) -> None:
    digest = told.planned.plan.digest.hex()
    assert f'href="/portal/plans/{digest}"' in browse(told.home(word), "/portal/plans")[1]


@pytest.mark.parametrize("name", ["x", "00" * 32, "zz" * 32])
def test_what_is_no_plan_is_not_found(told: Delivered, name: str) -> None:
    assert browse(told.home(COORDINATOR), f"/portal/plans/{name}")[0] == 404
