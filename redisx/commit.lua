-- commit does what most batches of a worker are made of: starts of sagas that it owns, and transitions that keep or finish
-- sagas that have no mail and are small. It applies all or nothing, and answers the time, or the numbers of the operations that are not
-- as the client takes them to be: those go through apply.
--
-- ARGV: worker, numbers of starts, keeps, finishes, groups and messages; an ID, a line and a record for each start; an ID, how the line begins, how it
-- is to begin and what is appended for each keep; an ID, how the line begins and a result for each finish; groups of finishes, as how long they are kept and how many
-- they are; messages, as channel and text.
local P = string.sub(KEYS[1], 1, -2)
local call, sub = redis.call, string.sub
call('EXISTS', P .. '-', P .. '--') -- an error while the slot moves to another node: see common.lua
local w, ns, nk, nf = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if call('HEXISTS', KEYS[1], w) == 0 then return redis.error_reply('FENCED') end

local keeps, finishes = 7 + 3 * ns, 7 + 3 * ns + 4 * nk
local ids, n = {}, 0
local changed, records = {}, {}
for i = 7, keeps - 1, 3 do
  n = n + 1
  ids[n] = ARGV[i]
  changed[2 * n - 1], changed[2 * n] = ARGV[i], ARGV[i + 1]
  records[2 * n - 1], records[2 * n] = ARGV[i], ARGV[i + 2]
end
for i = keeps, finishes - 1, 4 do
  n = n + 1
  ids[n] = ARGV[i]
end
for i = finishes, finishes + 3 * nf - 1, 3 do
  n = n + 1
  ids[n] = ARGV[i]
end
local lines, bad = call('HMGET', P .. 'm', unpack(ids)), {}

local keys = {}
for i = 1, ns do
  if lines[i] then bad[#bad + 1] = i end
  keys[2 * i - 1] = P .. 'r:' .. ids[i]
  keys[2 * i] = P .. 'in:' .. ids[i]
end
if ns > 0 and call('EXISTS', unpack(keys)) > 0 then
  for i = 1, ns do
    if not lines[i] and call('EXISTS', keys[2 * i - 1], keys[2 * i]) > 0 then bad[#bad + 1] = i end
  end
end

-- A line begins with state, flags and revision, in 8 bytes, and its owner stands at 31.
local middle = string.rep('\0', 16) .. w .. w -- when it wakes, takeovers, chunks, unread events; owner, last committer
local at = keeps
for i = ns + 1, n do
  local m = lines[i]
  if not m or sub(m, 1, 8) ~= ARGV[at + 1] or sub(m, 31, 46) ~= w then
    bad[#bad + 1] = i
  elseif i <= ns + nk then
    local k = #changed
    changed[k + 1] = ids[i]
    changed[k + 2] = ARGV[at + 2] .. sub(m, 9, 14) .. middle .. sub(m, 63) .. ARGV[at + 3]
  end
  at = at + (i <= ns + nk and 4 or 3)
end
if #bad > 0 then return bad end

if #changed > 0 then call('HSET', P .. 'm', unpack(changed)) end
if ns > 0 then
  call('HSET', P .. 's', unpack(records))
  call('SADD', P .. 'o:' .. w, unpack(ids, 1, ns))
end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if nf > 0 then
  call('HDEL', P .. 'm', unpack(ids, ns + nk + 1))
  call('HDEL', P .. 's', unpack(ids, ns + nk + 1))
  call('SREM', P .. 'o:' .. w, unpack(ids, ns + nk + 1))
  local at, group = finishes, finishes + 3 * nf
  for g = group, group + 2 * ARGV[5] - 1, 2 do
    local keep, count = ARGV[g], tonumber(ARGV[g + 1])
    for _ = 1, count do
      call('SET', P .. 'r:' .. ARGV[at], ARGV[at + 2], 'PX', keep)
      at = at + 3
    end
    local grain = math.max(1000, math.floor(keep / 64000) * 1000)
    local till = math.ceil((now + keep) / grain) * grain
    if call('HINCRBY', P .. 'fc', till, count) == count and call('PTTL', P .. 'fc') < till - now then
      call('PEXPIREAT', P .. 'fc', till)
    end
  end
end
for i = #ARGV - 2 * ARGV[6] + 1, #ARGV, 2 do call('PUBLISH', ARGV[i], ARGV[i + 1]) end
return now
