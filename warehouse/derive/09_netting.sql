-- The other cancels net the latest uncancelled row before them, of opposite quantity, same instrument and price: of the trade
-- they name ($within_a_trade), then, for cancels that name nothing, of any. An instrument is known by its id ($by_id), then,
-- where only one of the two rows tells an id, by its symbol.

insert into ends
with lanes as (
    select
        row_hash,
        ord,
        exec_type = 'CANCEL' as cancels,
        is_identified,
        [
            broker, account, case when $by_id then instrument_id else symbol end, currency,
            last_qty::varchar, last_px::varchar, direction::varchar,
            case when $within_a_trade then coalesce(ref_trade_id, trade_id) end
        ] as lane
    from told
    where row_hash not in (select ended_hash from ends)
        and row_hash not in (select by_hash from ends)
        and row_hash not in (select row_hash from late)
        and case
            when not $within_a_trade then exec_type <> 'CANCEL' or (ref_row_key is null and ref_trade_id is null)
            when exec_type = 'CANCEL' then names_no_known_row and ref_trade_id is not null
            else trade_id is not null
        end
),

depths as (
    select
        lanes.*,
        sum(case when cancels then -1 else 1 end) over (partition by lane order by ord)
        + case when cancels then 1 else 0 end as depth
    from lanes
    where lane in (
            select lane
            from lanes
            group by lane
            having bool_or(cancels)
                and ($by_id or not bool_and(is_identified))
        )
)

select
    last_value(case when not cancels then row_hash end ignore nulls) over (
        partition by lane, depth order by ord rows between unbounded preceding and current row
    ) as ended_hash,
    row_hash as by_hash
from depths
qualify cancels and ended_hash is not null;
