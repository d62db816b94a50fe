-- What stood of the touched rows before this load, and since when what stands now has stood.

create or replace temp table old_rows as
select held.*
from execution_rows as held
where held.row_hash in (select row_hash from touched)
    and held.book_date in (select day from touched_days);

-- A clock that was put back may not make two things stand at one moment: a load counts from no earlier one than what it
-- changes.
update load_moment
set moment = greatest(
    moment,
    (select max(last_changed_at) from old_rows),
    (
        select max(superseded_at)
        from past_fills
        where row_hash in (select row_hash from touched)
            and book_date in (select day from touched_days)
    )
)
where moment is not null;

-- A fill that says what it said has stood since then; one that says something else, or stands again, since this load.
update new_rows as new
set last_changed_at = case
    when not old.stands
        then (select moment from load_moment)
    when
        row(
            new.exec_type,
            new.exec_ref_id,
            new.side,
            new.signed_qty,
            new.last_px,
            new.currency,
            new.gross_trade_amt,
            new.net_money,
            new.fill_commission,
            new.fill_comm_currency,
            new.fill_fee_entries,
            new.fill_taxes,
            new.realized_pnl,
            new.transact_time,
            new.trade_date,
            new.settl_date,
            new.report_date,
            new.source,
            new.status
        ) is not distinct from row(
            old.exec_type,
            old.exec_ref_id,
            old.side,
            old.signed_qty,
            old.last_px,
            old.currency,
            old.gross_trade_amt,
            old.net_money,
            old.fill_commission,
            old.fill_comm_currency,
            old.fill_fee_entries,
            old.fill_taxes,
            old.realized_pnl,
            old.transact_time,
            old.trade_date,
            old.settl_date,
            old.report_date,
            old.source,
            old.status
        )
        then old.last_changed_at
    when new.last_changed_at > old.last_changed_at
        then new.last_changed_at
    else (select moment from load_moment)
end
from old_rows as old
where old.row_hash = new.row_hash
    and new.stands;

-- So has a row that was known before, but only as another row's lesser twin.
update new_rows as new
set last_changed_at = (select moment from load_moment)
where new.row_hash in (select row_hash from touched)
    and new.row_hash not in (select row_hash from old_rows);

update new_rows as new
set is_merged = true
from touched_reports as report
where report.row_hash = new.row_hash
    and report.source = new.source
    and report.version = new.version
    and report.last_changed_at <> new.last_changed_at;
