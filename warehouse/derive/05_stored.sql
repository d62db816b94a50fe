-- Read what is stored of the touched rows, within their own dates.

create or replace temp table touched as
select
    row_hash,
    book_first,
    book_last
from links
where family in (select family from touched_families);

create or replace temp table stored_reports as
select report.*
from execution_reports as report
where report.row_hash in (select row_hash from touched)
    and report.book_date >= (select min(book_first) from touched)
    and report.book_date <= (select max(book_last) from touched);
