-- Every table of the warehouse. No keys, no indexes: loads find rows by narrow hashes, and the same SQL runs on DuckLake.

create table execution_reports (
    broker varchar,
    account varchar,
    row_key varchar,
    version integer,
    exec_id varchar,
    exec_rev integer,
    exec_type varchar,
    exec_ref_id varchar,
    order_id varchar,
    cl_ord_id varchar,
    trade_id varchar,
    instrument_id varchar,
    symbol varchar,
    security_type varchar,
    side varchar,
    last_qty decimal(28, 12),
    signed_qty decimal(28, 12),
    last_px decimal(28, 12),
    contract_multiplier decimal(28, 12),
    currency varchar,
    gross_trade_amt decimal(28, 12),
    net_money decimal(28, 12),
    commission decimal(28, 12),
    comm_currency varchar,
    fee_status varchar,
    fee_entries struct(asset varchar, amount decimal(28, 12), kind varchar)[],
    taxes decimal(28, 12),
    fx_rate_to_base decimal(28, 12),
    realized_pnl decimal(28, 12),
    last_liquidity_ind varchar,
    position_effect varchar,
    last_mkt varchar,
    leverage decimal(28, 12),
    margin decimal(28, 12),
    position_id varchar,
    transact_time timestamp,
    transact_time_raw varchar,
    time_zone_assumed varchar,
    trade_date date,
    settl_date date,
    report_date date,
    book_date date,
    source varchar,
    status varchar,
    first_seen_at timestamp,
    last_changed_at timestamp,
    exchange_id varchar,
    raw_row integer,
    key_rank tinyint,
    source_rank tinyint,
    row_order bigint,
    ref_row_key varchar,
    ref_trade_id varchar,
    clock_first timestamp,
    clock_last timestamp,
    tellings struct(clock timestamp, told bigint)[],
    row_hash ubigint,
    is_latest boolean,
    is_merged boolean,
    stands boolean,
    ended_by varchar,
    finding varchar
);

