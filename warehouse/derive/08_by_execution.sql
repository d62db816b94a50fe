-- An execution is told by its most authoritative channel: rows of the others confirm it and fill its nulls.
-- By execution id, one to one: an id told twice is an original and its re-booking. First within one report date, then
-- whatever day each channel reports, unless a cancel lies between. Channels call a derivative or a currency pair differently:
-- where one does not tell the instrument's id, equal terms do.

insert into twins
with candidates as (
    select
        latest.*,
        row_number() over (
            partition by
                broker, account, source, exec_id, side, symbol,
                case when $within_a_day then report_date end
            order by report_date, exec_rev, ord
        ) as place
    from latest
    anti join twins
        on twins.lesser_hash = latest.row_hash
        and twins.lesser_source = latest.source
    where exec_id is not null
        and exec_type <> 'CANCEL'
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
    and better.exec_id = lesser.exec_id
    and better.side is not distinct from lesser.side
    and (
        better.instrument_id = lesser.instrument_id
        or better.symbol = lesser.symbol
        or (
            not (better.is_identified and lesser.is_identified)
            and better.last_qty = lesser.last_qty
            and better.last_px = lesser.last_px
        )
    )
    and better.place = lesser.place
    and better.source_rank > lesser.source_rank
    and (better.report_date = lesser.report_date or not $within_a_day)
where $within_a_day
    or not rebooked_between(
        lesser.broker, lesser.account, lesser.symbol, lesser.side, lesser.last_qty, lesser.last_px, lesser.trade_id,
        lesser.report_date, better.report_date
    )
qualify row_number() over (partition by lesser.row_hash, lesser.source order by better.source_rank desc) = 1;
