-- commit does what most batches of a worker are made of: starts of sagas that it owns, and transitions that keep or finish
-- sagas that have no mail and are small. It applies all or nothing, and answers the time, or the numbers of the operations that are not
-- as the client takes them to be: those go through apply.
--
-- ARGV: worker, numbers of starts, of groups of keeps, of groups of finishes, and of messages; an ID, a line and a record for each start; the groups of
-- keeps, each with how many they are, how their lines begin, how they are to begin, and an ID and what is appended for each; the groups of finishes,
-- each with how many they are, how their lines begin, how long they are kept, and an ID and a result for each; messages, as channel and text.
local P = string.sub(KEYS[1], 1, -2)
local call, sub = redis.call, string.sub
call('EXISTS', P .. '-', P .. '--') -- an error while the slot moves to another node: see common.lua
local w, ns, nk, nf = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if call('HEXISTS', KEYS[1], w) == 0 then return redis.error_reply('FENCED') end

local ids, n, groups = {}, 0, 6 + 3 * ns
local changed, records = {}, {}
for i = 6, groups - 1, 3 do
  local id = ARGV[i]
  n = n + 1
  ids[n] = id
  changed[2 * n - 1], changed[2 * n] = id, ARGV[i + 1]
  records[2 * n - 1], records[2 * n] = id, ARGV[i + 2]
end
local at = groups
for _ = 1, nk + nf do
  local first = at + 3
  at = first + 2 * ARGV[at]
  for i = first, at - 1, 2 do
    n = n + 1
    ids[n] = ARGV[i]
  end
end
local lines, bad = call('HMGET', P .. 'm', unpack(ids)), {}

if ns > 0 then
  local keys, mail = {}, call('EXISTS', P .. 'em') == 1
  for i = 1, ns do keys[i] = P .. 'r:' .. ids[i] end
  local known = call('EXISTS', unpack(keys)) > 0
  for i = 1, ns do
    if lines[i] or known and call('EXISTS', keys[i]) == 1 or mail and call('EXISTS', P .. 'in:' .. ids[i]) == 1 then bad[#bad + 1] = i end
  end
end

-- A line begins with state, flags and revision, in 8 bytes, and its owner stands at 31.
local middle = string.rep('\0', 16) .. w .. w -- when it wakes, takeovers, chunks, unread events; owner, last committer
local k, i, finishes = 2 * ns, ns, 0
at = groups
for g = 1, nk + nf do
  local before, after, first = ARGV[at + 1], ARGV[at + 2], at + 3
  at = first + 2 * ARGV[at]
  if g == nk + 1 then finishes = i end
  for a = first, at - 1, 2 do
    i = i + 1
    local m = lines[i]
    if not m or sub(m, 1, 8) ~= before or sub(m, 31, 46) ~= w then
      bad[#bad + 1] = i
    elseif g <= nk then
      changed[k + 1], changed[k + 2] = ids[i], after .. sub(m, 9, 14) .. middle .. sub(m, 63) .. ARGV[a + 1]
      k = k + 2
    end
  end
end
if #bad > 0 then return bad end

if k > 0 then call('HSET', P .. 'm', unpack(changed)) end
if ns > 0 then
  call('HSET', P .. 's', unpack(records))
  call('SADD', P .. 'o:' .. w, unpack(ids, 1, ns))
end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if nf > 0 then
  call('HDEL', P .. 'm', unpack(ids, finishes + 1))
  call('HDEL', P .. 's', unpack(ids, finishes + 1))
  call('SREM', P .. 'o:' .. w, unpack(ids, finishes + 1))
  at = groups
  for g = 1, nk + nf do
    local count, keep, first = tonumber(ARGV[at]), ARGV[at + 2], at + 3
    at = first + 2 * count
    if g > nk then
      for a = first, at - 1, 2 do call('SET', P .. 'r:' .. ARGV[a], ARGV[a + 1], 'PX', keep) end
      local grain = math.max(1000, math.floor(keep / 64000) * 1000)
      local till = math.ceil((now + keep) / grain) * grain
      if call('HINCRBY', P .. 'fc', till, count) == count and call('PTTL', P .. 'fc') < till - now then
        call('PEXPIREAT', P .. 'fc', till)
      end
    end
  end
end
for i = at, #ARGV, 2 do call('PUBLISH', ARGV[i], ARGV[i + 1]) end
return now
