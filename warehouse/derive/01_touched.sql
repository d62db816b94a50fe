-- Which stored rows a batch touches: those that share an id with it, and all of their families.

create or replace temp table batch_links as
select
    row_hash,
    link(broker, account, exec_id) as exec_hash,
    link(broker, account, coalesce(ref_trade_id, trade_id)) as trade_hash,
    link(broker, account, ref_row_key) as ref_row_hash,
    lane(broker, account, symbol, last_qty, last_px) as lane_hash,
    case
        when seeks_by_terms(exec_type, ref_row_key, ref_trade_id, key_rank, status) then lane_hash
    end as open_lane_hash
from batch;

create or replace temp table touched_families as
select family from links where row_hash in (select row_hash from batch_links)
union
select family from links where row_hash in (select ref_row_hash from batch_links)
union
select family from links where exec_hash in (select exec_hash from batch_links)
union
select family from links where trade_hash in (select trade_hash from batch_links)
union
select family from links where ref_row_hash in (select row_hash from batch_links)
union
select family from links where open_lane_hash in (select lane_hash from batch_links)
union
select family from links where lane_hash in (select open_lane_hash from batch_links)
union
select row.family
from execution_rows as row
inner join watermarks as mark
    on mark.broker = row.broker
    and mark.account = row.account
    and mark.source_rank > row.source_rank
    and mark.verified_since <= row.book_date
    and mark.verified_until > two_business_days_after(row.book_date)
where row.status = 'provisional';
