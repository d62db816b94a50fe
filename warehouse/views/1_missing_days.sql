-- Each business day that was asked for and that no answer has returned, and whether it is before the account: earlier than
-- any day returned, and the broker has said that it has no statement for it, or told it of the login's other accounts only.
create or replace view missing_days as
with refused as (
    select
        asked.*,
        asked.since as asked_since,
        asked.until as asked_until,
        unnest(range(asked.since::timestamp, asked.until::timestamp, interval 1 day))::date as day
    from coverage as asked
    where asked.status <> 'complete'
        and asked.since is not null
        and not coalesce(asked.every_day, false)
        and not exists (
            select 1
            from coverage as later
            where later.connection = asked.connection
                and later.since = asked.since
                and later.until = asked.until
                and later.account is not distinct from coalesce(asked.account, later.account)
                and later.recorded_at > asked.recorded_at
        )
)

select
    refused.connection,
    refused.account,
    refused.status,
    refused.reason,
    refused.recorded_at,
    refused.asked_since,
    refused.asked_until,
    refused.day,
    not exists (
        select 1
        from coverage as earlier
        where earlier.connection = refused.connection
            and earlier.account is not distinct from coalesce(refused.account, earlier.account)
            and earlier.returned_since <= refused.day
    )
    and exists (
        select 1
        from coverage as later
        where later.connection = refused.connection
            and later.account is not distinct from coalesce(refused.account, later.account)
            and later.returned_since > refused.day
    )
    and exists (
        select 1
        from coverage as silent
        where silent.connection = refused.connection
            and (
                (silent.status = 'nothing' and silent.since <= refused.day and silent.until > refused.day)
                or (
                    silent.exchange_id = refused.exchange_id
                    and silent.returned_since <= refused.day
                    and silent.returned_until > refused.day
                )
            )
    ) as is_before_account
from refused
where isodow(refused.day) < 6
    and not exists (
        select 1
        from coverage as mended
        where mended.connection = refused.connection
            and mended.account is not distinct from coalesce(refused.account, mended.account)
            and mended.source_rank >= coalesce(refused.source_rank, mended.source_rank)
            and mended.returned_since <= refused.day
            and mended.returned_until > refused.day
    );