comment on table execution_reports is 'Every version of every broker row, from every channel; nothing is ever removed';
comment on column execution_reports.broker is 'Broker by name; part of every key';
comment on column execution_reports.account is 'Account number as the broker prints it, never an alias';
comment on column execution_reports.row_key is 'Identity of the broker''s row: t: transaction id, x: execution id, d: trade id and terms, h: the row''s own words';
comment on column execution_reports.version is 'Count of the row''s changes within its channel, from 1';
comment on column execution_reports.exec_id is 'ExecID (17) without its revision: the execution''s identity';
comment on column execution_reports.exec_rev is 'Revision that the execution id carries, null where it carries none';
comment on column execution_reports.exec_type is 'ExecType (150): TRADE, CORRECT, CANCEL, BOOK (expiry, assignment, exercise, settlement) or LEDGER';
comment on column execution_reports.exec_ref_id is 'ExecRefID (19): the id of the row that this one cancels or corrects, as printed';
comment on column execution_reports.order_id is 'OrderID (37)';
comment on column execution_reports.cl_ord_id is 'ClOrdID (11): the trader''s own order reference';
comment on column execution_reports.trade_id is 'TradeID (1003)';
comment on column execution_reports.instrument_id is 'Key into instruments';
comment on column execution_reports.symbol is 'Symbol (55) as the broker prints it';
comment on column execution_reports.security_type is 'SecurityType (167): CS, OPT, FUT, FOP, WAR, BOND, BILL, CFD, CASH, CRYPTO, FUND and others';
comment on column execution_reports.side is 'Side (54): BUY or SELL; on a cancel the side it cancels; null only on BOOK';
comment on column execution_reports.last_qty is 'LastQty (32) in units or contracts, never negative';
comment on column execution_reports.signed_qty is 'Quantity that adds up to the position: buys positive, sells negative, a cancel the opposite of what it cancels';
comment on column execution_reports.last_px is 'LastPx (31) per unit, in currency; may be zero or negative; null where there is none';
comment on column execution_reports.contract_multiplier is 'ContractMultiplier (231): units per contract';
comment on column execution_reports.currency is 'Currency (15) of price and gross';
comment on column execution_reports.gross_trade_amt is 'GrossTradeAmt (381): the broker''s proceeds in currency; a buy negative, a sell positive';
comment on column execution_reports.net_money is 'NetMoney (118): the broker''s net cash in currency; a buy negative; variation margin on futures';
comment on column execution_reports.commission is 'Commission (12) in comm_currency: positive we paid, negative a rebate; null as fee_status says';
comment on column execution_reports.comm_currency is 'CommCurrency (479)';
comment on column execution_reports.fee_status is 'known, pending (not told yet) or multiple (several entries in fees)';
comment on column execution_reports.fee_entries is 'Every fee of the row where there are several: asset, amount (positive we paid), kind; null where commission tells all';
comment on column execution_reports.taxes is 'Taxes in currency as the broker reports them: negative paid';
comment on column execution_reports.fx_rate_to_base is 'Base currency per unit of currency, as the broker reports it';
comment on column execution_reports.realized_pnl is 'Realised profit and loss in currency, as the broker reports it';
comment on column execution_reports.last_liquidity_ind is 'LastLiquidityInd (851): ADDED or REMOVED';
comment on column execution_reports.position_effect is 'PositionEffect (77): OPEN, CLOSE or CLOSE_OPEN';
comment on column execution_reports.last_mkt is 'LastMkt (30): the venue as printed';
comment on column execution_reports.leverage is 'Leverage of a margin trade';
comment on column execution_reports.margin is 'Margin of a margin trade, in currency';
comment on column execution_reports.position_id is 'Position that a margin trade belongs to';
comment on column execution_reports.transact_time is 'TransactTime (60) in UTC, microseconds; null where the broker gave no time of day';
comment on column execution_reports.transact_time_raw is 'The time as the broker printed it';
comment on column execution_reports.time_zone_assumed is 'The zone used when the printed time named none';
comment on column execution_reports.trade_date is 'TradeDate (75) of the broker';
comment on column execution_reports.settl_date is 'SettlDate (64) of the broker';
comment on column execution_reports.report_date is 'Date of the statement that reported the row';
comment on column execution_reports.book_date is 'Trade date, else the date of the printed time; never null';
comment on column execution_reports.source is 'Channel that told it: ibkr_flex, ibkr_flex_tcf, ibkr_portal, kraken_rest and others';
comment on column execution_reports.status is 'provisional, final or unconfirmed';
comment on column execution_reports.first_seen_at is 'When we were first told, UTC: the answer time of the earliest landed reply';
comment on column execution_reports.last_changed_at is 'When we were told what now stands here, UTC';
comment on column execution_reports.exchange_id is 'The landed reply this row came from: key into exchanges and raw_exchanges';
comment on column execution_reports.raw_row is 'The row''s place among the execution rows of that reply, from 0';
comment on column execution_reports.key_rank is 'How good row_key is: 4 transaction id, 3 execution id, 2 trade id and terms, 1 the row''s own words';
comment on column execution_reports.source_rank is 'Authority of the channel: higher wins';
comment on column execution_reports.row_order is 'Sorts rows of one report date as the broker wrote them; says nothing across channels, or between transaction ids and poorer keys';
comment on column execution_reports.ref_row_key is 'row_key of the row that this one cancels or corrects, where the broker names it';
comment on column execution_reports.ref_trade_id is 'trade_id of the row that this one cancels or corrects, where the broker names it';
comment on column execution_reports.clock_first is 'The broker''s clock (UTC) of the first reply that said this version';
comment on column execution_reports.clock_last is 'The broker''s clock (UTC) of the last reply that said this version';
comment on column execution_reports.tellings is 'Which replies told which columns of this version (bits, in the order of warehouse/shape.py), where they differ; null where each told all';
comment on column execution_reports.row_hash is 'Hash of broker, account and row_key';
comment on column execution_reports.is_latest is 'The latest version in the most authoritative channel that holds the row: a row of executions';
comment on column execution_reports.is_merged is 'The row is read from merged_rows: other versions, channels or family members add to it';
comment on column execution_reports.stands is 'Neither cancelled nor superseded nor unconfirmed, and no cancel itself: a row of fills';
comment on column execution_reports.ended_by is 'row_key of the row that cancelled or superseded this one';
comment on column execution_reports.finding is 'What is odd about the row: orphan_cancel, clash, unconfirmed; null when nothing';

create table merged_rows (
    broker varchar,
    account varchar,
    row_key varchar,
    version integer,
    exec_id varchar,
    exec_rev integer,
    exec_type varchar,
    exec_ref_id varchar,
    order_id varchar,
    cl_ord_id varchar,
    trade_id varchar,
    instrument_id varchar,
    symbol varchar,
    security_type varchar,
    side varchar,
    last_qty decimal(28, 12),
    signed_qty decimal(28, 12),
    last_px decimal(28, 12),
    contract_multiplier decimal(28, 12),
    currency varchar,
    gross_trade_amt decimal(28, 12),
    net_money decimal(28, 12),
    commission decimal(28, 12),
    comm_currency varchar,
    fee_status varchar,
    fee_entries struct(asset varchar, amount decimal(28, 12), kind varchar)[],
    taxes decimal(28, 12),
    fx_rate_to_base decimal(28, 12),
    realized_pnl decimal(28, 12),
    last_liquidity_ind varchar,
    position_effect varchar,
    last_mkt varchar,
    leverage decimal(28, 12),
    margin decimal(28, 12),
    position_id varchar,
    transact_time timestamp,
    transact_time_raw varchar,
    time_zone_assumed varchar,
    trade_date date,
    settl_date date,
    report_date date,
    book_date date,
    source varchar,
    status varchar,
    first_seen_at timestamp,
    last_changed_at timestamp,
    exchange_id varchar,
    raw_row integer,
    key_rank tinyint,
    source_rank tinyint,
    row_order bigint,
    row_hash ubigint,
    stands boolean,
    ended_by varchar,
    finding varchar,
    fill_commission decimal(28, 12),
    fill_comm_currency varchar,
    fill_fee_status varchar,
    fill_fee_entries struct(asset varchar, amount decimal(28, 12), kind varchar)[],
    fill_taxes decimal(28, 12)
);

