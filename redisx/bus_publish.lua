-- publish stores events. ARGV: for how many ms an ID is known, how many events of a topic are kept, and for how many ms; then topics, each with
-- how many events, and an ID and a body for each.
local memory, most, age = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local period = math.floor(now / memory)
local at = 4
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
ring_events()
return 1
