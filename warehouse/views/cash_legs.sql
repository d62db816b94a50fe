-- What settles its gains day by day, or in cash, and moves no notional; where a row does not say what it is, its instrument may.
create or replace macro is_margined(security_type) as
security_type in ('FUT', 'CFD', 'FXCFD', 'FSFOP', 'FSOPT');

-- On margin cash moves by fee and profit. Only Kraken tells a margin; not each of its layouts names the position.
create or replace macro is_on_margin(position_id, margin, position_effect) as
position_id is not null or (margin is not null and position_effect is not null);

-- The cash that each execution moves, by currency. FX moves both its assets; futures and CFDs move none but fees, and so does
-- what Kraken trades on margin: its profit is what the ledger books, unless the position is settled. What is of no known type
-- moves none here, and is a finding.
create or replace view cash_legs as
with traded as (
    select
        executions.* exclude (security_type),
        coalesce(executions.security_type, instruments.security_type) as security_type,
        instruments.base_asset
    from executions
    left join instruments using (instrument_id)
)

select
    traded.broker,
    traded.account,
    traded.row_key,
    traded.exec_type,
    traded.symbol,
    traded.security_type,
    traded.book_date,
    traded.report_date,
    'trade' as kind,
    traded.currency,
    traded.gross_trade_amt as amount
from traded
where traded.gross_trade_amt is not null
    and not is_margined(traded.security_type)
    and (traded.exec_type = 'BOOK' or not is_on_margin(traded.position_id, traded.margin, traded.position_effect))
union all
select
    traded.broker,
    traded.account,
    traded.row_key,
    traded.exec_type,
    traded.symbol,
    traded.security_type,
    traded.book_date,
    traded.report_date,
    'trade' as kind,
    traded.base_asset as currency,
    traded.signed_qty as amount
from traded
where traded.security_type = 'CASH'
    and traded.base_asset is not null
    and (traded.exec_type = 'BOOK' or not is_on_margin(traded.position_id, traded.margin, traded.position_effect))
union all
select
    closed.broker,
    closed.account,
    closed.row_key,
    closed.exec_type,
    closed.symbol,
    closed.security_type,
    closed.book_date,
    closed.report_date,
    'profit' as kind,
    booked.asset as currency,
    booked.amount
from traded as closed
inner join ledger_entries as booked using (broker, account, exec_id)
where closed.exec_type <> 'BOOK'
    and booked.fee_kind = 'margin'
    and booked.status = 'booked'
    and booked.amount <> 0
union all
select
    taxed.broker,
    taxed.account,
    taxed.row_key,
    taxed.exec_type,
    taxed.symbol,
    taxed.security_type,
    taxed.book_date,
    taxed.report_date,
    'tax' as kind,
    taxed.currency,
    taxed.taxes as amount
from traded as taxed
where taxed.taxes <> 0
union all
select
    charged.broker,
    charged.account,
    charged.row_key,
    charged.exec_type,
    charged.symbol,
    charged.security_type,
    charged.book_date,
    charged.report_date,
    'commission' as kind,
    charged.entry.asset as currency,
    -charged.entry.amount as amount
from (
    select
        *,
        unnest(
            coalesce(
                fee_entries,
                case when commission is not null then [{'asset': comm_currency, 'amount': commission, 'kind': 'trade'}] end
            )
        ) as entry
    from traded
) as charged;
