-- Sort a batch: most rows are alone, new, and tied to nothing; the others touch stored rows or one another.

create or replace temp table batch_links as
select
    place,
    link(broker, account, row_key) as row_hash,
    link(broker, account, exec_id) as exec_hash,
    link(broker, account, coalesce(ref_trade_id, trade_id)) as trade_hash,
    link(broker, account, ref_row_key) as ref_row_hash,
    lane(broker, account, instrument_id, last_qty, last_px) as lane_hash,
    lane(broker, account, symbol, last_qty, last_px) as symbol_lane_hash,
    seeks_by_terms(exec_type, ref_trade_id, key_rank, status) as seeks,
    exec_type in ('CANCEL', 'CORRECT') as ends_another,
    book_date
from incoming;

create or replace temp table sought_lanes as
select lane_hash, symbol_lane_hash from links where seeks
union all
select lane_hash, symbol_lane_hash from batch_links where seeks;

create or replace temp table tangled as
select place from batch_links where ends_another or seeks
union
select place from batch_links where row_hash in (select row_hash from links)
union
select place from batch_links where exec_hash in (select exec_hash from links)
union
select place from batch_links where trade_hash in (select trade_hash from links)
union
select place from batch_links where row_hash in (select ref_row_hash from links)
union
select place from batch_links where lane_hash in (select lane_hash from sought_lanes)
union
select place from batch_links where symbol_lane_hash in (select symbol_lane_hash from sought_lanes)
union
select place from batch_links where row_hash in (select ref_row_hash from batch_links)
union
select place from batch_links where row_hash in (select row_hash from batch_links group by row_hash having count(*) > 1)
union
select place from batch_links where exec_hash in (select exec_hash from batch_links group by exec_hash having count(*) > 1)
union
select place from batch_links where trade_hash in (select trade_hash from batch_links group by trade_hash having count(*) > 1);

create or replace temp table batch as
select
    incoming.* exclude (place, broker_clock),
    coalesce(incoming.broker_clock, timestamp '1970-01-01') as broker_clock,
    batch_links.row_hash
from incoming
inner join tangled using (place)
inner join batch_links using (place)
qualify
    row_number() over (
        partition by
            batch_links.row_hash,
            incoming.source,
            incoming.broker_clock,
            incoming.signed_qty,
            incoming.last_px,
            incoming.gross_trade_amt,
            incoming.commission
        order by incoming.raw_row desc
    ) = 1;
