-- One round of widening: rows that look for a counterpart by their terms bring in every row of their lanes, and trades of an
-- order all others of it, because channels are compared by what each of them tells of a whole order.

create or replace temp table seeking as
select distinct
    case when seeks then lane_hash end as lane_hash,
    case when seeks then symbol_lane_hash end as symbol_lane_hash,
    order_hash
from links
where (seeks or order_hash is not null)
    and family in (select family from touched_families);

insert into touched_families
select family from links where lane_hash in (select lane_hash from seeking)
union
select family from links where symbol_lane_hash in (select symbol_lane_hash from seeking)
union
select family from links where order_hash in (select order_hash from seeking)
except
select family from touched_families;
