-- A cancel that two channels tell, one to one: of one trade, whatever day each reports it ($of_a_trade); then, where one of
-- the two does not tell the trade, of equal terms and of one day or the next.

insert into twins
with candidates as (
    select
        cancels.*,
        row_number() over (
            partition by broker, account, source, symbol, signed_qty, last_px, case when $of_a_trade then named_trade_id end
            order by ord
        ) as place
    from cancels
    anti join twins
        on twins.lesser_hash = cancels.row_hash
        and twins.lesser_source = cancels.source
    anti join twins as answered
        on answered.better_hash = cancels.row_hash
        and answered.better_source = cancels.source
        and answered.lesser_source <> answered.better_source
    where named_trade_id is not null or not $of_a_trade
)

select
    lesser.row_hash,
    lesser.source,
    better.row_hash,
    better.source
from candidates as lesser
inner join candidates as better
    on better.broker = lesser.broker
    and better.account = lesser.account
    and coalesce(better.named_trade_id = lesser.named_trade_id, not $of_a_trade)
    and ($of_a_trade or abs(better.report_date - lesser.report_date) <= 1)
    and (better.instrument_id = lesser.instrument_id or better.symbol = lesser.symbol)
    and better.signed_qty = lesser.signed_qty
    and better.last_px is not distinct from lesser.last_px
    and better.place = lesser.place
    and better.source_rank > lesser.source_rank
qualify row_number() over (partition by lesser.row_hash, lesser.source order by better.source_rank desc) = 1;
