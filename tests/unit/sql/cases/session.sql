-- transactions
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; SAVEPOINT a; ROLLBACK TO a; RELEASE a; COMMIT AND CHAIN; ROLLBACK
=>
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; SAVEPOINT a; ROLLBACK TO a; RELEASE a; COMMIT AND CHAIN; ROLLBACK

-- settings
SET TIME ZONE 'Europe/Berlin'; SET LOCAL datestyle = 'ISO, DMY'; SET NAMES 'UTF8'; SET extra_float_digits = 3
=>
SET TIME ZONE 'Europe/Berlin'; SET LOCAL datestyle = 'ISO, DMY'; SET NAMES 'UTF8'; SET extra_float_digits = 3

-- search_path as it is
SET search_path TO 'public'
=>
SET search_path TO DEFAULT

-- own search_path [schema]
SET SESSION search_path = initech
=>
SET SESSION search_path TO DEFAULT

-- transaction settings
SET TRANSACTION READ ONLY; SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ
=>
SET TRANSACTION READ ONLY; SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ

-- resets
RESET ALL; RESET timezone; SET datestyle TO DEFAULT; RESET search_path
=>
RESET ALL; RESET timezone; SET datestyle TO DEFAULT; RESET search_path

-- what pools send
SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL; DEALLOCATE ALL; DISCARD ALL
=>
SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL; DEALLOCATE ALL; DISCARD ALL

-- show
SHOW transaction_isolation; SHOW server_version; SHOW TIME ZONE
=>
SHOW transaction_isolation; SHOW server_version; SHOW TIME ZONE

-- set_config
SELECT set_config('TimeZone', 'UTC', false), pg_catalog.set_config('jit', 'off', true)
=>
SELECT set_config('TimeZone', 'UTC', false), pg_catalog.set_config('jit', 'off', true)

-- set_config with a parameter
SELECT set_config('application_name', $1, false)
=>
SELECT set_config('application_name', $1, false)

-- cursors
FETCH 10 FROM c; MOVE c; CLOSE c
=>
FETCH 10 FROM c; MOVE c; CLOSE c

-- constraints
SET CONSTRAINTS ALL DEFERRED
=>
SET CONSTRAINTS ALL DEFERRED
