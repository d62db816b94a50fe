-- Read what is stored of the touched rows, within their own days: few days are looked up, many are scanned.

create or replace temp table touched as
select
    row_hash,
    book_first,
    book_last
from links
where family in (select family from touched_families);

create or replace temp table touched_days as
select distinct unnest(generate_series(book_first, book_last, interval 1 day))::date as day
from touched;

create or replace temp table stored_reports as
select report.*
from execution_reports as report
where report.row_hash in (select row_hash from touched)
    and report.book_date in (select day from touched_days);
