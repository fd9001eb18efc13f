"""The graph of lots and steps in a trace, from which all pictures are drawn; as text, an indented tree or a Graphviz
document."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from millmark.ledger.errors import show_member
from millmark.ledger.provenance import Direction, OrderTrace, Trace
from millmark.ledger.provenance.answers import AsOf, Cut, Machine, Party, RelatedLot, Transformation
from millmark.ledger.records import CertificateStatus, LotState, Verdict
from millmark.ledger.verify.words.english import UNITS


class Tone(enum.Enum):
    """Kind of a node, which determines its border."""

    ASKED = "asked"
    LOT = "lot"
    STEP = "step"
    OWN = "own"
    """In a recall: a lot that the company itself has."""
    AWAY = "away"
    """In a recall: a lot that another company has."""


@dataclass(frozen=True, slots=True)
class Node:
    """A lot or a transformation."""

    key: str
    lines: tuple[str, ...]
    """Name, followed by the description."""
    tone: Tone
    bad: bool = False
    """Whether it failed, or must not be used as it stands: drawn in red, with a cross, in every picture."""
    spent: bool = False
    """Whether nothing is left of it: drawn with a dashed border."""

    @property
    def classes(self) -> str:
        """The classes of its box."""
        return self.tone.value + " bad" * self.bad + " spent" * self.spent


@dataclass(frozen=True, slots=True)
class Link:
    """A link between two nodes: the first goes into the second or, if `packed`, is packed in it."""

    before: str
    after: str
    packed: bool = False
    late: bool = False
    """Whether it belongs to a rework of a lot that kept its identifier, for which that lot may have given material."""


@dataclass(frozen=True, slots=True)
class Family:
    """The graph of one trace. Links of steps form no cycle, except late ones. Late links and those of packing may run
    against the others."""

    title: str
    summary: tuple[str, ...]
    """Sentences with counts and block, then with what was cut off."""
    roots: tuple[str, ...]
    """Keys of the traced lots."""
    nodes: dict[str, Node]
    links: tuple[Link, ...]
    cuts: tuple[Cut, ...]


class Words:
    """The English texts of pictures. Subclasses translate them."""

    def title(self, trace: Trace | OrderTrace, name: str) -> str:
        return f"Genealogy of {'lot' if isinstance(trace, Trace) else 'order'} {name}"

    def reach(self) -> str:
        return "What the recall reached"

    def name(self, identifier: str | None, subject: bytes) -> str:
        return identifier or _key(subject)

    def held(self, holder: Party) -> str:
        return f"at {self.party(holder)}"

    def party(self, party: Party) -> str:
        return party.name or f"participant {party.participant}"

    def state(self, quantity: int, unit: str, state: LotState) -> str:
        return f"{quantity} {UNITS.get(unit, unit)} {show_member(state)}"

    def judged(self, verdict: Verdict, status: CertificateStatus) -> str:
        """The text about a certificate, which follows the lot's state; a line feed in it starts a new line."""
        return f", {show_member(verdict)} ({show_member(status)})"

    def made_on(self, machine: Machine) -> str:
        return f"on {machine.identifier or f'machine {machine.machine}'}"

    def step(self, step: Transformation) -> str:
        return f"{show_member(step.kind)} {step.sequence}"

    def summary(self, lots: int, steps: int, as_of: AsOf) -> str:
        counted = f"{lots} {'lot' if lots == 1 else 'lots'}, {steps} {'step' if steps == 1 else 'steps'}"
        return f"{counted}, as of block {as_of.block_number}."

    def cut(self, cut: Cut) -> str:
        return f"Cut off: {describe_cut(cut)}."


_ENGLISH = Words()


_WITHDRAWN = (
    CertificateStatus.REVOKED,
    CertificateStatus.FALLEN,
    CertificateStatus.REFUTED,
    CertificateStatus.UNOPENED,
)
"""What also counts against a lot that is used up: it never should have passed. To expire, or to be voided by a rework,
does not."""


def build_family(
    trace: Trace | OrderTrace, words: Words = _ENGLISH, stopped: Collection[bytes] = frozenset()
) -> Family:
    """Builds the graph of a trace. Lots that the trace lacks are left out, as are steps without any lot on one side.
    `stopped`: lots that were called back, which are drawn like those in quarantine."""
    asked, lots = _lots(trace, words)
    nodes = {node.key: node for node in [*asked, *lots]}
    for key in map(_key, stopped):
        if key in nodes:
            nodes[key] = replace(nodes[key], bad=True)
    steps, links = _steps(trace.transformations, nodes, words)
    nodes.update(steps)
    links.extend(_packings(trace, nodes))
    name = trace.lot.identifier if isinstance(trace, Trace) else trace.order.identifier
    subject = trace.lot.subject if isinstance(trace, Trace) else trace.order.subject
    title = words.title(trace, name or _key(subject))
    counted = words.summary(len(nodes) - len(steps), len(steps), trace.as_of)
    summary = (counted, *(words.cut(cut) for cut in trace.cuts))
    return Family(title, summary, tuple(node.key for node in asked), nodes, tuple(links), trace.cuts)


