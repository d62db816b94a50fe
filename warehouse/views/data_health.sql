-- Findings: each row is something a person should look at.
create or replace view data_health as
with swept as (
    select exec_hash
    from ledger_entries
    where entry_subtype = 'dustsweeping'
        and exec_hash is not null
),

pending as (
    select *
    from ledger_entries
    where status = 'pending'
        and exec_hash is not null
),

reconciled as (
    select *
    from ledger_reconciliation
    where finding in ('differs', 'not_in_ledger')
),

known_by_id as (
    select
        broker,
        account,
        exec_id,
        symbol,
        side,
        last_qty,
        last_changed_at
    from execution_rows
    where key_rank < 5
        and stands
        and exec_id is not null
        and finding is null
),

in_two_accounts as (
    select
        broker,
        exec_id
    from execution_rows
    where key_rank = 5
        and broker in (
            select broker
            from execution_rows
            where key_rank = 5
            group by broker
            having min(account) < max(account)
        )
    group by
        broker,
        exec_id
    having min(account) < max(account)
    union
    select
        broker,
        exec_id
    from known_by_id
    group by
        broker,
        exec_id,
        symbol,
        side,
        last_qty
    having min(account) < max(account)
        and bool_or(not regexp_full_match(account, '[A-EG-Z][A-Z]{0,2}[0-9]{4,}[A-Z]?'))  -- an alias, or the master of others
)

select
    finding as kind,
    case when finding in ('orphan_cancel', 'fee_mismatch') then 'warning' else 'error' end as severity,
    broker as connection,
    case finding
        when 'orphan_cancel'
            then 'A cancel of ' || symbol || ' (' || row_key || ') has no original yet'
        when 'clash'
            then 'The execution id ' || coalesce(exec_id, '') || ' is used for different things'
        when 'split_differently'
            then 'The order ' || order_id || ' is told in other trades by another file or list, of another sum: the larger one counts'
        when 'fee_mismatch'
            then 'The fee of ' || coalesce(exec_id, row_key) || ' is ' || commission || ' ' || comm_currency
            || ' in the ledger and something else in the trade'
        else 'A provisional fill of ' || symbol || ' (' || row_key || ') was never confirmed'
    end as what,
    last_changed_at as since,
    case finding
        when 'orphan_cancel' then 'Backfill the days before it'
        when 'clash' then 'Compare both rows with the broker''s own statement'
        when 'split_differently' then 'Back-fill its day page by page, which tells each trade: fillhouse backfill --via pages'
        when 'fee_mismatch' then 'None: what the ledger says was paid counts'
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
    kind,
    severity,
    connection,
    what,
    since,
    remedy
from gaps
union all
select
    'ledger_unmatched' as kind,
    case when exec_hash in (select exec_hash from swept) then 'note' else 'warning' end as severity,
    broker as connection,
    'The ledger''s entries of ' || ref_id || ' are no trade: ' || what as what,
    first_seen_at as since,
    case
        when exec_hash in (select exec_hash from swept) then 'None: small balances were swept into one, and stand in ledger_entries'
        else 'Look at them: fillhouse explain ' || ref_id || '; import the other entries of these days'
    end as remedy
from ledger_findings
union all
select
    'ledger_unmatched' as kind,
    'warning' as severity,
    broker as connection,
    count(*) || ' ledger entries of type ' || entry_type || ' name no trade (reference ' || coalesce(ref_id, 'empty') || ')' as what,
    min(first_seen_at) as since,
    'Ask the broker what they belong to' as remedy
from ledger_entries
where fee_kind = 'trade'
    and exec_id is null
group by
    broker,
    entry_type,
    ref_id
union all
select
    'ledger_unmatched' as kind,
    'warning' as severity,
    broker as connection,
    'The broker converted ' || string_agg(distinct asset, ' and ' order by asset) || ' of ' || account || ' when it was delisted ('
    || coalesce(ref_id, 'without a reference') || '): that is no fill' as what,
    min(first_seen_at) as since,
    'Look at it: fillhouse explain ' || coalesce(ref_id, min(entry_id)) || '; the other side may stand under another reference' as remedy
from ledger_entries
where entry_subtype = 'delistingconversion'
group by
    broker,
    account,
    ref_id
