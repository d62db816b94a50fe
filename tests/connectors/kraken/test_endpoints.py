"""Kraken's requests as they go over the wire: signed as Kraken's own example is, and showing no secret."""

from __future__ import annotations

import pytest

from connectors.kraken import endpoints, totp
from connectors.kraken.endpoints import Credentials

# https://docs.kraken.com/api/docs/guides/spot-rest-auth
SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
BODY = b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
SIGNED = "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
KEY = "canary-key-0000"
OTP = "canary-otp-0000"
TOTP_SECRET = "GEZDGNBVGY3TQOJQ"


def test_the_signature_is_that_of_krakens_own_example() -> None:
    assert endpoints.signature("/0/private/AddOrder", 1616492376594, BODY, SECRET) == SIGNED


def test_a_private_request_is_signed_over_the_very_bytes_that_are_sent() -> None:
    request = endpoints.trades_history(Credentials(KEY, SECRET, OTP), 1, 2, 50)
    assert request.signed is not None
    sent = request.signed(17, 0.0)
    assert sent.body == (
        b"nonce=17&start=1&end=2&ofs=50&consolidate_taker=false&rebase_multiplier=base&otp=canary-otp-0000"
    )
    assert sent.params == {}
    assert sent.headers["API-Key"] == KEY
    assert sent.headers["API-Sign"] == endpoints.signature("/0/private/TradesHistory", 17, sent.body, SECRET)


def test_a_one_time_code_is_that_of_the_moment_of_sending() -> None:
    request = endpoints.ledgers(Credentials(KEY, SECRET, totp_secret=TOTP_SECRET), 1, 2, 0)
    assert request.signed is not None
    for moment in (59.0, 1111111109.5):
        code = totp.code_at(TOTP_SECRET, moment)
        assert request.signed(17, moment).body.endswith(f"&otp={code}".encode())


@pytest.mark.parametrize(("otp", "totp_secret"), [(OTP, ""), ("", TOTP_SECRET)])
def test_what_is_landed_and_shown_holds_no_secret(otp: str, totp_secret: str) -> None:
    credentials = Credentials(KEY, SECRET, otp, totp_secret=totp_secret)
    request = endpoints.ledgers(credentials, 1, 2, 0)
    assert request.signed is not None
    for shown in (
        repr(credentials),
        str(request),
        repr(request),
        repr(request.signed(17, 0.0)),
        str(request.masked_params()),
    ):
        assert KEY not in shown
        assert SECRET not in shown
        assert (otp or totp_secret) not in shown
    assert KEY not in endpoints.pace_key(credentials)


def test_a_secret_that_cannot_be_one_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="88 characters"):
        Credentials(KEY, "not base64!")
    with pytest.raises(ValueError, match="not both"):
        Credentials(KEY, SECRET, OTP, totp_secret=TOTP_SECRET)
    with pytest.raises(ValueError, match="base32") as told:
        Credentials(KEY, SECRET, totp_secret="canary-0000")
    assert "canary" not in str(told.value)