comment on table merged_rows is 'Rows of executions to which other versions, channels or family members add; the others are read from execution_reports';
comment on column merged_rows.broker is 'Broker by name; part of every key';
comment on column merged_rows.account is 'Account number as the broker prints it, never an alias';
comment on column merged_rows.row_key is 'Identity of the broker''s row: t: transaction id, x: execution id, d: trade id and terms, h: the row''s own words';
comment on column merged_rows.version is 'Count of the row''s changes within its channel, from 1';
comment on column merged_rows.exec_id is 'ExecID (17) without its revision: the execution''s identity';
comment on column merged_rows.exec_rev is 'Revision that the execution id carries, null where it carries none';
comment on column merged_rows.exec_type is 'ExecType (150): TRADE, CORRECT, CANCEL, BOOK (expiry, assignment, exercise, settlement) or LEDGER';
comment on column merged_rows.exec_ref_id is 'ExecRefID (19): the id of the row that this one cancels or corrects, as printed';
comment on column merged_rows.order_id is 'OrderID (37)';
comment on column merged_rows.cl_ord_id is 'ClOrdID (11): the trader''s own order reference';
comment on column merged_rows.trade_id is 'TradeID (1003)';
comment on column merged_rows.instrument_id is 'Key into instruments';
comment on column merged_rows.symbol is 'Symbol (55) as the broker prints it';
comment on column merged_rows.security_type is 'SecurityType (167): CS, OPT, FUT, FOP, WAR, BOND, BILL, CFD, CASH, CRYPTO, FUND and others';
comment on column merged_rows.side is 'Side (54): BUY or SELL; on a cancel the side it cancels; null only on BOOK';
comment on column merged_rows.last_qty is 'LastQty (32) in units or contracts, never negative';
comment on column merged_rows.signed_qty is 'Quantity that adds up to the position: buys positive, sells negative, a cancel the opposite of what it cancels';
comment on column merged_rows.last_px is 'LastPx (31) per unit, in currency; may be zero or negative; null where there is none';
comment on column merged_rows.contract_multiplier is 'ContractMultiplier (231): units per contract';
comment on column merged_rows.currency is 'Currency (15) of price and gross';
comment on column merged_rows.gross_trade_amt is 'GrossTradeAmt (381): the broker''s proceeds in currency; a buy negative, a sell positive';
comment on column merged_rows.net_money is 'NetMoney (118): the broker''s net cash in currency; a buy negative; variation margin on futures';
comment on column merged_rows.commission is 'Commission (12) in comm_currency: positive we paid, negative a rebate; null as fee_status says';
comment on column merged_rows.comm_currency is 'CommCurrency (479)';
comment on column merged_rows.fee_status is 'known, pending (not told yet) or multiple (several entries in fees)';
comment on column merged_rows.fee_entries is 'Every fee of the row where there are several: asset, amount (positive we paid), kind; null where commission tells all';
comment on column merged_rows.taxes is 'Taxes in currency as the broker reports them: negative paid';
comment on column merged_rows.fx_rate_to_base is 'Base currency per unit of currency, as the broker reports it';
comment on column merged_rows.realized_pnl is 'Realised profit and loss in currency, as the broker reports it';
comment on column merged_rows.last_liquidity_ind is 'LastLiquidityInd (851): ADDED or REMOVED';
comment on column merged_rows.position_effect is 'PositionEffect (77): OPEN, CLOSE or CLOSE_OPEN';
comment on column merged_rows.last_mkt is 'LastMkt (30): the venue as printed';
comment on column merged_rows.leverage is 'Leverage of a margin trade';
comment on column merged_rows.margin is 'Margin of a margin trade, in currency';
comment on column merged_rows.position_id is 'Position that a margin trade belongs to';
comment on column merged_rows.transact_time is 'TransactTime (60) in UTC, microseconds; null where the broker gave no time of day';
comment on column merged_rows.transact_time_raw is 'The time as the broker printed it';
comment on column merged_rows.time_zone_assumed is 'The zone used when the printed time named none';
comment on column merged_rows.trade_date is 'TradeDate (75) of the broker';
comment on column merged_rows.settl_date is 'SettlDate (64) of the broker';
comment on column merged_rows.report_date is 'Date of the statement that reported the row';
comment on column merged_rows.book_date is 'Trade date, else the date of the printed time; never null';
comment on column merged_rows.source is 'Channel that told it: ibkr_flex, ibkr_flex_tcf, ibkr_portal, kraken_rest and others';
comment on column merged_rows.status is 'provisional, final or unconfirmed';
comment on column merged_rows.first_seen_at is 'When we were first told, UTC: the answer time of the earliest landed reply';
comment on column merged_rows.last_changed_at is 'When we were told what now stands here, UTC';
comment on column merged_rows.exchange_id is 'The landed reply this row came from: key into exchanges and raw_exchanges';
comment on column merged_rows.raw_row is 'The row''s place among the execution rows of that reply, from 0';
comment on column merged_rows.key_rank is 'How good row_key is: 4 best';
comment on column merged_rows.source_rank is 'Authority of the channel: higher wins';
comment on column merged_rows.row_order is 'Sorts rows of one report date as the broker wrote them; says nothing across channels, or between transaction ids and poorer keys';
comment on column merged_rows.row_hash is 'Hash of broker, account and row_key';
comment on column merged_rows.stands is 'Neither cancelled nor superseded nor unconfirmed, and no cancel itself: a row of fills';
comment on column merged_rows.ended_by is 'row_key of the row that cancelled or superseded this one';
comment on column merged_rows.finding is 'What is odd about the row: orphan_cancel, clash, unconfirmed; null when nothing';
comment on column merged_rows.fill_commission is 'commission with what stayed charged on the family''s cancelled rows, on its latest standing row';
comment on column merged_rows.fill_comm_currency is 'Currency of fill_commission';
comment on column merged_rows.fill_fee_status is 'fee_status of fill_commission';
comment on column merged_rows.fill_fee_entries is 'fee_entries with what stayed charged on the family''s cancelled rows';
comment on column merged_rows.fill_taxes is 'taxes with what stayed charged on the family''s cancelled rows';

