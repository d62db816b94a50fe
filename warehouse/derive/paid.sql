-- What was paid for executions, by the ledger's word.

create or replace temp table paid (
    exec_hash ubigint,
    told_at timestamp,
    charges struct(asset varchar, amount decimal(28, 12), kind varchar, digits integer)[]
);
