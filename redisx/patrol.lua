-- patrol looks at a chunk of the sagas for those that are lost: in no queue, owner's set or timer. Scripts are atomic, so that can only be the
-- work of a server that lost a part of what it had stored. What waits wakes too early, which does no harm; what was owned counts as taken over.
--
-- ARGV: a cursor, and the node that looks. It answers the next cursor, and how many sagas it found. Of many nodes one is enough: that of the
-- worker with the least name.
local least
for _, w in ipairs(call('HKEYS', KEYS[1])) do
  if not least or w < least then least = w end
end
if least and sub(least, 1, 10) ~= ARGV[2] then return { '0', 0 } end
local step = call('HSCAN', P .. 'm', ARGV[1], 'COUNT', 100)
local seen, lost, changed = step[2], 0, {}

-- queued tells whether a ready saga is in its queue; of a long queue nobody can tell cheaply.
local function queued(id, m)
  local q = P .. 'q:' .. lane_of(m)
  local n = call('LLEN', q)
  return n > 1000 or n > 0 and call('LPOS', q, id)
end

local function lives(w) return call('HEXISTS', KEYS[1], w) == 1 or call('HEXISTS', P .. 'dw', w) == 1 end

for k = 1, #seen, 2 do
  local id, m = seen[k], seen[k + 1]
  local state, flags, rev, since, wake, takeovers, chunks, unread, owner, last = parse(FIXED, m)
  local orphan = state == READY and not queued(id, m)
      or state == OWNED and not lives(owner)
      or state == PARKED and not call('ZSCORE', P .. 'pk', id)
      or state == HELD and not call('ZSCORE', P .. 'hd', id)
  if orphan then
    if state == OWNED then takeovers = math.min(takeovers + 1, 65535) end
    m = pack(FIXED, READY, flags, rev, now, 0, takeovers, chunks, unread, NOBODY, last) .. sub(m, HEAD)
    changed[#changed + 1] = id
    changed[#changed + 1] = m
    push(m, id)
    lost = lost + 1
  elseif state == OWNED then
    lost = lost + call('SADD', P .. 'o:' .. owner, id)
  elseif state == BURIED then
    lost = lost + call('SADD', P .. 'dl', id)
  end
end
many('HSET', P .. 'm', changed)
ring()
return { step[1], lost }
