"""The SQL that makes one row of what its channels tell."""

from __future__ import annotations

from warehouse.shape import FILLABLE, OF_EQUAL_TERMS, PUBLIC, listed

# What the lesser rows of a row know and it does not; what their terms came to only where those are its own.
_OF_ANY_TERMS = tuple(column for column in FILLABLE if column not in OF_EQUAL_TERMS)
_BEST = "any_value(lesser.{0} order by lesser.source_rank desc, lesser.key_rank desc, lesser.row_key)"
_TERMS_AGREE = "lesser.last_qty = better.last_qty and lesser.last_px is not distinct from better.last_px"
FILLERS = f"""
create or replace temp table fillers as
select
    twins.better_hash as row_hash,
    min(lesser_told.first_seen_at) as first_seen_at,
    any_value(lesser_told.fee_entries order by lesser.source_rank desc, lesser.key_rank desc, lesser.row_key) as fee_entries,
    bool_or(lesser.exec_type = 'BOOK') as is_booked,
    {listed(_OF_ANY_TERMS, f"{_BEST} as {{0}}")},
    {listed(OF_EQUAL_TERMS, f"{_BEST} filter (where {_TERMS_AGREE}) as {{0}}")}
from twins
inner join latest as better
    on better.row_hash = twins.better_hash
    and better.source = twins.better_source
inner join latest as lesser_told
    on lesser_told.row_hash = twins.lesser_hash
    and lesser_told.source = twins.lesser_source
inner join touched_reports as lesser
    on lesser.row_hash = lesser_told.row_hash
    and lesser.source = lesser_told.source
    and lesser.version = lesser_told.version
group by twins.better_hash
"""

_JUDGED = (
    "exec_type",
    "commission",
    "comm_currency",
    "fee_status",
    "fee_entries",
    "status",
    "first_seen_at",
    "last_changed_at",
)
_PLAIN = tuple(column for column in PUBLIC if column not in (*FILLABLE, *_JUDGED))

NEW_ROWS = f"""
create or replace temp table new_rows as
with filled as (
    select
        {listed(_PLAIN, "report.{0}")},
        {listed(FILLABLE, "coalesce(report.{0}, fillers.{0}) as {0}")},
        case
            when report.exec_type = 'TRADE' and report.exec_id is null and fillers.is_booked then 'BOOK'
            else report.exec_type
        end as exec_type,
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
