-- What all scripts of the bus share, after common.lua. Of a topic there are
--   et:<topic>           a hash: n, the number of the last event; f, the first that is kept; and for each group what it looks at next (c/), how many events
--                        it lost (x/) and when (y/), and how many of these were told (u/)
--   ev:<topic>           events by number: the time, then what the client wrote: ID, key, data
--   ei:<topic>/<period>  IDs that were published in a period
--   el:<topic>/<key>     a list of a ledger, each entry its ID and what the client wrote
-- and for each of its groups, by the number of an event,
--   ep:  what it is not done with: OPEN, and the key        en:  the next event of its key, which waits
--   eq:  what is ready before anything new                  er:  what waits for a time
--   ex:  dead events: BURIED, the reason, the event         eb:  dead events that live again
-- and ek:, by key, the last that is open. es, eh and ec are the subscribers of the partition: what they read, their leases, and their last calls.
local OPEN = '>c16I2I4I4' -- owner, attempts, turns, and the call in which the owner got it; the key follows
local KEY = 27
local BURIED = '>I6I2I4I4' -- time, attempts, turns, length of the reason
local MOST_OPEN = 4096
local CHUNK = 20000 -- events that are dropped at a time

local function group_of(topic, group)
  local name = ':' .. topic .. '/' .. group
  return {
    topic = P .. 'et:' .. topic, events = P .. 'ev:' .. topic, name = group, open = P .. 'ep' .. name, heirs = P .. 'en' .. name,
    ready = P .. 'eq' .. name, naps = P .. 'er' .. name, dead = P .. 'ex' .. name, again = P .. 'eb' .. name, tails = P .. 'ek' .. name,
  }
end

local rung = {}
local function ring_events()
  for topic in pairs(rung) do
    call('PUBLISH', channel('events'), string.match(P, ':(%d+)}:$') .. '\n' .. topic)
  end
end

-- bodies reads events by number; one that is gone is false.
local function bodies(g, ns)
  local all, again = read(g.events, ns), false
  for i = 1, #ns do
    if not all[i] then
      if again == false then again = call('EXISTS', g.again) == 1 and read(g.again, ns) end
      if again then all[i] = again[i] end
    end
  end
  return all
end

-- finish closes events, whose keys are given as well, and lets the next of their keys go on.
local function finish(g, ns, keys)
  if #ns == 0 then return end
  local ready, tails, had = {}, {}, {}
  for i, heir in ipairs(read(g.heirs, ns)) do
    if heir then
      ready[#ready + 1] = heir
      had[#had + 1] = ns[i]
    elseif keys[i] ~= '' then
      tails[#tails + 1] = keys[i]
    end
  end
  many('HDEL', g.open, ns)
  if #had > 0 then many('HDEL', g.heirs, had) end
  if #tails > 0 then many('HDEL', g.tails, tails) end
  if #ready > 0 then many('RPUSH', g.ready, ready) end
  if call('EXISTS', g.again) == 1 then many('HDEL', g.again, ns) end
end

-- back gives to others what a subscriber has of a group. spare is 1 if its attempts do not count.
local function back(topic, g, token, spare)
  local all, changed, ready = call('HGETALL', g.open), {}, {}
  for i = 1, #all, 2 do
    if sub(all[i + 1], 1, 16) == token then
      local _, attempts, turns = parse(OPEN, all[i + 1])
      changed[#changed + 1] = all[i]
      changed[#changed + 1] = pack(OPEN, NOBODY, attempts - spare, turns, 0) .. sub(all[i + 1], KEY)
      ready[#ready + 1] = all[i]
    end
  end
  if #ready == 0 then return end
  many('HSET', g.open, changed)
  table.sort(ready, function(x, y) return tonumber(x) > tonumber(y) end)
  many('LPUSH', g.ready, ready)
  rung[topic] = true
end

-- dismiss ends a subscriber's membership: its token goes first.
local function dismiss(token, spare)
  local said = call('HGET', P .. 'es', token)
  call('HDEL', P .. 'es', token)
  call('HDEL', P .. 'ec', token)
  call('ZREM', P .. 'eh', token)
  for topic, group in string.gmatch(said or '', '\n([^/\n]+)/([^\n]+)') do back(topic, group_of(topic, group), token, spare) end
end

-- drop removes the events of a topic before number upto.
local function drop(topic, first, upto)
  local ns = {}
  for n = first, upto - 1 do ns[#ns + 1] = n end
  if #ns == 0 then return end
  many('HDEL', P .. 'ev:' .. topic, ns)
  call('HSET', P .. 'et:' .. topic, 'f', upto)
end

-- fresh gives the first number, of those from first to last, whose event is not older than age, or last + 1.
local function fresh(topic, first, last, age)
  local function old(n)
    local body = call('HGET', P .. 'ev:' .. topic, n)
    return not body or parse('>I6', body) < now - age
  end
  if first > last or not old(first) then return first end
  local low, high = first, last + 1 -- low is old
  while high - low > 1 do
    local middle = math.floor((low + high) / 2)
    if old(middle) then low = middle else high = middle end
  end
  return high
end

-- store stores events, and keeps the bounds of their topics. ARGV: for how many ms an ID is known, how many events of a topic are kept, and for how many ms;
-- then, from at on, topics, each with how many events, and an ID and a body for each.
local function store(at)
  local memory, most, age = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
  local period = math.floor(now / memory)
  while ARGV[at] do
    local topic, count = ARGV[at], tonumber(ARGV[at + 1])
    local ids = {}
    for i = 1, count do ids[i] = ARGV[at + 2 * i] end
    local recent = P .. 'ei:' .. topic .. '/' .. period
    local one, two = call('SMISMEMBER', recent, unpack(ids)), call('SMISMEMBER', P .. 'ei:' .. topic .. '/' .. (period - 1), unpack(ids))
    local known, meta = {}, call('HMGET', P .. 'et:' .. topic, 'n', 'f')
    local last, first = tonumber(meta[1]) or 0, tonumber(meta[2]) or 1
    local added, events = {}, {}
    for i = 1, count do
      if one[i] == 0 and two[i] == 0 and not known[ids[i]] then
        known[ids[i]] = true
        last = last + 1
        added[#added + 1] = ids[i]
        events[#events + 1] = last
        events[#events + 1] = pack('>I6', now) .. ARGV[at + 2 * i + 1]
      end
    end
    at = at + 2 + 2 * count
    if #added > 0 then
      many('HSET', P .. 'ev:' .. topic, events)
      call('PEXPIRE', P .. 'ev:' .. topic, age)
      call('HSET', P .. 'et:' .. topic, 'n', last)
      many('SADD', recent, added)
      call('PEXPIRE', recent, 2 * memory)
      drop(topic, first, math.min(first + CHUNK, math.max(fresh(topic, first, last, age), last - most + 1)))
      rung[topic] = true
    end
  end
end
