"""Forged bundles of every step, chosen as files on the page that verifies, in a real Chromium: it refuses each in the
same step and for the same reason as the command line, and asks the network for nothing meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from millmark.ledger.bundle import parse_bundle
from millmark.ledger.trust import parse_trust
from millmark.ledger.verify import Step, VerificationError, verify_bundle
from tests.proofs.forgeries import forge
from tests.proofs.forging import MAX_AGE_S, Forged
from tests.support.bundle_content import Content, read_content
from tests.support.check_page import build_page
from tests.support.figures import Tell
from tests.support.portal_world import serve_world

pytestmark = pytest.mark.browser
VECTORS = Path(__file__).parents[1] / "vectors" / "bundle"
PER_STEP = 3
"""`scripts/prove check` tries 2,000."""
_SHOWN = """() => {
  const result = document.querySelector("#result");
  const steps = [...result.querySelectorAll(".checks li")];
  return {
    told: result.querySelector(".badge p").textContent,
    failed: steps.findIndex((one) => one.classList.contains("failed")) + 1,
    done: steps.filter((one) => one.classList.contains("done")).length,
    reason: result.querySelector(".reason span")?.textContent ?? null,
  };
}"""


@pytest.fixture(scope="module")
def page(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page that verifies, as a gateway serves it, with Python started."""
    folder = tmp_path_factory.mktemp("portal")
    build_page(folder / "page")
    with serve_world(folder, folder / "page") as world, chromium.new_context(locale="en-GB") as context:
        page = context.new_page()
        page.goto(f"{world.origin}/check/")
        expect(page.locator("#bundle")).to_be_enabled()
        page.set_input_files("#trust", VECTORS / "trust.json")
        expect(page.locator("#state")).to_contain_text("The verifier is ready")
        yield page


@pytest.fixture(scope="module")
def content() -> Content:
    trust = parse_trust((VECTORS / "trust.json").read_bytes())
    return read_content(parse_bundle((VECTORS / "part.bundle").read_bytes()), trust)


@pytest.mark.parametrize("step", Step, ids=lambda step: step.name)
def test_the_page_refuses_what_the_command_line_refuses(page: Page, content: Content, step: Step, tell: Tell) -> None:
    rng, differing, asked = Random(f"1 browser {step.name}"), list[str](), list[Request]()  # noqa: S311  # no secret
    page.on("request", lambda one: asked.append(one))  # playwright marks the function
    for number in range(PER_STEP):
        generator, forged = forge(content, step, rng)
        expected, found = _judge(forged, step), _ask(page, forged, f"{step.name}-{number}")
        if found != expected:
            differing.append(f"{generator.__name__}: page {found}, command line {expected}")
    assert not differing
    assert not asked
    tell(f"forged bundles in Chromium, refused like at the command line: {step.name} {PER_STEP}")


def _judge(forged: Forged, step: Step) -> dict[str, object]:
    """What the page has to show. What cannot be read as a proof at all is refused without a list of steps."""
    with pytest.raises(VerificationError) as refused:
        verify_bundle(forged.data, forged.trust, now_s=forged.now_s, max_age_s=MAX_AGE_S)
    assert refused.value.step is step
    judged, told = refused.value.exit_code == 1, f"Step {step.value} of 11 failed. Do not rely on this proof."
    if step is Step.STATUS:
        told = "The proof is genuine, and the part does not pass."
    return {
        "told": told if judged else "",
        "failed": step.value if judged else 0,
        "done": step.value - 1 if judged else 0,
        "reason": str(refused.value),
    }


def _ask(page: Page, forged: Forged, name: str) -> dict[str, object]:
    page.clock.set_fixed_time(forged.now_s)
    for what, data in (("bundle", forged.data), ("trust", forged.trust.to_bytes())):
        given = {"name": f"{name}.{what}", "mimeType": "application/octet-stream", "buffer": data}
        page.set_input_files(f"#{what}", given)  # type: ignore[arg-type]  # a FilePayload, whose class is not public
        expect(page.locator(f"#{what}-name")).to_contain_text(f"{name}.{what}")
    page.get_by_role("button", name="Verify").click()
    expect(page.locator("#result")).to_be_visible()
    shown: dict[str, object] = page.evaluate(_SHOWN)
    return shown
