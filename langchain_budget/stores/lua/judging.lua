-- Reads all that a posting is about at once, and judges it; nothing is written here.
-- ARGV: 2 id, 3 plan, 4 entry. A plan has sections, and those have fields: what to do;
-- accounts; by how much counters change; what is judged of them; where overruns go.

local id, plan, entry = ARGV[2], ARGV[3], ARGV[4]
local about, accounts, nets, checks, pours =
  plan:match('^([^\30]*)\30([^\30]*)\30([^\30]*)\30([^\30]*)\30([^\30]*)$')
local op, telling, from, till, rest =
  about:match('^(%l+)\t(%d)\t([^\t]*)\t([^\t]*)\t(.*)$')

local itself = (op == 'post' and '\npost\n' or '\nhold\n') .. id
local fields, versions = {'epoch', 'seq', itself}, {}
local first = 3
for version, path in accounts:gmatch('(%l%-?%d+) ([^\t]*)\t') do
  first = first + 1
  versions[first], fields[first] = version, path .. '\n'
end

-- Where only what is held changes, what is spent and lent need not be read.
local width = telling == '1' and 4 or 2
local names, by_available, by_more = {}, {}, {}
local count = 0
for available_by, more, chain in nets:gmatch('(%S*)([^\t]*)\t([^\t]*)\t') do
  for name in chain:gmatch('[^\f]+') do
    count = count + 1
    names[count], by_available[count] = name, available_by
    if more ~= '' then by_more[count] = more end
    local at = first + width * (count - 1)
    fields[at + 1], fields[at + 2] = name .. 'g', name .. 'a'
    if width == 4 then
      fields[at + 3], fields[at + 4] = name .. 's', name .. 'l'
    end
  end
end

local found = call('HMGET', LEDGER, unpack(fields))
local last, was = found[2], found[3]
if found[1] ~= epoch or tonumber(last) < tonumber(seen) then return 'lost' end

local granted, available, missing = {}, {}, {}
for i = 1, count do
  local at = first + width * (i - 1)
  granted[i], available[i] = found[at + 1], found[at + 2]
  if not available[i] then
    -- It is not there yet; if it counts a window, its account says what it is granted.
    missing[i] = true
    local account, unit, span = names[i]:match('^([^\n]*)\n([^\n]*)\n([^\n@]*)')
    local all = span ~= '' and call('HGET', LEDGER, account .. '\nceilings')
    local _, before = (all or ''):find('\n' .. unit .. '@' .. span .. ' ', 1, true)
    granted[i] = before and all:match('^%d+', before + 1)
    available[i] = granted[i] or '0'
  end
end

local function less(one, other)
  local negative = one:byte() == 45
  if negative ~= (other:byte() == 45) then return negative end
  if #one ~= #other then return (#one < #other) ~= negative end
  if negative then return other < one end
  return one < other
end

local function refuse()
  if from ~= '' and (tonumber(now) < tonumber(from) or tonumber(now) >= tonumber(till)) then
    return 'outside ' .. now
  end
  for i = 4, first do
    local version, state = versions[i], found[i] or ''
    -- To be admitted takes that version and nothing else; to be seen, the version.
    local as = version:byte() == 97 and state or state:match('^%d+') or '0'
    if as ~= version:sub(2) then
      return 'account ' .. i - 4 .. ' ' .. state
    end
  end
  local nth = 0
  for kind, low, high, bound in checks:gmatch('(%l+) (%d+) (%d+) (%-?%d+)\t') do
    for i = tonumber(low), tonumber(high) do
      local no = granted[i]
      if kind == 'short' then
        no = no and less(available[i], bound)
      elseif kind == 'many' then
        no = less(bound, no or '0')
      end
      if no then
        local spent, lent = unpack(call('HMGET', LEDGER, names[i] .. 's', names[i] .. 'l'))
        local balance = {nth, granted[i] or '-', available[i], spent or '0', lent or '0'}
        return 'balance ' .. table.concat(balance, ' ')
      end
      nth = nth + 1
    end
  end
end

local function later(seconds)
  return string.format('%.17g', tonumber(now) + tonumber(seconds))
end
