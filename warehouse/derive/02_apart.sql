-- Take the tangled rows of a batch (`incoming_few`) out of it, with those whose fees the ledger corrects.

insert into tangled
select place
from batch_links
semi join priced using (place)
inner join paid using (exec_hash)
inner join incoming_few as few using (place)
where list_sort(fees_by_ledger(paid.charges, few.commission, coalesce(few.comm_currency, few.currency)))
    is distinct from list_sort(entries_of(few.fee_entries, few.commission, few.comm_currency));

create or replace temp table batch as
select
    few.* exclude (place, broker_clock),
    coalesce(few.broker_clock, timestamp '1970-01-01') as broker_clock,
    batch_links.row_hash
from incoming_few as few
inner join tangled using (place)
inner join batch_links using (place)
qualify
    row_number() over (
        partition by
            batch_links.row_hash,
            few.source,
            few.broker_clock,
            few.signed_qty,
            few.last_px,
            few.gross_trade_amt,
            few.commission
        order by
            few.exec_rev desc nulls last,
            few.raw_row desc
    ) = 1;
