-- Something failed half-way, and what it was is in `done`: all is put back as it was.

for at, field in ipairs(fields) do
  if found[at] then
    redis.pcall('HSET', LEDGER, field, found[at])
  else
    redis.pcall('HDEL', LEDGER, field)
  end
end
for i, name in ipairs(names) do
  if not found[first + width * (i - 1) + 2] then redis.pcall('ZREM', NAMES, 'c' .. name) end
end

local message = type(done) == 'table' and done.err or tostring(done)
return redis.error_reply((message:gsub('[\r\n]', ' ')))
