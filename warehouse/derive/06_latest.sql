-- The latest version of each row of each channel, with only what identity, cancels and families look at.

create or replace temp table settled as
select *
from (
    select
        row_hash,
        source,
        version,
        paid.told_at,
        fees_by_ledger(paid.charges, commission, coalesce(comm_currency, currency)) as fee_entries,
        entries_of(report.fee_entries, commission, comm_currency) as own_entries
    from touched_reports as report
    inner join paid on paid.exec_hash = link(report.broker, report.account, report.exec_id)
)
where list_sort(fee_entries) is distinct from list_sort(own_entries);

create or replace temp table latest as
select
    row_hash,
    broker,
    account,
    row_key,
    source,
    source_rank,
    key_rank,
    version,
    exec_type,
    exec_id,
    exec_rev,
    trade_id,
    order_id,
    ref_row_key,
    ref_trade_id,
    symbol,
    instrument_id,
    side,
    last_qty,
    signed_qty,
    last_px,
    currency,
    transact_time,
    book_date,
    coalesce(report_date, book_date) as report_date,
    report_date is not null as is_dated,
    trade_date is not null as is_day_told,
    row_order,
    coalesce(not ends_with(instrument_id, ':' || symbol), true) as is_identified,
    key_rank::integer * 64
    + case when report_date is not null then 32 else 0 end
    + case when is_identified then 16 else 0 end
    + case when key_rank = 1 and order_id is not null then 8 else 0 end
    + case when key_rank = 1 and exec_type = 'BOOK' then 4 else 0 end
    + case when key_rank = 1 and transact_time is not null then 2 else 0 end
    + case when key_rank = 1 and trade_date is not null then 1 else 0 end as key_worth,
    status,
    coalesce(settled.fee_entries, entries_of(report.fee_entries, commission, comm_currency)) as fee_entries,
    settled.told_at as fees_told_at,
    coalesce(
        len(settled.own_entries) = 1 and len(settled.fee_entries) = 1
        and settled.own_entries[1].asset = settled.fee_entries[1].asset,
        false
    ) as fee_contradicted,
    taxes,
    first_seen_at as told_at,
    min(first_seen_at) over (partition by row_hash) as first_seen_at,
    exchange_id,
    false as is_lesser,
    0::bigint as ord
from touched_reports as report
left join settled using (row_hash, source, version)
qualify row_number() over (partition by row_hash, source order by version desc) = 1;

-- One order for all: row_order is compared within a channel only, and transaction ids only with transaction ids. What a
-- lesser channel alone tells of a day came after what the better one tells of it; a poorer key is of an
-- older query; places in the files of queries without report dates mean less than the times of the rows.
update latest
set ord = placed.ord
from (
    select
        row_hash,
        source,
        row_number() over (
            order by
                report_date,
                source_rank desc,
                key_rank = 4,
                case when key_rank < 4 and not is_dated then transact_time end,
                row_order,
                exec_type = 'CANCEL',
                row_key,
                source
        ) as ord
    from latest
) as placed
where placed.row_hash = latest.row_hash
    and placed.source = latest.source;

-- A lesser row is one that a better row tells too: the same channel with better ids, or a more authoritative channel.
create or replace temp table twins (
    lesser_hash ubigint,
    lesser_source varchar,
    better_hash ubigint,
    better_source varchar
);

-- Rows of an order that another channel splits differently within a second; doubtful where the sums differ.
create or replace temp table split_seconds (
    row_hashes ubigint[],
    lesser_source varchar,
    better_hash ubigint,
    better_source varchar,
    is_doubtful boolean
);

-- What a cancel tells of bookings: that there was one of its terms before it, and, where the row it names is known, of which
-- execution and trade.
create or replace temp table cancels as
select
    cancel.*,
    original.exec_id as named_exec_id,
    coalesce(cancel.ref_trade_id, original.trade_id) as named_trade_id
from latest as cancel
left join (select row_hash, any_value(exec_id) as exec_id, any_value(trade_id) as trade_id from latest group by row_hash) as original
    on original.row_hash = link(cancel.broker, cancel.account, cancel.ref_row_key)
where cancel.exec_type = 'CANCEL';

-- One row in two channels under one key. And of a provisional execution a higher revision replaces the lower ones, unless a
-- cancel says that it was booked again.
insert into twins
select
    lesser.row_hash,
    lesser.source,
    better.row_hash,
    better.source
from latest as lesser
inner join latest as better
    on better.row_hash = lesser.row_hash
    and better.source_rank > lesser.source_rank
qualify row_number() over (partition by lesser.row_hash, lesser.source order by better.source_rank desc) = 1
union all
select
    lesser.row_hash,
    lesser.source,
    better.row_hash,
    better.source
from latest as lesser
inner join latest as better
    on better.broker = lesser.broker
    and better.account = lesser.account
    and better.source = lesser.source
    and better.exec_id = lesser.exec_id
    and better.exec_rev > lesser.exec_rev
    and better.symbol = lesser.symbol
    and better.side = lesser.side
where lesser.status = 'provisional'
    and lesser.key_rank < 5
    and not exists (
        select 1
        from cancels as cancel
        where cancel.broker = lesser.broker
            and cancel.account = lesser.account
            and cancel.symbol = lesser.symbol
            and cancel.side = lesser.side
            and (
                cancel.named_trade_id = lesser.trade_id
                or (
                    coalesce(cancel.named_trade_id, lesser.trade_id) is null
                    and cancel.last_qty = lesser.last_qty
                    and cancel.last_px is not distinct from lesser.last_px
                )
            )
    )
qualify row_number() over (partition by lesser.row_hash, lesser.source order by better.exec_rev desc, better.row_key) = 1;

-- Two rows of a trade with a cancel between them, or on the later one's day, are an original and its re-booking.
create or replace temp macro rebooked_between(told_broker, told_account, told_symbol, told_side, told_qty, told_px, told_trade, day, other_day) as
exists (
    select 1
    from cancels as cancel
    where cancel.broker = told_broker
        and cancel.account = told_account
        and cancel.symbol = told_symbol
        and cancel.side is not distinct from told_side
        and cancel.report_date > least(day, other_day)
        and cancel.report_date <= greatest(day, other_day)
        and (
            cancel.ref_trade_id = told_trade
            or (cancel.ref_trade_id is null and cancel.last_qty = told_qty and cancel.last_px is not distinct from told_px)
        )
);
