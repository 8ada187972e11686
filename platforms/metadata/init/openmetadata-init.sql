-- The metadata: what OpenMetadata needs before its own migrations make its tables.
--
-- Runs twice and more without a change: the image of PostgreSQL runs it when the data folder is new
-- (after init.sql, in the database openpolicy), and phase `metadata` runs it again:
--   psql -U openpolicy -d openmetadata -f /docker-entrypoint-initdb.d/openmetadata-init.sql
\set ON_ERROR_STOP on

SELECT 'CREATE DATABASE openmetadata'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'openmetadata') \gexec
\connect openmetadata

SET client_min_messages = warning;

BEGIN;

-- Digests and UUIDs, for migrations that call them.
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE SCHEMA IF NOT EXISTS openmetadata;

COMMIT;
