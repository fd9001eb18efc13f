"""Methods of the API: planning. Written by scripts/generate_client: change the API, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from millmark.services.client.shapes import (
    CallShown,
    ForecastFound,
    ForecastListed,
    OfferShown,
    PageOfCallShown,
    PageOfForecastListed,
    PageOfOfferShown,
    PlanCheckShown,
    PlanShown,
    ScoreFound,
)
from millmark.services.client.transport import Methods

__all__ = ["PlanningMethods"]


class PlanningMethods(Methods):
    def iterate_calls(self, *, limit: int | None = None) -> Iterator[CallShown]:
        """All pages: List calls.

        GET /v1/calls
        """
        return self._pages("/v1/calls", limit=limit)

    def list_calls(self, *, limit: int | None = None, cursor: str | None = None) -> PageOfCallShown:
        """List calls.

        GET /v1/calls
        """
        return cast("PageOfCallShown", self._ask("GET", "/v1/calls", limit=limit, cursor=cursor))

    def get_call(self, root: str) -> CallShown:
        """Get a call.

        GET /v1/calls/{root}
        """
        return cast("CallShown", self._ask("GET", f"/v1/calls/{self.quote(root)}"))

    def iterate_forecasts(self, *, limit: int | None = None) -> Iterator[ForecastListed]:
        """All pages: List forecasts of demand.

        GET /v1/forecasts
        """
        return self._pages("/v1/forecasts", limit=limit)

    def list_forecasts(self, *, limit: int | None = None, cursor: str | None = None) -> PageOfForecastListed:
        """List forecasts of demand.

        GET /v1/forecasts
        """
        return cast("PageOfForecastListed", self._ask("GET", "/v1/forecasts", limit=limit, cursor=cursor))

    def get_forecast(self, id: str) -> ForecastFound:
        """Get a forecast of demand.

        GET /v1/forecasts/{id}
        """
        return cast("ForecastFound", self._ask("GET", f"/v1/forecasts/{self.quote(id)}"))

    def score_forecast(self, id: str) -> ScoreFound:
        """Score a forecast.

        GET /v1/forecasts/{id}/score
        """
        return cast("ScoreFound", self._ask("GET", f"/v1/forecasts/{self.quote(id)}/score"))

    def iterate_offers(self, *, call: str, limit: int | None = None) -> Iterator[OfferShown]:
        """All pages: List the offers for a call.

        GET /v1/offers
        """
        return self._pages("/v1/offers", call=call, limit=limit)

    def list_offers(self, *, call: str, limit: int | None = None, cursor: str | None = None) -> PageOfOfferShown:
        """List the offers for a call.

        GET /v1/offers
        """
        return cast("PageOfOfferShown", self._ask("GET", "/v1/offers", call=call, limit=limit, cursor=cursor))

    def get_plan(self, root: str) -> PlanShown:
        """Get a plan.

        GET /v1/plans/{root}
        """
        return cast("PlanShown", self._ask("GET", f"/v1/plans/{self.quote(root)}"))

    def check_plan(self, root: str) -> PlanCheckShown:
        """Check a plan.

        GET /v1/plans/{root}/check
        """
        return cast("PlanCheckShown", self._ask("GET", f"/v1/plans/{self.quote(root)}/check"))
