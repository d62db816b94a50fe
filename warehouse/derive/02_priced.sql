-- Rows whose fees the ledger corrects are not alone either.

insert into tangled
select place
from batch_links
inner join paid using (exec_hash)
inner join incoming as told using (place)
where place not in (select place from tangled)
    and list_sort(fees_by_ledger(paid.charges, told.commission, coalesce(told.comm_currency, told.currency)))
    is distinct from list_sort(entries_of(told.fee_entries, told.commission, told.comm_currency));
