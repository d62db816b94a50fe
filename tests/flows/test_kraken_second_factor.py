"""A key whose second factor is an authenticator app: a code with each request, another where one is not taken again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.errors import AuthRequired
from connectors.kraken import totp
from connectors.kraken.sandbox import API_SECRET, TOTP_KEY, TOTP_SECRET, Key
from flows import connections, talk
from tests.connectors.kraken.desk import Desk, desk


def with_app(at: Desk, secret: str = TOTP_SECRET) -> Desk:
    at.credentials = replace(at.credentials, totp_secret=secret)
    return at


def test_a_history_comes_home_with_a_code_for_each_request(tmp_path: Path) -> None:
    with desk(tmp_path, key=TOTP_KEY, trades=300, years=1) as at:
        until = at.now
        with_app(at).bring(at.everything())
        assert at.executions() == at.book(until)
        assert [call.error for call in at.broker.log if call.error] == []
        landed = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
        assert TOTP_SECRET.encode() not in landed
        codes = {totp.code_at(TOTP_SECRET, call.at.timestamp()) for call in at.broker.log}
        assert not any(f"otp={code}".encode() in landed for code in codes)


def test_the_codes_are_those_of_krakens_clock(tmp_path: Path) -> None:
    with desk(tmp_path, key=TOTP_KEY, trades=60, years=1) as at:
        theirs = at.clock
        ours = with_app(at)
        at.broker.clock = lambda: theirs() + timedelta(minutes=7)
        assert ours.ask(at.everything()).error is None


def test_where_a_code_is_not_taken_again_the_next_is_waited_for(tmp_path: Path) -> None:
    with desk(tmp_path, key=TOTP_KEY, trades=300, years=1) as at:
        at.broker.keys[TOTP_KEY] = Key(API_SECRET, "pro", totp_secret=TOTP_SECRET, takes_codes_once=True)
        until = at.now
        fetched = with_app(at).ask(at.everything())
        assert fetched.error is None
        at.load(fetched)
        assert at.executions() == at.book(until)
        refused = [call.error for call in at.broker.log if call.error]
        assert refused == ["EAPI:Invalid signature"]
        served = [int(call.at.timestamp()) // totp.STEP for call in at.broker.log if not call.error]
        assert len(served) == len(set(served))


def test_a_wrong_secret_is_tried_with_two_codes_and_no_more(tmp_path: Path) -> None:
    with desk(tmp_path, key=TOTP_KEY, trades=60, years=1) as at:
        error = with_app(at, "GEZDGNBVGY3TQOJQ").ask(at.everything()).error
        assert isinstance(error, AuthRequired)
        assert "second factor" in str(error)
        assert len(at.broker.log) == 2


@pytest.mark.parametrize("about", [None, talk.About.SETUP])
def test_a_key_whose_second_factor_is_missing_is_not_tried_twice(about: talk.About | None, tmp_path: Path) -> None:
    with desk(tmp_path, key=TOTP_KEY, trades=60, years=1) as at:
        topic = about or talk.Question(at.everything())
        error = talk.fetch(
            at.home, "kraken", "kraken", at.credentials, topic, "run", flow="f", clock=at.clock, sleep=at.clock.sleep
        ).error
        assert isinstance(error, AuthRequired)
        assert len(at.broker.log) == 1


@pytest.mark.parametrize(("name", "said"), [("OTP", "not both"), ("TOTP_SECRET", "base32")])
def test_a_setting_that_will_not_do_is_told_without_the_secret(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for setting, value in {
        "KEY": "key",
        "SECRET": API_SECRET,
        "TOTP_SECRET": "jbsw y3dp ehpk 3pxp",
    }.items():
        monkeypatch.setenv(f"FILLHOUSE_KRAKEN_{setting}", value)
    [connection] = connections.from_environment()
    assert connection.credentials.totp_secret == "jbsw y3dp ehpk 3pxp"
    monkeypatch.setenv(f"FILLHOUSE_KRAKEN_{name}", "canary-0000")
    with pytest.raises(connections.NotConfigured, match=said) as told:
        connections.from_environment()
    assert "canary" not in str(told.value)
