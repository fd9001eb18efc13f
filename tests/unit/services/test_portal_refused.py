"""Why somebody is not let in is said in the page's language; what others wrote stays as it is."""

from __future__ import annotations

import re

import pytest

from ledger.errors import InputError
from services.access.grounds import Ground, read_ground
from services.access.people.openid import ProviderError
from services.portal.language import Language, read_catalogues
from services.portal.refused import say_error

CATALOGUES = read_catalogues()


@pytest.mark.parametrize("ground", Ground, ids=lambda ground: ground.name)
def test_each_ground_is_recognised_and_has_words(ground: Ground) -> None:
    cause = ground.write("<b>7")
    assert read_ground(cause) == (ground, "<b>7" if "{value}" in ground.value else "")
    told = say_error(CATALOGUES[Language.ZH], InputError(cause, hint="load the page again"))
    assert re.search("[\u4e00-\u9fff]", told)
    assert "load the page" not in told
    assert "<b>" not in told
    words = CATALOGUES[Language.ZH].say(f"ground.{ground.name.lower()}")
    assert ("{value}" in words) is ("{value}" in ground.value)


def test_an_error_of_another_kind_keeps_its_words() -> None:
    told = say_error(CATALOGUES[Language.ZH], InputError("no <such> thing", hint="look"))
    assert told == '<span lang="en" translate="no">no &lt;such&gt; thing; look</span>'


def test_what_is_wrong_at_the_provider_follows_after_what_to_do() -> None:
    error = ProviderError("the provider gave no ID token")
    told = say_error(CATALOGUES[Language.ZH], error)
    assert told.startswith(CATALOGUES[Language.ZH].say("problem.provider-failed"))
    assert told.endswith('<span lang="en" translate="no">the provider gave no ID token</span>')
