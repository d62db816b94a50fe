-- Write new and moved versions. A version is never removed: a row whose versions were counted anew is written whole.

delete from execution_reports
where row_hash in (select row_hash from new_reports semi join stored_reports using (row_hash, source))
    and source in (select source from new_reports)
    and book_date >= (select min(book_first) from touched)
    and book_date <= (select max(book_last) from touched)
    and (row_hash, source) in (select (row_hash, source) from new_reports);

insert into execution_reports by name
select * from new_reports;
