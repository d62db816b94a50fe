create table untold (
    id varchar,
    connection varchar,
    event varchar,
    said json,
    noted_at timestamp
);

comment on table untold is 'What is to be told of a connection and has not been: written with what makes it so, gone once told';
comment on column untold.id is 'Identity of the event: one that is told twice is still one event';
comment on column untold.connection is 'Connection by name';
comment on column untold.event is 'The event that tells it';
comment on column untold.said is 'What the event says';
comment on column untold.noted_at is 'Since when it is to be told, UTC';

alter table connections add column found_by varchar;

comment on column connections.found_by is 'What found it in this state: preflight or sync; null where it was so before this was kept';