create table past_fills (
    broker varchar,
    account varchar,
    row_key varchar,
    version integer,
    exec_id varchar,
    exec_rev integer,
    exec_type varchar,
    exec_ref_id varchar,
    order_id varchar,
    cl_ord_id varchar,
    trade_id varchar,
    instrument_id varchar,
    symbol varchar,
    security_type varchar,
    side varchar,
    last_qty decimal(28, 12),
    signed_qty decimal(28, 12),
    last_px decimal(28, 12),
    contract_multiplier decimal(28, 12),
    currency varchar,
    gross_trade_amt decimal(28, 12),
    net_money decimal(28, 12),
    commission decimal(28, 12),
    comm_currency varchar,
    fee_status varchar,
    fee_entries struct(asset varchar, amount decimal(28, 12), kind varchar)[],
    taxes decimal(28, 12),
    fx_rate_to_base decimal(28, 12),
    realized_pnl decimal(28, 12),
    last_liquidity_ind varchar,
    position_effect varchar,
    last_mkt varchar,
    leverage decimal(28, 12),
    margin decimal(28, 12),
    position_id varchar,
    transact_time timestamp,
    transact_time_raw varchar,
    time_zone_assumed varchar,
    trade_date date,
    settl_date date,
    report_date date,
    book_date date,
    source varchar,
    status varchar,
    first_seen_at timestamp,
    last_changed_at timestamp,
    exchange_id varchar,
    raw_row integer,
    superseded_at timestamp,
    row_hash ubigint
);

