"""The SQL that merges what was told of a row into its versions."""

from __future__ import annotations

from warehouse.shape import IN_PLACE, KEY, VERSIONED, listed

TOLD = (*VERSIONED, *IN_PLACE)
FLAGS = """false as is_latest,
    false as is_merged,
    false as stands,
    null::varchar as ended_by,
    null::varchar as finding"""

# What a reply does not tell of itself, though the column is never null. A row that does not say what it is counts as a trade.
_DERIVED = ("exec_type", "instrument_id", "fee_status", "book_date")
_IS_TOLD = {
    "exec_type": "exec_type <> 'TRADE'",
    "instrument_id": "not ends_with(instrument_id, ':' || symbol)",
    "fee_status": "true",
    "book_date": "true",
}
# The columns that a row of text tells, as the bits of a number.
_TELLS = " + ".join(
    f"case when {_IS_TOLD.get(column, f'{column} is not null')} then {1 << place} else 0 end"
    for place, column in enumerate(TOLD)
)
_AS_TOLD = ",\n    ".join(
    f"case when telling.told & {1 << place} <> 0 then stored.exec_type else 'TRADE' end as exec_type"
    if column == "exec_type"
    else f"stored.{column}"
    if column in _DERIVED
    else f"case when telling.told & {1 << place} <> 0 then stored.{column} end as {column}"
    for place, column in enumerate(TOLD)
)

# The tangled rows of a batch, and what each of them tells.
BATCH = f"""
create or replace temp table batch as
select
    told.* exclude (place, broker_clock),
    coalesce(told.broker_clock, timestamp '1970-01-01') as broker_clock,
    row_hash,
    ({_TELLS})::bigint as tells
from incoming_tangled as told
inner join (select place, row_hash from batch_links) using (place)
"""

# A reply read again, or read in another file, tells nothing new; nor does a picture of this moment (its clock is that of its
# answer) which shows a row as it was, or as it was in an earlier revision.
DROP_KNOWN = f"""
delete from batch
where rowid in (
    select told.rowid
    from (select *, rowid from batch) as told
    inner join stored_reports as stored
        on stored.row_hash = told.row_hash
        and stored.source = told.source
        and {
    " and ".join(
        f"(told.{column} is null or told.{column} is not distinct from stored.{column})"
        for column in TOLD
        if column not in _DERIVED
    )
}
        and (told.exec_type = 'TRADE' or told.exec_type = stored.exec_type)
        and (ends_with(told.instrument_id, ':' || told.symbol) or told.instrument_id = stored.instrument_id)
        and (told.book_date = stored.book_date or (told.trade_date is null and stored.trade_date is not null))
        and (
            (
                told.broker_clock between stored.clock_first and stored.clock_last
                and (
                    stored.tellings is null
                    or list_contains(stored.tellings, {{'clock': told.broker_clock, 'told': told.tells}})
                )
            )
            or (
                told.broker_clock = told.answered_at
                and told.broker_clock > stored.clock_last
                and stored.version = (
                    select max(other.version)
                    from stored_reports as other
                    where other.row_hash = told.row_hash
                        and other.source = told.source
                        and other.exec_rev is not distinct from stored.exec_rev
                )
            )
        )
)
"""

# Where one list shows several revisions, and of a fill made of ledger entries, whose `row_order` counts them: what was told
# with fewer of them was told before the others were known.
_REVISION = "case when exec_type = 'LEDGER' then row_order when status = 'provisional' then exec_rev end"

# Rows told once have one version. The others are laid out in the order of the broker's clock; of a live list, whose rows
# hold every revision of an execution and may show them side by side or late, by revision first. An attribute that one
# reply does not print is taken from its neighbours, and each run of equal words is a version. Where the replies of a
# version do not all tell the same columns it remembers which told which (`tellings`): what was only taken from a
# neighbour must not outlive a reply that is imported later and comes between the two. A commission that a provisional row
# did not tell yet is not taken from a later reply: then it was pending, and that is a version of its own.
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
    null::struct(clock timestamp, told bigint)[] as tellings,
    {FLAGS}
from batch
where row_hash not in (select row_hash from stored_reports)
qualify count(*) over (partition by row_hash, source) = 1
"""

REPLIES = f"""
create or replace temp table replies as
with again as (
    select row_hash, source
    from batch
    anti join new_reports using (row_hash, source)
    group by all
),

every as (
    select
        {listed(KEY)},
        {listed(TOLD)},
        source, answered_at as told_at, exchange_id, raw_row, broker_clock as clock, row_hash, tells as told
    from batch
    semi join again using (row_hash, source)
    union all
    select
        {listed(KEY)},
        {listed(TOLD)},
        source, first_seen_at, exchange_id, raw_row,
        unnest(case when clock_last > clock_first then [clock_first, clock_last] else [clock_first] end),
        row_hash, null
    from stored_reports
    semi join again using (row_hash, source)
    where tellings is null
)

