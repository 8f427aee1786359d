-- commit does what most batches of a worker are made of: starts of sagas that it owns, and transitions that keep or finish
-- sagas that have no mail and are small. The client has made the lines. It applies all or nothing, and answers the time, or
-- the numbers of the operations that are not as the client takes them to be: those go through apply.
--
-- ARGV: worker, numbers of starts, of keeps, of finishes, of groups and of messages; an ID and a line for each start and keep;
-- the IDs that finish, their results; groups of finishes, as how long they are kept and how many they are; messages, as channel and text.
local P = string.sub(KEYS[1], 1, -2)
local call, parse, sub = redis.call, struct.unpack, string.sub
call('EXISTS', P .. '-', P .. '--') -- an error while the slot moves to another node: see common.lua
local w, ns, nk, nf = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if call('HEXISTS', KEYS[1], w) == 0 then return redis.error_reply('FENCED') end

local nl = ns + nk
local results = 6 + 2 * nl + nf -- before them
local ids = {}
for i = 1, nl do ids[i] = ARGV[5 + 2 * i] end
for i = 1, nf do ids[nl + i] = ARGV[6 + 2 * nl + i] end
local lines, bad = call('HMGET', P .. 'm', unpack(ids)), {}

for i = 1, ns do
  if lines[i] then bad[#bad + 1] = i end
end
local keys = {}
for i = 1, ns do
  keys[2 * i - 1] = P .. 'r:' .. ids[i]
  keys[2 * i] = P .. 'in:' .. ids[i]
end
if ns > 0 and call('EXISTS', unpack(keys)) > 0 then
  for i = 1, ns do
    if call('EXISTS', keys[2 * i - 1], keys[2 * i]) > 0 then bad[#bad + 1] = i end
  end
end

-- A line begins with state, flags and revision; its owner stands at 31. It must be owned, with flags INLINE and perhaps KEPT.
for i = ns + 1, nl + nf do
  local m = lines[i]
  local new = i <= nl and ARGV[6 + 2 * i] or ARGV[results + i - nl]
  local ok = false
  if m then
    local state, flags, rev = parse('>BBI6', m)
    ok = state == 2 and (flags == 9 or flags == 8) and rev + 1 == parse('>I6', new, 3) and sub(m, 31, 46) == w
  end
  if not ok then bad[#bad + 1] = i end
end
if #bad > 0 then return bad end

if nl > 0 then call('HSET', P .. 'm', unpack(ARGV, 7, 6 + 2 * nl)) end
if ns > 0 then call('SADD', P .. 'o:' .. w, unpack(ids, 1, ns)) end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if nf > 0 then
  call('HDEL', P .. 'm', unpack(ids, nl + 1))
  call('SREM', P .. 'o:' .. w, unpack(ids, nl + 1))
  local i, at = 0, results + nf
  for g = 1, ARGV[5] do
    local keep, n = ARGV[at + 2 * g - 1], tonumber(ARGV[at + 2 * g])
    for _ = 1, n do
      i = i + 1
      call('SET', P .. 'r:' .. ids[nl + i], ARGV[results + i], 'PX', keep)
    end
    local grain = math.max(1000, math.floor(keep / 64000) * 1000)
    local till = math.ceil((now + keep) / grain) * grain
    if call('HINCRBY', P .. 'fc', till, n) == n and call('PTTL', P .. 'fc') < till - now then
      call('PEXPIREAT', P .. 'fc', till)
    end
  end
end
for i = #ARGV - 2 * ARGV[6] + 1, #ARGV, 2 do call('PUBLISH', ARGV[i], ARGV[i + 1]) end
return now
