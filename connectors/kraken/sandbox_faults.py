"""What can go wrong at Kraken, each thing by a name: error strings on demand, a sick edge, pages that lie, exports that never end.

A fault may be limited to one method, to the next so many calls, and may begin only after some calls.
It strikes at most once a call.
"""

from __future__ import annotations

from connectors import sandbox_faults

ERRORS = {
    "rate_limit_exceeded": "EAPI:Rate limit exceeded",
    "throttled": "EService:Throttled: {until}",
    "throttled_with_blank": "EService: Throttled: {until}",
    "unavailable": "EService:Unavailable",
    "busy": "EService:Busy",
    "deadline_elapsed": "EService:Deadline elapsed",
    "internal_error": "EGeneral:Internal error",
    "internal_error_with_code": "EGeneral:Internal error:41f2",
    "database_error": "EDatabase:Internal error",
    "cancel_only": "EService:Market in cancel_only mode",
    "post_only": "EService:Market in post_only mode",
    "invalid_nonce": "EAPI:Invalid nonce",
    "invalid_key": "EAPI:Invalid key",
    "invalid_signature": "EAPI:Invalid signature",
    "permission_denied": "EGeneral:Permission denied",
    "invalid_permissions": "EAccount:Invalid permissions",
    "temporary_lockout": "EGeneral:Temporary lockout",
    "auth_rate_limit_exceeded": "EAuth:Rate limit exceeded",
    "auth_too_many_requests": "EAuth:Too many requests",
    "too_many_requests": "EGeneral:Too many requests",
    "account_disabled": "EAuth:Account temporary disabled",
    "account_unconfirmed": "EAuth:Account unconfirmed",
    "auth_failed": "EAuth:Failed",
    "unknown_pair": "EQuery:Unknown asset pair",
    "unknown_asset": "EQuery:Unknown asset",
    "invalid_arguments": "EGeneral:Invalid arguments",
    "invalid_arguments_named": "EGeneral:Invalid arguments:ofs",
    "unknown_method": "EGeneral:Unknown method",
    "invalid_request": "ETrade:Invalid request",
    "bad_request": "EAPI:Bad request",
    "unknown_error": "ELunar:Eclipse in progress",
}

EDGE_STATUS = {f"http_{status}": status for status in (502, 503, 504, 520, 522, 524, 525)}

FAULTS = {
    **{name: f"answers the error {text!r}, after the rules of admission" for name, text in ERRORS.items()},
    **{name: f"the edge answers {status} with Cloudflare's HTML page" for name, status in EDGE_STATUS.items()},
    "html_page": "the edge answers 200 with an HTML page",
    "empty_body": "the call is served, and answers 200 with nothing",
    "truncated_json": "the call is served, and its JSON is cut in the middle",
    "hang": "the call is served, and answers only after `hang_seconds`",
    "warning": "a `W` string stands beside a valid result",
    "count_too_small": "`count` is 7 less than the rows there are",
    "count_too_large": "`count` is 7 more than the rows there are",
    "early_empty_page": "a page with `ofs` above 0 is empty, whatever `count` says",
    "withheld": "one row in 17 is left out of its page in the first walk over a window, and `count` counts it",
    "hidden": "one row in 17 is left out in the first walk over a window, and neither pages nor `count` know it",
    "shuffled": "the rows of a page come in no order",
    "old_fields": "trades lack `trade_id`, `maker`, `leverage` and `aclass`, as older replies do",
    "late": "a row shows only `late_seconds` after its time",
    "export_stuck": "an export is never Processed",
    "export_hides_trades": "an export of trades lacks one in 17, those that `hidden` leaves out of pages",
    "export_short": "an export lacks its last row in ten",
    "zip_bomb": "RetrieveExport's zip grows to `bomb_megabytes` when unpacked",
    "zip_traversal": "RetrieveExport's zip holds a member whose name climbs out of its folder",
    "zip_two_members": "RetrieveExport's zip holds a README beside the report",
    "zip_broken": "RetrieveExport's zip is cut in the middle",
}


class Refused(Exception):
    """A rule of Kraken's said no, in these words; or a fault did, and then it is named."""

    def __init__(self, error: str, fault: str | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.fault = fault


class Faults(sandbox_faults.Faults):
    """The faults of this broker that are switched on."""

    __slots__ = ()
    known = FAULTS
