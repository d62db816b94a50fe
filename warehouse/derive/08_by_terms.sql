-- Without a common execution id: one to one by terms, a booking by its date give or take a day. First within one order
-- ($within_an_order), then where one of the two channels does not tell the order. A row that names no trade date may be of
-- the day before or after by the broker's count, if the times are near; an expiry may be told without its side. A row that has
-- answered one of a channel answers no other of it; to a third channel it may still be an answer, and be answered itself.

insert into twins
with open_rows as (
    select latest.*
    from latest
    anti join twins
        on twins.lesser_hash = latest.row_hash
        and twins.lesser_source = latest.source
    where exec_type <> 'CANCEL'
),

answered as (
    select distinct
        better_hash,
        better_source,
        lesser_source
    from twins
    where lesser_source <> better_source
),

pairs as (
    select
        lesser.row_hash as lesser_hash,
        lesser.source as lesser_source,
        better.row_hash as better_hash,
        better.source as better_source,
        better.source_rank,
        dense_rank() over (
            partition by
                lesser.broker, lesser.account, plain_kind(lesser.exec_type), lesser.symbol, lesser.side, lesser.last_qty, lesser.last_px,
                lesser.source, better.source,
                case when $within_an_order then lesser.order_id end,
                case when lesser.exec_type <> 'BOOK' and lesser.is_day_told and better.is_day_told then lesser.book_date end
            order by lesser.book_date, lesser.ord
        ) as place_of_lesser,
        dense_rank() over (
            partition by
                better.broker, better.account, plain_kind(better.exec_type), better.symbol, better.side, better.last_qty, better.last_px,
                lesser.source, better.source,
                case when $within_an_order then lesser.order_id end,
                case when better.exec_type <> 'BOOK' and lesser.is_day_told and better.is_day_told then better.book_date end
            order by better.book_date, better.ord
        ) as place_of_better
    from open_rows as lesser
    inner join open_rows as better
        on better.broker = lesser.broker
        and better.account = lesser.account
        and may_be_of_one_kind(better.exec_type, better.exec_id, lesser.exec_type, lesser.exec_id)
        and (
            better.instrument_id = lesser.instrument_id
            or better.symbol = lesser.symbol
            or (not (better.is_identified and lesser.is_identified) and better.exec_id = lesser.exec_id)
        )
        and (better.side is not distinct from lesser.side or (lesser.exec_type = 'BOOK' and lesser.side is null))
        and better.last_qty = lesser.last_qty
        and better.last_px is not distinct from lesser.last_px
        and better.source_rank > lesser.source_rank
        and abs(better.book_date - lesser.book_date)
        <= case when lesser.exec_type = 'BOOK' or not (lesser.is_day_told and better.is_day_told) then 1 else 0 end
        and (
            (lesser.is_day_told and better.is_day_told)
            or lesser.exec_type = 'BOOK'
            or coalesce(abs(epoch(better.transact_time) - epoch(lesser.transact_time)) < 43200, true)
        )
        and coalesce(better.order_id = lesser.order_id, not $within_an_order)
        and ($within_an_order or better.order_id is null or lesser.order_id is null)
        and coalesce(better.trade_id = lesser.trade_id, better.exec_id = lesser.exec_id, true)
    anti join answered
        on answered.better_hash = better.row_hash
        and answered.better_source = better.source
        and answered.lesser_source = lesser.source
    where lesser.status = 'provisional'
        and lesser.key_rank < 5
        and not rebooked_between(
            lesser.broker, lesser.account, lesser.symbol, lesser.side, lesser.last_qty, lesser.last_px, lesser.trade_id,
            lesser.report_date, better.report_date
        )
)

select
    lesser_hash,
    lesser_source,
    better_hash,
    better_source
from pairs
where place_of_lesser = place_of_better
qualify row_number() over (partition by lesser_hash, lesser_source order by source_rank desc) = 1;
