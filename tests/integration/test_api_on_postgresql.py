"""The API on PostgreSQL: tests that elsewhere run on SQLite. `scripts/prove postgresql` runs all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import describe_missing, running_cluster
from tests.support.company_site import Site
from tests.support.stores import cluster, on_cluster, prepare_cluster
from tests.unit.services import test_gateway_idempotency as idempotency
from tests.unit.services import test_gateway_recording as recording
from tests.unit.services.conftest import world
from tests.unit.services.test_gateway_endpoints import *  # noqa: F403  # its tests and fixtures

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(describe_missing() is not None, reason=str(describe_missing())),
]

__all__ = ["world"]


@pytest.fixture(scope="module", autouse=True)
def _stores_on_postgresql() -> Iterator[None]:
    with running_cluster() as url:
        prepare_cluster(url)
        with on_cluster(url):
            yield


class TestIdempotency:
    site = idempotency.site
    test_a_repetition = staticmethod(idempotency.test_a_repetition_is_answered_the_same_and_done_once)
    test_another_request = staticmethod(idempotency.test_another_request_under_the_key_is_refused)
    test_while_one_is_under_way = staticmethod(idempotency.test_while_one_is_under_way_the_other_waits)


class TestRecording:
    site = recording.site
    test_a_refusal = staticmethod(recording.test_a_refusal_has_the_contracts_error_by_name_and_values)
    test_a_crash_before_sending = staticmethod(recording.test_what_was_acknowledged_outlives_a_crash_before_it_was_sent)
    test_a_crash_before_the_answer = staticmethod(
        recording.test_a_crash_between_the_record_and_its_answer_doubles_nothing
    )

    def test_the_first_page_of_records_is_listed(self, site: Site) -> None:
        """The bound of the first page was once a number that the column's type does not hold."""
        assert cluster() is not None
        assert site.store.url.startswith("postgresql")
        assert [one["id"] for one in site.caller.ask("/v1/records").json()["items"]] == [2, 1]
