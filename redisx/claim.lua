-- Claims: the keys that sagas hold, and who waits for them. A claim is what a saga carries from key to key:
--   ID, a mark that no other start has, partition of the saga, number of keys, then for each its partition and the key
-- The queue of a key is sorted set k:<key>, with the holder first. A saga's claim is in hash lc as long as the saga lives. What is to happen in
-- another partition goes there as a message, through the outbox.
local CLAIMS, WAITS = 16, 32 -- flags: it has a claim; it did not hold all of its keys when it was started
local DOUBT = 15000 -- for how many ms keys are held for a saga that is not stored yet, before its partition is asked
local LATE = 10000 -- for how many ms such a saga may still be stored
local HERE = tonumber(string.match(P, ':(%d+)}:$'))

local outbox, sent = {}, {} -- messages for other partitions: all, and those that claims made
local grant -- tells a saga that it holds all its keys: apply knows how

local function unfold(c)
  local id, _, home, n, at = parse('>I2c0c6I2I2', c)
  local keys, parts = {}, {}
  for k = 1, n do parts[k], keys[k], at = parse('>I2I2c0', c, at) end
  return keys, parts, id, home
end

-- away sends a claim to another partition: kind says what for, n is the number of a key or partition.
local function away(kind, part, n, c, stamp)
  local id = parse('>I2c0', c)
  local body = pack('>I2c0c1I2I2I6I4c0', #id, id, kind, part, n, stamp or 0, #c, c)
  local name = kind .. pack('>I2I6', n, stamp or 0) .. c
  for _, list in ipairs({ outbox, sent }) do
    list[#list + 1] = name
    list[#list + 1] = body
  end
end

-- ask lets a claim go on from key n to the first that another one holds, and tells whether it holds all.
local function ask(c, n)
  local keys, parts = unfold(c)
  for k = n, #keys do
    if parts[k] ~= HERE then
      away('C', parts[k], k, c)
      return false
    end
    local q = P .. 'k:' .. keys[k]
    local first = call('ZRANGE', q, 0, 0)[1]
    if not first then
      call('ZADD', q, 1, c)
    elseif first ~= c then
      if not call('ZSCORE', q, c) then call('ZADD', q, call('ZRANGE', q, -1, -1, 'WITHSCORES')[2] + 1, c) end
      return false
    end
  end
  return true
end

-- go_on is ask for a saga that waits.
local function go_on(c, n)
  if not ask(c, n) then return end
  local _, _, id, home = unfold(c)
  if home == HERE then return grant(c, id) end
  away('G', home, 0, c)
end

-- leave takes a claim out of the queue of a key. If it held it, the next one goes on.
local function leave(c, key)
  local q = P .. 'k:' .. key
  local first = call('ZRANGE', q, 0, 0)[1]
  if call('ZREM', q, c) == 0 or first ~= c then return end
  local next = call('ZRANGE', q, 0, 0)[1]
  if not next then return end
  for k, other in ipairs((unfold(next))) do
    if other == key then return go_on(next, k + 1) end
  end
end

-- release gives up all keys of a claim.
local function release(c)
  local keys, parts = unfold(c)
  for k, key in ipairs(keys) do
    if parts[k] == HERE then leave(c, key) else away('R', parts[k], k, c, now) end
  end
end

-- locked gives a key of this partition that another claim holds, and the ID of its saga.
local function locked(c)
  local keys, parts = unfold(c)
  for k, key in ipairs(keys) do
    local first = parts[k] == HERE and call('ZRANGE', P .. 'k:' .. key, 0, 0)[1]
    if first and first ~= c then return { key, (parse('>I2c0', first)) } end
  end
end

-- try holds all keys of this partition for a saga that is about to be stored, or none.
local function try(c)
  local held = locked(c)
  if held then return held end
  local keys, parts = unfold(c)
  for k, key in ipairs(keys) do
    if parts[k] == HERE then call('ZADD', P .. 'k:' .. key, 1, c) end
  end
  call('ZADD', P .. 'lp', now + DOUBT, c)
end

-- drop gives up the keys of this partition that are held for a saga that was not stored. With a stamp it does so unless something was heard since.
local function drop(c, stamp)
  local doubted = call('ZSCORE', P .. 'lp', c)
  if not doubted or stamp and tonumber(doubted) ~= stamp then return end
  call('ZREM', P .. 'lp', c)
  local keys, parts = unfold(c)
  for k, key in ipairs(keys) do
    if parts[k] == HERE then leave(c, key) end
  end
end

-- arrive does what a claim from another partition came for: it goes on, gives up a key, holds all, is asked whether its saga lives, or is told.
local function arrive(kind, n, stamp, c)
  local keys, _, id = unfold(c)
  if kind == 'C' then
    go_on(c, n)
  elseif kind == 'R' then
    leave(c, keys[n])
  elseif kind == 'G' then
    grant(c, id)
  elseif kind == 'A' then
    away(call('HGET', P .. 'lc', id) == c and 'K' or 'U', n, 0, c, stamp)
  elseif kind == 'K' then
    call('ZREM', P .. 'lp', c)
  else
    drop(c, stamp)
  end
end
