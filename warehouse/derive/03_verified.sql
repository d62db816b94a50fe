-- Spans of days that a channel has answered for: what it did not tell of them, it does not hold.

create or replace temp table verified as
select
    broker,
    account,
    source_rank,
    verified_since as since,
    verified_until as until
from watermarks
union
select
    broker,
    account,
    source_rank,
    returned_since,
    returned_until
from coverage
where returned_since is not null;
