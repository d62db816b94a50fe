-- A row that is bettered by a row which is itself bettered answers to what betters that; repeated, to the best.

update twins
set
    better_hash = further.better_hash,
    better_source = further.better_source
from twins as further
where further.lesser_hash = twins.better_hash
    and further.lesser_source = twins.better_source;
