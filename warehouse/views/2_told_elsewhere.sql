-- Spans that a channel with a short memory was not asked for, or in vain, and of which a channel of more authority has told, for the
-- same account, each of the broker's days that they touch: with some hours on both ends, as these are moments in UTC, and
-- Monday for a weekend.
create or replace view told_elsewhere as
with spans as (
    select
        connection,
        account,
        open_since,
        open_until
    from holes
    where beyond_reach is not null
    union
    select
        connection,
        account,
        open_since,
        open_until
    from open_spans
    where beyond_reach is not null
),

channels as (
    select
        connection,
        broker,
        account,
        max(source_rank) as source_rank
    from coverage
    where account is not null
    group by
        connection,
        broker,
        account
),

touched as (
    select
        *,
        unnest(range(date_trunc('day', open_since - interval 6 hour), open_until + interval 6 hour, interval 1 day))::date as day
    from spans
),

answers as (
    select
        broker,
        source_rank,
        account,
        returned_since,
        returned_until
    from coverage
    where returned_since is not null
    union all
    select
        coverage.broker,
        coverage.source_rank,
        members.account,
        coverage.returned_since,
        coverage.returned_until
    from coverage
    inner join members
        on members.broker = coverage.broker
        and members.statement_account = coverage.account
    where coverage.returned_since is not null
),

days as (
    select
        touched.connection,
        touched.account,
        touched.open_since,
        touched.open_until,
        channels.broker,
        channels.source_rank,
        channels.account as channel_account,
        touched.day + case isodow(touched.day) when 6 then 2 when 7 then 1 else 0 end as day
    from touched
    inner join channels
        on channels.connection = touched.connection
        and channels.account = coalesce(touched.account, channels.account)
)

select
    connection,
    account,
    open_since,
    open_until
from (
    select
        *,
        exists (
            select 1
            from answers
            where answers.broker = days.broker
                and answers.account = days.channel_account
                and answers.source_rank > days.source_rank
                and answers.returned_since <= days.day
                and answers.returned_until > days.day
        ) as is_told
    from days
)
group by
    connection,
    account,
    open_since,
    open_until
having bool_and(is_told);
