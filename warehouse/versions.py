"""The SQL that merges what was told of a row into its versions, and a row's channels into one row."""

from __future__ import annotations

from warehouse.shape import FILLABLE, IN_PLACE, KEY, PUBLIC, VERSIONED, listed

TOLD = (*VERSIONED, *IN_PLACE)
FLAGS = """false as is_latest,
    false as is_merged,
    false as stands,
    null::varchar as ended_by,
    null::varchar as finding"""

# A reply read again, or read in another file, tells nothing new.
DROP_KNOWN = f"""
delete from batch
where rowid in (
    select told.rowid
    from batch as told
    inner join stored_reports as stored
        on stored.row_hash = told.row_hash
        and stored.source = told.source
        and told.broker_clock between stored.clock_first and stored.clock_last
        and {" and ".join(f"(told.{column} is null or told.{column} is not distinct from stored.{column})" for column in TOLD)}
)
"""

# Rows told once have one version. The others are laid out in the order of the broker's clock, an attribute that one
# reply does not print is taken from its neighbours, and each run of equal words is a version.
FIRST_VERSIONS = f"""
create or replace temp table new_reports as
select
    {listed(KEY)},
    {listed(TOLD)},
    source,
    1 as version,
    answered_at as first_seen_at,
    answered_at as last_changed_at,
    exchange_id,
    raw_row,
    broker_clock as clock_first,
    broker_clock as clock_last,
    row_hash,
    {FLAGS}
from batch
where row_hash not in (select row_hash from stored_reports)
qualify count(*) over (partition by row_hash, source) = 1
"""

MERGED_VERSIONS = f"""
insert into new_reports by name
with again as (
    select row_hash, source
    from batch
    anti join new_reports using (row_hash, source)
    group by all
),

replies as (
    select
        {listed(KEY)}, {
    listed(TOLD)
}, source, answered_at as told_at, exchange_id, raw_row, broker_clock as clock, row_hash
    from batch
    semi join again using (row_hash, source)
    union all
    select
        {listed(KEY)}, {listed(TOLD)}, source, first_seen_at, exchange_id, raw_row, clock_first, row_hash
    from stored_reports
    semi join again using (row_hash, source)
    union all
    select
        {listed(KEY)}, {listed(TOLD)}, source, first_seen_at, exchange_id, raw_row, clock_last, row_hash
    from stored_reports
    semi join again using (row_hash, source)
    where clock_last > clock_first
),

placed as (
    select
        *,
        row_number() over (
            partition by row_hash, source
            order by clock, md5(row({", ".join(VERSIONED)})::varchar), md5(row({", ".join(IN_PLACE)})::varchar), told_at
        ) as place
    from replies
),

completed as (
    select
        {listed(KEY)},
        {
    listed(
        TOLD,
        "coalesce({0}, last_value({0} ignore nulls) over earlier, first_value({0} ignore nulls) over later) as {0}",
    )
},
        source, told_at, exchange_id, raw_row, clock, row_hash, place
    from placed
    window
        earlier as (partition by row_hash, source order by place rows between unbounded preceding and 1 preceding),
        later as (partition by row_hash, source order by place rows between 1 following and unbounded following)
),

compared as (
    select
        *,
        place = 1
        or row({", ".join(VERSIONED)}) is distinct from lag(row({", ".join(VERSIONED)})) over placed
        or coalesce(abs(epoch_us(transact_time) - epoch_us(lag(transact_time) over placed)) > 1000, false) as is_new_version,
        row({", ".join(IN_PLACE)}) is distinct from lag(row({", ".join(IN_PLACE)})) over placed as is_restated
    from completed
    window placed as (partition by row_hash, source order by place)
),

counted as (
    select
        *,
        sum(is_new_version::integer) over (partition by row_hash, source order by place) as version
    from compared
)

select
    {listed(KEY)},
    {listed(VERSIONED, "any_value({0}) as {0}")},
    {listed(IN_PLACE, "arg_max({0}, place) as {0}")},
    source,
    version::integer as version,
    min(told_at) as first_seen_at,
    min(told_at) as last_changed_at,
    arg_max(exchange_id, place) filter (where is_new_version or is_restated) as exchange_id,
    arg_max(raw_row, place) filter (where is_new_version or is_restated) as raw_row,
    min(clock) as clock_first,
    max(clock) as clock_last,
    row_hash,
    {FLAGS}
from counted
group by row_hash, source, version, {", ".join(KEY)}
"""

