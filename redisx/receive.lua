-- receive hands out mail for a worker's sagas, and ready sagas that it takes.
--
-- ARGV: worker, build, room, number of flows, the flows, then pairs of an ID and the last event that the worker knows of.
-- It answers whether there is more, mail as pairs of ID and events, and what is stored of the sagas.
local OWNED_BYTE = string.char(OWNED)
local w, build, room, flows = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if call('HEXISTS', KEYS[1], w) == 0 then return redis.error_reply('FENCED') end

local notes = P .. 'ml:' .. w
for k = 5 + flows, #ARGV, 2 do
  if call('HGET', notes, ARGV[k]) == ARGV[k + 1] then call('HDEL', notes, ARGV[k]) end
end
local news, noted = {}, call('HGETALL', notes)
for k = 1, math.min(#noted, 200), 2 do
  news[#news + 1] = { noted[k], noted[k + 1], mailbox(noted[k]) }
end

local function takes(lane)
  local served = false
  for part in string.gmatch(lane .. '\0', '(%Z*)%z') do
    if served == false then
      for k = 5, 4 + flows do served = served or ARGV[k] == part end
      if not served then return false end
    elseif part == build then
      return false
    end
  end
  return true
end

local lanes = {}
if room > 0 then
  for _, lane in ipairs(call('SMEMBERS', P .. 'ls')) do
    if takes(lane) then lanes[#lanes + 1] = lane end
  end
end

-- pop takes up to n from one lane.
local function pop(lane, n)
  local ids = call('LPOP', P .. 'q:' .. lane, n) or {}
  local left = call('LLEN', P .. 'q:' .. lane)
  if left == 0 then call('SREM', P .. 'ls', lane) end
  return ids, left
end

-- since tells when the first saga of a lane became ready.
local function since(lane)
  local id = call('LINDEX', P .. 'q:' .. lane, 0)
  local m = id and call('HGET', P .. 'm', id)
  if not m then return id and 0 or nil end
  local _, _, _, at = parse(FIXED, m)
  return at
end

local popped, more = {}, 0
if #lanes == 1 then
  local left
  popped, left = pop(lanes[1], room)
  more = left > 0 and 1 or 0
elseif #lanes > 1 then
  local first = {}
  for k, lane in ipairs(lanes) do first[k] = since(lane) end
  for _ = 1, room do
    local oldest
    for k in ipairs(lanes) do
      if first[k] and (not oldest or first[k] < first[oldest]) then oldest = k end
    end
    if not oldest then break end
    popped[#popped + 1] = pop(lanes[oldest], 1)[1]
    first[oldest] = since(lanes[oldest])
  end
  for k in ipairs(lanes) do more = first[k] and 1 or more end
end

local ids, lines, changed, seen = {}, {}, {}, {}
local stamp = pack('>I6I6', now, 0) -- since and wake
local owned = {} -- by line: many are alike
for k, m in ipairs(read(P .. 'm', popped)) do
  local id = popped[k]
  if m and not seen[id] and string.byte(m) == READY then
    seen[id] = true
    owned[m] = owned[m] or OWNED_BYTE .. sub(m, 2, 8) .. stamp .. sub(m, 21, 30) .. w .. sub(m, 47)
    local n = #ids + 1
    ids[n], lines[n] = id, owned[m]
    changed[2 * n - 1], changed[2 * n] = id, lines[n]
  end
end
many('HSET', P .. 'm', changed)
many('SADD', P .. 'o:' .. w, ids)
return { more, news, records(ids, lines), now }
