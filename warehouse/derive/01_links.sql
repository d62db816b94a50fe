-- The ids by which the rows of a batch are found, and the executions they are about.

create or replace temp table batch_links as
select
    place,
    link(broker, account, row_key) as row_hash,
    link(broker, account, exec_id) as exec_hash,
    link(broker, account, coalesce(ref_trade_id, trade_id)) as trade_hash,
    case when key_rank = 5 then link(broker, account, order_id) end as order_hash,
    source_rank,
    link(broker, account, ref_row_key) as ref_row_hash,
    lane(broker, account, instrument_id, last_qty, last_px) as lane_hash,
    lane(broker, account, symbol, last_qty, last_px) as symbol_lane_hash,
    seeks_by_terms(exec_type, key_rank, status) as seeks,
    exec_type in ('CANCEL', 'CORRECT') as ends_another,
    book_date
from incoming;

create or replace temp table asked_executions as
select distinct
    exec_hash,
    book_date
from batch_links
where exec_hash is not null;

-- Executions that were told before, and legs only now.
create or replace temp table late_legs as
select distinct exec_hash
from fresh_entries
where exec_hash is not null
    and exec_hash not in (select exec_hash from asked_executions);