comment on table past_fills is 'Fills that no longer stand as they stood: fills_as_of reads them';
comment on column past_fills.broker is 'Broker by name; part of every key';
comment on column past_fills.account is 'Account number as the broker prints it, never an alias';
comment on column past_fills.row_key is 'Identity of the broker''s row: t: transaction id, x: execution id, d: trade id and terms, h: the row''s own words';
comment on column past_fills.version is 'Count of the row''s changes within its channel, from 1';
comment on column past_fills.exec_id is 'ExecID (17) without its revision: the execution''s identity';
comment on column past_fills.exec_rev is 'Revision that the execution id carries, null where it carries none';
comment on column past_fills.exec_type is 'ExecType (150): TRADE, CORRECT, CANCEL, BOOK (expiry, assignment, exercise, settlement) or LEDGER';
comment on column past_fills.exec_ref_id is 'ExecRefID (19): the id of the row that this one cancels or corrects, as printed';
comment on column past_fills.order_id is 'OrderID (37)';
comment on column past_fills.cl_ord_id is 'ClOrdID (11): the trader''s own order reference';
comment on column past_fills.trade_id is 'TradeID (1003)';
comment on column past_fills.instrument_id is 'Key into instruments';
comment on column past_fills.symbol is 'Symbol (55) as the broker prints it';
comment on column past_fills.security_type is 'SecurityType (167): CS, OPT, FUT, FOP, WAR, BOND, BILL, CFD, CASH, CRYPTO, FUND and others';
comment on column past_fills.side is 'Side (54): BUY or SELL; on a cancel the side it cancels; null only on BOOK';
comment on column past_fills.last_qty is 'LastQty (32) in units or contracts, never negative';
comment on column past_fills.signed_qty is 'Quantity that adds up to the position: buys positive, sells negative, a cancel the opposite of what it cancels';
comment on column past_fills.last_px is 'LastPx (31) per unit, in currency; may be zero or negative; null where there is none';
comment on column past_fills.contract_multiplier is 'ContractMultiplier (231): units per contract';
comment on column past_fills.currency is 'Currency (15) of price and gross';
comment on column past_fills.gross_trade_amt is 'GrossTradeAmt (381): the broker''s proceeds in currency; a buy negative, a sell positive';
comment on column past_fills.net_money is 'NetMoney (118): the broker''s net cash in currency; a buy negative; variation margin on futures';
comment on column past_fills.commission is 'Commission (12) in comm_currency: positive we paid, negative a rebate; null as fee_status says';
comment on column past_fills.comm_currency is 'CommCurrency (479)';
comment on column past_fills.fee_status is 'known, pending (not told yet) or multiple (several entries in fees)';
comment on column past_fills.fee_entries is 'Every fee of the row where there are several: asset, amount (positive we paid), kind; null where commission tells all';
comment on column past_fills.taxes is 'Taxes in currency as the broker reports them: negative paid';
comment on column past_fills.fx_rate_to_base is 'Base currency per unit of currency, as the broker reports it';
comment on column past_fills.realized_pnl is 'Realised profit and loss in currency, as the broker reports it';
comment on column past_fills.last_liquidity_ind is 'LastLiquidityInd (851): ADDED or REMOVED';
comment on column past_fills.position_effect is 'PositionEffect (77): OPEN, CLOSE or CLOSE_OPEN';
comment on column past_fills.last_mkt is 'LastMkt (30): the venue as printed';
comment on column past_fills.leverage is 'Leverage of a margin trade';
comment on column past_fills.margin is 'Margin of a margin trade, in currency';
comment on column past_fills.position_id is 'Position that a margin trade belongs to';
comment on column past_fills.transact_time is 'TransactTime (60) in UTC, microseconds; null where the broker gave no time of day';
comment on column past_fills.transact_time_raw is 'The time as the broker printed it';
comment on column past_fills.time_zone_assumed is 'The zone used when the printed time named none';
comment on column past_fills.trade_date is 'TradeDate (75) of the broker';
comment on column past_fills.settl_date is 'SettlDate (64) of the broker';
comment on column past_fills.report_date is 'Date of the statement that reported the row';
comment on column past_fills.book_date is 'Trade date, else the date of the printed time; never null';
comment on column past_fills.source is 'Channel that told it: ibkr_flex, ibkr_flex_tcf, ibkr_portal, kraken_rest and others';
comment on column past_fills.status is 'provisional, final or unconfirmed';
comment on column past_fills.first_seen_at is 'When we were first told, UTC: the answer time of the earliest landed reply';
comment on column past_fills.last_changed_at is 'When we were told what now stands here, UTC';
comment on column past_fills.exchange_id is 'The landed reply this row came from: key into exchanges and raw_exchanges';
comment on column past_fills.raw_row is 'The row''s place among the execution rows of that reply, from 0';
comment on column past_fills.superseded_at is 'When we were told otherwise, UTC';
comment on column past_fills.row_hash is 'Hash of broker, account and row_key';

create table links (
    row_hash ubigint,
    exec_hash ubigint,
    trade_hash ubigint,
    order_hash ubigint,
    source_rank tinyint,
    ref_row_hash ubigint,
    lane_hash ubigint,
    symbol_lane_hash ubigint,
    seeks boolean,
    family ubigint,
    book_first date,
    book_last date
);

comment on table links is 'Hashes of the ids that tie rows together, one row a broker row: what a load scans to find the rows it touches';
comment on column links.row_hash is 'Hash of broker, account and row_key';
comment on column links.exec_hash is 'Hash of broker, account and exec_id';
comment on column links.trade_hash is 'Hash of broker, account and trade_id, or of the trade id a cancel names';
comment on column links.order_hash is 'Hash of broker, account and order_id, where channels may split an order differently';
comment on column links.source_rank is 'Authority of the row''s channel';
comment on column links.ref_row_hash is 'row_hash of the row that a cancel or correction names';
comment on column links.lane_hash is 'Hash of broker, account, instrument, quantity and price: rows that could be one another';
comment on column links.symbol_lane_hash is 'The same with the symbol as printed, for rows whose query prints no instrument id';
comment on column links.seeks is 'The row may have a counterpart by its terms alone: cancels without pointer, poor keys, provisional rows';
comment on column links.family is 'Family of the row at the last load that touched it';
comment on column links.book_first is 'Earliest book_date of the row''s versions: bounds the read';
comment on column links.book_last is 'Latest book_date of the row''s versions';

