-- Each cancel nets exactly one row. First those that name it.

create or replace temp table told as
select
    latest.* exclude (is_lesser),
    coalesce(link(broker, account, ref_row_key) not in (select row_hash from latest), true) as names_no_known_row,
    case when signed_qty < 0 then -1 else 1 end * case exec_type when 'CANCEL' then -1 else 1 end as direction
from latest
where not is_lesser;

-- Provisional rows that a better channel has passed over (what it told of them may be unreadable, and then it has not), and
-- fills of entries that come to something else by now; they end nothing.
create or replace temp table late as
select distinct told.row_hash
from told
inner join verified as mark
    on mark.broker = told.broker
    and mark.account = told.account
    and mark.source_rank > told.source_rank
    and mark.since <= coalesce(told.report_date, told.book_date)
    and is_overdue(mark.until, coalesce(told.report_date, told.book_date), told.is_day_told, told.transact_time)
anti join quarantine as unread
    on unread.broker = told.broker
    and unread.account = told.account
    and unread.exec_id = told.exec_id
where told.status = 'provisional'
    and told.key_rank < 5
union
select told.row_hash
from told
inner join ledger_findings as odd on odd.exec_hash = link(told.broker, told.account, told.exec_id)
where told.exec_type = 'LEDGER';

create or replace temp table ends (
    ended_hash ubigint,
    by_hash ubigint
);

insert into ends
select
    original.row_hash,
    cancel.row_hash
from told as cancel
inner join told as original
    on original.row_hash = link(cancel.broker, cancel.account, cancel.ref_row_key)
    and original.signed_qty = -cancel.signed_qty
    and original.exec_type <> 'CANCEL'
where cancel.exec_type = 'CANCEL'
    and cancel.row_hash not in (select row_hash from late)
qualify row_number() over (partition by original.row_hash order by cancel.ord) = 1;

