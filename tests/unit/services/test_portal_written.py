"""What this product wrote is said in the page's language; what others wrote stays as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Formatter

import pytest
from markupsafe import Markup, escape

from millmark.ledger.errors import (
    ChainUnreachableError,
    ContractRefusedError,
    InputError,
    MillmarkError,
    NotFoundError,
    OutboxOlderError,
    PlanRefusedError,
)
from millmark.ledger.phrases import Phrase
from millmark.ledger.plans.call import OfferGround
from millmark.ledger.plans.feasible import PlanBreach, PlanRule, refuse
from millmark.services.access.errors import Ground
from millmark.services.gateway.http.problems import NoSignerError, TryLaterError
from millmark.services.planning.calendar import EntryFault, parse_calendar
from millmark.services.planning.errors import CalendarError, CallRefusedError, PlanningGround
from millmark.services.planning.feedback.causes import Sentence
from millmark.services.portal.pages import (
    GROUNDS,
    SENTENCES,
    read_catalogues,
    say_error,
    say_failure,
    say_written,
)
from tests.support.english_words import find_english

PLANS = json.loads((Path(__file__).parents[2] / "vectors" / "plans.json").read_text("utf-8"))
CATALOGUES = read_catalogues()
ZH = CATALOGUES["zh"]
PHRASES = [one for kind in (*GROUNDS, *SENTENCES) for one in kind]


def said(text: str, language: str = "zh") -> Markup:
    return say_written(CATALOGUES[language], text)


def refused(error: InputError | str) -> Markup:
    return say_error(ZH, error)


def all_errors(root: type[MillmarkError] = MillmarkError) -> list[type[MillmarkError]]:
    return [root, *(one for kind in root.__subclasses__() for one in all_errors(kind))]


def plain(found: Markup) -> str:
    return re.sub(r"<[^>]+>", "", found)


def fields_of(template: str) -> dict[str, str]:
    """Names and formats."""
    return {name: form or "" for _, name, form, _ in Formatter().parse(template) if name}


def sample(phrase: Phrase) -> dict[str, str]:
    """Values that a phrase may have: of text, what would be markup."""
    nested = {"why": OfferGround.NO_SUCH_WORK.write(need="<b>"), "kind": "drift"}
    forms = {"d": "7", "s": "<b>"}
    return {name: nested.get(name) or forms.get(form, "<b> x") for name, form in fields_of(phrase.value).items()}


def write(phrase: Phrase, values: dict[str, str]) -> str:
    fields = fields_of(phrase.value)
    return phrase.write(**{name: int(value) if fields[name] == "d" else value for name, value in values.items()})


@pytest.mark.parametrize("phrase", PHRASES, ids=str)
def test_each_phrase_is_recognised_and_has_words_in_each_language(phrase: Phrase) -> None:
    values = sample(phrase)
    text = write(phrase, values)
    assert type(phrase).find(text) == (phrase, values)
    beginning = "ground" if type(phrase) in GROUNDS else "written"
    for catalogue in CATALOGUES.values():
        words = catalogue.say(f"{beginning}.{phrase.name.lower()}")
        assert values.keys() - fields_of(words).keys() <= {"words"}, "another program's, which pages may leave out"
        assert fields_of(words).keys() <= values.keys()
    found = refused(text)
    assert re.search("[\u4e00-\u9fff]", plain(found))
    assert "<b>" not in found


def test_no_two_phrases_have_one_name_or_are_taken_for_each_other() -> None:
    for kinds in (GROUNDS, SENTENCES):
        names = [one.name for kind in kinds for one in kind]
        assert len(set(names)) == len(names)
    for one in PHRASES:
        text = write(one, sample(one))
        first = next(found[0] for kind in (*GROUNDS, *SENTENCES) if (found := kind.find(text)) is not None)
        assert first is one


@pytest.mark.parametrize("sentence", Sentence, ids=lambda sentence: sentence.name)
def test_a_sentence_is_said_in_english_as_it_was_written(sentence: Sentence) -> None:
    text = write(sentence, sample(sentence))
    found = plain(said(text, "en")).replace("&lt;", "<").replace("&gt;", ">")
    assert found.replace("’", "'") == text.replace("drift:", "A drift alarm:")


def test_a_sentence_within_another_is_said_too() -> None:
    cause = Sentence.WITHDREW.write(cause=Sentence.FAILED.write(certificate=36))
    assert plain(said(cause)) == "其所有者撤回了报价：证书 36 判定其制品不合格"
    assert plain(said(Sentence.ACCEPTED.write())) == "操作员已接受"
    made = Sentence.IMPOSSIBLE.write(error=PlanningGround.NOT_FOUND.write())
    assert plain(said(made)).startswith("无法制定计划：根据这些报价未找到计划")


@pytest.mark.parametrize(
    "words", ["this value is not accepted", "20 °C were refused: hot", "3 offers withdrawn", "no plan is possible: hot"]
)
def test_a_reason_stays_as_a_person_wrote_it(words: str) -> None:
    assert plain(said(Sentence.REFUSED.write(reason=words))) == f"操作员已拒绝：{words}"
    assert plain(said(f"spare part: {words}")) == f"spare part: {words}"
    assert plain(said(Sentence.IMPOSSIBLE.write(error=words))).startswith("无法制定计划：")


@pytest.mark.parametrize(
    "words", ["nothing is chosen", "calendar.toml is missing", "withdrawn", "machine 3 is withdrawn"]
)
def test_what_a_person_wrote_is_no_ground(words: str) -> None:
    assert plain(said(words)) == words


def test_what_others_wrote_stays_as_it_is() -> None:
    assert said("<b>3</b> offers") == '<span translate="no">&lt;b&gt;3&lt;/b&gt; offers</span>'
    assert refused("it is gone") == '<span lang="en" translate="no">it is gone</span>'
    found = said(Sentence.IMPOSSIBLE.write(error="<no> offers"))
    assert found == '无法制定计划：<span lang="en" translate="no">&lt;no&gt; offers</span>'
    unknown = InputError("no <such> thing", hint="look")
    assert refused(unknown) == '所填内容无法使用： <span lang="en" translate="no">no &lt;such&gt; thing; look</span>'
    assert "lang" in refused("machine 3 has no such door"), "it begins like a ground"


def test_what_to_do_is_said_for_pages_and_not_for_commands() -> None:
    hint = "load the page again"
    for ground in (Ground.STALE, PlanningGround.CALL_OPEN):
        told = refused(InputError(ground.write(), hint=hint))
        assert "。请" in told or "，请" in told
        assert hint not in told
    kept = str(CallRefusedError(PlanningGround.MAKING.write(), hint="wait until it is done"))
    assert plain(refused(kept)) == "正在制定另一个计划，请等待完成。", "as the text that is kept of an attempt"


def test_what_a_ground_names_is_said_too() -> None:
    order = "urn:example:shaft"
    placed = PlanningGround.ORDER_STATE.write(order=order, state="in production")
    assert plain(refused(placed)).startswith(f"订单 {order} 的状态为“生产中”。")
    assert plain(refused(PlanningGround.NO_NUMBER.write(field="slot", least=1, most=1440))) == (
        "“时段长度（分钟）”须为 1 至 1440 的整数。"
    )
    reasons = "; ".join(
        PlanningGround.MACHINE_UNFIT.write(machine=machine, why=why)
        for machine, why in ((3, PlanningGround.BUSY.write()), (4, OfferGround.NO_SUCH_WORK.write(need="turning")))
    )
    line = PlanningGround.NO_OFFER.write(operation=1, order="0x11...", reasons=reasons)
    assert plain(refused(line)) == "订单 0x11... 的工序 1 没有报价：设备 3 没有时间；设备 4 不能做 turning。"
    price = PlanningGround.IN_PLACE.write(field="price", one="899", two="900")
    row = PlanningGround.NOT_AS_OFFERED.write(assignment=131, difference=price)
    assert plain(refused(row)) == "派工 131 与报价不符：价格为 899，而非 900。请拒绝。"


def test_a_contracts_refusal_is_said_by_its_name() -> None:
    told = ContractRefusedError("LotForeign", {"lot": b"\x11" * 32}, hint="take custody first")
    for one in (told, str(told), "LotForeign(lot=0x11)"):
        assert say_error(ZH, one) == ZH.say("refusal.LotForeign")
    assert plain(say_error(ZH, ContractRefusedError("Unheard", {}))) == "合约已拒绝： Unheard()"


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: str(kind.__name__))
def test_what_kind_an_error_is_of_comes_before_its_english_words(kind: type[MillmarkError]) -> None:
    error = kind.__new__(kind)
    MillmarkError.__init__(error, "it is <so>")
    told = say_error(ZH, error)
    assert re.match("[\u4e00-\u9fff]", told)
    assert told.endswith(' <span lang="en" translate="no">it is &lt;so&gt;</span>')


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("proofs-busy", "正在生成多份证明，请几秒后重新打开页面。"),
        ("thread-ended", "网关的 millmark-&lt;funds&gt; 部分已终止。请重新启动网关，并报告其日志。"),
        ("never-heard-of", "millmark-&lt;funds&gt; 发生故障，详情见网关的日志。"),
    ],
)
def test_what_does_not_work_is_said_by_its_code(code: str, says: str) -> None:
    assert plain(say_failure(ZH, code, "millmark-<funds>")) == says


@pytest.mark.parametrize(
    "error",
    [
        TryLaterError("the outbox is being compared with the ledger", retry_after_s=1),
        NoSignerError("the gateway's key signs for participant 3"),
        OutboxOlderError("the outbox lacks records"),
        ChainUnreachableError("no answer"),
        NotFoundError("no machine"),
    ],
    ids=lambda error: str(error.code),
)
def test_what_kept_a_record_from_being_made_has_words_before_its_own(error: MillmarkError) -> None:
    told = say_error(ZH, error)
    assert told == f'{ZH.say(f"problem.{error.code}")} <span lang="en" translate="no">{escape(str(error))}</span>'


@pytest.mark.parametrize(
    "line", [one["line"] for one in PLANS["refused"] if one["rule"] != "form"], ids=lambda line: str(line)[:40]
)
def test_whatever_a_plan_breaks_a_rule_by_is_said(line: str) -> None:
    assert re.search("[\u4e00-\u9fff]", plain(refused(line)))
    assert find_english(refused(line)) == []


def test_the_row_that_breaks_a_rule_is_named_and_its_order_shortened() -> None:
    with pytest.raises(PlanRefusedError) as caught:
        refuse(
            PlanRule.WINDOW, PlanBreach.FIGURE_NOT_OFFERED.write(field="Wh", stated=501, offered=500), (b"\x11" * 32, 1)
        )
    told = say_error(ZH, caught.value)
    assert plain(told) == "订单 0x11111111…111111 的工序 2（规则 window）：能耗（Wh）为 501，而报价为 500。"
    assert f'title="0x{"11" * 32}"' in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time_zone = 5", "calendar.toml 的条目 time_zone 不能使用：不是文本。允许的内容见 CALLS.md。"),
        ("windows = 0", "calendar.toml 的条目 windows 不能使用：小于 1。允许的内容见 CALLS.md。"),
        ("most_starts = 2.5", "calendar.toml 的条目 most_starts 不能使用：不是整数。允许的内容见 CALLS.md。"),
        ("unit =\n", "无法读取 calendar.toml：第 1 行第 7 列不是有效的 TOML。请更正该文件。"),
        ('unit = "EUR', "无法读取 calendar.toml：其末尾不是有效的 TOML。请更正该文件。"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named_with_its_fault(text: str, says: str) -> None:
    good = "" if "unit" in text else 'time_zone = "UTC"\nunit = "EUR"\n'
    with pytest.raises(CalendarError) as caught:
        parse_calendar((text if "zone" in text else good + text).encode())
    told = refused(caught.value)
    assert plain(told) == says
    assert find_english(told) == []


def test_whatever_else_a_model_refuses_is_said_to_be_unfit() -> None:
    fault = EntryFault.ENTRY_UNFIT.write(words="Input should be a finite number")
    told = refused(PlanningGround.FILE_ENTRY.write(file="objective", place="order.0", why=fault))
    assert plain(told) == "objective.toml 的条目 order.0 不能使用：其值不符合要求。允许的内容见 CALLS.md。"
    assert find_english(told) == []


@pytest.mark.parametrize("rule", PlanRule)
def test_each_rule_of_a_plan_has_words(rule: PlanRule) -> None:
    assert all(catalogue.knows(f"plan.rule.{rule.value}") for catalogue in CATALOGUES.values())
