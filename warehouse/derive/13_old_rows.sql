-- What stood of the touched rows before this load.

create or replace temp table old_rows as
select row.*
from execution_rows as row
where row.row_hash in (select row_hash from touched)
    and row.book_date >= (select min(book_first) from touched)
    and row.book_date <= (select max(book_last) from touched);