create table ledger_entries (
    broker varchar,
    account varchar,
    entry_id varchar,
    ref_id varchar,
    exec_id varchar,
    entry_type varchar,
    entry_subtype varchar,
    asset varchar,
    asset_raw varchar,
    asset_class varchar,
    wallet varchar,
    amount decimal(28, 12),
    fee decimal(28, 12),
    fee_asset varchar,
    fee_digits tinyint,
    fee_kind varchar,
    balance decimal(28, 12),
    status varchar,
    entry_time timestamp,
    entry_time_raw varchar,
    book_date date,
    source varchar,
    broker_clock timestamp,
    first_seen_at timestamp,
    exchange_id varchar,
    raw_row integer,
    entry_hash ubigint,
    exec_hash ubigint
);

comment on table ledger_entries is 'A movement of one asset as the broker booked it: legs of trades, fees, deposits, rewards';
comment on column ledger_entries.broker is 'Broker by name';
comment on column ledger_entries.account is 'Account, as in fills';
comment on column ledger_entries.entry_id is 'The broker''s id of the entry';
comment on column ledger_entries.ref_id is 'What the entry belongs to, as printed: a trade, a purchase, a deposit';
comment on column ledger_entries.exec_id is 'Execution that the entry is a leg or a fee of: key into fills; null where it is about none';
comment on column ledger_entries.entry_type is 'The broker''s word: trade, spend, receive, margin, rollover, deposit and others';
comment on column ledger_entries.entry_subtype is 'The broker''s second word';
comment on column ledger_entries.asset is 'Asset by its modern name, however it is held: BTC';
comment on column ledger_entries.asset_raw is 'Asset as printed: XXBT, DOT.S';
comment on column ledger_entries.asset_class is 'Class of the asset, as printed';
comment on column ledger_entries.wallet is 'Wallet, as printed';
comment on column ledger_entries.amount is 'Amount of asset: positive came in, negative went out; the fee is not in it';
comment on column ledger_entries.fee is 'Fee in fee_asset: positive we paid';
comment on column ledger_entries.fee_asset is 'Asset of the fee';
comment on column ledger_entries.fee_digits is 'Decimals of the fee as printed: it is rounded to them';
comment on column ledger_entries.fee_kind is 'trade, margin (of a position too) or credit (the whole entry pays a fee); null where it is about no execution';
comment on column ledger_entries.balance is 'Balance of the asset after the entry; null while it is not booked';
comment on column ledger_entries.status is 'booked or pending: sums are over booked entries';
comment on column ledger_entries.entry_time is 'UTC, microseconds';
comment on column ledger_entries.entry_time_raw is 'The time as printed';
comment on column ledger_entries.book_date is 'Date of entry_time';
comment on column ledger_entries.source is 'Channel that told it';
comment on column ledger_entries.broker_clock is 'When the broker told it, UTC; null for a file without a clock';
comment on column ledger_entries.first_seen_at is 'When we were first told, UTC';
comment on column ledger_entries.exchange_id is 'The landed reply it came from: key into exchanges';
comment on column ledger_entries.raw_row is 'Its place among the entries of that reply, from 0';
comment on column ledger_entries.entry_hash is 'Hash of broker, account and entry_id';
comment on column ledger_entries.exec_hash is 'Hash of broker, account and exec_id';

create table ledger_findings (
    broker varchar,
    account varchar,
    ref_id varchar,
    what varchar,
    first_seen_at timestamp,
    exec_hash ubigint
);

comment on table ledger_findings is 'References of the ledger whose entries do not make a trade, though they say they are one';
comment on column ledger_findings.broker is 'Broker by name';
comment on column ledger_findings.account is 'Account, as in fills';
comment on column ledger_findings.ref_id is 'The reference, as printed';
comment on column ledger_findings.what is 'What its entries come to instead';
comment on column ledger_findings.first_seen_at is 'When we were first told, UTC';
comment on column ledger_findings.exec_hash is 'Hash of broker, account and ref_id';

create table news (
    mark varchar
);

insert into news values (uuid()::varchar);

comment on table news is 'One row: tells the writer''s file from the published one';
comment on column news.mark is 'Changes, in the same transaction, with everything that readers should see soon';

create table instruments (
    instrument_id varchar,
    broker varchar,
    broker_symbol varchar,
    canonical_symbol varchar,
    security_type varchar,
    description varchar,
    conid varchar,
    isin varchar,
    cusip varchar,
    figi varchar,
    listing_exchange varchar,
    underlying_symbol varchar,
    underlying_id varchar,
    contract_multiplier decimal(28, 12),
    strike_price decimal(28, 12),
    maturity_date date,
    put_or_call varchar,
    base_asset varchar,
    quote_asset varchar,
    broker_clock timestamp
);

