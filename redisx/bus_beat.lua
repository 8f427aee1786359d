-- beat is a subscriber's sign of life. It also ends those whose leases have ended, and drops what nobody needs any more of some topics.
-- ARGV: the subscriber, its lease in ms, for how many ms events are kept; topics. It answers the time, and the ms until another's lease ends, or -1.
if call('HEXISTS', P .. 'es', ARGV[1]) == 0 then return redis.error_reply('FENCED') end
call('ZADD', P .. 'eh', now + ARGV[2], ARGV[1])
for _, token in ipairs(call('ZRANGEBYSCORE', P .. 'eh', '-inf', now, 'LIMIT', 0, 16)) do dismiss(token, 0) end

-- needed is the first number that a group needs.
local function needed(topic, group, c)
  for _, n in ipairs(call('HKEYS', P .. 'ep:' .. topic .. '/' .. group)) do c = math.min(c, tonumber(n)) end
  return c
end

for i = 4, #ARGV do
  local topic = ARGV[i]
  local all, meta = call('HGETALL', P .. 'et:' .. topic), {}
  for k = 1, #all, 2 do meta[all[k]] = all[k + 1] end
  local last, first = tonumber(meta.n) or 0, tonumber(meta.f) or 1
  local upto = last + 1
  if upto > first then
    for field, value in pairs(meta) do
      local group = string.match(field, '^c/(.*)$')
      if group then upto = math.min(upto, needed(topic, group, tonumber(value))) end
    end
    upto = math.max(upto, fresh(topic, first, last, tonumber(ARGV[3])))
    drop(topic, first, math.min(upto, first + CHUNK))
  end
end
ring_events()
local wait = -1
local leases = call('ZRANGE', P .. 'eh', 0, 1, 'WITHSCORES')
for i = 1, #leases, 2 do
  if leases[i] ~= ARGV[1] and wait < 0 then wait = math.max(0, math.ceil(leases[i + 1] - now)) end
end
return { now, wait }
