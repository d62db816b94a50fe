-- One round: every row takes the smallest family among the rows that a tie holds together with it.

update families
set family = pulled.family
from (
    select
        ties.row_hash,
        min(held.family) as family
    from ties
    inner join (
        select
            ties.tie,
            min(families.family) as family
        from ties
        inner join families using (row_hash)
        group by ties.tie
    ) as held using (tie)
    group by ties.row_hash
) as pulled
where pulled.row_hash = families.row_hash
    and pulled.family < families.family;
