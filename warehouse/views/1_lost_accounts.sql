-- Accounts that a connection's replies told beside others, and tell no longer, though they go on for those.
create or replace view lost_accounts as
with told_together as (
    select
        connection,
        source,
        unnest(array_agg(distinct account)) as account
    from coverage
    where account is not null
        and returned_until is not null
        and connection <> 'import'
    group by
        connection,
        source,
        exchange_id
    having min(account) < max(account)
),

reached as (
    select
        connection,
        source,
        account,
        max(returned_until) as told_until
    from coverage
    where returned_until is not null
    group by
        connection,
        source,
        account
),

lost as (
    select
        reached.*,
        max(others.told_until) as others_until
    from reached
    inner join reached as others
        on others.connection = reached.connection
        and others.source = reached.source
        and others.told_until > reached.told_until
    where (reached.connection, reached.source, reached.account) in (from told_together)
        and (others.connection, others.source, others.account) in (from told_together)
    group by all
)

select
    lost.connection,
    lost.source,
    lost.account,
    lost.told_until,
    min(later.recorded_at) as since
from lost
inner join coverage as later
    on later.connection = lost.connection
    and later.source = lost.source
    and later.returned_until > lost.told_until
where len(list_filter(range(lost.told_until, lost.others_until, interval 1 day), lambda day: isodow(day) < 6)) > 0
group by
    lost.connection,
    lost.source,
    lost.account,
    lost.told_until;
