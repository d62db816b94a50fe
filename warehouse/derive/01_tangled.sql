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
