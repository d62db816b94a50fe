-- One round of widening: rows that look for a counterpart by their terms bring in every row of their lanes.

create or replace temp table seeking as
select distinct
    lane_hash,
    symbol_lane_hash
from links
where seeks
    and family in (select family from touched_families);

insert into touched_families
select family from links where lane_hash in (select lane_hash from seeking)
union
select family from links where symbol_lane_hash in (select symbol_lane_hash from seeking)
except
select family from touched_families;
