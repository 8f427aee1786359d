-- commit does what most batches of a worker are made of: starts of sagas that it owns, and transitions that keep or finish
-- sagas that have no mail and are small. It applies all or nothing, and answers the time, or the numbers of the operations that are not
-- as the client takes them to be: those go through apply. Sagas that are alike have the same line, so they come in groups, and Lua compares
-- pointers.
--
-- ARGV: worker, numbers of starts, of keeps, of groups of starts, of all groups, and of messages; the groups of starts, of keeps and of
-- finishes, each with how many they are, their line, and their next line or for how long they are kept; the messages, each with a channel and of
-- how many finishes it tells; then pairs: ID and record of each start, ID and journal of each keep, ID and result of each finish. Before the
-- finishes of a message stands how it begins.
local P = string.sub(KEYS[1], 1, -2)
local call = redis.call
call('EXISTS', P .. '-', P .. '--') -- an error while the slot moves to another node: see common.lua
local w, starts, keeps = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local first, groups, messages = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if call('HEXISTS', KEYS[1], w) == 0 then return redis.error_reply('FENCED') end

local told = 7 + 3 * groups
local records = told + 2 * messages
local journals = records + 2 * starts
local results = journals + 2 * keeps
local ids, values, n = {}, {}, 0
for a = records, results - 1, 2 do
  n = n + 1
  ids[n] = ARGV[a]
end
local at, kept = results, n
for g = 1, messages + 1 do
  local last = #ARGV
  if g <= messages then
    at = at + 1
    last = at + 2 * ARGV[told + 2 * g - 1] - 1
  end
  for a = at, last, 2 do
    n = n + 1
    ids[n], values[n] = ARGV[a], ARGV[a + 1]
  end
  at = last + 1
end

local lines, bad = call('HMGET', P .. 'm', unpack(ids)), {}
if starts > 0 then
  local keys, mail = {}, call('EXISTS', P .. 'em') == 1
  for i = 1, starts do keys[i] = P .. 'r:' .. ids[i] end
  local known = call('EXISTS', unpack(keys)) > 0
  for i = 1, (known or mail) and starts or 0 do
    if known and call('EXISTS', keys[i]) == 1 or mail and call('EXISTS', P .. 'in:' .. ids[i]) == 1 then bad[#bad + 1] = i end
  end
end
local changed, k, i = {}, 0, 0
for g = 1, groups do
  local before, after = g > first and ARGV[4 + 3 * g + 1], ARGV[4 + 3 * g + 2]
  for _ = 1, ARGV[4 + 3 * g] do
    i = i + 1
    if lines[i] ~= before then bad[#bad + 1] = i end
    if i <= kept then
      changed[k + 1], changed[k + 2] = ids[i], after
      k = k + 2
    end
  end
end
if #bad > 0 then return bad end

if kept > 0 then call('HSET', P .. 'm', unpack(changed)) end
if starts > 0 then
  call('HSET', P .. 's', unpack(ARGV, records, journals - 1))
  call('SADD', P .. 'o:' .. w, unpack(ids, 1, starts))
end
if keeps > 0 then call('HSET', P .. 'j', unpack(ARGV, journals, results - 1)) end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if n > kept then
  call('HDEL', P .. 'm', unpack(ids, kept + 1))
  call('HDEL', P .. 's', unpack(ids, kept + 1))
  call('HDEL', P .. 'j', unpack(ids, kept + 1))
  call('SREM', P .. 'o:' .. w, unpack(ids, kept + 1))
  local counts = {}
  i = 0
  for g = 1, groups do
    local count, keep = tonumber(ARGV[4 + 3 * g]), ARGV[6 + 3 * g]
    if i >= kept then
      for o = i + 1, i + count do call('SET', P .. 'r:' .. ids[o], values[o], 'PX', keep) end
      local grain = math.max(1000, math.floor(keep / 64000) * 1000)
      local till = math.ceil((now + keep) / grain) * grain
      counts[till] = (counts[till] or 0) + count
    end
    i = i + count
  end
  for till, count in pairs(counts) do
    if call('HINCRBY', P .. 'fc', till, count) == count and call('PTTL', P .. 'fc') < till - now then
      call('PEXPIREAT', P .. 'fc', till)
    end
  end
  at = results
  for g = 1, messages do
    local last = at + 2 * ARGV[told + 2 * g - 1]
    call('PUBLISH', ARGV[told + 2 * g - 2], table.concat(ARGV, '', at, last))
    at = last + 1
  end
end
return now
