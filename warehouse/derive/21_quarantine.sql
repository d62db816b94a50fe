-- Keep rejected rows; the same row of the same bytes is rejected once for an account. What can be read by now is rejected no more.

delete from quarantine
where (exchange_id, raw_row) in (select (exchange_id, raw_row) from released);

insert into quarantine
select
    incoming.broker,
    incoming.account,
    incoming.rule,
    incoming.detail,
    incoming.exchange_id,
    incoming.raw_row,
    landed.body_sha256,
    incoming.answered_at as first_seen_at,
    incoming.exec_id
from incoming
inner join landed using (exchange_id)
anti join quarantine as known
    on known.body_sha256 = landed.body_sha256
    and known.raw_row = incoming.raw_row
    and known.rule = incoming.rule
    and known.account is not distinct from incoming.account;
