-- What is still open of each question that was not answered in full: the parts of it that no answer has returned, before it
-- or since, in one piece or in many. Channels that answer for one another count together.
create or replace view open_spans as
with questions as (
    select
        asked.*,
        unnest(coalesce(asked.channels, [null])) as channel_group,
        case when asked.channels is null then asked.source_rank end as least_rank
    from coverage as asked
    where asked.status <> 'complete'
        and asked.since is not null
        and not exists (
            select 1
            from coverage as later
            where later.connection = asked.connection
                and later.since = asked.since
                and later.until = asked.until
                and later.account is not distinct from coalesce(asked.account, later.account)
                and coalesce(list_has_all(later.channels, asked.channels), true)
                and later.recorded_at > asked.recorded_at
        )
),

measures as (
    select distinct
        connection,
        account,
        channel_group,
        least_rank
    from questions
),

returned as (
    select
        measures.*,
        told.returned_since,
        told.returned_until
    from measures
    inner join coverage as told
        on told.connection = measures.connection
        and told.account is not distinct from coalesce(measures.account, told.account)
    where told.returned_since is not null
        and case
            when measures.channel_group is null
                then told.source_rank >= coalesce(measures.least_rank, told.source_rank)
            else list_contains(measures.channel_group, told.source)
        end
),

unreturned as (
    select
        connection,
        account,
        channel_group,
        least_rank,
        coalesce(
            max(returned_until) over (
                partition by connection, account, channel_group, least_rank
                order by returned_since, returned_until
                rows between unbounded preceding and 1 preceding
            ),
            '-infinity'::timestamp
        ) as since,
        returned_since as until
    from returned
    union all
    select
        measures.*,
        coalesce(max(returned.returned_until), '-infinity'::timestamp) as since,
        'infinity'::timestamp as until
    from measures
    left join returned
        on returned.connection = measures.connection
        and returned.account is not distinct from measures.account
        and returned.channel_group is not distinct from measures.channel_group
        and returned.least_rank is not distinct from measures.least_rank
    group by all
)

select distinct
    questions.connection,
    questions.account,
    questions.status,
    questions.reason,
    questions.exchange_id,
    questions.recorded_at,
    coalesce(questions.every_day, false) as every_day,
    questions.beyond_reach,
    questions.since as asked_since,
    questions.until as asked_until,
    greatest(questions.since, unreturned.since) as open_since,
    least(questions.until, unreturned.until) as open_until
from questions
inner join unreturned
    on unreturned.connection = questions.connection
    and unreturned.account is not distinct from questions.account
    and unreturned.channel_group is not distinct from questions.channel_group
    and unreturned.least_rank is not distinct from questions.least_rank
where greatest(questions.since, unreturned.since) < least(questions.until, unreturned.until);
