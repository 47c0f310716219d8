-- Every script begins with this: the keys of a book, and what time it is.
--
-- LEDGER has all that is kept by name, one field each. No name of an account has a line
-- break in it, so these cannot be taken for each other:
--   schema, epoch, seq        of the book: how it is laid out, which it is, how far it is
--   ACCOUNT \n                its version, then what keeps it from admitting
--   ACCOUNT \n row            till when it lives, and its text
--   ACCOUNT \n ceilings       what its counters are granted at first
--   COUNTER g, a, s, l        granted (if limited), available, spent, lent;
--                             a COUNTER is ACCOUNT \n unit \n window \n
--   \n hold \n ID             status, basis, opened, expires, charged
--   \n text \n ID             what the hold was opened with
--   \n post \n ID             what a posting without a hold said, and its receipt
-- DUE has open holds by when they expire, MORTAL accounts, JOURNAL the entries by number,
-- and NAMES in order of spelling accounts (p ACCOUNT /) and counters (c COUNTER).
--
-- Amounts are decimal texts throughout; only HINCRBY adds, in 64 bits. What is available
-- of a counter without a limit is below zero; what is held is what the others leave.
--
-- ARGV[1]: epoch of the book, highest number that the client has seen, time or nothing.

local LEDGER, DUE, JOURNAL, NAMES, MORTAL = unpack(KEYS)
local call = redis.call

local epoch, seen, now = ARGV[1]:match('^(%S+) (%d+) (%S*)$')
if now == '' then
  local time = call('TIME')
  now = string.format('%d.%06d', time[1], time[2])
end
