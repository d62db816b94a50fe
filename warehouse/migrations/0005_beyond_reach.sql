alter table coverage add column beyond_reach varchar;

comment on column coverage.beyond_reach is 'What tells days that the channel no longer tells; null where it tells all of them';
