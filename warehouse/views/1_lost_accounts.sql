-- Accounts that a connection's replies told beside others, and tell no longer, though they go on for those.
create or replace view lost_accounts as
with answers as (
    select
        connection,
        source,
        account,
        returned_until,
        recorded_at,
        min(account) over reply < max(account) over reply as is_told_beside
    from coverage
    where account is not null
        and returned_until is not null
        and connection <> 'import'
    window reply as (partition by connection, source, exchange_id)
),

reached as (
    select
        connection,
        source,
        account,
        max(returned_until) as told_until,
        max(max(returned_until)) over (partition by connection, source) as others_until
    from answers
    group by
        connection,
        source,
        account
    having bool_or(is_told_beside)
)

select
    connection,
    source,
    account,
    told_until,
    (
        select min(later.recorded_at)
        from answers as later
        where later.connection = reached.connection
            and later.source = reached.source
            and later.returned_until > reached.told_until
    ) as since
from reached
where has_weekday(told_until, others_until);
