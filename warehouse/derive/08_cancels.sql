-- A cancel that two channels tell, one to one: of one trade, whatever day each reports it ($of_a_trade); then, where one of
-- the two does not tell the trade, of equal terms and of one day, then of one day and the next ($days apart at most).

insert into twins
with candidates as (
    select cancels.*
    from cancels
    anti join twins
        on twins.lesser_hash = cancels.row_hash
        and twins.lesser_source = cancels.source
    anti join twins as answered
        on answered.better_hash = cancels.row_hash
        and answered.better_source = cancels.source
        and answered.lesser_source <> answered.better_source
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
                lesser.broker, lesser.account, lesser.symbol, lesser.signed_qty, lesser.last_px, lesser.source, better.source,
                case when $of_a_trade then lesser.named_trade_id end,
                case when $days = 0 then lesser.report_date end
            order by lesser.ord
        ) as place_of_lesser,
        dense_rank() over (
            partition by
                better.broker, better.account, better.symbol, better.signed_qty, better.last_px, lesser.source, better.source,
                case when $of_a_trade then better.named_trade_id end,
                case when $days = 0 then better.report_date end
            order by better.ord
        ) as place_of_better
    from candidates as lesser
    inner join candidates as better
        on better.broker = lesser.broker
        and better.account = lesser.account
        and coalesce(better.named_trade_id = lesser.named_trade_id, not $of_a_trade)
        and abs(better.report_date - lesser.report_date) <= $days
        and (better.instrument_id = lesser.instrument_id or better.symbol = lesser.symbol)
        and better.signed_qty = lesser.signed_qty
        and better.last_px is not distinct from lesser.last_px
        and better.source_rank > lesser.source_rank
)

select
    lesser_hash,
    lesser_source,
    better_hash,
    better_source
from pairs
where place_of_lesser = place_of_better
qualify row_number() over (partition by lesser_hash, lesser_source order by source_rank desc) = 1;
