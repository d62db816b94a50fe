-- Rows of one channel under keys of different quality: a box ticked later in the query must not make new rows.
-- One to one, by the strongest identity the poorer key has, and only between rows of equal terms.

insert into twins
with numbered as (
    select
        latest.*,
        row_number() over (
            partition by broker, account, source, exec_type, symbol, side, last_qty, last_px, exec_id, exec_rev, key_rank
            order by report_date, row_order
        ) as place
    from latest
    where exec_id is not null
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
    and better.exec_type = lesser.exec_type
    and better.symbol = lesser.symbol
    and better.side is not distinct from lesser.side
    and better.last_qty = lesser.last_qty
    and better.last_px is not distinct from lesser.last_px
    and better.exec_id = lesser.exec_id
    and better.exec_rev is not distinct from lesser.exec_rev
    and better.place = lesser.place
    and better.key_rank = 4
where lesser.key_rank = 3;

insert into twins
with candidates as (
    select latest.*
    from latest
    anti join twins
        on twins.lesser_hash = latest.row_hash
        and twins.lesser_source = latest.source
    where trade_id is not null
),

numbered as (
    select
        candidates.*,
        row_number() over (
            partition by broker, account, source, exec_type, symbol, side, last_qty, last_px, trade_id, key_rank > 2
            order by report_date, row_order
        ) as place
    from candidates
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
    and better.exec_type = lesser.exec_type
    and better.symbol = lesser.symbol
    and better.side is not distinct from lesser.side
    and better.last_qty = lesser.last_qty
    and better.last_px is not distinct from lesser.last_px
    and better.trade_id = lesser.trade_id
    and better.place = lesser.place
    and better.key_rank > 2
where lesser.key_rank = 2;

insert into twins
with candidates as (
    select latest.*
    from latest
    anti join twins
        on twins.lesser_hash = latest.row_hash
        and twins.lesser_source = latest.source
),

numbered as (
    select
        candidates.*,
        row_number() over (
            partition by
                broker, account, source, exec_type, symbol, side, last_qty, last_px, transact_time, book_date, key_rank > 1
            order by report_date, row_order
        ) as place
    from candidates
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
    and better.exec_type = lesser.exec_type
    and better.symbol = lesser.symbol
    and better.side is not distinct from lesser.side
    and better.last_qty = lesser.last_qty
    and better.last_px is not distinct from lesser.last_px
    and better.transact_time is not distinct from lesser.transact_time
    and better.book_date = lesser.book_date
    and better.place = lesser.place
    and better.key_rank > 1
where lesser.key_rank = 1;
