-- Every fee of every execution; positive we paid.
create or replace view fees as
select
    charged.broker,
    charged.account,
    charged.row_key,
    charged.exec_id,
    charged.entry.asset as asset,
    charged.entry.amount as amount,
    charged.entry.kind as kind,
    charged.symbol,
    charged.book_date,
    charged.exec_type,
    charged.source
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
