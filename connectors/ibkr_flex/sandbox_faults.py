"""What can go wrong at the Flex service: the codes it refuses with, and the faults that can be switched on, each by a name."""

from __future__ import annotations

SLOW_FACTOR = 10
FOREIGN_URL = "https://flex.example.net/AccountManagement/FlexWebService/GetStatement"

ERRORS = {
    "1001": "Statement could not be generated at this time. Please try again shortly.",
    "1003": "Statement is not available.",
    "1005": "Settlement data is not ready at this time. Please try again shortly.",
    "1009": "The server is under heavy load. Statement could not be generated at this time. Please try again shortly.",
    "1012": "Token has expired.",
    "1013": "IP restriction.",
    "1014": "Query is invalid.",
    "1015": "Token is invalid.",
    "1017": "Reference code is invalid.",
    "1018": "Too many requests have been made from this token. Please try again shortly.",
    "1019": "Statement generation in progress. Please try again shortly.",
    "1020": "Invalid request or unable to validate request.",
    "1025": "Query is locked after too many failed attempts. Please try again later.",
}
WARNINGS = frozenset({"1019", "1025"})

FAULTS = {
    "slow": f"a statement takes {SLOW_FACTOR} times as long to generate, answering 1019 until then",
    "warn_envelope_as_when_available": "the 1019 envelope carries Status WhenAvailable instead of Warn",
    "heavy_load_1009": "SendRequest fails with 1009",
    "generate_fail_1001": "SendRequest fails with 1001",
    "locked_1025": "SendRequest warns with 1025, query locked",
    "not_ready_1005": "GetStatement fails with 1005, settlement data not ready",
    "token_expired": "every token has expired: 1012",
    "ip_restricted_1013": "every call comes from a forbidden address: 1013",
    "html_page": "every call answers 200 with an HTML page",
    "http_503": "every call answers 503 with an HTML page",
    "empty_body": "every call answers 200 with nothing",
    "hang": "every call answers only after `hang_seconds`",
    "truncated": "a statement is cut in the middle",
    "short_range": "a statement covers only the later half of the days it should, and says so in fromDate",
    "foreign_url": "SendRequest's Url points to another host",
}
REFUSED_BY_FAULT = {
    "heavy_load_1009": "1009", "generate_fail_1001": "1001", "locked_1025": "1025", "not_ready_1005": "1005",
}  # fmt: skip
HTML = b"<!DOCTYPE html><html><head><title>Interactive Brokers</title></head><body>Scheduled maintenance</body></html>"


class Refused(Exception):
    """A rule of the service said no, with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(f"{code} {ERRORS[code]}")
        self.code = code
