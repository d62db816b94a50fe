-- Hashes that tie rows together, and two questions asked in several places. Stored hashes must never change their meaning.

create or replace temp macro link(broker, account, id) as
md5_number_lower(broker || chr(31) || account || chr(31) || id);

-- A row is in two lanes, its instrument's and its symbol's: a renamed instrument keeps its id, and not every query prints ids.
create or replace temp macro lane(broker, account, instrument, quantity, price) as
md5_number_lower(
    broker || chr(31) || account || chr(31) || instrument || chr(31) || quantity::varchar || chr(31) || coalesce(price::varchar, '')
);

-- Rows that may have a counterpart which shares no id with them.
create or replace temp macro seeks_by_terms(exec_type, ref_trade_id, key_rank, status) as
(exec_type = 'CANCEL' and ref_trade_id is null) or key_rank < 3 or status = 'provisional';

create or replace temp macro two_business_days_after(day) as
day + case isodow(day) when 4 then 4 when 5 then 4 when 6 then 3 else 2 end;

-- Every fee of a row; the column itself is null where commission tells it all.
create or replace temp macro entries_of(entries, commission, comm_currency) as
coalesce(
    entries,
    case when commission is not null then [{'asset': comm_currency, 'amount': commission, 'kind': 'trade'}] end
);

create or replace temp macro several_of(entries) as
case when len(entries) > 1 or entries[1].kind <> 'trade' then entries end;

-- Say of a row's fees: not told, one entry for the trade, or several.
create or replace temp macro trade_entries(entries) as
list_filter(entries, lambda entry: entry.kind = 'trade');

create or replace temp macro fee_status_of(entries) as
case when entries is null then 'pending' when len(trade_entries(entries)) > 1 then 'multiple' else 'known' end;

create or replace temp macro commission_of(entries) as
case when len(trade_entries(entries)) = 1 then trade_entries(entries)[1].amount end;

create or replace temp macro comm_currency_of(entries) as
case when len(trade_entries(entries)) = 1 then trade_entries(entries)[1].asset end;
