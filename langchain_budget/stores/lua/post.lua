-- Posts what has no hold: accounts, grants, transfers; once for each id.

local content, ttl, rows = rest:match('^(%S+)\t([^\t]*)\t(.*)$')

if was then
  local known, reply = was:match('^(%S+) (.*)$')
  return known == content and reply or 'conflict'
end

local no = refuse()
if no then return no end

local backs = {}  -- what undoes the writes, in their order

local function put(field, value)
  local old = call('HGET', LEDGER, field)
  backs[#backs + 1] = old and {'HSET', LEDGER, field, old} or {'HDEL', LEDGER, field}
  call('HSET', LEDGER, field, value)
end

local function list(key, score, member)
  local old = call('ZSCORE', key, member)
  backs[#backs + 1] = old and {'ZADD', key, old, member} or {'ZREM', key, member}
  if score then
    call('ZADD', key, score, member)
  else
    call('ZREM', key, member)
  end
end

local function put_row(row)
  local path = row.path
  local till = ttl ~= '' and later(ttl) or row.till
  put(path .. '\n', row.state)
  put(path .. '\nrow', till .. ' ' .. row.text)
  put(path .. '\nceilings', row.ceilings)
  list(NAMES, '0', 'p' .. path .. '/')
  list(MORTAL, till ~= '' and not row.closed and till, path)
  for name, limit in row.counters:gmatch('([^\t]*)\t(%d+)\t') do
    if call('HEXISTS', LEDGER, name .. 'a') == 0 then
      backs[#backs + 1] = {'HDEL', LEDGER, name .. 'a', name .. 'g'}
      backs[#backs + 1] = {'ZREM', NAMES, 'c' .. name}
      create(name, limit)
    end
  end
end

-- Counters were made with the ceilings of before: the deltas say what changes.
local function write(receipt)
  for _, row in ipairs(cjson.decode(rows)) do put_row(row) end
  call('HSET', LEDGER, itself, content .. ' ' .. receipt, 'seq', number)
end

local fine, done = pcall(apply, write, '')
if fine then return done end

for i = #backs, 1, -1 do redis.pcall(unpack(backs[i])) end
