-- The other cancels net the latest uncancelled row before them, of opposite quantity, same instrument and price: of the trade
-- they name ($named = 'trade'); then, where the ids they name are of kinds that a row does not print, of such rows ('unprinted');
-- and cancels that name nothing, of any ('none'). A row that prints another id than the one named is another row, though the one
-- named be unknown: so nothing that comes later can take back what was netted. An instrument is known by its id ($by_id), then,
-- where only one of the two rows tells an id, by its symbol.

insert into ends
with open_rows as (
    select *
    from told
    where row_hash not in (select ended_hash from ends)
        and row_hash not in (select by_hash from ends)
        and row_hash not in (select row_hash from late)
),

lanes as (
    select
        row_hash,
        ord,
        exec_type = 'CANCEL' as cancels,
        is_identified,
        [
            broker, account, case when $by_id then instrument_id else symbol end, currency,
            last_qty::varchar, last_px::varchar, direction::varchar,
            case when $named = 'trade' then coalesce(ref_trade_id, trade_id) end
        ] as lane
    from open_rows
    where case
            when exec_type <> 'CANCEL'
                then case $named when 'trade' then trade_id is not null when 'unprinted' then key_rank < 4 else true end
            when $named = 'trade' then names_no_known_row and ref_trade_id is not null
            when $named = 'unprinted' then names_no_known_row and coalesce(ref_row_key, ref_trade_id) is not null
            else ref_row_key is null and ref_trade_id is null
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
),

pairs as (
    select
        last_value(case when not cancels then row_hash end ignore nulls) over (
            partition by lane, depth order by ord rows between unbounded preceding and current row
        ) as ended_hash,
        row_hash as by_hash
    from depths
    qualify cancels and ended_hash is not null
)

select
    pairs.ended_hash,
    pairs.by_hash
from pairs
inner join told as ended on ended.row_hash = pairs.ended_hash
inner join told as cancel on cancel.row_hash = pairs.by_hash
where (cancel.ref_row_key is null or ended.key_rank < 4)
    and coalesce(cancel.ref_trade_id = ended.trade_id, true);
