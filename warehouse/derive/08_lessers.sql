-- A row that another one betters does not stand for itself.

update latest
set is_lesser = true
from twins
where twins.lesser_hash = latest.row_hash
    and twins.lesser_source = latest.source;
