-- What lies between two answers of a channel and was never asked for.
create or replace view holes as
with answers as (
    select
        *,
        max(returned_until) over (
            partition by connection, coalesce(channels::varchar, source), account
            order by returned_since, returned_until
            rows between unbounded preceding and 1 preceding
        ) as reached
    from coverage
    where returned_since is not null
)

select
    connection,
    account,
    reached as open_since,
    returned_since as open_until,
    recorded_at,
    beyond_reach
from answers
where returned_since > reached
    and (
        every_day
        or has_weekday(reached, returned_since)
    )
    and not exists (
        select 1
        from open_spans
        where open_spans.connection = answers.connection
            and open_spans.open_since < answers.returned_since
            and open_spans.open_until > answers.reached
    );
