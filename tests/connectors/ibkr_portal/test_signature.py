"""What is signed and how it is escaped: the specification's own example, and a library that knows it as the judge."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from oauthlib.oauth1.rfc5849 import signature as judge
from oauthlib.oauth1.rfc5849 import utils

from connectors.ibkr_portal.signature import authorization, base_string, escaped

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PAIRS = st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=8, unique_by=lambda pair: pair[0])
ADDRESSES = st.builds(
    "{}://{}{}/v1/api{}".format,
    st.sampled_from(["http", "https", "HTTPS"]),
    st.sampled_from(["api.ibkr.com", "API.ibkr.com", "127.0.0.1"]),
    st.sampled_from(["", ":80", ":443", ":5000"]),
    st.sampled_from(["", "/", "/iserver/account/trades", "/iserver/contract/26%205598/info"]),
)


def test_the_base_string_is_that_of_the_specifications_example() -> None:
    """Section 3.4.1.1, with the parameters of its body among the pairs, as its form has them."""
    pairs = [
        ("b5", "=%3D"), ("a3", "a"), ("c@", ""), ("a2", "r b"), ("oauth_consumer_key", "9djdj82h48djs9d2"),
        ("oauth_token", "kkk9d7dh3k39sjv7"), ("oauth_signature_method", "HMAC-SHA1"), ("oauth_timestamp", "137131201"),
        ("oauth_nonce", "7d8f3e4a"), ("c2", ""), ("a3", "2 q"),
    ]  # fmt: skip
    assert base_string("post", "http://EXAMPLE.COM:80/request", pairs) == (
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26"
        "oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26"
        "oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
    )


@given(st.sampled_from(["GET", "POST", "get"]), ADDRESSES, PAIRS)
def test_the_base_string_is_the_one_a_library_makes(method: str, url: str, pairs: list[tuple[str, str]]) -> None:
    normalised = judge.normalize_parameters(pairs)
    assert base_string(method, url, pairs) == judge.signature_base_string(
        method, judge.base_string_uri(url), normalised
    )


@given(TEXT)
def test_a_text_is_escaped_as_a_library_does(text: str) -> None:
    assert escaped(text) == utils.escape(text)


@given(PAIRS)
def test_a_header_is_read_back(pairs: list[tuple[str, str]]) -> None:
    said = {f"x{quote(name, safe='')}": value for name, value in pairs}
    told = dict(utils.parse_authorization_header(authorization("limited_poa", said)))
    assert {utils.unescape(name): utils.unescape(value) for name, value in told.items()} == {
        "realm": "limited_poa", **said,
    }  # fmt: skip
