"""What can go wrong at the gateway, each thing by a name: a sick server, servers of another age, sessions that limp.

A fault may be limited to one path, to the next so many calls, and may begin only after some calls. It strikes at most once a call.
"""

from __future__ import annotations

from connectors import sandbox_faults

ABORTED_AFTER = 10.0  # seconds after which the server gives a call up
LOGIN_PAGE = "/sso/Login?forwardTo=22&RL=1"

EDGE = {
    "http_503": "answers 503 with a JSON error",
    "http_503_empty": "answers 503 with nothing, after the ten seconds in which the server gave up",
    "http_500": "answers 500 with a JSON error",
    "http_401": "answers 401 although the login is good, in whatever shape a 401 has",
    "http_429": "answers 429 and puts the caller into the penalty box, though it kept to the limits",
    "error_in_200": "answers 200 with a JSON error",
    "login_page": "answers 200 with the HTML page of the login",
    "redirect_to_login": "answers 302, to the page of the login",
    "empty_body": "answers 200 with nothing",
    "hang": "answers only after `hang_seconds`",
    "truncated_json": "the call is served, and its JSON is cut in the middle",
}

OAUTH = {
    "consumer_inactive": "a signed call is answered 401 `invalid consumer`, as in the first days of a consumer key",
    "access_token_revoked": "a signed call is answered 401 `No access secret key found`",
    "one_live_session": "a new live session token ends all before it",
    "live_session_expired": "a signed call is answered 401 `Access token expired`, though its live session token is not over",
    "another_live_session": "what proves the live session token proves another one",
}

FAULTS = {
    **EDGE,
    **OAUTH,
    "unauthorized_empty": "a 401 has no body, instead of a JSON error",
    "unauthorized_text": "a 401 says `Access Denied`, instead of a JSON error",
    "init_session_first": "without a brokerage session the error is `Init session first`, instead of `no bridge`",
    "no_bridge_after_init": "for `settling_seconds` after a good init calls are still answered with `no bridge`",
    "slow_to_establish": "for `settling_seconds` after a good init `established` is false",
    "compete_false_refused": "an init that does not compete is refused even where nobody else is logged in",
    "tickle_fails": "tickle answers 200 with `failed to process request`",
    "bare_tickle": "tickle leaves out `ssoExpires`, `collission` and `userId`",
    "bare_status": "a status has no `message`, `fail`, `established` and `serverInfo`",
    "confirmed_logout": "logout answers `confirmed`, as older servers do",
    "accounts_first_500": "`Please query /accounts first` comes as a 500, instead of a 400",
    "no_accounts": "/iserver/accounts lists none",
    "all_accounts": "/iserver/accounts lists the pseudo account `All` too",
    "priming_per_account": "the first list of trades is empty after each switch of the account, not only of a session",
    "stale_trades": "the list of trades of a session is made anew only every `refresh_seconds`",
    "every_revision": "the list of trades holds the revisions of an execution side by side, the corrected one after the right one",
    "conid_with_venue": "trades have a `conid` that names the venue too, like 265598@ISLAND",
    "trades_in_object": "the list of trades comes inside an object, as `trades`",
    "items_in_object": "the list of trades comes inside an object, as `items`",
    "older_server": "trades have a `price` that is a number, a `conid` that is text, sides BOT and SLD, and fewer fields",
    "no_commissions": "no trade tells its commission",
}


class Faults(sandbox_faults.Faults):
    """The faults of this broker that are switched on."""

    __slots__ = ()
    known = FAULTS
