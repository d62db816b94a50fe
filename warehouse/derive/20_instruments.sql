-- Keep the latest description of each instrument; what a later one does not print stays.

create or replace temp table described as
select * from incoming
union all
select instruments.*
from instruments
where instrument_id in (select instrument_id from incoming);

delete from instruments
where instrument_id in (select instrument_id from incoming);

insert into instruments
select
    instrument_id,
    any_value(broker order by broker_clock desc) as broker,
    any_value(broker_symbol order by broker_clock desc) as broker_symbol,
    any_value(canonical_symbol order by broker_clock desc) as canonical_symbol,
    any_value(security_type order by broker_clock desc) as security_type,
    any_value(description order by broker_clock desc) as description,
    any_value(conid order by broker_clock desc) as conid,
    any_value(isin order by broker_clock desc) as isin,
    any_value(cusip order by broker_clock desc) as cusip,
    any_value(figi order by broker_clock desc) as figi,
    any_value(listing_exchange order by broker_clock desc) as listing_exchange,
    any_value(underlying_symbol order by broker_clock desc) as underlying_symbol,
    any_value(underlying_id order by broker_clock desc) as underlying_id,
    any_value(contract_multiplier order by broker_clock desc) as contract_multiplier,
    any_value(strike_price order by broker_clock desc) as strike_price,
    any_value(maturity_date order by broker_clock desc) as maturity_date,
    any_value(put_or_call order by broker_clock desc) as put_or_call,
    any_value(base_asset order by broker_clock desc) as base_asset,
    any_value(quote_asset order by broker_clock desc) as quote_asset,
    max(broker_clock) as broker_clock,
    any_value(currency order by broker_clock desc) as currency
from described
group by instrument_id;