def build_reach(
    lots: Sequence[RelatedLot],
    as_of: AsOf,
    steps: Iterable[Transformation],
    company: int | None,
    words: Words = _ENGLISH,
    most: int = 60,
) -> Family:
    """Builds the graph of what a recall reached, by who has it: `company` itself, another company, or nobody any more.
    Only the `most` lots nearest to the cause are in it, and the steps between them."""
    shown = lots[:most]
    nodes = {_key(lot.subject): _reached(lot, company, words) for lot in shown}
    made, links = _steps(steps, nodes, words)
    parents = {lot.subject: lot.parent for lot in shown if lot.parent is not None}
    links += [Link(_key(lot), _key(parent), packed=True) for lot, parent in parents.items() if _key(parent) in nodes]
    roots = tuple(_key(lot.subject) for lot in shown if not lot.depth)
    counted = words.summary(len(nodes), len(made), as_of)
    cuts = (Cut("lots", "lots", most),) if len(lots) > most else ()
    summary = (counted, *(words.cut(cut) for cut in cuts))
    return Family(words.reach(), summary, roots, {**nodes, **made}, tuple(links), cuts)


def _reached(lot: RelatedLot, company: int | None, words: Words) -> Node:
    tone = Tone.OWN if lot.holder.participant == company else Tone.AWAY
    return _related(lot, Tone.LOT if lot.state is LotState.SPENT else tone, words)


def describe_cut(cut: Cut) -> str:
    """Text to follow "cut off: ": what was left out, at which limit, and the remedy."""
    if cut.limit == "depth":
        return f"{cut.part} at depth {cut.at}; use a larger depth"
    return f"{cut.part} at the limit of {cut.at}; use a larger limit"


def _lots(trace: Trace | OrderTrace, words: Words) -> tuple[list[Node], list[Node]]:
    if isinstance(trace, OrderTrace):
        asked = [_related(lot, Tone.ASKED, words) for lot in trace.lots]
        around: Iterable[RelatedLot] = (*trace.upstream, *trace.downstream)
    else:
        asked = [_asked(trace, words)]
        around = (*trace.packed_in, *trace.contents, *trace.upstream, *trace.downstream)
    known = {one.key for one in asked}
    return asked, [_related(lot, Tone.LOT, words) for lot in around if _key(lot.subject) not in known]


def _steps(
    transformations: Iterable[Transformation], lots: dict[str, Node], words: Words
) -> tuple[dict[str, Node], list[Link]]:
    nodes: dict[str, Node] = {}
    links: list[Link] = []
    for step in transformations:
        taken = [key for key in (_key(item.lot) for item in step.inputs) if key in lots]
        made = [key for key in (_key(item.lot) for item in step.outputs) if key in lots]
        if not taken or not made:
            continue
        key = f"step-{step.sequence}"
        nodes[key] = Node(key, (words.step(step), words.party(step.participant)), Tone.STEP)
        late = step.in_place
        links += [*(Link(lot, key, late=late) for lot in taken), *(Link(key, lot, late=late) for lot in made)]
    return nodes, links


def _packings(trace: Trace | OrderTrace, lots: dict[str, Node]) -> Iterator[Link]:
    """Links from each lot to the lot it is packed in, if the trace has both."""
    if isinstance(trace, OrderTrace):
        pairs = {lot.subject: lot.parent for lot in trace.lots}
    else:
        pairs = {lot.subject: lot.parent for lot in (*trace.packed_in, *trace.contents)}
        pairs[trace.lot.subject] = trace.lot.parent
    for lot, parent in pairs.items():
        if parent is not None and _key(parent) in lots:
            yield Link(_key(lot), _key(parent), packed=True)


def _asked(trace: Trace, words: Words) -> Node:
    lot = trace.lot
    what = words.state(lot.quantity, lot.unit, lot.state)
    latest = [one for one in trace.certificates if one.latest]
    what += "".join(words.judged(one.verdict, one.status) for one in latest)
    return Node(
        _key(lot.subject),
        (words.name(lot.identifier, lot.subject), *what.split("\n"), words.held(lot.holder)),
        Tone.ASKED,
        bad=lot.state.is_quarantined or any(_is_bad(one.verdict, one.status, lot.state) for one in latest),
        spent=lot.state is LotState.SPENT,
    )


def _related(lot: RelatedLot, tone: Tone, words: Words) -> Node:
    what = words.state(lot.quantity, lot.unit, LotState.QUARANTINED if lot.quarantined else lot.state)
    if lot.verdict is not Verdict.NONE:
        what += words.judged(lot.verdict, lot.status)
    made = () if lot.machine is None else (words.made_on(lot.machine),)
    lines = (words.name(lot.identifier, lot.subject), *what.split("\n"), words.held(lot.holder), *made)
    bad = lot.quarantined or _is_bad(lot.verdict, lot.status, lot.state)
    return Node(_key(lot.subject), lines, tone, bad=bad, spent=lot.state is LotState.SPENT)


