"""Just enough of a Flex client to test the sandbox with; it moves the clock that its broker looks at."""

from datetime import timedelta
from xml.etree import ElementTree

import httpx

from connectors.ibkr_flex.sandbox import QUERY_ID, TOKEN
from tests.connectors.standing import Clock

SEND = "/AccountManagement/FlexWebService/SendRequest"
GET = "/AccountManagement/FlexWebService/GetStatement"


class Caller:
    """Just enough of a Flex client: it lets seven seconds pass before each call, unless told to hurry."""

    def __init__(self, base: str, clock: Clock) -> None:
        self.clock = clock
        self.http = httpx.Client(base_url=base, headers={"User-Agent": "Python/3.11"}, timeout=10)

    def call(self, path: str, *, token: str = TOKEN, v: str = "3", wait: float = 7, **params: str) -> httpx.Response:
        self.clock.pass_seconds(wait)
        return self.http.get(path, params={"t": token, "v": v, **params})

    def envelope(self, path: str, *, wait: float = 7, **params: str) -> dict[str, str]:
        reply = self.call(path, wait=wait, **params)
        assert reply.status_code == 200
        root = ElementTree.fromstring(reply.content)
        assert root.tag == "FlexStatementResponse"
        return {child.tag: child.text or "" for child in root}

    def code(self, path: str, *, wait: float = 7, **params: str) -> tuple[str, str]:
        envelope = self.envelope(path, wait=wait, **params)
        return envelope["Status"], envelope["ErrorCode"]

    def download(self, q: str = QUERY_ID, **params: str) -> ElementTree.Element:
        reference = self.envelope(SEND, wait=7, q=q, **params)["ReferenceCode"]
        root = ElementTree.fromstring(self.call(GET, q=reference).content)
        assert root.tag == "FlexQueryResponse"
        return root

    def download_all(self) -> list[ElementTree.Element]:
        """All five years of both accounts, a piece of 365 days at a time."""
        pieces, last = [], self.clock.moment.date() + timedelta(days=400)
        for _ in range(7):
            first = last - timedelta(days=364)
            envelope = self.envelope(SEND, q=QUERY_ID, fd=f"{first:%Y%m%d}", td=f"{last:%Y%m%d}")
            if envelope["Status"] == "Success":
                pieces.append(ElementTree.fromstring(self.call(GET, q=envelope["ReferenceCode"]).content))
            last = first - timedelta(days=1)
        return pieces


def trades(*roots: ElementTree.Element) -> list[dict[str, str]]:
    return [dict(trade.attrib) for root in roots for trade in root.iter("Trade")]
