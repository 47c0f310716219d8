-- Answers one question about a book. ARGV[2]: which; the rest is about it.

local known, last = unpack(call('HMGET', LEDGER, 'epoch', 'seq'))
if known ~= epoch or tonumber(last) < tonumber(seen) then return 'lost' end

local CHUNK = 1000  -- what `unpack` can surely take

local function fields(names)
  local found = {}
  for from = 1, #names, CHUNK do
    local till = math.min(from + CHUNK - 1, #names)
    for _, value in ipairs(call('HMGET', LEDGER, unpack(names, from, till))) do
      found[#found + 1] = value
    end
  end
  return found
end

local function rows(paths)
  local names = {}
  for i, path in ipairs(paths) do names[i] = path .. '\nrow' end
  local found, listed = fields(names), {}
  for i, path in ipairs(paths) do
    if found[i] then
      listed[#listed + 1] = path
      listed[#listed + 1] = found[i]
    end
  end
  return listed
end

local function holds(ids)
  local names = {}
  for i, id in ipairs(ids) do
    names[2 * i - 1], names[2 * i] = '\nhold\n' .. id, '\ntext\n' .. id
  end
  local found, listed = fields(names), {}
  for i, id in ipairs(ids) do
    local state, text = found[2 * i - 1], found[2 * i]
    if state then
      for _, each in ipairs({id, state, text or ''}) do listed[#listed + 1] = each end
    end
  end
  return listed
end

local reads = {}

function reads.rows(...)
  return rows({...})
end

function reads.below(from, till)
  local paths = call('ZRANGEBYLEX', NAMES, from, till)
  for i, path in ipairs(paths) do paths[i] = path:sub(2, -2) end
  return rows(paths)
end

function reads.balances(...)
  local listed = {}
  for _, account in ipairs({...}) do
    local from = 'c' .. account .. '\n'
    for _, name in ipairs(call('ZRANGEBYLEX', NAMES, '[' .. from, '[' .. from .. '\255')) do
      local counter = name:sub(2)
      listed[#listed + 1] = counter
      for _, each in ipairs(fields({counter .. 'g', counter .. 'a', counter .. 's', counter .. 'l'})) do
        listed[#listed + 1] = each or ''
      end
    end
  end
  return listed
end

function reads.hold(id)
  return holds({id})
end

function reads.open_holds()
  return holds(call('ZRANGE', DUE, 0, -1))
end

function reads.overdue()
  return holds(call('ZRANGEBYSCORE', DUE, '-inf', now))
end

function reads.lapsed()
  return rows(call('ZRANGEBYSCORE', MORTAL, '-inf', now))
end

function reads.journal(from, limit)
  if limit == '0' then return {} end
  local count = limit == '' and {} or {'COUNT', limit}
  return call('XRANGE', JOURNAL, from, '+', unpack(count))
end

function reads.now()
  return now
end

return reads[ARGV[2]](unpack(ARGV, 3))