union all
select
    'ledger_pending' as kind,
    'note' as severity,
    broker as connection,
    count(distinct exec_id) || ' executions of ' || account || ' are not booked yet, such as ' || min(exec_id) as what,
    min(first_seen_at) as since,
    'None for a week, in which each sync asks for them again; then back-fill these days' as remedy
from pending
where exec_hash not in (
        select exec_hash
        from ledger_entries
        where status = 'booked'
            and exec_hash in (select exec_hash from pending)
    )
group by
    broker,
    account
union all
select
    'ledger_only' as kind,
    'note' as severity,
    broker as connection,
    count(distinct exec_id) || ' executions of ' || account || ' are known from the ledger only, such as ' || min(exec_id) as what,
    min(first_seen_at) as since,
    'Import the trades of these days too, or back-fill them' as remedy
from (
    select
        broker,
        account,
        exec_id,
        first_seen_at
    from ledger_entries
    where exec_id is not null
        and status = 'booked'
        and exec_hash not in (select exec_hash from links where exec_hash is not null)
        and exec_hash not in (select exec_hash from ledger_findings where exec_hash is not null)
    union all
    select
        broker,
        account,
        exec_id,
        first_seen_at
    from execution_rows
    where exec_type = 'LEDGER'
        and status = 'provisional'
        and stands
)
group by
    broker,
    account
union all
select
    'ledger_differs' as kind,
    'warning' as severity,
    broker as connection,
    count(*) || ' executions of ' || account || ' moved something else in the ledger, such as ' || min(exec_id) as what,
    min(transact_time) as since,
    'Compare the rows of ledger_reconciliation that differ with the broker''s own screen' as remedy
from reconciled
where finding = 'differs'
group by
    broker,
    account
union all
select
    'not_in_ledger' as kind,
    'warning' as severity,
    traded.broker as connection,
    count(*) || ' executions of ' || traded.account || ' are not in the ledger, which tells of their days, such as ' || min(traded.exec_id)
    as what,
    min(traded.transact_time) as since,
    'See that the files are this account''s own, and tell each trade by itself; or back-fill these days' as remedy
from reconciled as traded
inner join execution_rows using (broker, account, exec_id)
where traded.finding = 'not_in_ledger'
    and execution_rows.stands
    and execution_rows.position_effect is null
    and exists (
        select 1
        from coverage
        where coverage.broker = traded.broker
            and coverage.account = traded.account
            and coverage.source in (select source from ledger_entries)
            and coverage.returned_since < traded.transact_time
            and coverage.returned_until > traded.transact_time
    )
group by
    traded.broker,
    traded.account
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
    and status = 'final'
group by
    broker,
    account
union all
select
    'currency_unknown' as kind,
    'warning' as severity,
    broker as connection,
    count(*) || ' fills of ' || symbol || ' in ' || account || ' have no currency yet' as what,
    min(last_changed_at) as since,
    'None, if the next sync or statement tells it; for imported trades import the answer of secdef too' as remedy
from execution_rows
where currency is null
group by
    broker,
    account,
    symbol
union all
select
    'security_type_unknown' as kind,
    'warning' as severity,
    untyped.broker as connection,
    count(*) || ' rows of ' || untyped.account || ' do not say what was traded, such as ' || min(untyped.symbol)
    || ': whether they moved cash is not known' as what,
    min(untyped.last_changed_at) as since,
    'Tick the box Asset Class in the query' as remedy
from execution_rows as untyped
left join instruments using (instrument_id)
where untyped.security_type is null
    and instruments.security_type is null
group by
    untyped.broker,
    untyped.account
union all
select
    'clocks_apart' as kind,
    'warning' as severity,
    told.broker as connection,
    count(*) || ' fills of ' || told.account || ' are up to '
    || max(abs(epoch(told.transact_time) - epoch(final.transact_time)))::bigint || ' s apart in ' || told.source || ' and '
    || final.source || ': the zone assumed for the latter, ' || final.time_zone_assumed
    || coalesce(', or that for the former, ' || told.time_zone_assumed, '') || ', may be wrong' as what,
    min(told.first_seen_at) as since,
    'Compare one of them with the broker''s own screen' as remedy
