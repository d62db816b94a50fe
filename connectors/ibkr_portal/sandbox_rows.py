"""How the gateway prints: trades, accounts and contracts as its replies show them.

Numbers of `size` and `net_amount` are JSON numbers without sign, prices and commissions are text; `account` is the alias, the real
number stands in `accountCode`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from connectors.ibkr_portal.sandbox_book import Account, Contract, Execution, plain
from connectors.ibkr_portal.sandbox_session import Brokerage, Session, server_info

Row = dict[str, object]
LATE_COMMISSION = timedelta(minutes=3)
OPENED = 1_609_459_200_000  # every account's first day, in milliseconds


def print_trade(trade: Execution, alias: str, *, with_commission: bool) -> Row:
    """Print an execution as a present-day server does."""
    contract = trade.contract
    verb = {"BUY": "Bot", "SELL": "Sold"}.get(trade.side, "Expired")
    price, size = plain(trade.price), plain(trade.quantity)
    routed = {"FUT": f"@{contract.exchange}", "OPT": "", "CASH": ""}.get(contract.sec_type, "")
    row: Row = {
        "execution_id": trade.exec_id,
        "symbol": contract.symbol,
        "supports_tax_opt": "1" if contract.sec_type in {"STK", "OPT"} else "0",
        "side": trade.side[0],
        "order_description": f"{verb} {size} @ {price} on {contract.exchange}",
        "trade_time": trade.at.astimezone(UTC).strftime("%Y%m%d-%H:%M:%S"),
        "trade_time_r": int(trade.at.timestamp()) * 1000,
        "size": float(trade.quantity),
        "price": price,
        "order_ref": trade.order_ref,
        "submitter": trade.submitter,
        "exchange": contract.exchange,
        "commission": plain(trade.commission) if with_commission else None,
        "net_amount": float(trade.net_amount),
        "account": alias,
        "accountCode": trade.account,
        "account_allocation_name": trade.account,
        "company_name": contract.name,
        "contract_description_1": contract.local_symbol if contract.sec_type in {"CASH", "CRYPTO"} else contract.symbol,
        "contract_description_2": contract.description,
        "sec_type": contract.sec_type,
        "listing_exchange": contract.listing_exchange,
        "conid": contract.conid,
        "conidEx": f"{contract.conid}{routed}",
        "clearing_id": "IB",
        "clearing_name": "IB",
        "liquidation_trade": "0",
        "is_event_trading": "0",
        "order_id": trade.order_id,
    }
    return {name: value for name, value in row.items() if value not in {"", None}}


def as_older_server(row: Row, price: Decimal) -> Row:
    """Print a trade as older servers did: another type here and there, fewer fields, sides as in TWS."""
    missing = {"order_id", "account_allocation_name", "is_event_trading", "supports_tax_opt"}
    kept = {name: value for name, value in row.items() if name not in missing}
    side = {"B": "BOT", "S": "SLD"}.get(str(row["side"]), row["side"])
    return {**kept, "side": side, "price": float(price), "conid": str(row["conid"])}


def with_venue(row: Row) -> Row:
    """Print the contract's id with the venue it was traded at."""
    return {**row, "conid": f"{row['conid']}@{row['exchange']}"}


def commission_is_late(trade: Execution, now: datetime) -> bool:
    """Tell of every third execution that its commission is not known in the first minutes."""
    return int(trade.root.split(".")[1], 16) % 3 == 0 and now - trade.at < LATE_COMMISSION


def print_iserver_accounts(accounts: tuple[Account, ...], session: Brokerage, *, with_all: bool) -> Row:
    numbers = [account.number for account in accounts]
    properties = {
        "hasChildAccounts": False,
        "supportsCashQty": True,
        "liteUnderPro": False,
        "noFXConv": False,
        "isProp": False,
        "supportsFractions": True,
        "allowCustomerTime": False,
        "autoFx": False,
    }
    return {
        "accounts": [*(["All"] if with_all else []), *numbers],
        "acctProps": dict.fromkeys(numbers, properties),
        "aliases": {account.number: account.alias for account in accounts},
        "allowFeatures": {
            "showGFIS": True,
            "allowFXConv": True,
            "snapshotRefreshTimeout": 30,
            "allowCrypto": True,
            "allowedAssetTypes": "STK,CFD,OPT,FOP,WAR,FUT,BAG,CASH,IND,BOND,BILL,FUND,CMDTY,CRYPTO",
        },
        "chartPeriods": {"STK": ["*"], "OPT": ["2h", "1d", "2d", "1w", "1m"], "FUT": ["*"], "CASH": ["*"]},
        "groups": [],
        "profiles": [],
        "selectedAccount": session.selected,
        "serverInfo": server_info(session),
        "sessionId": f"{0x5E55_0000 + session.number:08x}.{int(session.started_at.timestamp()):08x}",
        "isFT": False,
        "isPaper": False,
    }


