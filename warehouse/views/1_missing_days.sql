-- Each business day that was asked for and that no answer has returned, and whether it is before the account: earlier than
-- any day returned, and the broker has said that it has no statement for it, or told it of the login's other accounts only.
create or replace view missing_days as
with refused as (
    select distinct
        *,
        unnest(range(open_since, open_until, interval 1 day))::date as day
    from open_spans
    where not every_day
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
where isodow(refused.day) < 6;
