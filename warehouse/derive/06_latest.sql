-- The latest version of each row of each channel, with only what identity, cancels and families look at.

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
    entries_of(fee_entries, commission, comm_currency) as fee_entries,
    taxes,
    first_seen_at as told_at,
    min(first_seen_at) over (partition by row_hash) as first_seen_at,
    false as is_lesser
from touched_reports
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
