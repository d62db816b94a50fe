-- One round of widening: rows that look for a counterpart by their terms bring in every row of their lane.

insert into touched_families
select distinct links.family
from links
inner join (
    select open_lane_hash as lane_hash
    from links
    where family in (select family from touched_families)
        and open_lane_hash is not null
) as seeking using (lane_hash)
where links.family not in (select family from touched_families);
