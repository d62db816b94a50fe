-- What stayed charged on a family's cancelled rows is booked once, on the latest row of the family that stands.

create or replace temp table judged as
select
    told.row_hash,
    told.source,
    told.version,
    told.ord,
    told.told_at,
    told.first_seen_at,
    told.fee_entries,
    told.fees_told_at,
    told.taxes,
    families.family,
    coalesce(cancel.row_key, correction.row_key) as ended_by,
    cancel.row_hash is not null or netted.by_hash is not null as is_cancelled,
    late.row_hash is not null as is_unconfirmed,
    told.exec_type <> 'CANCEL'
    and cancel.row_hash is null
    and correction.row_hash is null
    and late.row_hash is null as stands,
    case
        when late.row_hash is not null and told.exec_type <> 'LEDGER' then 'unconfirmed'
        when told.exec_type = 'CANCEL' and netted.by_hash is null then 'orphan_cancel'
        when clash.exec_id is not null then 'clash'
        when doubtful.row_hash is not null then 'split_differently'
        when told.fee_contradicted then 'fee_mismatch'
    end as finding
from told
inner join families on families.row_hash = told.row_hash
left join ends on ends.ended_hash = told.row_hash
left join told as cancel on cancel.row_hash = ends.by_hash
left join ends as netted on netted.by_hash = told.row_hash
left join corrections on corrections.ended_hash = told.row_hash
left join told as correction on correction.row_hash = corrections.by_hash
left join (
    select
        broker,
        account,
        source,
        exec_id
    from told
    where exec_id is not null
    group by all
    having count(distinct (symbol, side)) > 1
) as clash
    on clash.broker = told.broker
    and clash.account = told.account
    and clash.source = told.source
    and clash.exec_id = told.exec_id
left join late on late.row_hash = told.row_hash
left join (select distinct better_hash as row_hash from split_seconds where is_doubtful) as doubtful
    on doubtful.row_hash = told.row_hash;

create or replace temp table carriers as
with burdens as (
    select
        family,
        sum(taxes) as taxes,
        max(told_at) as told_at,
        flatten(list(fee_entries)) as fee_entries
    from judged
    where is_cancelled
    group by family
),

latest_standing as (
    select
        judged.row_hash,
        coalesce(burdens.taxes, 0) as burden_taxes,
        burdens.told_at as burden_told_at,
        judged.taxes as own_taxes,
        burdens.fee_entries as burden_entries,
        list_concat(judged.fee_entries, burdens.fee_entries) as every_entry
    from judged
    inner join burdens using (family)
    where judged.stands
    qualify row_number() over (partition by judged.family order by judged.ord desc) = 1
),

netted as (
    select
        row_hash,
        list({'asset': asset, 'amount': amount, 'kind': kind} order by kind, asset) as fee_entries
    from (
        select
            latest_standing.row_hash,
            fee.entry.asset as asset,
            fee.entry.kind as kind,
            sum(fee.entry.amount)::decimal(28, 12) as amount
        from latest_standing, unnest(latest_standing.every_entry) as fee(entry)
        group by all
    )
    group by row_hash
),

remaining as (
    select row_hash
    from (
        select
            latest_standing.row_hash,
            sum(fee.entry.amount) as amount
        from latest_standing, unnest(latest_standing.burden_entries) as fee(entry)
        group by latest_standing.row_hash, fee.entry.asset, fee.entry.kind
    )
    where amount <> 0
    group by row_hash
)

select
    latest_standing.row_hash,
    latest_standing.burden_told_at,
    netted.fee_entries,
    case
        when latest_standing.burden_taxes <> 0
            then (coalesce(latest_standing.own_taxes, 0) + latest_standing.burden_taxes)::decimal(28, 12)
        else latest_standing.own_taxes
    end as taxes
from latest_standing
left join netted using (row_hash)
where latest_standing.burden_taxes <> 0
    or latest_standing.row_hash in (select row_hash from remaining);
