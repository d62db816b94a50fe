alter table instruments add column currency varchar;

comment on column instruments.currency is 'Currency (15) of its prices, where the broker says so';
