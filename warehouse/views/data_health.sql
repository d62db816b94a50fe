-- Findings: each row is something a person should look at.
create or replace view data_health as
select
    finding as kind,
    case finding when 'orphan_cancel' then 'warning' else 'error' end as severity,
    broker as connection,
    case finding
        when 'orphan_cancel'
            then 'A cancel of ' || symbol || ' (' || row_key || ') has no original yet'
        when 'clash'
            then 'The execution id ' || coalesce(exec_id, '') || ' is used for different things'
        else 'A provisional fill of ' || symbol || ' (' || row_key || ') was never confirmed'
    end as what,
    last_changed_at as since,
    case finding
        when 'orphan_cancel' then 'Backfill the days before it'
        when 'clash' then 'Compare both rows with the broker''s own statement'
        else 'Ask the broker what became of it'
    end as remedy
from execution_rows
where finding is not null
union all
select
    'quarantine' as kind,
    'error' as severity,
    broker as connection,
    'A row was rejected by the rule ' || rule || ' (row ' || raw_row || ' of ' || exchange_id || ')' as what,
    first_seen_at as since,
    'Look at it: fillhouse explain ' || exchange_id as remedy
from quarantine
union all
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
    hole.connection,
    hole.reached || ' to ' || (hole.returned_since - 1) || ' was never asked for' || coalesce(' for ' || hole.account, '') as what,
    hole.recorded_at as since,
    'Import or back-fill these days' as remedy
from (
    select
        *,
        max(returned_until) over (
            partition by connection, source, account
            order by returned_since, returned_until
            rows between unbounded preceding and 1 preceding
        ) as reached
    from coverage
    where returned_since is not null
) as hole
where hole.returned_since > hole.reached
    and len(list_filter(
        range(hole.reached::timestamp, hole.returned_since::timestamp, interval 1 day),
        lambda day: isodow(day) < 6
    )) > 0
    and not exists (
        select 1
        from coverage as failed
        where failed.connection = hole.connection
            and failed.status <> 'complete'
            and failed.since < hole.returned_since
            and failed.until > hole.reached
    )
union all
select
    'fee_currency_unknown' as kind,
    'warning' as severity,
    broker as connection,
    count(*) || ' fills of ' || account || ' have a commission without currency' as what,
    min(last_changed_at) as since,
    'Tick the commission currency in the query' as remedy
from execution_rows
where commission <> 0
    and comm_currency is null
group by
    broker,
    account
union all
select
    case kind when 'not_printed' then 'not_printed' else 'drift' end as kind,
    'note' as severity,
    broker as connection,
    case kind
        when 'not_printed' then 'The query does not print ' || field
        else 'Unknown ' || kind || ': ' || field
    end as what,
    first_seen_at as since,
    case kind
        when 'not_printed' then 'Tick the box ' || field || ' in the Trades section of the query'
        else 'None: it is kept in the landed bytes'
    end as remedy
from drift;
