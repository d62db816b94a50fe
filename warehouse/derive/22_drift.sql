-- Keep what a broker prints that no table knows; the same thing once.

insert into drift
select
    incoming.broker,
    incoming.source,
    incoming.kind,
    incoming.field,
    min(incoming.exchange_id) as exchange_id,
    min(incoming.answered_at) as first_seen_at
from incoming
anti join drift as known
    on known.broker = incoming.broker
    and known.source = incoming.source
    and known.kind = incoming.kind
    and known.field = incoming.field
group by all;
