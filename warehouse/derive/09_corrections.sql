-- A correction replaces the row it names, or the one before it of its execution, or else of the trade it names; it never adds.
-- Several corrections of one row replace one another in their order.
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
                and (
                    original.exec_id = correction.exec_id
                    or original.trade_id = coalesce(correction.ref_trade_id, correction.trade_id)
                )
            )
        )
    where correction.exec_type = 'CORRECT'
    qualify row_number() over (
        partition by correction.row_hash
        order by
            coalesce(original.exec_id = correction.exec_id, false) desc,
            original.last_qty = correction.last_qty desc,
            original.ord desc
    ) = 1
)

select
    coalesce(lag(by_hash) over (partition by original_hash order by ord), original_hash) as ended_hash,
    by_hash
from named;
