-- Each broker row once, in its latest version from the most authoritative channel that holds it; none that was never confirmed.
create or replace view executions as
select
    * exclude (
        key_rank,
        source_rank,
        row_order,
        row_hash,
        fill_commission,
        fill_comm_currency,
        fill_fee_status,
        fill_fee_entries,
        fill_taxes
    )
from execution_rows
where status <> 'unconfirmed';
