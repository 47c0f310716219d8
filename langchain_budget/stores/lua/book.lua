-- Every script begins with this: is it still the book that the client knows, and what
-- time is it? Amounts are decimal texts throughout; only HINCRBY adds, in 64 bits.

local META, COUNTERS, ACCOUNTS, HOLDS, DUE, JOURNAL, INDEX = unpack(KEYS, 1, 7)
local POSTINGS, PATHS, MORTAL = unpack(KEYS, 8, 10)
local call = redis.call

local epoch, last = unpack(call('HMGET', META, 'epoch', 'seq'))
if epoch ~= ARGV[1] or not last or tonumber(last) < tonumber(ARGV[2]) then
  return 'lost'
end

local now = ARGV[3]
if now == '' then
  now = string.format('%d.%06d', unpack(call('TIME')))
end

local function later(seconds)
  return string.format('%.17g', tonumber(now) + tonumber(seconds))
end
