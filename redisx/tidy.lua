-- tidy forgets counts of what has been forgotten, and which early mail there was.
call('ZREMRANGEBYSCORE', P .. 'em', '-inf', now)
local old = {}
for _, till in ipairs(call('HKEYS', P .. 'fc')) do
  if tonumber(till) <= now then old[#old + 1] = till end
end
many('HDEL', P .. 'fc', old)
return #old
