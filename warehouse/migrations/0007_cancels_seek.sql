-- Every cancel looks for what it ends by its terms, too: the ids that it names may be of rows that print none.
update links
set seeks = true
where not seeks
    and row_hash in (select row_hash from execution_reports where exec_type = 'CANCEL');
