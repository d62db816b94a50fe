"""One-time codes: those of RFC 6238's own table, and secrets however they are written down."""

from __future__ import annotations

import pytest

from connectors.kraken import totp

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # the RFC's: the digits 1 to 0, twice


# https://datatracker.ietf.org/doc/html/rfc6238, appendix B; of its eight digits an app shows the last six
@pytest.mark.parametrize(("moment", "code"), [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
])  # fmt: skip
def test_codes_are_those_of_the_rfc(moment: float, code: str) -> None:
    assert totp.code_at(SECRET, moment) == totp.code_at(SECRET, moment // 30 * 30 + 29.9) == code[2:]


@pytest.mark.parametrize(
    "written", ["gezd gnbv gy3t qojq gezd gnbv gy3t qojq", f" {SECRET}\n", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOI="]
)
def test_a_secret_may_be_written_as_people_do(written: str) -> None:
    assert totp.key_of(written)[:19] == b"1234567890123456789"


@pytest.mark.parametrize("other", ["", " ", "GEZD1", "GEZDGN0V", "otpauth://totp/Kraken?secret=GEZDGNBV", "ä"])
def test_what_is_no_secret_is_refused(other: str) -> None:
    with pytest.raises(ValueError, match="base32"):
        totp.key_of(other)


def test_a_code_is_followed_by_another_when_its_half_minute_ends() -> None:
    left = totp.seconds_left(1111111109.5)
    codes = [totp.code_at(SECRET, 1111111109.5 + later) for later in (0, left - 0.01, left)]
    assert 0 < left <= totp.STEP
    assert codes[0] == codes[1] != codes[2]
