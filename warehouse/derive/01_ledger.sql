-- Keep ledger entries, each once: booked rather than pending, with what it is about rather than without (an entry beside it
-- could not be read), else as last told. What is told again changes nothing.

create or replace temp table fresh_entries as
with told as (
    select
        * exclude (answered_at),
        answered_at as first_seen_at,
        link(broker, account, entry_id) as entry_hash,
        link(broker, account, exec_id) as exec_hash
    from incoming_entries
)

select told.*
from told
anti join ledger_entries as known
    on known.entry_hash = told.entry_hash
    and known.book_date is not distinct from told.book_date
    and known.first_seen_at <= told.first_seen_at
    and (told.exec_id is null or known.exec_id is not distinct from told.exec_id)
    and (known.ref_id, known.entry_type, known.asset_raw, known.amount, known.fee, known.fee_asset, known.balance, known.entry_time)
    is not distinct from (told.ref_id, told.entry_type, told.asset_raw, told.amount, told.fee, told.fee_asset, told.balance, told.entry_time);

create or replace temp table kept_entries as
with every_telling as (
    select * from fresh_entries
    union all by name
    select ledger_entries.*
    from ledger_entries
    where entry_hash in (select entry_hash from fresh_entries)
        and (
            book_date is null
            or (
                book_date >= (select min(book_date) - 7 from fresh_entries)
                and book_date <= (select max(book_date) + 7 from fresh_entries)
            )
        )
)

select *
from every_telling
qualify
    row_number() over (
        partition by entry_hash
        order by
            status = 'booked' desc,
            exec_id is not null desc,
            broker_clock desc nulls last,
            md5((ref_id, entry_type, asset_raw, amount, fee, fee_asset, balance, entry_time)::varchar),
            first_seen_at,
            exchange_id
    ) = 1;

delete from ledger_entries
where entry_hash in (select entry_hash from kept_entries)
    and (
        book_date is null
        or (
            book_date >= (select min(book_date) - 7 from kept_entries)
            and book_date <= (select max(book_date) + 7 from kept_entries)
        )
    );

insert into ledger_entries by name
select * from kept_entries;

-- The legs of a trade net to one asset in and one out; what comes to something else is for a person to look at. Most legs are
-- booked at once; where one asset only has moved so far, the other may have at any time.
create or replace temp table lone_references as
select exec_hash
from ledger_entries
where exec_hash in (select exec_hash from kept_entries)
    and book_date >= (select min(book_date) - 2 from kept_entries)
    and book_date <= (select max(book_date) + 2 from kept_entries)
    and fee_kind = 'trade'
    and status = 'booked'
group by exec_hash
having count(distinct asset) = 1;

create or replace temp table judged_references as
with legs as (
    select ledger_entries.*
    from ledger_entries
    where exec_hash in (select exec_hash from kept_entries)
        and book_date >= (
            select min(book_date) - case when exists (from lone_references) then 10000 else 2 end
            from kept_entries
        )
        and book_date <= (
            select max(book_date) + case when exists (from lone_references) then 10000 else 2 end
            from kept_entries
        )
        and fee_kind = 'trade'
        and status = 'booked'
),

moved as (
    select
        exec_hash,
        asset,
        sum(amount) as amount
    from legs
    group by
        exec_hash,
        asset
    having sum(amount) <> 0
),

counted as (
    select
        exec_hash,
        count(*) as assets,
        min(amount) < 0 and max(amount) > 0 as both_ways
    from moved
    group by exec_hash
)

select
    any_value(legs.broker) as broker,
    any_value(legs.account) as account,
    any_value(legs.ref_id) as ref_id,
    case
        when counted.assets is null then 'entries that cancel one another out'
        when counted.assets = 1 then 'one asset only'
        when counted.assets = 2 then 'two assets that both came or both went'
        else counted.assets || ' assets'
    end as what,
    min(legs.first_seen_at) as first_seen_at,
    legs.exec_hash,
    coalesce(counted.assets = 2 and counted.both_ways, false) as is_whole
from legs
left join counted using (exec_hash)
group by
    legs.exec_hash,
    counted.assets,
    counted.both_ways;

delete from ledger_findings
where exec_hash in (select exec_hash from judged_references);

insert into ledger_findings by name
select * exclude (is_whole)
from judged_references
where not is_whole;
