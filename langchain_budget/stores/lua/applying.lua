-- Changes the counters, and writes it down; if anything fails, all is undone.

local number = string.format('%.0f', tonumber(last) + 1)
local overs, spilled = {}, {}

local function create(name, limit)
  call('ZADD', NAMES, '0', 'c' .. name)
  call('HSET', LEDGER, name .. 'a', limit or '0')
  if limit then call('HSET', LEDGER, name .. 'g', limit) end
end

local function add(i, granted_by, available_by, spent_by, lent_by)
  local name = names[i]
  if missing[i] then
    create(name, granted[i])
    missing[i] = nil
  end
  if granted_by ~= '' then call('HINCRBY', LEDGER, name .. 'g', granted_by) end
  if available_by ~= '0' then call('HINCRBY', LEDGER, name .. 'a', available_by) end
  if spent_by ~= '0' then call('HINCRBY', LEDGER, name .. 's', spent_by) end
  if lent_by ~= '0' then call('HINCRBY', LEDGER, name .. 'l', lent_by) end
end

local function move()
  for i = 1, count do
    if by_available[i] ~= '' then
      add(i, by_granted[i], by_available[i], by_spent[i], by_lent[i])
    end
  end
  -- What a slice has overrun is granted to it and lent by its payers.
  for slice, payers, effects in pours:gmatch('(%d+) ([%d ]*)\t([^\t]*)\t') do
    slice = tonumber(slice)
    local name = names[slice]
    local limit, left = unpack(call('HMGET', LEDGER, name .. 'g', name .. 'a'))
    local over = limit and left:match('^%-(.*)')
    overs[#overs + 1] = over or '0'
    if over then
      add(slice, over, over, '0', '0')
      for payer in payers:gmatch('%d+') do
        add(tonumber(payer), '', '-' .. over, '0', over)
      end
      spilled[#spilled + 1] = effects:gsub('\1', over)
    end
  end
end

-- The journal comes last: what a stream was given cannot be taken back.
local function enter(mark)
  local line = now .. mark .. '\n' .. entry
  if spilled[1] then
    line = line .. '\n[' .. table.concat(spilled, ',') .. ']'
  end
  call('XADD', JOURNAL, number .. '-0', 'e', line)
end

-- The number, and where somebody wants to know, how balances were and what spilled.
local function receipt()
  local reply = 'ok ' .. number
  if telling == '0' then return reply end
  for i = 1, count do
    reply = reply .. ' ' .. (granted[i] or '-') .. ' ' .. spent[i] .. ' ' .. lent[i]
  end
  for _, over in ipairs(overs) do reply = reply .. ' ' .. over end
  return reply
end

local function whole(apply, undo_more)
  local fine, problem = pcall(apply)
  if fine then return end
  undo_more()
  for at, field in ipairs(fields) do
    if found[at] then
      redis.pcall('HSET', LEDGER, field, found[at])
    else
      redis.pcall('HDEL', LEDGER, field)
    end
  end
  for i, name in ipairs(names) do
    if not found[first + 4 * i - 2] then redis.pcall('ZREM', NAMES, 'c' .. name) end
  end
  local message = type(problem) == 'table' and problem.err or tostring(problem)
  return redis.error_reply((message:gsub('[\r\n]', ' ')))
end
