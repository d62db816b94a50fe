alter table instruments add column currency varchar;

comment on column instruments.currency is 'Currency (15) of its prices, where the broker says so';

alter table coverage add column channels varchar[][];

comment on column coverage.channels is 'What must return the window: each list once, by any channel in it; null where the broker has but one channel';

create table token_notices (
    connection varchar,
    expires_on date,
    days integer,
    told_at timestamp
);

comment on table token_notices is 'What was said of tokens that are about to expire, each once';
comment on column token_notices.connection is 'The connection whose token it is';
comment on column token_notices.expires_on is 'The day its owner set';
comment on column token_notices.days is 'How many days ahead it was said: 30, 7 or 1';
comment on column token_notices.told_at is 'When it was said, UTC';

alter table connections add column state_since timestamp;

comment on column connections.state_since is 'Since when it is in this state, UTC; null where it was so before this was kept';
