-- Rows of one channel under one poorer key and under better ones: a box ticked or unticked in the query must not make new
-- rows. Of two without ids, the one that says that it is a booking is the better.
-- One to one, by an identity that both have ($lane: 3 the execution, 2 the trade, 1 neither), between rows of equal terms and
-- of one report date: without any id by the time, whichever day it counts for, and a row that tells no time by its day
-- ($by_day). Where a report date is not printed, by number: the n-th booking of a trade, the cancels before it telling of
-- bookings not seen.
-- What one reply tells of two rows, or two rows name differently, is two.

insert into twins
with candidates as (
    select
        latest.*,
        key_worth > $worth as is_better,
        case
            when $lane = 3 then exec_id || chr(31) || coalesce(exec_rev::varchar, '')
            when $lane = 2 then trade_id
            when $by_day then case when is_better or transact_time is null then book_date::varchar end
            else transact_time::varchar
        end as lane
    from latest
    anti join twins
        on twins.lesser_hash = latest.row_hash
        and twins.lesser_source = latest.source
    where key_worth >= $worth
),

behind as (
    select
        booking.row_hash as booking_hash,
        booking.source as booking_source,
        count(*) as cancels_before
    from candidates as booking
    inner join cancels as cancel
        on cancel.broker = booking.broker
        and cancel.account = booking.account
        and cancel.source = booking.source
        and cancel.symbol = booking.symbol
        and cancel.side is not distinct from booking.side
        and cancel.last_qty = booking.last_qty
        and cancel.last_px is not distinct from booking.last_px
        and (cancel.key_rank = 4) = (booking.key_rank = 4)
        and cancel.ord < booking.ord
        and (cancel.ref_trade_id is null or cancel.ref_trade_id = booking.trade_id)
        and coalesce(cancel.named_exec_id = booking.exec_id, true)
        and coalesce(cancel.transact_time >= booking.transact_time or cancel.ref_trade_id = booking.trade_id, true)
    where booking.exec_type <> 'CANCEL'
    group by all
),

placed as (
    select
        candidates.*,
        coalesce(behind.cancels_before, 0) as cancels_before,
        row_number() over (lanes order by ord) as place,
        row_number() over (
            partition by
                is_better, broker, account, source, plain_kind(exec_type), symbol, side, last_qty, last_px, lane, is_dated, report_date
            order by ord
        ) as place_of_day
    from candidates
    left join behind
        on behind.booking_hash = candidates.row_hash
        and behind.booking_source = candidates.source
    where lane is not null
    window lanes as (partition by is_better, broker, account, source, plain_kind(exec_type), symbol, side, last_qty, last_px, lane)
),

numbered as (
    select
        placed.*,
        place + greatest(0, max(cancels_before + 1 - place) over (
            partition by is_better, broker, account, source, plain_kind(exec_type), symbol, side, last_qty, last_px, lane
            order by ord
        )) as number
    from placed
)

select
    lesser.row_hash,
    lesser.source,
    better.row_hash,
    better.source
from numbered as lesser
inner join numbered as better
    on better.broker = lesser.broker
    and better.account = lesser.account
    and better.source = lesser.source
    and may_be_of_one_kind(better.exec_type, better.exec_id, lesser.exec_type, lesser.exec_id)
    and (better.instrument_id = lesser.instrument_id or better.symbol = lesser.symbol)
    and better.side is not distinct from lesser.side
    and better.last_qty = lesser.last_qty
    and better.last_px is not distinct from lesser.last_px
    and better.lane = lesser.lane
    and better.exchange_id <> lesser.exchange_id
    and coalesce(better.exec_id = lesser.exec_id, true)
    and coalesce(better.ref_trade_id = lesser.ref_trade_id, true)
    and case
        when better.is_dated and lesser.is_dated
            then better.report_date = lesser.report_date and better.place_of_day = lesser.place_of_day
        else better.number = lesser.number
    end
where lesser.key_worth = $worth
    and better.is_better
qualify row_number() over (partition by lesser.row_hash, lesser.source order by better.key_worth desc, better.row_key) = 1;
