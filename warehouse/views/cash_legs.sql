-- The cash that each execution moves, by currency. FX moves both its assets; futures and CFDs move none but fees, and so does
-- what Kraken trades on margin: its profit is what the ledger books, unless the position is settled.
create or replace view cash_legs as
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
from executions as traded
where traded.gross_trade_amt is not null
    and coalesce(traded.security_type, '') not in ('FUT', 'CFD', 'FXCFD')
    and (traded.exec_type = 'BOOK' or traded.position_id is null)
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
    instrument.base_asset as currency,
    traded.signed_qty as amount
from executions as traded
inner join instruments as instrument using (instrument_id)
where traded.security_type = 'CASH'
    and instrument.base_asset is not null
    and (traded.exec_type = 'BOOK' or traded.position_id is null)
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
from executions as closed
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
from executions as taxed
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
    from executions
) as charged;