def _is_bad(verdict: Verdict, status: CertificateStatus, state: LotState) -> bool:
    """Whether a lot's latest certificate is against it: a fail, used up or not; of what is left, also a pass that does
    not count any more for whatever reason."""
    if verdict is Verdict.FAIL or status in _WITHDRAWN:
        return True
    return state is not LotState.SPENT and status not in (CertificateStatus.NONE, CertificateStatus.VALID)


def _key(subject: bytes) -> str:
    return "0x" + subject.hex()


# Draws a genealogy as text: an indented tree, or a Graphviz document (DOT language).
#
# In the tree, a lot reached by several paths is expanded once and referred to elsewhere.

_Branches = dict[str, list[tuple[str, str]]]
"""For each lot, the next lots, each with the step or packing that leads there."""


def draw_tree(family: Family, direction: Direction) -> list[str]:
    """The lines of a tree: each traced lot with its ancestors, its descendants, or both in turn."""
    lines = [family.title]
    ways = []
    if direction is not Direction.DOWN:
        ways.append(("made from", _branches(family, up=True)))
    if direction is not Direction.UP:
        ways.append(("went into", _branches(family, up=False)))
    for title, branches in ways:
        opened: set[str] = set()
        lines += ["", title, *(line for root in family.roots for line in _walk(family, branches, root, opened))]
    return [*lines, *(["", *(f"cut off: {describe_cut(cut)}" for cut in family.cuts)] if family.cuts else [])]


def _branches(family: Family, *, up: bool) -> _Branches:
    """Links from lot to lot, labelled with the step between them."""
    ends: dict[str, list[Link]] = {}
    for link in family.links:
        ends.setdefault(link.after if up else link.before, []).append(link)
    found: _Branches = {}
    for key, node in family.nodes.items():
        if node.tone is not Tone.STEP:
            found[key] = list(_beyond(family, ends, key, up))
    return found


def _beyond(family: Family, ends: dict[str, list[Link]], key: str, up: bool) -> Iterator[tuple[str, str]]:
    for link in ends.get(key, ()):
        other = link.before if up else link.after
        if link.packed:
            yield "contains" if up else "packed in", other
        else:
            how = family.nodes[other].lines[0]
            yield from ((how, far.before if up else far.after) for far in ends.get(other, ()))


def _walk(family: Family, branches: _Branches, root: str, opened: set[str]) -> Iterator[str]:
    """Walks depth first, without recursion: a chain of lots may exceed Python's recursion limit."""
    waiting = [("", "", root, "")]
    while waiting:
        indent, elbow, key, how = waiting.pop()
        again = key in opened and bool(branches[key])
        yield f"{indent}{elbow}{_label(family, key, how)}{' (see above)' if again else ''}"
        if again:
            continue
        opened.add(key)
        inner = indent + {"": "", "├─ ": "│  ", "└─ ": "   "}[elbow]
        last = len(branches[key]) - 1
        children = [
            (inner, "└─ " if place == last else "├─ ", other, by) for place, (by, other) in enumerate(branches[key])
        ]
        waiting.extend(reversed(children))  # the last one added is visited first


def _label(family: Family, key: str, how: str) -> str:
    name, *rest = family.nodes[key].lines
    said = ", ".join(rest)
    return f"{name}: {said} [{how}]" if how else f"{name}: {said}"


_FILLS = {Tone.ASKED: "#dbe9ff", Tone.STEP: "#eef1f4"}
_STYLES = {Tone.ASKED: ",bold", Tone.STEP: ",rounded", Tone.OWN: ",bold"}


def draw_dot(family: Family) -> str:
    """The DOT document, with time from left to right. All text is quoted, so that no name can be parsed as DOT."""
    head = [
        "digraph genealogy {",
        f"  graph [rankdir=LR, label={_quote(family.title, *family.summary)}, fontname=sans];",
        "  node [shape=box, fontname=sans, fontsize=11];",
    ]
    nodes = [f"  {_node(node)}" for node in family.nodes.values()]
    links = [f"  {_link(link)}" for link in family.links]
    return "\n".join([*head, *nodes, *links, "}", ""])


def _node(node: Node) -> str:
    fill = "#ffe3dc" if node.bad else _FILLS.get(node.tone, "#ffffff")
    style = "filled" + _STYLES.get(node.tone, "") + (",dashed" if node.spent else "")
    looks = f'style="{style}", fillcolor="{fill}"' + (", peripheries=2" if node.bad else "")
    return f"{_quote(node.key)} [label={_quote(*node.lines)}, {looks}];"


def _link(link: Link) -> str:
    # constraint=false: packing must not move a lot to another rank, since ranks show the order of steps.
    looks = " [style=dashed, arrowhead=none, constraint=false]" if link.packed else ""
    return f"{_quote(link.before)} -> {_quote(link.after)}{looks};"


def _quote(*lines: str) -> str:
    """A double-quoted string of several lines. Backslashes are escaped: DOT expands \\N to the node's name."""
    return '"' + r"\n".join(_escape(line) for line in lines) + '"'


def _escape(line: str) -> str:
    shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in line)
    return shown.replace("\\", "\\\\").replace('"', '\\"')
