-- Changes the counters, and writes it down. Undoing is the next script's business.

local number = string.format('%.0f', tonumber(last) + 1)

local function create(name, limit)
  call('ZADD', NAMES, '0', 'c' .. name)
  call('HSET', LEDGER, name .. 'a', limit or '0')
  if limit then call('HSET', LEDGER, name .. 'g', limit) end
end

local function add(i, available_by, spent_by, lent_by, granted_by)
  local name = names[i]
  if missing[i] then
    create(name, granted[i])
    missing[i] = nil
  end
  if available_by ~= '0' then call('HINCRBY', LEDGER, name .. 'a', available_by) end
  if spent_by ~= '0' then call('HINCRBY', LEDGER, name .. 's', spent_by) end
  if lent_by ~= '0' then call('HINCRBY', LEDGER, name .. 'l', lent_by) end
  if granted_by ~= '' then call('HINCRBY', LEDGER, name .. 'g', granted_by) end
end

-- What a slice has overrun is granted to it and lent by its payers.
local function pour(slice, payers)
  local name = names[slice]
  local limit, left = unpack(call('HMGET', LEDGER, name .. 'g', name .. 'a'))
  local over = limit and left:match('^%-(.*)')
  if over then
    add(slice, over, '0', '0', over)
    for payer in payers:gmatch('%d+') do
      add(tonumber(payer), '-' .. over, '0', over, '')
    end
  end
  return over
end

-- Moves what there is to move, calls *write*, and enters it in the journal: that comes
-- last, since what a stream was given cannot be taken back. The receipt is the number,
-- and where somebody wants to know, how balances were and what spilled.
local function apply(write, mark)
  local receipt, line = 'ok ' .. number, now .. mark .. '\n' .. entry
  if mark == '' then
    for i = 1, count do
      local more = by_more[i]
      if more then
        add(i, by_available[i], more:match('^ (%S*) (%S*) (%S*)$'))
      elseif by_available[i] ~= '' then
        add(i, by_available[i], '0', '0', '')
      end
    end
    if telling == '1' then
      for at = first + 1, #fields, 4 do
        receipt = receipt .. ' ' .. (granted[(at - first + 3) / 4] or '-')
        receipt = receipt .. ' ' .. (found[at + 2] or '0') .. ' ' .. (found[at + 3] or '0')
      end
    end
    local spilled = {}
    for slice, payers, effects in pours:gmatch('(%d+) ([%d ]*)\t([^\t]*)\t') do
      local over = pour(tonumber(slice), payers)
      if over then spilled[#spilled + 1] = effects:gsub('\1', over) end
      receipt = receipt .. ' ' .. (over or '0')
    end
    if spilled[1] then line = line .. '\n[' .. table.concat(spilled, ',') .. ']' end
  end
  write(receipt)
  call('XADD', JOURNAL, number .. '-0', 'e', line)
  return receipt
end