select * replace (coalesce(told, {_TELLS})::bigint as told)
from every
"""

TOLD_IN_PARTS = "select count(*) from stored_reports where tellings is not null"

REPLIES_IN_PARTS = f"""
insert into replies
select
    {listed(KEY)},
    {_AS_TOLD},
    source, first_seen_at, exchange_id, raw_row, telling.clock, row_hash, telling.told
from (select *, unnest(tellings) as telling from stored_reports) as stored
where (row_hash, source) in (select (row_hash, source) from replies)
"""

# Whether some reply tells of a row what another leaves out: mostly all come of one query, and there is nothing to take over.
TOLD_APART = """
select count(*)
from (
    select row_hash
    from replies
    group by row_hash, source
    having min(told) <> max(told)
)
"""

_PLACED = f"""
insert into new_reports by name
with placed as (
    select
        *,
        row_number() over (
            partition by row_hash, source
            order by {_REVISION} nulls first, clock, commission is not null, md5(row({
    ", ".join(VERSIONED)
})::varchar), md5(row({", ".join(IN_PLACE)})::varchar), told_at
        ) as place,
        case when not ends_with(instrument_id, ':' || symbol) then instrument_id end as told_instrument,
        nullif(exec_type, 'TRADE') as told_type
    from replies
)
"""

_NEIGHBOURLY = f"""
    select
        {listed(KEY)},
        {
    listed(
        tuple(column for column in TOLD if column not in (*_DERIVED, "commission")),
        "coalesce({0}, last_value({0} ignore nulls) over earlier, first_value({0} ignore nulls) over later) as {0}",
    )
},
        coalesce(
            commission,
            last_value(commission ignore nulls) over earlier,
            case when status <> 'provisional' then first_value(commission ignore nulls) over later end
        ) as commission,
        coalesce(
            told_instrument,
            last_value(told_instrument ignore nulls) over earlier,
            first_value(told_instrument ignore nulls) over later,
            instrument_id
        ) as instrument_id,
        coalesce(
            told_type,
            last_value(told_type ignore nulls) over earlier,
            first_value(told_type ignore nulls) over later,
            'TRADE'
        ) as exec_type,
        book_date as printed_date,
        source, told_at, exchange_id, raw_row, clock, row_hash, told, place
    from placed
    window
        earlier as (partition by row_hash, source order by place rows between unbounded preceding and 1 preceding),
        later as (partition by row_hash, source order by place rows between 1 following and unbounded following)
"""

_ALIKE = """
    select
        * exclude (told_instrument, told_type, book_date, fee_status),
        book_date as printed_date
    from placed
"""

_COUNTED = f"""
,

completed as (
    select
        * replace (side_of(exec_type, signed_qty, side) as side),
        coalesce(trade_date, printed_date) as book_date,
        fee_status_of(entries_of(fee_entries, commission, comm_currency)) as fee_status
    from neighbourly
),

compared as (
    select
        row_hash, source, place, told, told_at, exchange_id, raw_row, clock,
        ({_TELLS})::bigint as known,
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
        sum(is_new_version::integer) over (partition by row_hash, source order by place)::integer as version
    from compared
),

bounded as (
    select
        *,
        told is distinct from lag(told) over placed or told is distinct from lead(told) over placed as is_bound
    from counted
    window placed as (partition by row_hash, source, version order by place)
),

runs as (
    select
        row_hash,
        source,
        version,
        max(place) as place,
        min(told_at) as first_seen_at,
        arg_max(exchange_id, place) filter (where is_new_version or is_restated) as exchange_id,
        arg_max(raw_row, place) filter (where is_new_version or is_restated) as raw_row,
        min(clock) as clock_first,
        max(clock) as clock_last,
        case
            when not bool_and(told = known)
                then list({{'clock': clock, 'told': told}} order by place) filter (where is_bound)
        end as tellings
    from bounded
    group by row_hash, source, version
)

select
    {listed(KEY)},
    {listed(TOLD)},
    source,
    runs.version,
    runs.first_seen_at,
    runs.first_seen_at as last_changed_at,
    runs.exchange_id,
    runs.raw_row,
    runs.clock_first,
    runs.clock_last,
    row_hash,
    runs.tellings,
    {FLAGS}
from runs
inner join completed using (row_hash, source, place)
"""


def merged_versions(*, told_apart: bool) -> str:
    """Write the SQL that lays replies out as versions; what one of them leaves out is looked for only where that may be."""
    taken = _NEIGHBOURLY if told_apart else _ALIKE
    return f"{_PLACED}, neighbourly as ({taken}){_COUNTED}"


# Every version of every touched row as it will stand after this load.
TOUCHED_REPORTS = """
create or replace temp table touched_reports as
select * from new_reports
union all by name
select stored.*
from stored_reports as stored
anti join new_reports using (row_hash, source)
"""