from execution_reports as told
inner join execution_reports as final
    on final.broker = told.broker
    and final.account = told.account
    and final.exec_id = told.exec_id
    and final.instrument_id = told.instrument_id
    and final.side = told.side
    and final.exec_rev is not distinct from told.exec_rev
where told.status = 'provisional'
    and final.status = 'final'
    and final.time_zone_assumed is not null
    and told.time_zone_assumed is distinct from final.time_zone_assumed
    and final.is_latest
    and abs(epoch(told.transact_time) - epoch(final.transact_time)) > 2
group by
    told.broker,
    told.account,
    told.source,
    told.time_zone_assumed,
    final.source,
    final.time_zone_assumed
union all
select
    case kind when 'not_printed' then 'not_printed' else 'drift' end as kind,
    case kind when 'levelOfDetail' then 'warning' else 'note' end as severity,
    broker as connection,
    case kind
        when 'not_printed' then 'The query does not print ' || field
        else 'Unknown ' || kind || ': ' || field
    end as what,
    first_seen_at as since,
    case kind
        when 'not_printed' then 'Tick the box ' || field || ' in the Trades section of the query'
        when 'levelOfDetail' then 'Look at the rows of this level: they were left out, and may be executions'
        else 'None: it is kept in the landed bytes'
    end as remedy
from drift
union all
select
    'token_expires' as kind,
    'warning' as severity,
    connection,
    'The token of ' || connection || ' expires on ' || expires_on as what,
    min(told_at) as since,
    'Make a new one in Client Portal under Flex Web Service Configuration, and set the day it expires on' as remedy
from token_notices
group by
    connection,
    expires_on
union all
select
    'account_missing' as kind,
    'warning' as severity,
    connection,
    connection || ' tells other accounts, and nothing of ' || account || ' from ' || strftime(told_until, '%Y-%m-%d') || ' on' as what,
    since,
    'If it is still yours, see that the query holds it, then back-fill from that day' as remedy
from lost_accounts
union all
select
    'exec_twice' as kind,
    'warning' as severity,
    broker as connection,
    count(*) || ' executions of ' || account || ' stand twice, told differently, such as ' || min(named) as what,
    min(since) as since,
    'Set Include Canceled Trades to Yes in the query, and compare these rows with the broker''s own statement' as remedy
from (
    select
        broker,
        account,
        exec_id as named,
        min(last_changed_at) as since
    from known_by_id
    group by
        broker,
        account,
        exec_id,
        side
    having count(*) > 1
    union all
    select
        broker,
        account,
        any_value(symbol || ' of ' || coalesce(transact_time_raw, book_date::varchar)) as named,
        min(last_changed_at) as since
    from execution_rows
    where exec_id is null
        and key_rank < 4
        and stands
        and finding is null
    group by
        broker,
        account,
        coalesce(trade_id, transact_time_raw),
        symbol,
        side,
        last_qty,
        last_px
    having min(report_date) < max(report_date)
)
group by
    broker,
    account
union all
select
    'cancel_undated' as kind,
    'warning' as severity,
    broker as connection,
    count(*) || ' cancels of ' || account || ' tell neither a transaction id nor a report date, such as of ' || min(symbol)
    || ': whether a booking is told again or made again cannot be known' as what,
    min(last_changed_at) as since,
    'Tick the boxes Transaction ID and Report Date in the query, and back-fill these days' as remedy
from execution_rows
where exec_type = 'CANCEL'
    and key_rank < 4
    and report_date is null
group by
    broker,
    account
union all
select
    'account_twice' as kind,
    'warning' as severity,
    broker as connection,
    count(*) || ' executions stand in more than one account, such as ' || min(exec_id) || ' in ' || min(accounts) as what,
    min(since) as since,
    case broker
        when 'ibkr'
            then 'See that the query prints account numbers (Display Account Alias: No, and the box Account ID), then back-fill'
        else 'Ask for one account only; name it with --account when importing, and leave the connection''s account as it was'
    end as remedy
from (
    select
        broker,
        exec_id,
        string_agg(distinct account, ' and ' order by account) as accounts,
        min(first_seen_at) as since
    from execution_rows
    where (broker, exec_id) in (from in_two_accounts)
    group by
        broker,
        exec_id
)
group by broker;
