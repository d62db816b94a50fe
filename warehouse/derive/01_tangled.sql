-- Sort a batch: most rows are alone, new, and tied to nothing; the others touch stored rows or one another.

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
select batch_links.place
from batch_links
inner join links_of_others as links
    on links.order_hash = batch_links.order_hash
    and links.source_rank <> batch_links.source_rank
union
select place
from batch_links
where order_hash in (select order_hash from batch_links group by order_hash having count(distinct source_rank) > 1)
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

insert into tangled
select place
from batch_links
inner join paid using (exec_hash)
inner join incoming using (place)
where list_sort(fees_by_ledger(paid.charges, incoming.commission, coalesce(incoming.comm_currency, incoming.currency)))
    is distinct from list_sort(entries_of(incoming.fee_entries, incoming.commission, incoming.comm_currency))
    and place not in (select place from tangled);

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
        order by
            incoming.exec_rev desc nulls last,
            incoming.raw_row desc
    ) = 1;
