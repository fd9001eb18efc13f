"""The demo's summary, as text and as JSON."""

from __future__ import annotations

import shlex

from millmark.ledger.products import money, name_in
from millmark.ledger.verify import describe
from millmark.services.interop.digital_link import build_qr_text
from millmark.services.lab.demo.figures import describe_plan
from millmark.services.lab.demo.gateways import Finished, make_link
from millmark.services.lab.demo.proof import BUNDLE, TRUST
from millmark.services.lab.demo.result import DemoResult
from millmark.services.output import json_format, print_lines, print_table
from millmark.services.text.trace import describe_trace

__all__ = ["build_json", "describe_links", "print_summary"]


def print_summary(result: DemoResult, finished: Finished, program: str) -> None:
    """Prints what was recorded and its gas, one part's trace and proof, and the next steps, which end with a link for
    each role. Raises StoreError, SettingsError."""
    rows = [[kind, count, *_gas(result, kind)] for kind, count in sorted(result.records.items())]
    print_table("records", ["kind", "count", "gas each"], rows)
    joining = sum(result.chain_sequences.values()) - sum(result.records.values())
    if joining:
        print_lines(f"and {joining} by which the companies joined")
    print_lines("", *_facts(result), "")
    print_lines("also recorded:", *(f"  {event}" for event in result.events), "")
    print_lines("one part, traced:", *(f"  {line}" for line in describe_trace(result.trace)), "")
    print_lines(
        f"its proof, {BUNDLE}, {result.proof.size:,} bytes, verified with {TRUST} and nothing else:",
        *_believed(result.proof.validators),
        *(f"  {line}" for line in describe(result.proof.report)),
        "",
        "the same proof tampered with, each refused:",
        *(f"  {refusal.tampering}\n    {refusal.reason}" for refusal in result.proof.refusals),
        "",
    )
    print_lines(*_onward(result, finished, program))


def build_json(result: DemoResult) -> dict[str, object]:
    """The same result as JSON."""
    return {
        "format": json_format(["demo"]),
        "orders": result.orders,
        "product": {
            "name": result.product.product,
            "digest": "0x" + result.product.digest.hex(),
            "currency": result.product.currency,
            "prices": list(result.prices),
            "routes": [{"operations": list(route), "orders": count} for route, count in result.routes.most_common()],
        },
        "plan": result.planned.to_json(),
        "demand": result.demand.to_json(),
        "delivered": result.delivered,
        "records": dict(sorted(result.records.items())),
        "certificates": dict(result.verdicts),
        "certificates_agreeing_with_label": result.agreeing,
        "model_accuracy": {"value": round(result.accuracy, 6), "windows": result.windows},
        "gas_per_record": {kind: gas // count for kind, (count, gas) in sorted(result.gas.items())},
        "chain_sequence": result.chain_sequences,
        "index_sequence": result.index_sequences,
        "sequences_equal": result.chain_sequences == result.index_sequences,
        "index_digest": "0x" + result.digest.hex(),
        "seconds": {step: round(seconds, 3) for step, seconds in result.seconds.items()},
        "events": result.events,
        "trace": result.trace.to_json(),
        "code": result.code,
        "bundle": {
            "file": BUNDLE,
            "trust_file": TRUST,
            "bytes": result.proof.size,
            "validators": result.proof.validators,
            "report": result.proof.report.to_json(),
            "refused": [
                {"tampering": refusal.tampering, "step": refusal.step, "reason": refusal.reason}
                for refusal in result.proof.refusals
            ],
        },
    }


def _believed(validators: int) -> list[str]:
    """What the trust file believes, and what this shows only in part."""
    if not validators:
        return []
    return [
        f"  {TRUST} lists {validators} validators, whose seals make a block believable; it names no block and no "
        "co-signer",
        f"  (on a network, each company's validator has a key of its own; here one process holds all {validators})",
        "",
    ]


def _gas(result: DemoResult, kind: str) -> tuple[int | str]:
    count, gas = result.gas.get(kind, (0, 0))
    return (gas // count if count else "-",)


def _facts(result: DemoResult) -> list[str]:
    equal = "equal" if result.chain_sequences == result.index_sequences else "NOT EQUAL"
    sequences = ", ".join(f"{name} {number}" for name, number in result.chain_sequences.items())
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(result.verdicts.items()))
    low, high = (money(price, result.product.currency) for price in result.prices)
    return [
        f"{result.delivered} of {result.orders} orders delivered; the others are quarantined",
        f"product: {name_in(result.product.names, 'en')}, configured {result.orders} times, {low} to {high} a piece",
        *(f"  {count} by {', '.join(route)}" for route, count in result.routes.most_common()),
        *describe_plan(result.planned),
        *result.demand.describe(),
        f"certificates: {verdicts}; {result.agreeing} of {result.orders} final verdicts are the window's own label",
        f"model: accuracy {result.accuracy:.4f}, measured now over all {result.windows} labelled windows",
        f"sequences on chain: {sequences}; in the index: {equal}",
        f"{sum(result.chain_sequences.values())} records in {sum(result.seconds.values()):.1f} s, everything included",
    ]


def describe_links(finished: Finished) -> list[str]:
    """A link for each role, and what else there is to open. Makes the invitations among them. Raises StoreError,
    SettingsError."""
    shown = [(one, make_link(finished, one)) for one in finished.places if one.role]
    return [
        "a link for each role; an invitation makes a passkey in your browser, and works once:",
        *(f"  {place.role:18}{place.company:22}{link}" for place, link in shown),
        f"  {'anybody':18}{'with the part':22}{finished.code}",
    ]


def _onward(result: DemoResult, finished: Finished, program: str) -> list[str]:
    """The next steps, with commands in full so that each can be copied from the terminal."""
    part, home = result.trace.lot, result.home
    name, where = part.identifier or "0x" + part.subject.hex(), shlex.quote(str(finished.folder))
    return [
        "from the command line, as a company:",
        f"  {program} --home {home} trace {name}",
        f"  {program} --home {home} recall --model {result.model}",
        "",
        "next, in a browser:",
        "  1. start the chain and all gateways, and leave them running; Ctrl-C stops them",
        f"     {program} demo open --out {where}",
        "  2. as anyone who scans the code on the part, open its passport, and check its proof there",
        f"     {result.code}",
        "",
        *build_qr_text(result.code).splitlines(),
        "",
        "  3. download proof and trust file there, or with",
        f"     curl -sLo part.bundle '{result.code}&linkType=gs1:traceability'",
        f"     curl -so trust.json '{result.code.replace('/01/', '/passport/trust/01/', 1)}'",
        "  4. check them offline, without any server",
        f"     {program} verify part.bundle --trust trust.json",
        "  5. sign in, as one of these or, in one browser, as all of them",
        *describe_links(finished),
    ]
