-- Each execution beside the movements that the broker booked for it, and where they differ. On margin only fees and profit
-- move. Money is booked to four decimals, so less than one of the last is no difference; of a small amount it would be.
create or replace macro is_booked_as(booked, told, asset) as
abs(coalesce(booked, 0) - told) < case
    when asset in ('USD', 'EUR', 'GBP', 'CHF', 'CAD', 'AUD', 'NZD', 'JPY', 'AED', 'KRW') then 0.0001
    else least(0.0001, greatest(0.00000002, 0.01 * abs(told)))
end;

create or replace view ledger_reconciliation as
with moved as (
    select
        broker,
        account,
        exec_id,
        asset,
        sum(amount) as amount
    from ledger_entries
    where exec_id is not null
        and status = 'booked'
        and fee_kind = 'trade'
    group by all
),

references_told as (
    select
        broker,
        account,
        exec_id,
        bool_or(fee_kind = 'margin') as of_margin,
        min(entry_time) as entry_time
    from ledger_entries
    where exec_id is not null
        and status = 'booked'
    group by all
),

traded as (
    select
        executions.broker,
        executions.account,
        executions.exec_id,
        executions.symbol,
        executions.source,
        executions.transact_time,
        executions.signed_qty,
        executions.gross_trade_amt,
        executions.exec_type = 'LEDGER' and executions.status = 'provisional' as was_never_told,
        instruments.base_asset,
        instruments.quote_asset
    from executions
    inner join instruments using (instrument_id)
    where executions.broker in (select broker from ledger_entries)
)

select
    coalesce(traded.broker, told.broker) as broker,
    coalesce(traded.account, told.account) as account,
    coalesce(traded.exec_id, told.exec_id) as exec_id,
    traded.symbol,
    traded.source,
    coalesce(traded.transact_time, told.entry_time) as transact_time,
    case
        when traded.exec_id is null or traded.was_never_told then 'ledger_only'
        when told.exec_id is null then 'not_in_ledger'
        when told.of_margin then 'margin'
        when
            is_booked_as(base.amount, traded.signed_qty, traded.base_asset)
            and is_booked_as(quote.amount, traded.gross_trade_amt, traded.quote_asset)
            then 'equal'
        else 'differs'
    end as finding,
    traded.signed_qty,
    base.amount as ledger_qty,
    traded.gross_trade_amt,
    quote.amount as ledger_gross
from traded
full outer join references_told as told
    on told.broker = traded.broker
    and told.account = traded.account
    and told.exec_id = traded.exec_id
left join moved as base
    on base.broker = traded.broker
    and base.account = traded.account
    and base.exec_id = traded.exec_id
    and base.asset = traded.base_asset
left join moved as quote
    on quote.broker = traded.broker
    and quote.account = traded.account
    and quote.exec_id = traded.exec_id
    and quote.asset = traded.quote_asset;
