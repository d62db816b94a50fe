"""A long statement is parsed in parts; nobody can tell."""

from collections.abc import Sequence

import pytest

from connectors.errors import ContractViolation
from connectors.ibkr_flex.parts import PART_BYTES, outline
from connectors.ibkr_flex.statement import read_statement

WIDE = "x" * (1 << 20)  # rows of a megabyte: few of them make a long statement
ENOUGH = 3 * (PART_BYTES >> 20)  # of them, to be cut wherever there are several processors


def trade(number: int, padding: str = WIDE) -> str:
    """Write a row that is known by its number."""
    return f'<Trade symbol="S{number}" quantity="{number}" model="{padding}" levelOfDetail="EXECUTION"/>'


def statement(account: str, rows: Sequence[str]) -> str:
    """Write a statement of some rows."""
    trades = f"<Trades>{''.join(rows)}</Trades>" if rows else ""
    return f'<FlexStatement accountId="{account}" fromDate="20260102" toDate="20260105">{trades}</FlexStatement>'


def reply(*statements: str) -> bytes:
    """Write a whole reply."""
    told = f'<FlexStatements count="{len(statements)}">{"".join(statements)}</FlexStatements>'
    return f'<FlexQueryResponse type="AF">{told}</FlexQueryResponse>'.encode()


@pytest.mark.parametrize("sizes", [(ENOUGH,), (1, 0, ENOUGH - 1), (ENOUGH // 2, 2, ENOUGH // 2), (ENOUGH, 0)])
def test_each_row_is_read_once_and_belongs_to_its_statement(sizes: tuple[int, ...]) -> None:
    """Whichever statements a part begins and ends in."""
    owners = [place for place, size in enumerate(sizes) for _ in range(size)]
    rows = [trade(number) for number in range(len(owners))]
    body = reply(
        *(
            statement(f"U{place}", [row for row, owner in zip(rows, owners, strict=True) if owner == place])
            for place in range(len(sizes))
        )
    )
    read = read_statement(body)
    assert read.kind == "AF"
    assert read.headers["accountId"].to_list() == [f"U{place}" for place in range(len(sizes))]
    assert read.headers["statement"].to_list() == list(range(len(sizes)))
    assert read.trades["symbol"].to_list() == [f"S{number}" for number in range(len(owners))]
    assert read.trades["statement"].to_list() == owners
    assert read.trades["raw_row"].to_list() == list(range(len(owners)))
    assert read.holds_section == [size > 0 for size in sizes]


def test_what_only_looks_like_a_row_is_none() -> None:
    """A comment, or text of another kind, may hold the tag of a row just where a part would begin."""
    commented = f"<!-- {''.join(trade(900 + number) for number in range(ENOUGH))} -->"
    quoted = f"<![CDATA[{''.join(trade(700 + number) for number in range(ENOUGH))}]]>"
    for odd in (commented, quoted):
        read = read_statement(reply(statement("U1", [trade(1), odd, trade(2)])))
        assert read.trades["symbol"].to_list() == ["S1", "S2"]


def test_what_is_broken_in_one_part_is_broken() -> None:
    """No rows of the other parts are given."""
    rows = [trade(number) for number in range(ENOUGH)]
    for place in (0, ENOUGH - 1):
        broken = [*rows]
        broken[place] = trade(place).replace("/>", "></Order>")
        with pytest.raises(ContractViolation, match="broken"):
            read_statement(reply(statement("U1", broken)))


def test_an_outline_says_what_a_position_is_inside_of() -> None:
    """Before the first statement, among its trades, behind them, in the next."""
    body = reply(statement("U1", [trade(1, "")]), statement("U2", [trade(2, "")]))
    along = outline(body)
    first, second = (body.find(f'<Trade symbol="S{number}"'.encode()) for number in (1, 2))
    assert along.at(first) == (0, True)
    assert along.at(second) == (1, True)
    assert along.at(body.find(b"</FlexStatement>")) == (0, False)
    assert along.at(0) == (-1, False)
