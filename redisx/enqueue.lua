-- enqueue does starts of small sagas that wait for a worker. The client has made the lines. It applies all or nothing, and answers
-- the time, or the numbers of the starts whose IDs are known: those go through apply.
--
-- ARGV: number of starts, the bell; an ID, a line and a record for each start; the lanes with their numbers of starts, in this order.
local P = string.sub(KEYS[1], 1, -2)
local call = redis.call
call('EXISTS', P .. '-', P .. '--') -- an error while the slot moves to another node: see common.lua
local n = tonumber(ARGV[1])
local ids, keys, lines, records = {}, {}, {}, {}
for i = 1, n do
  local id = ARGV[3 * i]
  ids[i] = id
  lines[2 * i - 1], lines[2 * i] = id, ARGV[3 * i + 1]
  records[2 * i - 1], records[2 * i] = id, ARGV[3 * i + 2]
  keys[i] = P .. 'r:' .. id
end
local there, bad = call('HMGET', P .. 'm', unpack(ids)), {}
local known, mail = call('EXISTS', unpack(keys)) > 0, call('EXISTS', P .. 'em') == 1
for i = 1, n do
  if there[i] or known and call('EXISTS', keys[i]) == 1 or mail and call('EXISTS', P .. 'in:' .. ids[i]) == 1 then bad[#bad + 1] = i end
end
if #bad > 0 then return bad end

call('HSET', P .. 'm', unpack(lines))
call('HSET', P .. 's', unpack(records))
local done, woken = 0, {}
for l = 3 + 3 * n, #ARGV, 2 do
  local lane, count = ARGV[l], tonumber(ARGV[l + 1])
  if call('RPUSH', P .. 'q:' .. lane, unpack(ids, done + 1, done + count)) == count then
    call('SADD', P .. 'ls', lane)
    woken[#woken + 1] = lane
  end
  done = done + count
end
if #woken > 0 then call('PUBLISH', ARGV[2], string.match(P, ':(%d+)}:$') .. '\n' .. table.concat(woken, '\n')) end
local time = call('TIME')
return time[1] * 1000 + math.floor(time[2] / 1000)
