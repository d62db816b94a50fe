alter table quarantine add column exec_id varchar;

comment on column quarantine.exec_id is 'Execution that the row tells of, where that could be read';
