-- Each cancel nets exactly one row: the latest uncancelled one before it, of opposite quantity, same instrument and price.
-- Pointers first: the row it names, then the trade it names; then, for cancels that name nothing, their terms alone.

create or replace temp table told as
select
    latest.* exclude (is_lesser),
    row_number() over (order by report_date, row_order, row_key) as ord,
    coalesce(link(broker, account, ref_row_key) not in (select row_hash from latest), true) as names_no_known_row,
    case when signed_qty < 0 then -1 else 1 end * case exec_type when 'CANCEL' then -1 else 1 end as direction
from latest
where not is_lesser;

-- Provisional rows that a better channel has passed over; they end nothing.
create or replace temp table late as
select distinct told.row_hash
from told
inner join verified as mark
    on mark.broker = told.broker
    and mark.account = told.account
    and mark.source_rank > told.source_rank
    and mark.since <= told.book_date
    and mark.until > two_business_days_after(told.book_date)
where told.status = 'provisional'
    and told.key_rank < 5;

create or replace temp table ends (
    ended_hash ubigint,
    by_hash ubigint
);

insert into ends
select
    original.row_hash,
    cancel.row_hash
from told as cancel
inner join told as original
    on original.row_hash = link(cancel.broker, cancel.account, cancel.ref_row_key)
    and original.signed_qty = -cancel.signed_qty
    and original.exec_type <> 'CANCEL'
where cancel.exec_type = 'CANCEL'
    and cancel.row_hash not in (select row_hash from late)
qualify row_number() over (partition by original.row_hash order by cancel.ord) = 1;

insert into ends
with lanes as (
    select
        row_hash,
        ord,
        exec_type = 'CANCEL' as cancels,
        [broker, account, symbol, last_qty::varchar, last_px::varchar, direction::varchar, coalesce(ref_trade_id, trade_id)]
            as lane
    from told
    where row_hash not in (select ended_hash from ends)
        and row_hash not in (select by_hash from ends)
        and row_hash not in (select row_hash from late)
        and case exec_type when 'CANCEL' then names_no_known_row and ref_trade_id is not null else trade_id is not null end
),

depths as (
    select
        lanes.*,
        sum(case when cancels then -1 else 1 end) over (partition by lane order by ord)
        + case when cancels then 1 else 0 end as depth
    from lanes
)

select
    last_value(case when not cancels then row_hash end ignore nulls) over (
        partition by lane, depth order by ord rows between unbounded preceding and current row
    ) as ended_hash,
    row_hash as by_hash
from depths
qualify cancels and ended_hash is not null;

insert into ends
with lanes as (
    select
        row_hash,
        ord,
        exec_type = 'CANCEL' as cancels,
        [broker, account, symbol, last_qty::varchar, last_px::varchar, direction::varchar] as lane
    from told
    where row_hash not in (select ended_hash from ends)
        and row_hash not in (select by_hash from ends)
        and row_hash not in (select row_hash from late)
        and (exec_type <> 'CANCEL' or (ref_row_key is null and ref_trade_id is null))
),

depths as (
    select
        lanes.*,
        sum(case when cancels then -1 else 1 end) over (partition by lane order by ord)
        + case when cancels then 1 else 0 end as depth
    from lanes
    where lane in (select lane from lanes where cancels)
)

select
    last_value(case when not cancels then row_hash end ignore nulls) over (
        partition by lane, depth order by ord rows between unbounded preceding and current row
    ) as ended_hash,
    row_hash as by_hash
from depths
qualify cancels and ended_hash is not null;

-- A correction replaces the row it names, or the one before it of the trade it names; it never adds. Several corrections
-- of one row replace one another in their order.
create or replace temp table corrections as
with candidates as (
    select *
    from told
    where exec_type <> 'CANCEL'
        and row_hash not in (select row_hash from late)
),

named as (
    select
        original.row_hash as original_hash,
        correction.row_hash as by_hash,
        correction.ord
    from candidates as correction
    inner join candidates as original
        on original.broker = correction.broker
        and original.account = correction.account
        and original.ord < correction.ord
        and original.row_hash not in (select ended_hash from ends)
        and (
            original.row_hash = link(correction.broker, correction.account, correction.ref_row_key)
            or (
                correction.names_no_known_row
                and original.trade_id = coalesce(correction.ref_trade_id, correction.trade_id)
            )
        )
    where correction.exec_type = 'CORRECT'
    qualify row_number() over (partition by correction.row_hash order by original.ord desc) = 1
)

select
    coalesce(lag(by_hash) over (partition by original_hash order by ord), original_hash) as ended_hash,
    by_hash
from named;
