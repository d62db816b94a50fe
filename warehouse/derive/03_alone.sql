-- Rows that are alone need no judging: they are their own first version, family and fill.

insert into execution_reports by name
select
    * exclude (place, broker_clock, answered_at),
    1 as version,
    answered_at as first_seen_at,
    answered_at as last_changed_at,
    coalesce(broker_clock, timestamp '1970-01-01') as clock_first,
    coalesce(broker_clock, timestamp '1970-01-01') as clock_last,
    link(broker, account, row_key) as row_hash,
    true as is_latest,
    false as is_merged,
    true as stands
from incoming_alone;

insert into links by name
select
    row_hash,
    exec_hash,
    trade_hash,
    order_hash,
    source_rank,
    ref_row_hash,
    lane_hash,
    symbol_lane_hash,
    seeks,
    row_hash as family,
    book_date as book_first,
    book_date as book_last
from batch_links
anti join tangled using (place);
