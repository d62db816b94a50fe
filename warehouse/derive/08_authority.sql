-- An execution is told by its most authoritative channel: rows of the others confirm it and fill its nulls.

-- By execution id, one to one: an execution id told twice is an original and its re-booking.
insert into twins
with candidates as (
    select
        latest.*,
        row_number() over (
            partition by broker, account, source, exec_id, side, symbol
            order by report_date, exec_rev, row_order
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
    and (better.instrument_id = lesser.instrument_id or better.symbol = lesser.symbol)
    and better.place = lesser.place
    and better.source_rank > lesser.source_rank
qualify row_number() over (partition by lesser.row_hash, lesser.source order by better.source_rank desc) = 1;

-- A cancel of one trade that two channels tell, one to one, whatever day each reports it.
insert into twins
with candidates as (
    select
        latest.*,
        row_number() over (
            partition by broker, account, source, symbol, signed_qty, last_px, ref_trade_id
            order by report_date, row_order
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
    and better.symbol = lesser.symbol
    and better.signed_qty = lesser.signed_qty
    and better.last_px is not distinct from lesser.last_px
    and better.place = lesser.place
    and better.source_rank > lesser.source_rank
qualify row_number() over (partition by lesser.row_hash, lesser.source order by better.source_rank desc) = 1;

-- Without a common execution id: one to one by terms, a booking by its date give or take a day. First within one order ...
insert into twins
with open_rows as (
    select latest.*
    from latest
    anti join twins
        on twins.lesser_hash = latest.row_hash
        and twins.lesser_source = latest.source
    anti join twins as answered
        on answered.better_hash = latest.row_hash
        and answered.better_source = latest.source
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
                lesser.broker, lesser.account, lesser.exec_type, lesser.symbol, lesser.side, lesser.last_qty, lesser.last_px,
                lesser.source, better.source, lesser.order_id,
                case when lesser.exec_type <> 'BOOK' then lesser.book_date end
            order by lesser.book_date, lesser.report_date, lesser.row_order, lesser.row_hash
        ) as place_of_lesser,
        dense_rank() over (
            partition by
                better.broker, better.account, better.exec_type, better.symbol, better.side, better.last_qty, better.last_px,
                lesser.source, better.source, lesser.order_id,
                case when better.exec_type <> 'BOOK' then better.book_date end
            order by better.book_date, better.report_date, better.row_order, better.row_hash
        ) as place_of_better
    from open_rows as lesser
    inner join open_rows as better
        on better.broker = lesser.broker
        and better.account = lesser.account
        and better.exec_type = lesser.exec_type
        and (better.instrument_id = lesser.instrument_id or better.symbol = lesser.symbol)
        and better.side is not distinct from lesser.side
        and better.last_qty = lesser.last_qty
        and better.last_px is not distinct from lesser.last_px
        and better.source_rank > lesser.source_rank
        and abs(better.book_date - lesser.book_date) <= case lesser.exec_type when 'BOOK' then 1 else 0 end
        and better.order_id = lesser.order_id
        and (coalesce(better.exec_id = lesser.exec_id, true) or coalesce(better.trade_id = lesser.trade_id, true))
    where lesser.status = 'provisional'
        and lesser.key_rank < 5
)

select
    lesser_hash,
    lesser_source,
    better_hash,
    better_source
from pairs
where place_of_lesser = place_of_better
qualify row_number() over (partition by lesser_hash, lesser_source order by source_rank desc) = 1;

-- ... then where one of the two channels does not tell the order.
insert into twins
with open_rows as (
    select latest.*
    from latest
    anti join twins
        on twins.lesser_hash = latest.row_hash
        and twins.lesser_source = latest.source
    anti join twins as answered
        on answered.better_hash = latest.row_hash
        and answered.better_source = latest.source
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
                lesser.broker, lesser.account, lesser.exec_type, lesser.symbol, lesser.side, lesser.last_qty, lesser.last_px,
                lesser.source, better.source, 
                case when lesser.exec_type <> 'BOOK' then lesser.book_date end
            order by lesser.book_date, lesser.report_date, lesser.row_order, lesser.row_hash
        ) as place_of_lesser,
        dense_rank() over (
            partition by
                better.broker, better.account, better.exec_type, better.symbol, better.side, better.last_qty, better.last_px,
                lesser.source, better.source, 
                case when better.exec_type <> 'BOOK' then better.book_date end
            order by better.book_date, better.report_date, better.row_order, better.row_hash
        ) as place_of_better
    from open_rows as lesser
    inner join open_rows as better
        on better.broker = lesser.broker
        and better.account = lesser.account
        and better.exec_type = lesser.exec_type
        and (better.instrument_id = lesser.instrument_id or better.symbol = lesser.symbol)
        and better.side is not distinct from lesser.side
        and better.last_qty = lesser.last_qty
        and better.last_px is not distinct from lesser.last_px
        and better.source_rank > lesser.source_rank
        and abs(better.book_date - lesser.book_date) <= case lesser.exec_type when 'BOOK' then 1 else 0 end
        and (better.order_id is null or lesser.order_id is null)
        and (coalesce(better.exec_id = lesser.exec_id, true) or coalesce(better.trade_id = lesser.trade_id, true))
    where lesser.status = 'provisional'
        and lesser.key_rank < 5
)

select
    lesser_hash,
    lesser_source,
    better_hash,
    better_source
from pairs
where place_of_lesser = place_of_better
qualify row_number() over (partition by lesser_hash, lesser_source order by source_rank desc) = 1;

-- An order that two channels split differently, into the same quantity: the better channel's rows replace all of the other's.
insert into twins
with open_rows as (
    select latest.*
    from latest
    anti join twins
        on twins.lesser_hash = latest.row_hash
        and twins.lesser_source = latest.source
    anti join twins as answered
        on answered.better_hash = latest.row_hash
        and answered.better_source = latest.source
    where latest.key_rank = 5
        and latest.order_id is not null
),

orders as (
    select
        broker,
        account,
        order_id,
        side,
        source,
        source_rank,
        sum(last_qty) as last_qty,
        arg_min(row_hash, (row_order, row_hash)) as first_hash
    from open_rows
    group by all
)

select
    open_rows.row_hash,
    open_rows.source,
    better.first_hash,
    better.source
from open_rows
inner join orders as lesser using (broker, account, order_id, side, source)
inner join orders as better
    on better.broker = lesser.broker
    and better.account = lesser.account
    and better.order_id = lesser.order_id
    and better.side = lesser.side
    and better.last_qty = lesser.last_qty
    and better.source_rank > lesser.source_rank
qualify row_number() over (partition by open_rows.row_hash, open_rows.source order by better.source_rank desc) = 1;

-- A row that is bettered by a row which is itself bettered answers to the best.
update twins
set
    better_hash = further.better_hash,
    better_source = further.better_source
from twins as further
where further.lesser_hash = twins.better_hash
    and further.lesser_source = twins.better_source;

update latest
set is_lesser = true
from twins
where twins.lesser_hash = latest.row_hash
    and twins.lesser_source = latest.source;
