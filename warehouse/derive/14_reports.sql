-- Write new and recounted versions, and say of every touched version whether it is the one that counts.
-- A version is never removed: a row whose versions were counted anew is written whole.

create or replace temp table flags as
select
    report.row_hash,
    report.source,
    report.version,
    new_rows.row_hash is not null as is_latest,
    coalesce(new_rows.is_merged, false) as is_merged,
    coalesce(new_rows.stands, false) as stands,
    new_rows.ended_by,
    new_rows.finding
from touched_reports as report
left join new_rows
    on new_rows.row_hash = report.row_hash
    and new_rows.source = report.source
    and new_rows.version = report.version;

delete from execution_reports
where (row_hash, source) in (select (row_hash, source) from new_reports semi join stored_reports using (row_hash, source))
    and book_date in (select day from touched_days);

insert into execution_reports by name
select
    new_reports.* exclude (is_latest, is_merged, stands, ended_by, finding),
    flags.is_latest,
    flags.is_merged,
    flags.stands,
    flags.ended_by,
    flags.finding
from new_reports
inner join flags using (row_hash, source, version);

update execution_reports as report
set
    is_latest = flags.is_latest,
    is_merged = flags.is_merged,
    stands = flags.stands,
    ended_by = flags.ended_by,
    finding = flags.finding
from flags
where flags.row_hash = report.row_hash
    and flags.source = report.source
    and flags.version = report.version
    and report.book_date in (select day from touched_days)
    and row(flags.is_latest, flags.is_merged, flags.stands, flags.ended_by, flags.finding)
    is distinct from row(report.is_latest, report.is_merged, report.stands, report.ended_by, report.finding);
