"""The ledger that the Kraken sandbox tells, and the balances it ends in."""

from tests.connectors.kraken.caller import Caller


def test_the_ledger_is_filtered_by_type_asset_and_class(quiet: Caller) -> None:
    every = quiet.ledger()
    for name, values in {"type": ("deposit", "rollover"), "aclass": ("tokenized_asset",), "asset": ("KFEE",)}.items():
        for value in values:
            assert quiet.ledger(**{name: value}) == {i: row for i, row in every.items() if row[name] == value}
    bitcoin = [quiet.ledger(asset=name) for name in ("XXBT", "XBT", "btc")]
    assert bitcoin[0] and bitcoin[0] == bitcoin[1] == bitcoin[2]
    assert quiet.ledger(asset="ZEUR,ZUSD") == quiet.ledger(asset="EUR") | quiet.ledger(asset="USD")
    assert quiet.error("Ledgers", asset="MOON") == "EQuery:Unknown asset"
    assert quiet.error("Ledgers", type="gift") == "EGeneral:Invalid arguments:type"


def test_ledger_windows_obey_the_same_bounds(quiet: Caller) -> None:
    every = quiet.ledger()
    middle = int(list(every.values())[len(every) // 2]["time"])
    assert quiet.ledger(start=middle) | quiet.ledger(end=middle) == every
    assert not quiet.ledger(start=middle).keys() & quiet.ledger(end=middle).keys()


def test_ledger_rows_can_be_looked_up_twenty_at_a_time(quiet: Caller) -> None:
    page = quiet.ask("Ledgers")["ledger"]
    some = list(page)[:21]
    assert quiet.ask("QueryLedgers", id=",".join(some[:20])) == {i: page[i] for i in some[:20]}
    assert quiet.error("QueryLedgers", id=",".join(some)) == "EGeneral:Invalid arguments:id"


def test_balances_are_where_the_ledger_ends(quiet: Caller) -> None:
    ended: dict[str, str] = {}
    for row in quiet.ledger(rebase_multiplier="base").values():
        if row["balance"]:
            ended.setdefault(row["asset"], row["balance"])
    assert ended == {code: text for code, text in quiet.ask("Balance").items() if code in ended}
