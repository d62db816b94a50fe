-- Spans of days that a channel has answered for: what it did not tell of them, it does not hold. A consolidated statement
-- answers for every account whose rows it has ever carried.

create or replace temp table verified as
with answered as (
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
    where returned_since is not null
)

select *
from answered
union
select
    answered.broker,
    members.account,
    answered.source_rank,
    answered.since,
    answered.until
from answered
inner join members
    on members.broker = answered.broker
    and members.statement_account = answered.account;
