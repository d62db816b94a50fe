-- The latest version of each row of each channel, with only what identity, cancels and families look at.

create or replace temp table settled as
select
    row_hash,
    source,
    version,
    paid.told_at,
    fees_by_ledger(paid.charges, commission, coalesce(comm_currency, currency)) as fee_entries,
    entries_of(report.fee_entries, commission, comm_currency) as own_entries
from touched_reports as report
inner join paid on paid.exec_hash = link(report.broker, report.account, report.exec_id)
where list_sort(fees_by_ledger(paid.charges, commission, coalesce(comm_currency, currency)))
    is distinct from list_sort(entries_of(report.fee_entries, commission, comm_currency));

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
    row_order,
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
    false as is_lesser
from touched_reports as report
left join settled using (row_hash, source, version)
qualify row_number() over (partition by row_hash, source order by version desc) = 1;

-- A lesser row is one that a better row tells too: the same channel with better ids, or a more authoritative channel.
create or replace temp table twins (
    lesser_hash ubigint,
    lesser_source varchar,
    better_hash ubigint,
    better_source varchar
);

-- One row in two channels under one key.
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
qualify row_number() over (partition by lesser.row_hash, lesser.source order by better.source_rank desc) = 1;