# Every version of every touched row as it will stand after this load.
TOUCHED_REPORTS = """
create or replace temp table touched_reports as
select * from new_reports
union all by name
select stored.*
from stored_reports as stored
anti join new_reports using (row_hash, source)
"""

# What the lesser rows of a row know and it does not.
FILLERS = f"""
create or replace temp table fillers as
select
    twins.better_hash as row_hash,
    min(lesser_told.first_seen_at) as first_seen_at,
    any_value(lesser_told.fee_entries order by lesser.source_rank desc, lesser.key_rank desc, lesser.row_key) as fee_entries,
    {listed(FILLABLE, "any_value(lesser.{0} order by lesser.source_rank desc, lesser.key_rank desc, lesser.row_key) as {0}")}
from twins
inner join latest as lesser_told
    on lesser_told.row_hash = twins.lesser_hash
    and lesser_told.source = twins.lesser_source
inner join touched_reports as lesser
    on lesser.row_hash = lesser_told.row_hash
    and lesser.source = lesser_told.source
    and lesser.version = lesser_told.version
group by twins.better_hash
"""

_JUDGED = ("commission", "comm_currency", "fee_status", "fee_entries", "status", "first_seen_at", "last_changed_at")
_PLAIN = tuple(column for column in PUBLIC if column not in (*FILLABLE, *_JUDGED))

NEW_ROWS = f"""
create or replace temp table new_rows as
with filled as (
    select
        {listed(_PLAIN, "report.{0}")},
        {listed(FILLABLE, "coalesce(report.{0}, fillers.{0}) as {0}")},
        case when judged.is_unconfirmed then 'unconfirmed' else report.status end as status,
        least(judged.first_seen_at, fillers.first_seen_at) as first_seen_at,
        greatest(judged.told_at, judged.fees_told_at, carriers.burden_told_at) as last_changed_at,
        report.key_rank,
        report.source_rank,
        report.row_order,
        report.row_hash,
        judged.family,
        judged.stands,
        judged.ended_by,
        judged.finding,
        report.version > 1
        or judged.is_unconfirmed
        or fillers.row_hash is not null
        or carriers.row_hash is not null
        or judged.fees_told_at is not null
        or judged.first_seen_at <> report.first_seen_at as is_merged,
        coalesce(judged.fee_entries, fillers.fee_entries) as every_fee,
        case when carriers.row_hash is null then every_fee else carriers.fee_entries end as fill_every_fee,
        case when carriers.row_hash is null then coalesce(report.taxes, fillers.taxes) else carriers.taxes end as fill_taxes
    from judged
    inner join touched_reports as report
        on report.row_hash = judged.row_hash
        and report.source = judged.source
        and report.version = judged.version
    left join fillers on fillers.row_hash = judged.row_hash
    left join carriers on carriers.row_hash = judged.row_hash
)

select
    * exclude (every_fee, fill_every_fee),
    commission_of(every_fee) as commission,
    comm_currency_of(every_fee) as comm_currency,
    fee_status_of(every_fee) as fee_status,
    several_of(every_fee) as fee_entries,
    commission_of(fill_every_fee) as fill_commission,
    comm_currency_of(fill_every_fee) as fill_comm_currency,
    case when every_fee is null then 'pending' else fee_status_of(fill_every_fee) end as fill_fee_status,
    several_of(fill_every_fee) as fill_fee_entries
from filled
"""
