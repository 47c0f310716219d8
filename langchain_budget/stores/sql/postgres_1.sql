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
-- and numbers are given in the order in which things are done. Every chain of accounts
-- ends at a root, whose counters would make them wait for each other anyway.
--
-- Arrays come as text: each is read where it is needed. Scans of whole tables are off,
-- so that a plan made when there were few counters will do when there are many.
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
  -- Nothing has changed since generation *passed*, when they were so.
  paths text,
  versions text,
  admitted integer,
  passed bigint,
  since double precision,
  until double precision,
  -- Counters. The first *moving* of them change; the others are only looked at.
  accounts text,
  units text,
  windows text,
  grants text,
  holds text,
  spends text,
  loans text,
  limits text,
  -- So much must be available, so much more can be counted, there is no limit.
  wanted text,
  more text,
  unpriced text,
  -- Places of a slice and of those who pay for its overrun.
  pours text,
  moving integer,
  -- Whether the receipt says how counters were before.
  told boolean,
  -- The hold, which must be in one of these states, or may be new.
  doing text,
  hold_id text,
  states text,
  may_be_new boolean,
  ttl double precision,
  end_status text,
  end_basis text,
  end_charged text,
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
  tids tid[];
  moved integer;
  pour text;
  places integer[];
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
  now := coalesce(clock, extract(epoch FROM clock_timestamp()));
  spilled := '{}';

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
      FROM unnest(paths::text[], versions::bigint[])
        WITH ORDINALITY AS w (path, version, place)
      LEFT JOIN budget_accounts a ON a.book = in_book AND a.path = w.path;
    IF refused THEN
      SELECT json_agg(json_build_array(a.path, a.version, a.frozen, a.closed))
        INTO detail FROM budget_accounts a
        WHERE a.book = in_book AND a.path = ANY (paths::text[]);
      RETURN;
    END IF;
  END IF;

  outcome := 'money';
  IF accounts <> '{}' AND NOT unseen THEN
    FOR turn IN 1..2 LOOP
      SELECT
          array_agg(c.tid),
          array_agg(ARRAY[c.granted, c.held, c.spent, c.lent]),
          bool_or(c.tid IS NULL),
          bool_or(
            c.granted::numeric - c.held - c.spent - c.lent < c.wanted
            OR coalesce(c.granted, 0)::numeric + c.more > 4611686018427387904
            OR c.unpriced > 0 AND c.granted IS NOT NULL
          )
        INTO tids, balances, missing, refused
        FROM (
          SELECT
              w.wanted, w.more, w.unpriced, f.tid,
              CASE
                WHEN f.tid IS NULL
                THEN budget_ceiling(in_book, w.account, w.unit, w."window")
                ELSE f.granted
              END AS granted,
              coalesce(f.held, 0) AS held,
              coalesce(f.spent, 0) AS spent,
              coalesce(f.lent, 0) AS lent
            FROM unnest(
                accounts::text[], units::text[], windows::text[],
                wanted::bigint[], more::bigint[], unpriced::bigint[]
              ) WITH ORDINALITY
              AS w (account, unit, "window", wanted, more, unpriced, place)
            LEFT JOIN LATERAL (
              SELECT k.ctid AS tid, k.* FROM budget_counters k
              WHERE k.book = in_book AND k.account = w.account
                AND k.unit = w.unit AND k."window" = w."window"
              OFFSET 0  -- one after the other, by their key
            ) AS f ON true
            ORDER BY w.place
        ) AS c;
      IF refused THEN
        RETURN;
      END IF;
      EXIT WHEN NOT missing;
      INSERT INTO budget_counters (book, account, unit, "window", granted)
        SELECT in_book, w.account, w.unit, w."window",
            budget_ceiling(in_book, w.account, w.unit, w."window")
          FROM unnest(accounts::text[], units::text[], windows::text[])
            AS w (account, unit, "window")
        ON CONFLICT DO NOTHING;
    END LOOP;
    IF missing THEN  -- not to be seen by this transaction: another one has made them
      RAISE serialization_failure;
    END IF;

    UPDATE budget_counters c SET
        granted = CASE
          WHEN w.limits > 0 THEN coalesce(c.granted, 0) + coalesce(w.granted, 0)
          ELSE c.granted
        END,
        held = c.held + coalesce(w.held, 0),
        spent = c.spent + coalesce(w.spent, 0),
        lent = c.lent + coalesce(w.lent, 0)
      FROM unnest(
          tids[:moving], grants::bigint[], holds::bigint[],
          spends::bigint[], loans::bigint[], limits::bigint[]
        ) AS w (tid, granted, held, spent, lent, limits)
      WHERE c.ctid = w.tid;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> moving THEN  -- somebody writes to the tables who is not this function
      RAISE serialization_failure;
    END IF;

    -- What a slice has less than nothing left is granted to it, and lent by the others.
    FOREACH pour IN ARRAY pours::text[] LOOP
      places := pour::integer[];
      SELECT greatest(c.held + c.spent + c.lent - c.granted, 0) INTO over
        FROM budget_counters c
        WHERE c.book = in_book
          AND c.account = (accounts::text[])[places[1]]
          AND c.unit = (units::text[])[places[1]]
          AND c."window" = (windows::text[])[places[1]];
      spilled := spilled || over;
      UPDATE budget_counters c SET
          granted = CASE w.rank WHEN 1 THEN c.granted + over ELSE c.granted END,
          lent = CASE w.rank WHEN 1 THEN c.lent ELSE c.lent + over END
        FROM unnest(places) WITH ORDINALITY AS w (place, rank)
        WHERE over > 0 AND c.book = in_book
          AND c.account = (accounts::text[])[w.place]
          AND c.unit = (units::text[])[w.place]
          AND c."window" = (windows::text[])[w.place];
    END LOOP;
  END IF;
  IF NOT told THEN
    balances := NULL;
  END IF;

  outcome := 'done';
  UPDATE budget_books
    SET seq = seq + 1, generation = generation + (account_rows <> '')::integer
    WHERE id = in_book RETURNING seq INTO entry;
  book_seq := entry;
  INSERT INTO budget_journal VALUES (
    in_book, entry, now, posting_kind, posting_id, for_account, hold_id, unseen,
    CASE doing WHEN '' THEN content ELSE '' END,
    CASE doing WHEN '' THEN balances END,
    spilled, entry_body
  );
  IF doing = 'open' OR unseen THEN
    INSERT INTO budget_holds VALUES (
      in_book, hold_id, for_account, now, now + ttl,
      end_status, end_basis, end_charged, content
    );
  ELSIF doing = 'close' THEN
    UPDATE budget_holds
      SET status = end_status, basis = end_basis, charged = end_charged
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
      SELECT in_book, r ->> 0, ceiling.key, '', ceiling.value::bigint
        FROM jsonb_array_elements(account_rows::jsonb) AS r,
          jsonb_each_text(r -> 5) AS ceiling
        WHERE ceiling.key NOT LIKE '%@%'
      ON CONFLICT DO NOTHING;
  END IF;
END
$post$;
