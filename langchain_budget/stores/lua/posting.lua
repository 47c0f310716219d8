-- Applies one posting whole, or says why not and changes nothing.
-- ARGV: epoch, highest number seen, time, plan, entry, and the text of a new hold.

local plan = cjson.decode(ARGV[4])
local id, hold_text = plan.id, ARGV[6]
local nets, checks = plan.nets, plan.checks
local granted, available, spent, lent, missing = {}, {}, {}, {}, {}
local overs = {}

-- Judging: nothing is written here.

local function less(one, other)
  local negative = one:byte() == 45
  if negative ~= (other:byte() == 45) then return negative end
  if #one ~= #other then return (#one < #other) ~= negative end
  if negative then return other < one end
  return one < other
end

local function ceiling(counter)
  local account, unit, span = counter:match('^([^\n]*)\n([^\n]*)\n([^\n@]*)')
  local all = span ~= '' and call('HGET', ACCOUNTS, account .. '\nceilings')
  if not all then return false end
  local _, before = all:find('\n' .. unit .. '@' .. span .. ' ', 1, true)
  return before and all:match('^%d+', before + 1)
end

local function read_counters()
  local fields = {}
  for _, net in ipairs(nets) do
    for _, letter in ipairs({'g', 'a', 's', 'l'}) do
      fields[#fields + 1] = net[1] .. letter
    end
  end
  local found = #fields > 0 and call('HMGET', COUNTERS, unpack(fields)) or {}
  for i, net in ipairs(nets) do
    local at = 4 * i
    granted[i], available[i] = found[at - 3], found[at - 2]
    spent[i], lent[i] = found[at - 1] or '0', found[at] or '0'
    if not available[i] then
      missing[i] = true
      granted[i] = ceiling(net[1])
      available[i] = granted[i] or '0'
    end
  end
end

local function refuse_time()
  local from, till = unpack(plan.during)
  if from and not (tonumber(from) <= tonumber(now) and tonumber(now) < tonumber(till)) then
    return 'outside ' .. now
  end
end

local function refuse_accounts()
  local versions = plan.versions
  if #versions == 0 then return end
  for i, state in ipairs(call('HMGET', ACCOUNTS, unpack(plan.paths))) do
    state = state or ''
    local as = i <= plan.admitted and state or state:match('^%d+') or '0'
    if as ~= versions[i] then
      return string.format('account %d %s', i, state)
    end
  end
end

local refuses = {
  unpriced = function(i) return granted[i] end,
  short = function(i, wanted) return granted[i] and less(available[i], wanted) end,
  many = function(i, most) return less(most, granted[i] or '0') end,
}

local function refuse_balances()
  for n, check in ipairs(checks) do
    local kind, i, number = unpack(check)
    if refuses[kind](i, number) then
      local balance = {granted[i] or '-', available[i], spent[i], lent[i]}
      return string.format('balance %d %s', n, table.concat(balance, ' '))
    end
  end
end

local function refuse()
  local no = refuse_time() or refuse_accounts()
  if no then return no end
  read_counters()
  return refuse_balances()
end

-- Applying: whatever fails, all that was written is undone.

local undo = {}

local function write(back, ...)
  undo[#undo + 1] = back
  return call(...)
end

local function put(key, field, value, old)
  write(old and {'HSET', key, field, old} or {'HDEL', key, field}, 'HSET', key, field, value)
end

local function replace(key, field, value)
  put(key, field, value, call('HGET', key, field))
end

local function enlist(key, score, member)
  local old = call('ZSCORE', key, member)
  local back = old and {'ZADD', key, old, member} or {'ZREM', key, member}
  write(back, 'ZADD', key, score, member)
end

local function delist(key, member)
  local old = call('ZSCORE', key, member)
  if old then
    write({'ZADD', key, old, member}, 'ZREM', key, member)
  end
end

local function create(counter, limit)
  enlist(INDEX, '0', counter)
  put(COUNTERS, counter .. 'a', limit or '0')
  if limit then
    put(COUNTERS, counter .. 'g', limit)
  end
end

local function add(i, letter, by, old)
  if missing[i] then
    create(nets[i][1], granted[i])
    missing[i] = nil
  end
  local field = nets[i][1] .. letter
  local back = old and {'HSET', COUNTERS, field, old} or {'HDEL', COUNTERS, field}
  write(back, 'HINCRBY', COUNTERS, field, by)
end

local function move()
  for i, net in ipairs(nets) do
    local _, by_available, by_spent, by_lent, by_granted = unpack(net)
    if by_granted then add(i, 'g', by_granted, granted[i]) end
    if by_available then add(i, 'a', by_available, available[i]) end
    if by_spent and by_spent ~= '0' then add(i, 's', by_spent, spent[i]) end
    if by_lent and by_lent ~= '0' then add(i, 'l', by_lent, lent[i]) end
  end
end

-- What a slice has overrun is granted to it and lent by its payers.
local function pour()
  local spilled = {}
  for n, each in ipairs(plan.pours) do
    local slice, payers, effects = unpack(each)
    local field = nets[slice][1]
    local limit, left = unpack(call('HMGET', COUNTERS, field .. 'g', field .. 'a'))
    local over = limit and left:match('^%-(.*)') or '0'
    overs[n] = over
    if over ~= '0' then
      add(slice, 'g', over, granted[slice])
      add(slice, 'a', over, available[slice])
      for _, i in ipairs(payers) do
        add(i, 'l', over, lent[i])
        add(i, 'a', '-' .. over, available[i])
      end
      spilled[#spilled + 1] = effects:gsub('@', over)
    end
  end
  return #spilled > 0 and '\n[' .. table.concat(spilled, ',') .. ']' or ''
end

local function number()
  return string.format('%.0f', tonumber(last) + 1)
end

-- The journal comes last: what a stream was given cannot be taken back.
local function enter(mark, spilled)
  put(META, 'seq', number(), last)
  call('XADD', JOURNAL, number() .. '-0', 'e', now .. mark .. '\n' .. ARGV[5] .. spilled)
end

local function receipt()
  local words = {'ok', number()}
  if plan.tell then
    for i in ipairs(nets) do
      words[#words + 1] = granted[i] or '-'
      words[#words + 1] = spent[i]
      words[#words + 1] = lent[i]
    end
  end
  for _, over in ipairs(overs) do words[#words + 1] = over end
  return table.concat(words, ' ')
end

local function whole(apply)
  local fine, result = pcall(apply)
  if fine then return result end
  for i = #undo, 1, -1 do redis.pcall(unpack(undo[i])) end
  local message = type(result) == 'table' and result.err or tostring(result)
  return redis.error_reply((message:gsub('[\r\n]', ' ')))
end

-- Holds: `status basis opened expires charged`, and beside it the text of what was asked.

local function find_hold()
  local state, text = unpack(call('HMGET', HOLDS, id, id .. '\n'))
  return state, text or ''
end

local function told(word, state, text)
  return word .. ' ' .. state .. '\n' .. text
end

local posts = {}

function posts.open()
  local state, text = find_hold()
  if state then
    return (text == hold_text or text == '') and told('known', state, text) or 'conflict'
  end
  local no = refuse()
  if no then return no end
  return whole(function()
    local spilled = move() or pour()
    local expires = later(plan.ttl)
    state = table.concat({'open', '-', now, expires, ''}, ' ')
    write({'HDEL', HOLDS, id, id .. '\n'}, 'HSET', HOLDS, id, state, id .. '\n', hold_text)
    write({'ZREM', DUE, id}, 'ZADD', DUE, expires, id)
    enter('', spilled)
    return receipt()
  end)
end

local function give_up_unseen()
  put(HOLDS, id, table.concat({'unseen', '-', now, now, plan.unseen}, ' '))
  enter(' unseen', '')
  return 'ok ' .. number()
end

function posts.close()
  local state, text = find_hold()
  if not state and not plan.unseen then return 'unknown' end
  local was, times = (state or ''):match('^(%S+ %S+) (%S+ %S+)')
  if state and not plan.before[was] then return told('closed', state, text) end
  local no = refuse()
  if no then return no end
  if not state then return whole(give_up_unseen) end
  return whole(function()
    local spilled = move() or pour()
    put(HOLDS, id, table.concat({plan.as, times, plan.charged}, ' '), state)
    delist(DUE, id)
    enter('', spilled)
    return receipt()
  end)
end

function posts.keep()
  local state, text = find_hold()
  if not state then return 'unknown' end
  local opened = state:match('^open %- (%S+)')
  if not opened then return told('closed', state, text) end
  return whole(function()
    local expires = later(plan.ttl)
    put(HOLDS, id, table.concat({'open', '-', opened, expires, ''}, ' '), state)
    enlist(DUE, expires, id)
    return 'ok 0'
  end)
end

local function put_row(row)
  local till = row.till
  if plan.ttl then till = later(plan.ttl) end
  replace(ACCOUNTS, row.path, row.state)
  replace(ACCOUNTS, row.path .. '\nrow', till .. ' ' .. row.text)
  replace(ACCOUNTS, row.path .. '\nceilings', row.ceilings)
  enlist(PATHS, '0', row.path .. '/')
  if till ~= '' and not row.closed then
    enlist(MORTAL, till, row.path)
  else
    delist(MORTAL, row.path)
  end
  for _, each in ipairs(row.counters) do
    local counter, limit = unpack(each)
    if call('HEXISTS', COUNTERS, counter .. 'a') == 0 then
      create(counter, limit)
    end
  end
end

function posts.other()
  local known = call('HGET', POSTINGS, id)
  if known then
    local content, reply = known:match('^(%S+) (.*)$')
    return content == plan.content and reply or 'conflict'
  end
  local no = refuse()
  if no then return no end
  return whole(function()
    -- Counters are made with the ceilings of before: the deltas say what changes.
    local spilled = move() or pour()
    for _, row in ipairs(plan.rows) do put_row(row) end
    put(POSTINGS, id, plan.content .. ' ' .. receipt())
    enter('', spilled)
    return receipt()
  end)
end

return posts[plan.op]()
