-- sweep does what time has made due, a chunk of each: it wakes parked and held sagas, declares workers dead whose lease has
-- ended, gives back the sagas of workers that are gone, and forgets counts. It is harmless twice.
--
-- ARGV: a worker that leaves, or nothing. It answers 1 if there is more to do, the ms until the next saga wakes, or -1, and
-- how many messages for other partitions there are, and 1 if the worker that leaves was alive.
local CHUNK = 100

-- bury removes a worker's token before anything of it is moved. takeover is 1 if it died.
local function bury(w, takeover)
  if call('HDEL', KEYS[1], w) == 1 then call('HSET', P .. 'dw', w, takeover) end
  call('ZREM', P .. 'hb', w)
end

local alive = ARGV[1] ~= '' and call('HEXISTS', KEYS[1], ARGV[1]) or 0
if ARGV[1] ~= '' then bury(ARGV[1], 0) end
for _, w in ipairs(call('ZRANGEBYSCORE', P .. 'hb', '-inf', now, 'LIMIT', 0, CHUNK)) do bury(w, 1) end

-- awaken makes sagas ready that are in one of two states.
local function awaken(ids, one, two, takeover)
  local changed = {}
  for k, m in ipairs(read(P .. 'm', ids)) do
    if m then
      local state, flags, rev, _, _, takeovers, chunks, unread, _, last = parse(FIXED, m)
      if state == one or state == two then
        takeovers = math.min(takeovers + takeover, 65535)
        m = pack(FIXED, READY, flags, rev, now, 0, takeovers, chunks, unread, NOBODY, last) .. sub(m, HEAD)
        changed[#changed + 1] = ids[k]
        changed[#changed + 1] = m
        push(m, ids[k])
      end
    end
  end
  many('HSET', P .. 'm', changed)
end

local more, wake = 0, -1
local dead = call('HGETALL', P .. 'dw')
for k = 1, #dead, 2 do
  local w = dead[k]
  local ids = call('SPOP', P .. 'o:' .. w, CHUNK)
  table.sort(ids)
  awaken(ids, OWNED, OWNED, tonumber(dead[k + 1]))
  if #ids < CHUNK then
    call('DEL', P .. 'ml:' .. w)
    call('HDEL', P .. 'dw', w)
  else
    more = 1
  end
end

for name, state in pairs({ pk = PARKED, hd = HELD }) do
  local ids = call('ZRANGEBYSCORE', P .. name, '-inf', now, 'LIMIT', 0, CHUNK)
  if #ids > 0 then
    awaken(ids, state, state, 0)
    many('ZREM', P .. name, ids)
  end
  if #ids == CHUNK then more = 1 end
  local first = call('ZRANGEBYSCORE', P .. name, '-inf', '(+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if first[2] then
    local wait = math.max(0, math.ceil(first[2] - now))
    if wake < 0 or wait < wake then wake = wait end
  end
end

-- Keys that have been held for long for a saga that nobody knows of here: its partition is asked.
for _, c in ipairs(call('ZRANGEBYSCORE', P .. 'lp', '-inf', now, 'LIMIT', 0, CHUNK)) do
  local _, _, _, home = unfold(c)
  call('ZADD', P .. 'lp', now + DOUBT, c)
  away('A', home, HERE, c, now + DOUBT)
end
many('HSET', P .. 'ob', outbox)
ring()
return { more, wake, call('HLEN', P .. 'ob'), alive }
