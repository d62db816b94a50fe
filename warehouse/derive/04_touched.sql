-- Which stored rows the tangled part touches: those that share an id with it, and all of their families.

delete from batch_links
where place not in (select place from tangled);

create or replace temp table touched_families as
select family from links where row_hash in (select row_hash from batch_links)
union
select family from links where row_hash in (select ref_row_hash from batch_links)
union
select family from links where exec_hash in (select exec_hash from batch_links)
union
select family from links where trade_hash in (select trade_hash from batch_links)
union
select family from links where order_hash in (select order_hash from batch_links)
union
select family from links where ref_row_hash in (select row_hash from batch_links)
union
select family from links where seeks and lane_hash in (select lane_hash from batch_links)
union
select family from links where seeks and symbol_lane_hash in (select symbol_lane_hash from batch_links)
union
select family from links where lane_hash in (select lane_hash from batch_links where seeks)
union
select family from links where symbol_lane_hash in (select symbol_lane_hash from batch_links where seeks)
union
select family from links where exec_hash in (select exec_hash from late_legs)
union
select links.family
from links
inner join execution_rows as held using (row_hash)
inner join verified as mark
    on mark.broker = held.broker
    and mark.account = held.account
    and mark.source_rank > held.source_rank
    and mark.since <= coalesce(held.report_date, held.book_date)
    and is_overdue(mark.until, coalesce(held.report_date, held.book_date), held.trade_date is not null, held.transact_time)
where held.status = 'provisional'
    and held.key_rank < 5;
