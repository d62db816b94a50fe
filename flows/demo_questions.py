"""What the demonstration asks of the warehouse, in SQL."""

from __future__ import annotations

BLOTTER = """
select
    coalesce(strftime(transact_time, '%m-%d %H:%M'), strftime(book_date, '%m-%d')) as "time (UTC)",
    account,
    symbol,
    side,
    last_qty as quantity,
    last_px as price,
    currency as "in",
    commission as fee,
    comm_currency as "fee in",
    status
from fills
order by
    book_date desc,
    transact_time desc nulls last,
    row_key desc
limit ?
"""

TOTALS = """
select
    traded.account,
    traded.currency,
    traded.fills,
    traded.quantity,
    traded.gross,
    paid.commission
from (
    select
        account,
        currency,
        count(*) as fills,
        sum(last_qty) as quantity,
        sum(gross_trade_amt) as gross
    from fills
    group by account, currency
) as traded
left join (
    select
        account,
        comm_currency as currency,
        sum(commission) as commission
    from fills
    group by account, comm_currency
) as paid
    using (account, currency)
order by traded.account, traded.currency
"""

COVERAGE = """
select
    connection,
    source as channel,
    account,
    min(returned_since)::date as "first day",
    (max(returned_until) - interval 1 microsecond)::date as "last day",
    count(*) as answers,
    sum(row_count)::bigint as "rows",
    string_agg(distinct status, ', ') as status
from coverage
group by all
order by connection, channel, account
"""

PROVISIONAL = """
select
    strftime(transact_time, '%m-%d %H:%M:%S') as "time (UTC)",
    account,
    symbol,
    side,
    last_qty as quantity,
    last_px as price,
    commission as fee,
    fee_status as "fee is",
    source,
    status
from fills
where status = 'provisional'
order by transact_time desc
limit ?
"""

CONNECTIONS = """
select
    connection,
    state,
    strftime(last_success_at, '%m-%d %H:%M:%S') as "last success (UTC)",
    reason
from connections
order by connection
"""

CONFIRMED = """
select fills.exec_id
from fills
inner join fills_as_of($moment) as earlier
    using (broker, account, exec_id)
where earlier.status = 'provisional'
    and fills.status = 'final'
order by
    earlier.fee_status = 'known',
    earlier.transact_time desc
limit 1
"""

THEN_AND_NOW = """
with told as (
    select 1 as turn, 'before' as asked, * from fills_as_of($moment)
    union all by name
    select 2 as turn, 'now' as asked, * from fills
)
select
    asked,
    symbol,
    last_qty as quantity,
    source,
    status,
    commission as fee,
    fee_status as "fee is",
    strftime(first_seen_at, '%H:%M:%S') as "first seen",
    strftime(last_changed_at, '%H:%M:%S') as "last changed"
from told
where exec_id = $exec_id
order by turn
"""

CHANGES = """
with earlier as (
    select * from fills_as_of($moment)
),
gone as (
    select earlier.*
    from earlier
    anti join fills using (broker, account, row_key)
),
fresh as (
    select fills.*
    from fills
    anti join earlier using (broker, account, row_key)
),
changes as (
    select
        'cancelled' as change,
        gone.*
    from gone
    anti join fills using (broker, account, exec_id, last_px, last_qty)
    union all by name
    select
        case
            when gone.exec_id is null then 'new'
            when gone.status = 'provisional' then 'confirmed'
            else 're-booked'
        end as change,
        fresh.*
    from fresh
    left join gone using (broker, account, exec_id)
)
select
    change,
    account,
    symbol,
    side,
    last_qty as quantity,
    last_px as price,
    commission as fee,
    source,
    status
from changes
order by
    list_position(['cancelled', 're-booked', 'confirmed', 'new'], change),
    account,
    symbol
limit $shown
"""

BY_LIQUIDITY = """
select
    broker as venue,
    coalesce(last_liquidity_ind, 'not told') as liquidity,
    comm_currency as "paid in",
    count(*) as fills,
    sum(commission) as commission,
    round(10000 * sum(commission) filter (where comm_currency = currency)
        / sum(abs(gross_trade_amt)) filter (where comm_currency = currency), 2)::decimal(9, 2) as "of turnover, bp"
from fills
where commission is not null
group by all
having count(*) > 2
order by venue, fills desc, liquidity, "paid in"
limit ?
"""

REBOOKED = """
select stands.exec_id
from fills as stands
left join executions as gone
    on gone.account = stands.account
    and gone.exec_id = stands.exec_id
    and gone.row_key <> stands.row_key
where stands.exec_id is not null
order by
    gone.row_key is null,
    stands.first_seen_at desc
limit 1
"""

QUESTION = "select symbol, count(*) as fills, sum(last_qty) as quantity from fills group by all order by all"