comment on table instruments is 'An instrument as the broker describes it';
comment on column instruments.instrument_id is 'Our key: the broker and its own id';
comment on column instruments.broker is 'Broker by name';
comment on column instruments.broker_symbol is 'Symbol as the broker prints it';
comment on column instruments.canonical_symbol is 'Symbol in the common form: BTC/USD for a pair, the OCC symbol of an option';
comment on column instruments.security_type is 'SecurityType (167)';
comment on column instruments.description is 'Name as the broker prints it';
comment on column instruments.conid is 'IBKR contract id';
comment on column instruments.isin is 'ISIN';
comment on column instruments.cusip is 'CUSIP';
comment on column instruments.figi is 'FIGI';
comment on column instruments.listing_exchange is 'Exchange of the primary listing';
comment on column instruments.underlying_symbol is 'Symbol of the underlying';
comment on column instruments.underlying_id is 'instrument_id of the underlying';
comment on column instruments.contract_multiplier is 'Units per contract';
comment on column instruments.strike_price is 'Strike in the instrument''s currency';
comment on column instruments.maturity_date is 'Expiry or maturity';
comment on column instruments.put_or_call is 'PUT or CALL';
comment on column instruments.base_asset is 'What a pair trades';
comment on column instruments.quote_asset is 'What a pair is priced in';
comment on column instruments.broker_clock is 'When the broker wrote the description, UTC';

create table exchanges (
    exchange_id varchar,
    conversation_id varchar,
    run_id varchar,
    connector varchar,
    connection varchar,
    kind varchar,
    endpoint varchar,
    request varchar,
    status integer,
    body_sha256 varchar,
    body_bytes bigint,
    requested_at timestamp,
    answered_at timestamp,
    landed_file varchar,
    landed_row integer,
    note varchar
);

comment on table exchanges is 'A landed exchange without its body';
comment on column exchanges.exchange_id is 'Identity of the exchange';
comment on column exchanges.conversation_id is 'Conversation it belongs to';
comment on column exchanges.run_id is 'Run that held the conversation';
comment on column exchanges.connector is 'Connector that spoke';
comment on column exchanges.connection is 'Connection by name; import for files';
comment on column exchanges.kind is 'exchange, opened (header) or closed (footer)';
comment on column exchanges.endpoint is 'Endpoint by its stable name';
comment on column exchanges.request is 'Method, address and masked parameters, as JSON';
comment on column exchanges.status is 'HTTP status; null for an imported file';
comment on column exchanges.body_sha256 is 'SHA-256 of the body';
comment on column exchanges.body_bytes is 'Length of the body in bytes';
comment on column exchanges.requested_at is 'UTC';
comment on column exchanges.answered_at is 'UTC';
comment on column exchanges.landed_file is 'Parquet file under landing/, relative';
comment on column exchanges.landed_row is 'Row of that file, from 0';
comment on column exchanges.note is 'Header or footer as JSON: window asked, verdict, counts, waits; an imported file''s name';

create table coverage (
    connection varchar,
    broker varchar,
    source varchar,
    source_rank tinyint,
    account varchar,
    every_day boolean,
    since timestamp,
    until timestamp,
    returned_since timestamp,
    returned_until timestamp,
    row_count bigint,
    broker_count bigint,
    status varchar,
    reason varchar,
    run_id varchar,
    exchange_id varchar,
    recorded_at timestamp
);

comment on table coverage is 'A window asked of a channel, and what came back';
comment on column coverage.connection is 'Connection by name';
comment on column coverage.broker is 'Broker by name';
comment on column coverage.source is 'Channel asked';
comment on column coverage.source_rank is 'Authority of the channel: higher wins';
comment on column coverage.account is 'Account answered for; null where none answered';
comment on column coverage.every_day is 'Whether weekends count: the broker trades on them';
comment on column coverage.since is 'Begin of what was asked, inclusive: UTC, or the broker''s day';
comment on column coverage.until is 'End of what was asked, exclusive';
comment on column coverage.returned_since is 'Begin of what was returned, inclusive';
comment on column coverage.returned_until is 'End of what was returned, exclusive';
comment on column coverage.row_count is 'Execution rows returned';
comment on column coverage.broker_count is 'Rows the broker says there are, where it says';
comment on column coverage.status is 'complete, partial, failed, pending, or nothing: the broker says it has no statement for the window';
comment on column coverage.reason is 'Why it is not complete';
comment on column coverage.run_id is 'Run that asked';
comment on column coverage.exchange_id is 'Reply that answered';
comment on column coverage.recorded_at is 'Answer time, UTC';

create table members (
    broker varchar,
    statement_account varchar,
    account varchar
);

