CREATE TABLE numbers (n INTEGER PRIMARY KEY, square INTEGER, name TEXT);
WITH RECURSIVE counting (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM counting WHERE n < 300000)
INSERT INTO numbers SELECT n, n * n % 1009, printf('name %d', n * 7919 % 300000) FROM counting;
CREATE INDEX by_name ON numbers (name);
SELECT count(*), sum(a.n) FROM numbers a JOIN numbers b ON a.name = b.name WHERE a.square < 500;
SELECT square, count(*) FROM numbers GROUP BY square ORDER BY 2 DESC, 1 LIMIT 3;
