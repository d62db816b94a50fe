-- Of several bookings of an execution the last stands. Where one before it is left, the first cancel of its terms that ended
-- something else, and names nothing that speaks against it, had ended this one: wherever it is printed.

update ends
set ended_hash = mended.row_hash
from (
    with superseded as (
        select distinct earlier.*
        from told as earlier
        inner join told as later
            on later.broker = earlier.broker
            and later.account = earlier.account
            and later.source = earlier.source
            and later.symbol = earlier.symbol
            and later.side = earlier.side
            and later.ord > earlier.ord
            and (
                later.exec_id = earlier.exec_id
                or (
                    coalesce(later.exec_id, earlier.exec_id) is null
                    and coalesce(later.trade_id, later.transact_time::varchar)
                    = coalesce(earlier.trade_id, earlier.transact_time::varchar)
                    and later.report_date > earlier.report_date
                )
            )
        where earlier.exec_type <> 'CANCEL'
            and later.exec_type not in ('CANCEL', 'CORRECT')
            and earlier.row_hash not in (select row_hash from late)
    ),

    pairs as (
        select
            superseded.row_hash,
            cancel.row_hash as by_hash,
            dense_rank() over (lanes order by superseded.ord) as place_of_row,
            dense_rank() over (lanes order by cancel.ord) as place_of_cancel
        from superseded
        inner join told as cancel
            on cancel.exec_type = 'CANCEL'
            and cancel.broker = superseded.broker
            and cancel.account = superseded.account
            and (cancel.instrument_id = superseded.instrument_id or cancel.symbol = superseded.symbol)
            and cancel.currency is not distinct from superseded.currency
            and cancel.signed_qty = -superseded.signed_qty
            and cancel.last_px is not distinct from superseded.last_px
            and cancel.ord > superseded.ord
            and cancel.names_no_known_row
            and (cancel.ref_row_key is null or superseded.key_rank < 4)
            and coalesce(cancel.ref_trade_id = superseded.trade_id, true)
        inner join ends on ends.by_hash = cancel.row_hash
        where superseded.row_hash not in (select ended_hash from ends)
            and ends.ended_hash not in (select row_hash from superseded)
        window
            lanes as (
                partition by
                    superseded.broker, superseded.account, superseded.symbol, superseded.currency, superseded.signed_qty,
                    superseded.last_px
            )
    )

    select
        row_hash,
        by_hash
    from pairs
    where place_of_row = place_of_cancel
) as mended
where mended.by_hash = ends.by_hash;
