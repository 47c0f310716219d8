-- Opens, closes or keeps a hold. ARGV[5]: the text of one that is opened.

local opened, expires
if was then
  opened, expires = was:match('^%S+ %S+ (%S+) (%S+)')
end

local function tell(word)
  return word .. ' ' .. was .. '\n' .. (call('HGET', LEDGER, '\ntext\n' .. id) or '')
end

local state, text, deadline
local mark = ''  -- what the journal notes
if op == 'open' then
  if was then
    local known = call('HGET', LEDGER, '\ntext\n' .. id)
    return (known == ARGV[5] or not known) and tell('known') or 'conflict'
  end
  text, deadline = ARGV[5], later(rest)
  state = 'open - ' .. now .. ' ' .. deadline .. ' '
elseif op == 'keep' then
  if not was then return 'unknown' end
  if not was:match('^open ') then return tell('closed') end
  deadline = later(rest)
  state = 'open - ' .. opened .. ' ' .. deadline .. ' '
else
  local as, before, unseen, charged = rest:match('^([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$')
  if was then
    local is = '|' .. was:match('^%S+ %S+') .. '|'
    if not before:find(is, 1, true) then return tell('closed') end
    state = as .. ' ' .. opened .. ' ' .. expires .. ' ' .. charged
  else
    if unseen == '' then return 'unknown' end
    mark = ' unseen'
    state = 'unseen - ' .. now .. ' ' .. now .. ' ' .. unseen
  end
end

local no = refuse()
if no then return no end

local function write()
  local seq = op == 'keep' and last or number
  if text then
    call('HSET', LEDGER, itself, state, 'seq', seq, '\ntext\n' .. id, text)
  else
    call('HSET', LEDGER, itself, state, 'seq', seq)
  end
  if deadline then
    call('ZADD', DUE, deadline, id)
  else
    call('ZREM', DUE, id)
  end
  return 'ok 0'
end

local fine, done
if op == 'keep' then
  fine, done = pcall(write)
else
  fine, done = pcall(apply, write, mark)
end
if fine then return done end

if text then redis.pcall('HDEL', LEDGER, '\ntext\n' .. id) end
if was and was:match('^open ') then
  redis.pcall('ZADD', DUE, expires, id)
else
  redis.pcall('ZREM', DUE, id)
end
