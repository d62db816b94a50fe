create table gap_notices (
    connection varchar,
    since timestamp,
    told_at timestamp
);

comment on table gap_notices is 'Connections that have had gaps for a while, and whether somebody was told';
comment on column gap_notices.connection is 'The connection';
comment on column gap_notices.since is 'Since when it has had a gap without a break, UTC';
comment on column gap_notices.told_at is 'When it was said, UTC; null while it is too early';
