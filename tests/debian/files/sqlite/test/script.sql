-- A database in a file: written, indexed, changed, rolled back, checked.
pragma journal_mode = delete;
create table parts (id integer primary key, kind text not null, weight real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
insert into parts select i, 'kind ' || (i % 13), (i * 7919 % 1000) / 10.0 from n;
create index by_kind on parts (kind, weight);
select count(*), round(sum(weight), 3) from parts;
select kind, count(*), max(weight) from parts group by kind order by kind;
begin;
delete from parts where id % 2 = 0;
select 'within', count(*) from parts;
rollback;
select 'after rollback', count(*) from parts;
update parts set weight = weight + 1 where kind = 'kind 3';
create table copy as select * from parts where weight > 99;
select count(*) from copy;
explain query plan select * from parts where kind = 'kind 5' and weight < 3;
select group_concat(kind, ',') from (select distinct kind from parts order by kind limit 4);
select json_extract('{"a":[1,2,{"b":3}]}', '$.a[2].b'), printf('%08.3f|%-5s|', 3.14159, 'ab');
select date('2024-02-29', '+1 year'), strftime('%j', '2024-12-31'), hex(zeroblob(4));
pragma journal_mode = wal;
insert into copy select id + 100000, kind, weight from copy;
select count(*) from copy;
pragma wal_checkpoint(truncate);
vacuum;
pragma integrity_check;
select count(*) from missing;
