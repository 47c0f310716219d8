-- Finds a book, or makes it; says what is wrong, and then has changed nothing.
-- ARGV: number of our schema, epoch of a new book.

local kinds = {'hash', 'zset', 'stream', 'zset', 'zset'}

local function kind_of(key)
  return redis.call('TYPE', key).ok
end

local function refuse(key, kind)
  return {'foreign', key, kind}
end

local LEDGER = KEYS[1]
local kind = kind_of(LEDGER)
if kind ~= 'hash' and kind ~= 'none' then return refuse(LEDGER, kind) end

local schema, epoch, seq = unpack(redis.call('HMGET', LEDGER, 'schema', 'epoch', 'seq'))
if schema and schema ~= ARGV[1] then return {'schema', schema} end
if kind == 'hash' and not (schema and epoch and seq) then return refuse(LEDGER, kind) end

for i = 2, #KEYS do
  kind = kind_of(KEYS[i])
  -- Without its head, what is left of a book is no book.
  if kind ~= 'none' and (kind ~= kinds[i] or not schema) then
    return refuse(KEYS[i], kind)
  end
end

if schema then
  redis.call('HDEL', LEDGER, 'probe')  -- a replica that only reads says so here
else
  epoch, seq = ARGV[2], '0'
  redis.call('HSET', LEDGER, 'schema', ARGV[1], 'epoch', epoch, 'seq', seq)
end
return {'ok', epoch, seq}
