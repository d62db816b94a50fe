-- Hashes that tie rows together, and two questions asked in several places. Stored hashes must never change their meaning.

-- The lower half of a text's MD5: what md5_number_lower gives too, but in three times the time.
create or replace temp macro hashed(words) as
(md5_number(words) >> 64)::ubigint;

create or replace temp macro link(broker, account, id) as
hashed(broker || chr(31) || account || chr(31) || id);

-- A row is in two lanes, its instrument's and its symbol's: a renamed instrument keeps its id, and not every query prints ids.
create or replace temp macro lane(broker, account, instrument, quantity, price) as
hashed(
    broker || chr(31) || account || chr(31) || instrument || chr(31) || quantity::varchar || chr(31) || coalesce(price::varchar, '')
);

-- Rows that may have a counterpart which shares no id with them.
create or replace temp macro seeks_by_terms(exec_type, key_rank, status) as
exec_type = 'CANCEL' or key_rank < 3 or (status = 'provisional' and key_rank < 5);

-- The side of a cancel is the one that it cancels: a reply that does not say that it is one shows the other.
create or replace temp macro side_of(exec_type, signed_qty, side) as
case when exec_type <> 'CANCEL' then side when signed_qty < 0 then 'BUY' when signed_qty > 0 then 'SELL' else side end;

-- A booking looks like a trade without execution id where a reply does not say what it is.
create or replace temp macro plain_kind(exec_type) as
case exec_type when 'BOOK' then 'TRADE' else exec_type end;

create or replace temp macro may_be_of_one_kind(exec_type, exec_id, other_type, other_id) as
exec_type = other_type or (plain_kind(exec_type) = plain_kind(other_type) and coalesce(exec_id, other_id) is null);

-- By when a more authoritative channel must have told a row. What is traded on a weekend is booked on Monday, and what a row
-- without trade date tells of an evening (from 21:00 UTC) perhaps on the day after.
create or replace temp macro two_business_days_after(day) as
day + case isodow(day) when 4 then 4 when 5 then 4 when 6 then 4 when 7 then 3 else 2 end;

create or replace temp macro is_overdue(verified_until, book_date, is_day_told, transact_time) as
verified_until > two_business_days_after(
    book_date + case when not is_day_told and coalesce(hour(transact_time) >= 21, false) then 1 else 0 end
);

-- Every fee of a row; the column itself is null where commission tells it all.
create or replace temp macro entries_of(entries, commission, comm_currency) as
coalesce(
    entries,
    case when commission is not null then [{'asset': comm_currency, 'amount': commission, 'kind': 'trade'}] end
);

-- A row's fees as the ledger corrects them. Where it names the same asset and merely prints fewer digits, the row's own
-- figure stands; what a margin position costs over the trade's own fee is for opening it; fee credits stand beside the
-- fee in money, which is then 0 perhaps.
create or replace temp macro rounds(charge, own) as
abs(charge.amount - own) * power(10, charge.digits) < 1;

create or replace temp macro fees_by_ledger(charges, own, own_asset) as
list_concat(
    flatten(list_transform(
        case
            when len(list_filter(charges, lambda charge: charge.kind <> 'credit' and charge.amount <> 0)) > 0
                then list_filter(charges, lambda charge: charge.kind <> 'credit' and charge.amount <> 0)
            else [
                {
                    'asset': own_asset,
                    'amount': 0::decimal(28, 12),
                    'kind': 'trade',
                    'digits': coalesce(list_filter(charges, lambda charge: charge.asset = own_asset)[1].digits, 12)
                }
            ]
        end,
        lambda charge: case
            when charge.asset = own_asset and rounds(charge, own)
                then [{'asset': own_asset, 'amount': own, 'kind': 'trade'}]
            when charge.asset = own_asset and charge.kind = 'margin' and charge.amount > own
                then [
                    {'asset': own_asset, 'amount': own, 'kind': 'trade'},
                    {'asset': own_asset, 'amount': (charge.amount - own)::decimal(28, 12), 'kind': 'margin_open'}
                ]
            else [{'asset': charge.asset, 'amount': charge.amount, 'kind': 'trade'}]
        end
    )),
    list_transform(
        list_filter(charges, lambda charge: charge.kind = 'credit' and charge.amount <> 0),
        lambda charge: {'asset': charge.asset, 'amount': charge.amount, 'kind': 'credit'}
    )
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
