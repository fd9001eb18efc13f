"""Operations of the API that have no form in the portal, and why. A test finds those that are in neither place."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["LEFT_TO_API"]

LEFT_TO_API: Mapping[str, str] = {
    "anchor": "nodes anchor what they capture; a root by hand would be of evidence that nobody keeps",
    "reclaimCustody": "once in years, from a company that is gone: `millmark custody reclaim`",
    "registerMachine": "what a machine can do is in a document, on which plans rest: `millmark machines register`",
    "registerModel": "a model is a file with a card: `millmark quality register`",
    "publishModel": "a model is a file with a card: `millmark quality register`",
    "supersede": "it says for good that an own record was wrong, which it names by number: `POST /v1/supersessions`",
}
