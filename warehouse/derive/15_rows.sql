-- Exchange what stood for what stands, and keep each fill that stood otherwise as it stood, until this load's moment.

insert into past_fills by name
select
    old.broker,
    old.account,
    old.row_key,
    old.version,
    old.exec_id,
    old.exec_rev,
    old.exec_type,
    old.exec_ref_id,
    old.order_id,
    old.cl_ord_id,
    old.trade_id,
    old.instrument_id,
    old.symbol,
    old.security_type,
    old.side,
    old.last_qty,
    old.signed_qty,
    old.last_px,
    old.contract_multiplier,
    old.currency,
    old.gross_trade_amt,
    old.net_money,
    old.fill_commission as commission,
    old.fill_comm_currency as comm_currency,
    old.fill_fee_status as fee_status,
    old.fill_fee_entries as fee_entries,
    old.fill_taxes as taxes,
    old.fx_rate_to_base,
    old.realized_pnl,
    old.last_liquidity_ind,
    old.position_effect,
    old.last_mkt,
    old.leverage,
    old.margin,
    old.position_id,
    old.transact_time,
    old.transact_time_raw,
    old.time_zone_assumed,
    old.trade_date,
    old.settl_date,
    old.report_date,
    old.book_date,
    old.source,
    old.status,
    old.first_seen_at,
    old.last_changed_at,
    old.exchange_id,
    old.raw_row,
    case when new.stands then new.last_changed_at else (select moment from load_moment) end as superseded_at,
    old.row_hash
from old_rows as old
left join new_rows as new using (row_hash)
where old.stands
    and (
        new.row_hash is null
        or not new.stands
        or new.last_changed_at > old.last_changed_at
    );

delete from merged_rows
where row_hash in (select row_hash from touched)
    and book_date in (select day from touched_days);

insert into merged_rows by name
select * exclude (family, is_merged)
from new_rows
where is_merged;

delete from links
where row_hash in (select row_hash from touched);

insert into links by name
select
    latest.row_hash,
    link(latest.broker, latest.account, latest.exec_id) as exec_hash,
    link(latest.broker, latest.account, coalesce(latest.ref_trade_id, latest.trade_id)) as trade_hash,
    case when latest.key_rank = 5 then link(latest.broker, latest.account, latest.order_id) end as order_hash,
    latest.source_rank,
    link(latest.broker, latest.account, latest.ref_row_key) as ref_row_hash,
    lane(latest.broker, latest.account, latest.instrument_id, latest.last_qty, latest.last_px) as lane_hash,
    lane(latest.broker, latest.account, latest.symbol, latest.last_qty, latest.last_px) as symbol_lane_hash,
    seeks_by_terms(latest.exec_type, latest.key_rank, latest.status) as seeks,
    coalesce(own.family, bettered.family, latest.row_hash) as family,
    spans.book_first,
    spans.book_last
from latest
inner join (
    select
        row_hash,
        min(book_date) as book_first,
        max(book_date) as book_last
    from touched_reports
    group by row_hash
) as spans using (row_hash)
left join families as own on own.row_hash = latest.row_hash
left join (
    select distinct on (twins.lesser_hash)
        twins.lesser_hash,
        families.family
    from twins
    inner join families on families.row_hash = twins.better_hash
) as bettered on bettered.lesser_hash = latest.row_hash
qualify row_number() over (partition by latest.row_hash order by latest.source_rank desc) = 1;
