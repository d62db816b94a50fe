-- A span as a person says it: whole days with both ends inclusive, else the moments.
create or replace macro spoken(since, until) as
case
    when since = date_trunc('day', since) and until = date_trunc('day', until)
        then since::date || ' to ' || (until::date - 1)
    else date_trunc('second', since) || ' to ' || date_trunc('second', until)
end;

-- What no answer covers: why, and what to do about it. Pages that were saved name no window, only how many rows there are in
-- theirs: they are whole together, or once all from before the first row has been read and verified. Pages that overlap, or
-- that were saved twice, are not whole for that: there must be as many rows.
create or replace view gaps as
with saved_pages as (
    select
        connection,
        source,
        account,
        broker_count,
        sum(row_count) as row_count
    from coverage
    where since is null
    group by all
),

stock as (
    select
        broker,
        account,
        source,
        min(told_of) as earliest,
        count_if(is_first_version) as row_count
    from (
        select
            broker,
            account,
            source,
            transact_time as told_of,
            version = 1 and exec_type <> 'LEDGER' as is_first_version
        from execution_reports
        union all
        select
            broker,
            account,
            source,
            entry_time as told_of,
            true as is_first_version
        from ledger_entries
    )
    where exists (select 1 from coverage where since is null)
    group by all
),

unread as (
    select
        broker,
        account,
        count(*) as row_count
    from quarantine
    group by all
)

select
    'gap' as kind,
    'error' as severity,
    connection,
    min(day) || ' to ' || max(day) || coalesce(' for ' || account, '') || ' is ' || status || ': ' || coalesce(reason, '') as what,
    recorded_at as since,
    'Run the backfill again' as remedy
from missing_days
where not is_before_account
group by connection, account, status, reason, recorded_at, asked_since, asked_until
union all
select
    'before_history' as kind,
    'note' as severity,
    connection,
    min(day) || ' to ' || max(day) || ' is before the account: the broker has no statement for it' as what,
    min(recorded_at) as since,
    'None, if the account was opened later' as remedy
from missing_days
where is_before_account
group by connection
union all
select
    'gap' as kind,
    'error' as severity,
    connection,
    spoken(min(open_since), max(open_until)) || coalesce(' for ' || account, '') || ' is ' || status
    || ': ' || coalesce(reason, '') as what,
    recorded_at as since,
    'Run the backfill again' || coalesce('; what ' || connection || ' no longer tells, ' || beyond_reach || ' does', '') as remedy
from open_spans
anti join told_elsewhere as told
    on told.connection = open_spans.connection
    and told.account is not distinct from open_spans.account
    and told.open_since = open_spans.open_since
    and told.open_until = open_spans.open_until
where every_day
    and (open_until < asked_until or open_until - open_since > interval 5 minute)
group by connection, account, status, reason, recorded_at, asked_since, asked_until, beyond_reach
union all
select
    'gap' as kind,
    'error' as severity,
    connection,
    spoken(open_since, open_until) || ' was never asked for' || coalesce(' for ' || account, '') as what,
    recorded_at as since,
    coalesce(
        'Back-fill or import these days with ' || beyond_reach || ': ' || connection || ' no longer tells them',
        'Import or back-fill these days'
    ) as remedy
from holes
anti join told_elsewhere as told
    on told.connection = holes.connection
    and told.account is not distinct from holes.account
    and told.open_since = holes.open_since
    and told.open_until = holes.open_until
union all
select
    'gap' as kind,
    'warning' as severity,
    asked.connection,
    'A file of ' || asked.source || ' is not the whole: ' || asked.reason as what,
    asked.recorded_at as since,
    'Import the other pages too, or back-fill all of it' as remedy
from coverage as asked
inner join saved_pages as saved using (connection, source, account, broker_count)
left join stock on stock.broker = asked.broker and stock.account = asked.account and stock.source = asked.source
left join unread on unread.broker = asked.broker and unread.account = asked.account
where asked.since is null
    and asked.broker_count > least(saved.row_count, coalesce(stock.row_count, 0) + coalesce(unread.row_count, 0))
    and not exists (
        select 1
        from watermarks as verified
        where verified.broker = asked.broker
            and verified.account = asked.account
            and verified.source = asked.source
            and verified.verified_since <= stock.earliest
            and verified.verified_until >= asked.recorded_at
    );
