-- The books of langchain-budget in PostgreSQL, version 1.
CREATE TABLE budget_meta (
  version integer NOT NULL
);
INSERT INTO budget_meta VALUES (1);

-- Counters and books change with each posting: their pages keep room for that.
CREATE TABLE budget_books (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  epoch uuid NOT NULL DEFAULT gen_random_uuid(),
  seq bigint NOT NULL DEFAULT 0,
  generation bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE budget_accounts (
  book bigint NOT NULL,
  path text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  frozen text NOT NULL,
  closed boolean NOT NULL,
  expires_at double precision,
  ceilings jsonb NOT NULL,
  body text NOT NULL,
  PRIMARY KEY (book, path)
);

CREATE INDEX budget_mortal_accounts ON budget_accounts (book, expires_at)
  WHERE expires_at IS NOT NULL AND NOT closed;

CREATE TABLE budget_counters (
  book bigint NOT NULL,
  account text COLLATE "C" NOT NULL,
  unit text COLLATE "C" NOT NULL,
  "window" text COLLATE "C" NOT NULL,
  granted bigint,
  held bigint NOT NULL DEFAULT 0,
  spent bigint NOT NULL DEFAULT 0,
  lent bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (book, account, unit, "window")
) WITH (fillfactor = 50);

CREATE TABLE budget_holds (
  book bigint NOT NULL,
  id text COLLATE "C" NOT NULL,
  account text COLLATE "C" NOT NULL,
  opened_at double precision NOT NULL,
  expires_at double precision NOT NULL,
  status text NOT NULL,
  basis text NOT NULL,
  charged text NOT NULL,
  body text NOT NULL,
  PRIMARY KEY (book, id)
);

CREATE INDEX budget_open_holds ON budget_holds (book, expires_at)
  WHERE status = 'open';

CREATE TABLE budget_journal (
  book bigint NOT NULL,
  seq bigint NOT NULL,
  at double precision NOT NULL,
  kind text NOT NULL,
  posting text COLLATE "C" NOT NULL,
  account text COLLATE "C" NOT NULL,
  hold text COLLATE "C" NOT NULL,
  unseen boolean NOT NULL,
  content text NOT NULL,
  balances bigint[],
  spilled bigint[] NOT NULL,
  body text NOT NULL,
  PRIMARY KEY (book, seq)
);

CREATE UNIQUE INDEX budget_postings ON budget_journal (book, posting)
  WHERE hold = '';

-- What a counter that nobody has touched yet is granted; null is unlimited.
CREATE FUNCTION budget_ceiling(
  in_book bigint, of_account text, of_unit text, of_window text
) RETURNS bigint LANGUAGE sql STABLE AS $ceiling$
  SELECT (
      ceilings ->> concat_ws('@', of_unit, nullif(split_part(of_window, '@', 1), ''))
    )::bigint
    FROM budget_accounts WHERE book = in_book AND path = of_account
$ceiling$;

-- Apply a posting whole, or say why not and change nothing.
--
-- The lock on the book makes its postings serial: each sees all that was done before,
-- and numbers are given in the order in which things are done.
CREATE FUNCTION budget_post(
  in_book bigint,
  in_epoch text,
  clock double precision,
  -- What the journal says.
  posting_kind text,
  posting_id text,
  for_account text,
  entry_body text,
  -- Accounts at these versions; the first *admitted* of them are open, not frozen.
  paths text,
  versions text,
  admitted integer,
  passed bigint,
  since double precision,
  until double precision,
  -- Counters, each by account, unit and window. The first *moving* of them change: by
  -- what is granted, held, spent and lent, and whether that makes a limit.
  names text[],
  changes bigint[],
  -- For each: what must be available, what more is granted, whether no limit is asked.
  asked bigint[],
  -- Places of a slice and of those who pay for its overrun.
  pours text,
  moving integer,
  told boolean,
  -- The hold, which must be in one of these states, or may be new.
  doing text,
  hold_id text,
  states text,
  may_be_new boolean,
  ttl double precision,
  closed_as text,
  -- The body of a hold; of what has no hold, what is the same when it comes again.
  content text,
  -- Accounts to write: path, version, frozen, closed, expires at, ceilings, body.
  account_rows text,
  OUT book_seq bigint,
  OUT book_generation bigint,
  OUT outcome text,
  OUT now double precision,
  OUT entry bigint,
  OUT balances bigint[],
  OUT spilled bigint[],
  OUT detail text
) LANGUAGE plpgsql SET enable_seqscan = off AS $post$
DECLARE
  known record;
  unseen boolean := false;
  missing boolean;
  refused boolean;
  pour text;
  tids tid[];
  places integer[];
  which integer;
  moved integer;
  over bigint;
BEGIN
  -- Each statement from here on sees all that was done under this lock before.
  IF pg_advisory_xact_lock(hashtextextended(in_epoch, 0)) IS NULL THEN
    RETURN;
  END IF;
  SELECT b.seq AS book_seq, b.generation, h.* INTO known
    FROM budget_books b
    LEFT JOIN budget_holds h ON h.book = b.id AND h.id = hold_id
    WHERE b.id = in_book AND b.epoch = in_epoch::uuid;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  book_seq := known.book_seq;
  book_generation := known.generation;
  spilled := '{}';
  now := coalesce(clock, extract(epoch FROM clock_timestamp()));

  outcome := 'known';
  IF doing = '' THEN
    SELECT j.* INTO known FROM budget_journal j
      WHERE j.book = in_book AND j.posting = posting_id AND j.hold = '';
    IF FOUND THEN
      entry := known.seq;
      balances := known.balances;
      spilled := known.spilled;
      detail := known.content;
      RETURN;
    END IF;
  ELSIF known.id IS NULL AND may_be_new THEN
    unseen := doing = 'close';
  ELSIF known.id IS NULL THEN
    RETURN;
  ELSIF known.status || '/' || known.basis <> ALL (states::text[]) THEN
    detail := json_build_array(
      known.id, known.account, known.opened_at, known.expires_at,
      known.status, known.basis, known.charged, known.body
    );
    RETURN;
  ELSIF doing = 'keep' THEN
    outcome := 'kept';
    UPDATE budget_holds SET expires_at = now + ttl
      WHERE book = in_book AND id = hold_id;
    RETURN;
  END IF;

  outcome := 'time';
  IF now < since OR now >= until THEN
    RETURN;
  END IF;
  outcome := 'accounts';
  IF passed IS DISTINCT FROM book_generation THEN
    SELECT bool_or(
        coalesce(a.version, 0) <> w.version
        OR w.place <= admitted AND (a.closed OR a.frozen <> '')
      ) INTO refused
      FROM unnest(paths::text[], versions::bigint[]) WITH ORDINALITY AS w (path, version, place)
      LEFT JOIN budget_accounts a ON a.book = in_book AND a.path = w.path;
    IF refused THEN
      SELECT json_agg(json_build_array(a.path, a.version, a.frozen, a.closed))
        INTO detail
        FROM budget_accounts a WHERE a.book = in_book AND a.path = ANY (paths::text[]);
      RETURN;
    END IF;
  END IF;

  outcome := 'money';
  IF NOT unseen AND names <> '{}' THEN
    LOOP
      SELECT
          array_agg(c.tid),
          array_agg(ARRAY[c.granted, c.held, c.spent, c.lent]) FILTER (WHERE told),
          bool_or(c.tid IS NULL),
          bool_or(
            c.granted::numeric - c.held - c.spent - c.lent < asked[3 * c.place - 2]
            OR coalesce(c.granted, 0)::numeric + asked[3 * c.place - 1]
              > 4611686018427387904
            OR asked[3 * c.place] > 0 AND c.granted IS NOT NULL
          )
        INTO tids, balances, missing, refused
        FROM (
          SELECT
            w.place, f.tid,
            CASE WHEN f.tid IS NULL
              THEN budget_ceiling(
                in_book, names[3 * w.place - 2],
                names[3 * w.place - 1], names[3 * w.place]
              )
              ELSE f.granted
            END AS granted,
            coalesce(f.held, 0) AS held,
            coalesce(f.spent, 0) AS spent,
            coalesce(f.lent, 0) AS lent
          FROM generate_series(1, cardinality(names) / 3)
            WITH ORDINALITY AS w (number, place)
          LEFT JOIN LATERAL (
            SELECT b.ctid AS tid, b.* FROM budget_counters b
            WHERE b.book = in_book AND b.account = names[3 * w.place - 2]
              AND b.unit = names[3 * w.place - 1] AND b."window" = names[3 * w.place]
            OFFSET 0
          ) AS f ON true
          ORDER BY w.place
        ) AS c;
      IF refused AND told THEN
        RETURN;
      ELSIF refused THEN
        told := true;
        CONTINUE;
      END IF;
      EXIT WHEN NOT missing;
      INSERT INTO budget_counters (book, account, unit, "window", granted)
        SELECT in_book, names[3 * place - 2], names[3 * place - 1], names[3 * place],
          budget_ceiling(
            in_book, names[3 * place - 2], names[3 * place - 1], names[3 * place]
          )
        FROM generate_series(1, cardinality(names) / 3) AS place
        ON CONFLICT DO NOTHING;
    END LOOP;
    UPDATE budget_counters c SET
        granted = CASE
          WHEN changes[5 * w.place] > 0
          THEN coalesce(c.granted, 0) + changes[5 * w.place - 4]
          ELSE c.granted
        END,
        held = c.held + changes[5 * w.place - 3],
        spent = c.spent + changes[5 * w.place - 2],
        lent = c.lent + changes[5 * w.place - 1]
      FROM unnest(tids[:moving]) WITH ORDINALITY AS w (tid, place)
      WHERE c.ctid = w.tid;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> moving THEN
      RAISE serialization_failure USING MESSAGE = 'budget_counters were changed by others';
    END IF;
    FOREACH pour IN ARRAY pours::text[] LOOP
      places := pour::integer[];
      which := places[1];
      SELECT greatest(c.held + c.spent + c.lent - c.granted, 0) INTO over
        FROM budget_counters c
        WHERE c.book = in_book AND c.account = names[3 * which - 2]
          AND c.unit = names[3 * which - 1] AND c."window" = names[3 * which];
      spilled := spilled || over;
      FOREACH which IN ARRAY places LOOP
        EXIT WHEN over = 0;
        UPDATE budget_counters c SET
            granted = c.granted + CASE which WHEN places[1] THEN over ELSE 0 END,
            lent = c.lent + CASE which WHEN places[1] THEN 0 ELSE over END
          WHERE c.book = in_book AND c.account = names[3 * which - 2]
            AND c.unit = names[3 * which - 1] AND c."window" = names[3 * which];
      END LOOP;
    END LOOP;
  END IF;

  outcome := 'done';
  UPDATE budget_books
    SET seq = seq + 1, generation = generation + (account_rows <> '')::integer
    WHERE id = in_book RETURNING seq INTO entry;
  book_seq := entry;
  INSERT INTO budget_journal VALUES (
    in_book, entry, now, posting_kind, posting_id, for_account, hold_id, unseen,
    CASE doing WHEN '' THEN content ELSE '' END,
    CASE doing WHEN '' THEN balances END, spilled, entry_body
  );
  IF doing = 'open' OR unseen THEN
    INSERT INTO budget_holds VALUES (
      in_book, hold_id, for_account, now, now + ttl,
      (closed_as::text[])[1], (closed_as::text[])[2], (closed_as::text[])[3], content
    );
  ELSIF doing = 'close' THEN
    UPDATE budget_holds
      SET status = (closed_as::text[])[1], basis = (closed_as::text[])[2], charged = (closed_as::text[])[3]
      WHERE book = in_book AND id = hold_id;
  ELSIF account_rows <> '' THEN
    INSERT INTO budget_accounts
      SELECT in_book, r ->> 0, (r ->> 1)::bigint, r ->> 2, (r ->> 3)::boolean,
        coalesce(now + ttl, (r ->> 4)::double precision), r -> 5, r ->> 6
      FROM jsonb_array_elements(account_rows::jsonb) AS r
      ON CONFLICT (book, path) DO UPDATE SET
        version = EXCLUDED.version,
        frozen = EXCLUDED.frozen,
        closed = EXCLUDED.closed,
        expires_at = EXCLUDED.expires_at,
        ceilings = EXCLUDED.ceilings,
        body = EXCLUDED.body;
    INSERT INTO budget_counters (book, account, unit, "window", granted)
      SELECT in_book, r ->> 0, lifelong.key, '', lifelong.value::bigint
      FROM jsonb_array_elements(account_rows::jsonb) AS r,
        jsonb_each_text(r -> 5) AS lifelong
      WHERE lifelong.key NOT LIKE '%@%'
      ON CONFLICT DO NOTHING;
  END IF;
END
$post$;
