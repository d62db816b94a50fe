-- Trades of an order that no other list of trades tells one to one, as far as that is known by now; and whether the ledger has
-- booked them under their own ids.
create or replace temp view open_trades as
select
    latest.*,
    latest.row_hash in (select exec_hash from paid) as is_booked
from latest
anti join twins
    on twins.lesser_hash = latest.row_hash
    and twins.lesser_source = latest.source
anti join (
    select
        twins.better_hash,
        twins.better_source
    from twins
    inner join latest as lesser
        on lesser.row_hash = twins.lesser_hash
        and lesser.source = twins.lesser_source
    where lesser.exec_type <> 'LEDGER'
) as answered
    on answered.better_hash = latest.row_hash
    and answered.better_source = latest.source
where latest.key_rank = 5
    and latest.order_id is not null;

-- An order that two channels split differently, into the same quantity: the better channel's rows replace all of the other's,
-- unless the ledger has booked the other's only. What it has booked on both sides are trades of their own.
-- They must tell of the same time, to the second: of an order that is filled in two halves each channel may know but one.

insert into twins
with orders as (
    select
        broker,
        account,
        order_id,
        side,
        source,
        source_rank,
        sum(last_qty) as last_qty,
        bool_or(is_booked) as is_booked,
        date_trunc('second', min(transact_time)) as began,
        date_trunc('second', max(transact_time)) as ended,
        arg_min(row_hash, (row_order, row_hash)) as first_hash
    from open_trades
    group by all
)

select
    told.row_hash,
    told.source,
    better.first_hash,
    better.source
from open_trades as told
inner join orders as lesser using (broker, account, order_id, side, source)
inner join orders as better
    on better.broker = lesser.broker
    and better.account = lesser.account
    and better.order_id = lesser.order_id
    and better.side = lesser.side
    and better.last_qty = lesser.last_qty
    and better.source <> lesser.source
    and (better.is_booked, better.source_rank) > (lesser.is_booked, lesser.source_rank)
    and not lesser.is_booked
    and better.began <= lesser.ended
    and lesser.began <= better.ended
qualify row_number() over (partition by told.row_hash, told.source order by better.is_booked desc, better.source_rank desc) = 1;

-- What is left of an order is compared second by second: what one channel tells as one trade the other tells as several, perhaps
-- not all of them. Then the larger sum counts, and a person should look. What the ledger has booked under its own id is a trade
-- of its own, whoever tells it.
create or replace temp table seconds as
select
    broker,
    account,
    order_id,
    side,
    date_trunc('second', transact_time) as second,
    source,
    source_rank,
    sum(last_qty) as last_qty,
    arg_min(row_hash, (row_order, row_hash)) as first_hash,
    list(row_hash) filter (where not is_booked) as row_hashes
from open_trades
where transact_time is not null
group by all;

insert into split_seconds
select
    lesser.row_hashes,
    lesser.source as lesser_source,
    better.first_hash as better_hash,
    better.source as better_source,
    better.last_qty <> lesser.last_qty as is_doubtful
from seconds as lesser
inner join seconds as better using (broker, account, order_id, side, second)
where better.source <> lesser.source
    and lesser.row_hashes is not null
    and (better.last_qty, better.source_rank) > (lesser.last_qty, lesser.source_rank)
qualify
    row_number() over (
        partition by lesser.row_hashes, lesser.source
        order by better.last_qty desc, better.source_rank desc
    ) = 1;

insert into twins
select
    unnest(row_hashes) as lesser_hash,
    lesser_source,
    better_hash,
    better_source
from split_seconds;
