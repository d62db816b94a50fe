-- A cancel of one trade that two channels tell, one to one, whatever day each reports it.

insert into twins
with candidates as (
    select
        latest.*,
        row_number() over (
            partition by broker, account, source, symbol, signed_qty, last_px, ref_trade_id
            order by ord
        ) as place
    from latest
    anti join twins
        on twins.lesser_hash = latest.row_hash
        and twins.lesser_source = latest.source
    where exec_type = 'CANCEL'
        and ref_trade_id is not null
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
    and better.ref_trade_id = lesser.ref_trade_id
    and (better.instrument_id = lesser.instrument_id or better.symbol = lesser.symbol)
    and better.signed_qty = lesser.signed_qty
    and better.last_px is not distinct from lesser.last_px
    and better.place = lesser.place
    and better.source_rank > lesser.source_rank
qualify row_number() over (partition by lesser.row_hash, lesser.source order by better.source_rank desc) = 1;
