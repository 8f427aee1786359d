-- tidy forgets counts of what has been forgotten, which early mail there was, and which messages came from other partitions.
call('ZREMRANGEBYSCORE', P .. 'em', '-inf', now)
call('ZREMRANGEBYSCORE', P .. 'sn', '-inf', now)
local old = {}
for _, till in ipairs(call('HKEYS', P .. 'fc')) do
  if tonumber(till) <= now then old[#old + 1] = till end
end
many('HDEL', P .. 'fc', old)
return #old
