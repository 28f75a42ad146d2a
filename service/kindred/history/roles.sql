-- Run this once, as an administrator of the database, before `kindred migrate`; running it again does no harm.
--   owner   owns the schema: for `kindred migrate` alone
--   worker  for workers, and for commands that change something
--   reader  for commands that only look, and for training
-- What worker and reader may do is granted by `kindred migrate` (KINDRED_POSTGRES__WORKER_ROLE, …__READER_ROLE).
-- No passwords here: give them with psql's \password, or let the roles log in by certificate or by your cloud.
DO $setup$
DECLARE
    schema_name text := {schema};
    owner_role text := {owner};
    worker_role text := {worker};
    reader_role text := {reader};
    role text;
    statement text;
BEGIN
    FOREACH role IN ARRAY ARRAY[owner_role, worker_role, reader_role] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role);
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = role AND (rolsuper OR rolcreaterole OR rolbypassrls)) THEN
            RAISE EXCEPTION 'the role % may do more than it needs: take another name', role;
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
    END LOOP;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT %I TO %I', owner_role, current_user);  -- else it could not be given the schema
    END IF;
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I AUTHORIZATION %I', schema_name, owner_role);

    -- What an installation with one user for everything has made already.
    EXECUTE format('ALTER SCHEMA %I OWNER TO %I', schema_name, owner_role);
    FOR statement IN
        SELECT format('ALTER TABLE %I.%I OWNER TO %I', schema_name, relname, owner_role)
        FROM pg_class c
        WHERE relnamespace = quote_ident(schema_name)::regnamespace
          AND relowner <> quote_ident(owner_role)::regrole
          AND (relkind IN ('r', 'p')
               OR relkind = 'S' AND NOT EXISTS (SELECT FROM pg_depend d
                                                WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')))
        UNION ALL
        SELECT format('ALTER FUNCTION %s OWNER TO %I', oid::regprocedure, owner_role)
        FROM pg_proc
        WHERE pronamespace = quote_ident(schema_name)::regnamespace
          AND proowner <> quote_ident(owner_role)::regrole
    LOOP
        EXECUTE statement;
    END LOOP;
END
$setup$;
