-- A family is the closure over execution id, trade id and cancel links. Each row starts as its own; ties pull it down.

create or replace temp table ties as
select
    row_hash,
    link(broker, account, exec_id) as tie
from told
where exec_id is not null
union all
select
    row_hash,
    link(broker, account, 'trade ' || coalesce(ref_trade_id, trade_id) || ' ' || symbol) as tie
from told
where coalesce(ref_trade_id, trade_id) is not null
union all
select
    ended_hash,
    by_hash
from ends
union all
select
    by_hash,
    by_hash
from ends
union all
select
    ended_hash,
    by_hash
from corrections
union all
select
    by_hash,
    by_hash
from corrections;

create or replace temp table families as
select
    row_hash,
    row_hash as family
from told;

delete from ties
where tie not in (select tie from ties group by tie having count(distinct row_hash) > 1);
