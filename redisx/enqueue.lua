-- enqueue does starts of small sagas that wait for a worker. The client has made the lines, one for all that go into a lane. It applies all or
-- nothing, and answers the time, or the numbers of the starts whose IDs are known: those go through apply.
--
-- ARGV: number of lanes, the bell; the lanes, each with name, number of starts, and line; ID and record of each start, in this order.
local P = string.sub(KEYS[1], 1, -2)
local call = redis.call
call('EXISTS', P .. '-', P .. '--') -- an error while the slot moves to another node: see common.lua
local lanes = tonumber(ARGV[1])
local records, ids, keys, lines, n, k = 3 + 3 * lanes, {}, {}, {}, 0, 0
for a = records, #ARGV, 2 do
  n = n + 1
  ids[n], keys[n] = ARGV[a], P .. 'r:' .. ARGV[a]
end
local there, bad = call('HMGET', P .. 'm', unpack(ids)), {}
local known, mail = call('EXISTS', unpack(keys)) > 0, call('EXISTS', P .. 'em') == 1
for i = 1, n do
  if there[i] or known and call('EXISTS', keys[i]) == 1 or mail and call('EXISTS', P .. 'in:' .. ids[i]) == 1 then bad[#bad + 1] = i end
end
if #bad > 0 then return bad end

local woken, i = {}, 0
for l = 3, records - 1, 3 do
  local lane, count, line = ARGV[l], tonumber(ARGV[l + 1]), ARGV[l + 2]
  for o = i + 1, i + count do
    lines[k + 1], lines[k + 2] = ids[o], line
    k = k + 2
  end
  if call('RPUSH', P .. 'q:' .. lane, unpack(ids, i + 1, i + count)) == count then
    call('SADD', P .. 'ls', lane)
    woken[#woken + 1] = lane
  end
  i = i + count
end
call('HSET', P .. 'm', unpack(lines))
call('HSET', P .. 's', unpack(ARGV, records))
if #woken > 0 then call('PUBLISH', ARGV[2], string.match(P, ':(%d+)}:$') .. '\n' .. table.concat(woken, '\n')) end
local time = call('TIME')
return time[1] * 1000 + math.floor(time[2] / 1000)