comment on table members is 'An account whose rows came in another account''s statement (a consolidated one): what that statement covers, it covers for both';
comment on column members.broker is 'Broker by name';
comment on column members.statement_account is 'Account of the statement, under which its coverage is filed';
comment on column members.account is 'Account of rows in it';

create table watermarks (
    connection varchar,
    broker varchar,
    source varchar,
    source_rank tinyint,
    account varchar,
    verified_since timestamp,
    verified_until timestamp,
    updated_at timestamp
);

comment on table watermarks is 'How far a channel has been read and verified without a gap';
comment on column watermarks.connection is 'Connection by name';
comment on column watermarks.broker is 'Broker by name';
comment on column watermarks.source is 'Channel';
comment on column watermarks.source_rank is 'Authority of the channel: higher wins';
comment on column watermarks.account is 'Account';
comment on column watermarks.verified_since is 'Begin of the unbroken span, inclusive: UTC, or the broker''s day';
comment on column watermarks.verified_until is 'End of the unbroken span, exclusive';
comment on column watermarks.updated_at is 'Answer time of the load that moved it, UTC';

create table quarantine (
    broker varchar,
    account varchar,
    rule varchar,
    detail varchar,
    exchange_id varchar,
    raw_row integer,
    body_sha256 varchar,
    first_seen_at timestamp
);

comment on table quarantine is 'A broker row that broke a rule, with its lineage; the row''s bytes are in the landed reply';
comment on column quarantine.broker is 'Broker by name';
comment on column quarantine.account is 'Account, where it could be read';
comment on column quarantine.rule is 'The rule that was broken';
comment on column quarantine.detail is 'All rules that were broken, with the broker''s column where one cell broke it';
comment on column quarantine.exchange_id is 'Reply that holds the row';
comment on column quarantine.raw_row is 'The row''s place among the execution rows of that reply, from 0';
comment on column quarantine.body_sha256 is 'SHA-256 of that reply: the same bytes are rejected once';
comment on column quarantine.first_seen_at is 'Answer time, UTC';

create table drift (
    broker varchar,
    source varchar,
    kind varchar,
    field varchar,
    exchange_id varchar,
    first_seen_at timestamp
);

comment on table drift is 'Something a broker prints that no table here knows, or does not print though it should';
comment on column drift.broker is 'Broker by name';
comment on column drift.source is 'Channel';
comment on column drift.kind is 'attribute, notes, assetCategory, transactionType or not_printed';
comment on column drift.field is 'Name or value';
comment on column drift.exchange_id is 'Reply in which it was first seen';
comment on column drift.first_seen_at is 'Answer time of that reply, UTC';

create table sync_runs (
    run_id varchar,
    flow varchar,
    connection varchar,
    asked_since timestamp,
    asked_until timestamp,
    started_at timestamp,
    finished_at timestamp,
    exchanges bigint,
    waited_seconds double,
    rows_read bigint,
    added bigint,
    revised bigint,
    cancelled bigint,
    rejected bigint,
    gaps bigint,
    verdict varchar
);

comment on table sync_runs is 'A run: what it asked and what came of it';
comment on column sync_runs.run_id is 'Run';
comment on column sync_runs.flow is 'backfill, incremental, import or renormalize';
comment on column sync_runs.connection is 'Connection by name';
comment on column sync_runs.asked_since is 'Begin of what was asked';
comment on column sync_runs.asked_until is 'End of what was asked, exclusive';
comment on column sync_runs.started_at is 'UTC';
comment on column sync_runs.finished_at is 'UTC';
comment on column sync_runs.exchanges is 'Exchanges landed: API calls';
comment on column sync_runs.waited_seconds is 'Seconds spent waiting for the broker''s pace';
comment on column sync_runs.rows_read is 'Execution rows read';
comment on column sync_runs.added is 'Rows seen for the first time';
comment on column sync_runs.revised is 'Rows that got a new version';
comment on column sync_runs.cancelled is 'Fills that stopped standing';
comment on column sync_runs.rejected is 'Rows in quarantine';
comment on column sync_runs.gaps is 'Windows that are not complete';
comment on column sync_runs.verdict is 'ok, or the error that ended it';

create table connections (
    connection varchar,
    kind varchar,
    key varchar,
    state varchar,
    reason varchar,
    remedy varchar,
    checked_at timestamp,
    last_success_at timestamp,
    retry_at timestamp
);

comment on table connections is 'A connection and whether it works';
comment on column connections.connection is 'Connection by name';
comment on column connections.kind is 'Connector';
comment on column connections.key is 'Hash that names the key, token or login in use; never the key itself';
comment on column connections.state is 'active, needs_reauth, degraded, rate_limited or misconfigured';
comment on column connections.reason is 'Why';
comment on column connections.remedy is 'What to do';
comment on column connections.checked_at is 'UTC';
comment on column connections.last_success_at is 'UTC';
comment on column connections.retry_at is 'No call before this time, UTC';
