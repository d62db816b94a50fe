-- What the ledger says was paid for the executions asked about (`asked_executions`): only a whole group of legs can tell,
-- one asset in and one out, or entries of a margin position, where nothing but fees and profit moves.

insert into paid
with legs as (
    select
        exec_hash,
        asset,
        amount,
        fee_asset,
        fee_digits,
        fee_kind,
        case fee_kind when 'credit' then fee - amount else fee end as fee,
        first_seen_at
    from ledger_entries
    where status = 'booked'
        and fee_kind is not null
        and exec_hash in (select exec_hash from asked_executions)
        and book_date >= (select min(book_date) - 2 from asked_executions)
        and book_date <= (select max(book_date) + 2 from asked_executions)
),

moved as (
    select
        exec_hash,
        sum(amount) as amount
    from legs
    where fee_kind = 'trade'
    group by
        exec_hash,
        asset
    having sum(amount) <> 0
),

whole as (
    select exec_hash from legs where fee_kind = 'margin'
    union
    select exec_hash from moved group by exec_hash having count(*) = 2 and min(amount) < 0 and max(amount) > 0
),

charged as (
    select
        exec_hash,
        fee_asset as asset,
        sum(fee)::decimal(28, 12) as amount,
        any_value(fee_kind) as kind,
        max(fee_digits) as digits
    from legs
    semi join whole using (exec_hash)
    group by
        exec_hash,
        fee_asset,
        fee_kind
),

told as (
    select
        exec_hash,
        max(first_seen_at) as told_at
    from legs
    semi join whole using (exec_hash)
    group by exec_hash
)

select
    told.exec_hash,
    any_value(told.told_at) as told_at,
    list(
        {'asset': charged.asset, 'amount': charged.amount, 'kind': charged.kind, 'digits': charged.digits}
        order by charged.kind, charged.asset
    )
        filter (where charged.asset is not null) as charges
from told
left join charged using (exec_hash)
group by told.exec_hash;
