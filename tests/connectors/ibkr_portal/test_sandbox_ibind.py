"""Other people's client: ibind against the gateway's sandbox, unchanged but for the base URL and the certificate."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from ibind import IbkrClient
from ibind.support.errors import ExternalBrokerError

from connectors.ibkr_portal.sandbox import ACCOUNTS, Clock, Gateway, running
from tests.connectors.ibkr_portal.caller import THURSDAY_EVENING

FIRST, SECOND, _ = (account.number for account in ACCOUNTS)


class HurryingClock(Clock):
    """Six seconds pass at each look, for ibind keeps to no limits."""

    def __call__(self) -> datetime:
        self.advance(6)
        return super().__call__()


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(clock=HurryingClock(THURSDAY_EVENING))


@pytest.fixture
def ibind(gateway: Gateway) -> Iterator[IbkrClient]:
    with running(gateway) as where:
        client = IbkrClient(
            url=where.base_url, cacert=str(where.ca_file), account_id=FIRST, max_retries=0, auto_register_shutdown=False
        )
        yield client
        client.close()


def test_ibind_opens_a_session_and_brings_home_the_trades(gateway: Gateway, ibind: IbkrClient) -> None:
    gateway.log_in()
    assert ibind.check_auth_status() is False
    assert ibind.initialize_brokerage_session(compete=False).data["passed"] is True
    assert ibind.check_auth_status() is True and ibind.check_health() is True
    assert ibind.tickle().data["iserver"]["authStatus"]["authenticated"] is True
    assert ibind.validate().data["RESULT"] is True
    assert ibind.receive_brokerage_accounts().data["selectedAccount"] == FIRST
    assert ibind.trades(days="7").data == []
    found = {FIRST: ibind.trades(days="7").data}
    assert ibind.switch_account(SECOND).data == {"set": True, "acctId": SECOND}
    found[SECOND] = ibind.trades(days="7").data
    book = gateway.tell_book()["ibkr_portal"]
    for account, rows in found.items():
        ids = [row["execution_id"] for row in rows]
        assert ids == [row["exec_id"] for row in reversed(book[account])][: len(ids)] != []


def test_ibind_enriches_the_trades(gateway: Gateway, ibind: IbkrClient) -> None:
    gateway.log_in()
    ibind.initialize_brokerage_session(compete=False)
    ibind.receive_brokerage_accounts()
    ibind.trades(days="7")
    conids = sorted({str(row["conid"]) for row in ibind.trades(days="7").data})
    told = ibind.security_definition_by_conid(conids).data["secdef"]
    assert [str(row["conid"]) for row in told] == conids
    assert ibind.contract_information_by_conid(conids[0]).data["con_id"] == int(conids[0])
    assert len(ibind.portfolio_accounts().data) == 3


def test_ibind_tells_the_refusals_apart(gateway: Gateway, ibind: IbkrClient) -> None:
    with pytest.raises(ExternalBrokerError) as refused:
        ibind.tickle()
    assert refused.value.status_code == 401
    gateway.log_in()
    with pytest.raises(ExternalBrokerError, match="no bridge"):
        ibind.receive_brokerage_accounts()
    gateway.session.tws_logs_in()
    assert ibind.initialize_brokerage_session(compete=False).data["passed"] is False
    assert ibind.initialize_brokerage_session().data["passed"] is True
    assert len(gateway.session.kicked_out) == 1
    with pytest.raises(ExternalBrokerError) as refused:
        ibind.switch_account("U1")
    assert refused.value.status_code == 400
    assert ibind.reauthenticate().data == {"message": "triggered"}
    assert ibind.logout().data == {"status": True}