def print_validation(user_id: int, user_name: str, address: str, session: Session, now: datetime) -> Row:
    return {
        "USER_ID": user_id,
        "USER_NAME": user_name,
        "RESULT": True,
        "AUTH_TIME": int(session.logged_in_at.timestamp() * 1000),
        "SF_ENABLED": False,
        "IS_FREE_TRIAL": False,
        "CREDENTIAL": user_name,
        "IP": address,
        "EXPIRES": session.sso_expires(now),
        "QUALIFIED_FOR_MOBILE_AUTH": None,
        "LANDING_APP": "UNIVERSAL",
        "IS_MASTER": False,
        "lastAccessed": int(now.timestamp() * 1000),
        "loginType": 1,
        "PAPER_USER_NAME": "",
        "features": {"env": "PROD", "wlms": True, "realtime": True, "bond": True, "optionChains": True},
        "region": "NJ",
    }


def print_portfolio_account(account: Account) -> Row:
    return {
        "id": account.number,
        "PrepaidCrypto-Z": False,
        "PrepaidCrypto-P": False,
        "brokerageAccess": True,
        "accountId": account.number,
        "accountVan": account.number,
        "accountTitle": "Sandbox Customer",
        "displayName": account.alias or "Sandbox Customer",
        "accountAlias": account.alias or None,
        "accountStatus": OPENED,
        "currency": account.currency,
        "type": "INDIVIDUAL",
        "tradingType": "STKNOPT",
        "businessType": "INDEPENDENT",
        "category": "",
        "ibEntity": "IBLLC-US",
        "faclient": False,
        "clearingStatus": "O",
        "covestor": False,
        "noClientTrading": False,
        "trackVirtualFXPortfolio": False,
        "acctCustType": "INDIVIDUAL",
        "parent": {"mmc": [], "accountId": "", "isMParent": False, "isMChild": False, "isMultiplex": False},
        "desc": account.number,
    }


def print_secdef(contract: Contract) -> Row:
    """Print a contract as /trsrv/secdef does: a strike that is text, and a multiplier of 0.0 where there is none."""
    return {
        "conid": contract.conid,
        "currency": contract.currency,
        "name": contract.name,
        "assetClass": contract.sec_type,
        "expiry": f"{contract.expiry:%Y%m%d}" if contract.expiry else None,
        "lastTradingDay": f"{contract.expiry:%Y%m%d}" if contract.expiry else None,
        "group": None,
        "putOrCall": contract.put_call or None,
        "sector": None,
        "sectorGroup": None,
        "strike": plain(contract.strike) if contract.strike is not None else "0",
        "ticker": contract.symbol,
        "undConid": contract.underlying,
        "multiplier": 0.0 if contract.multiplier == 1 else float(contract.multiplier),
        "type": "COMMON" if contract.sec_type == "STK" else None,
        "hasOptions": contract.sec_type == "STK",
        "fullName": f"{contract.symbol} {contract.description}".strip(),
        "isUS": contract.currency == "USD",
        "isEventContract": False,
        "listingExchange": contract.listing_exchange or contract.exchange,
        "countryCode": "US",
    }


def print_contract_info(contract: Contract) -> Row:
    return {
        "cfi_code": "",
        "symbol": contract.symbol,
        "cusip": None,
        "expiry_full": f"{contract.expiry:%Y%m}" if contract.expiry else None,
        "con_id": contract.conid,
        "maturity_date": f"{contract.expiry:%Y%m%d}" if contract.expiry else None,
        "instrument_type": contract.sec_type,
        "has_related_contracts": True,
        "trading_class": contract.symbol,
        "valid_exchanges": f"SMART,{contract.exchange}",
        "allow_sell_long": False,
        "is_zero_commission_security": False,
        "local_symbol": contract.local_symbol,
        "contract_clarification_type": None,
        "classifier": None,
        "currency": contract.currency,
        "text": None,
        "underlying_con_id": contract.underlying,
        "r_t_h": True,
        "multiplier": None if contract.multiplier == 1 else plain(contract.multiplier),
        "underlying_issuer": None,
        "contract_month": f"{contract.expiry:%Y%m}" if contract.expiry else None,
        "company_name": contract.name,
        "smart_available": contract.sec_type == "STK",
        "exchange": contract.exchange,
    }
