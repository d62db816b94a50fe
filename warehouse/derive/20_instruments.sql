-- Keep the latest description of each instrument; what a later one does not print stays.

create or replace temp table described as
select
    *,
    coalesce(broker_clock, timestamp '1970-01-01') as moment
from incoming
union all
select
    *,
    coalesce(broker_clock, timestamp '1970-01-01')
from instruments
where instrument_id in (select instrument_id from incoming);

delete from instruments
where instrument_id in (select instrument_id from incoming);

insert into instruments
select
    instrument_id,
    arg_max(broker, moment) as broker,
    arg_max(broker_symbol, moment) as broker_symbol,
    arg_max(canonical_symbol, moment) as canonical_symbol,
    arg_max(security_type, moment) as security_type,
    arg_max(description, moment) as description,
    arg_max(conid, moment) as conid,
    arg_max(isin, moment) as isin,
    arg_max(cusip, moment) as cusip,
    arg_max(figi, moment) as figi,
    arg_max(listing_exchange, moment) as listing_exchange,
    arg_max(underlying_symbol, moment) as underlying_symbol,
    arg_max(underlying_id, moment) as underlying_id,
    arg_max(contract_multiplier, moment) as contract_multiplier,
    arg_max(strike_price, moment) as strike_price,
    arg_max(maturity_date, moment) as maturity_date,
    arg_max(put_or_call, moment) as put_or_call,
    arg_max(base_asset, moment) as base_asset,
    arg_max(quote_asset, moment) as quote_asset,
    max(broker_clock) as broker_clock,
    arg_max(currency, moment) as currency
from described
group by instrument_id;
