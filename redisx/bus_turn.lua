-- turn settles what a subscriber is done with, and hands out what it has room for.
--
-- ARGV: the subscriber; the number of this call, by which one that comes twice is known; how many groups it settles for, each as topic, group, count, and number, turn, fate, ms and reason for each event; then the groups
-- that it reads, each as topic, group, room, how many lost events it has told, and how many follow that it knows to have, as number.turn, or -1.
-- It answers the time, the ms until an event is due, or -1, 1 if there is more, and a list for each group: how many events it lost that nobody told, and in
-- all, then number, turn, attempt and event.
local token = ARGV[1]
local this, before = tonumber(ARGV[2]), call('HGET', P .. 'ec', token)
if not before then return redis.error_reply('FENCED') end
local resent = tonumber(before) == this
if not resent then call('HSET', P .. 'ec', token, this) end
local DONE, AGAIN, LATER, RETURN, DEAD = '0', '1', '2', '3', '4'

local function settle(topic, g, at, count)
  local ns, given, closed, keys = {}, {}, {}, {}
  for i = 1, count do
    ns[i] = ARGV[at + 5 * (i - 1)]
    given[i] = at + 5 * (i - 1)
  end
  local changed, ready = {}, {}
  for i, open in ipairs(read(g.open, ns)) do
    local a = given[i]
    if open and sub(open, 1, 16) == token then
      local _, attempts, turns = parse(OPEN, open)
      local key, fate = sub(open, KEY), ARGV[a + 2]
      if turns == tonumber(ARGV[a + 1]) then
        if fate == DEAD then
          local body = bodies(g, { ns[i] })[1]
          if body then
            local reason = ARGV[a + 4]
            call('HSET', g.dead, ns[i], pack(BURIED, now, attempts, turns, #reason) .. reason .. body)
          end
        end
        if fate == DONE or fate == DEAD then
          closed[#closed + 1] = ns[i]
          keys[#keys + 1] = key
        else
          if fate ~= AGAIN then attempts = attempts - 1 end
          changed[#changed + 1] = ns[i]
          changed[#changed + 1] = pack(OPEN, NOBODY, attempts, turns, 0) .. key
          local wait = tonumber(ARGV[a + 3])
          if fate == RETURN or wait <= 0 then
            ready[#ready + 1] = ns[i]
          else
            call('ZADD', g.naps, now + wait, ns[i])
          end
        end
      end
    end
  end
  if #changed > 0 then many('HSET', g.open, changed) end
  if #ready > 0 then many('RPUSH', g.ready, ready) end
  finish(g, closed, keys)
end

-- hand gives open events to the subscriber, and closes those that are gone. It answers how many are gone.
local function hand(g, ns, answer)
  if #ns == 0 then return 0 end
  local opens, events, changed, gone, keys = read(g.open, ns), bodies(g, ns), {}, {}, {}
  for i, open in ipairs(opens) do
    if open then
      local _, attempts, turns = parse(OPEN, open)
      local key = sub(open, KEY)
      if events[i] then
        changed[#changed + 1] = ns[i]
        changed[#changed + 1] = pack(OPEN, token, attempts + 1, turns + 1, this) .. key
        answer[#answer + 1] = tonumber(ns[i])
        answer[#answer + 1] = turns + 1
        answer[#answer + 1] = attempts + 1
        answer[#answer + 1] = events[i]
      else
        gone[#gone + 1] = ns[i]
        keys[#keys + 1] = key
      end
    end
  end
  if #changed > 0 then many('HSET', g.open, changed) end
  finish(g, gone, keys)
  return #gone
end

-- recall hands out once more what the subscriber has and does not know of, or got when this call came the first time.
local function recall(g, known, answer)
  local all, ns, marks = call('HGETALL', g.open), {}, {}
  for i = 1, #all, 2 do
    local owner, _, turns, got = parse(OPEN, all[i + 1])
    if owner == token and (known and not known[all[i] .. '.' .. turns] or not known and got == this) then
      ns[#ns + 1] = all[i]
      marks[#marks + 1] = all[i + 1]
    end
  end
  local lost, gone, keys = 0, {}, {}
  for i, body in ipairs(bodies(g, ns)) do
    local _, attempts, turns = parse(OPEN, marks[i])
    if body then
      for _, v in ipairs({ tonumber(ns[i]), turns, attempts, body }) do answer[#answer + 1] = v end
    else
      lost = lost + 1
      gone[lost], keys[lost] = ns[i], sub(marks[i], KEY)
    end
  end
  finish(g, gone, keys)
  return lost
end

-- look opens new events from number c on, and hands out those that nothing of their key is open before. It answers where it
-- stopped, how many it handed out, and how many were gone.
local function look(g, c, last, room, answer)
  local ns, keys, asked, index = {}, {}, {}, {}
  for n = c, math.min(last, c + 255) do ns[#ns + 1] = n end
  local events = read(g.events, ns)
  for i = 1, #ns do
    if events[i] then
      local _, _, key = parse('>I6I2c0I2c0', events[i])
      keys[i] = key
      if key ~= '' and not index[key] then
        asked[#asked + 1] = key
        index[key] = #asked
      end
    end
  end
  local tails, opened, chained, given, lost = read(g.tails, asked), {}, {}, 0, 0
  local changed = {}
  for i, n in ipairs(ns) do
    local key = keys[i]
    local tail = key and key ~= '' and tails[index[key]]
    if key and not tail and given == room then break end
    c = n + 1
    if not key then
      lost = lost + 1
    elseif tail then
      opened[#opened + 1] = n
      opened[#opened + 1] = pack(OPEN, NOBODY, 0, 0, 0) .. key
      chained[#chained + 1] = tail
      chained[#chained + 1] = n
    else
      given = given + 1
      opened[#opened + 1] = n
      opened[#opened + 1] = pack(OPEN, token, 1, 1, this) .. key
      for _, v in ipairs({ n, 1, 1, events[i] }) do answer[#answer + 1] = v end
    end
    if key and key ~= '' then
      tails[index[key]] = n
      changed[key] = n
    end
  end
  local set = {}
  for key, n in pairs(changed) do
    set[#set + 1] = key
    set[#set + 1] = n
  end
  if #opened > 0 then many('HSET', g.open, opened) end
  if #chained > 0 then many('HSET', g.heirs, chained) end
  if #set > 0 then many('HSET', g.tails, set) end
  return c, given, lost
end

local wait, more = -1, 0

-- nap makes ready what is due, and notes when the next is.
local function nap(g)
  local naps = call('ZRANGE', g.naps, 0, 127, 'WITHSCORES')
  local due = {}
  for i = 1, #naps, 2 do
    local left = tonumber(naps[i + 1]) - now
    if left > 0 then
      if wait < 0 or left < wait then wait = math.ceil(left) end
      break
    end
    due[#due + 1] = naps[i]
  end
  if #due == 128 then more = 1 end
  if #due > 0 then
    many('ZREM', g.naps, due)
    many('RPUSH', g.ready, due)
  end
end

-- fill hands out events of one group.
local function fill(topic, g, room, told, known)
  local answer = { 0, 0 }
  local meta = call('HMGET', g.topic, 'n', 'f', 'c/' .. g.name, 'x/' .. g.name, 'u/' .. g.name)
  if not meta[3] then return answer end -- it was forgotten
  local last, first, c = tonumber(meta[1]) or 0, tonumber(meta[2]) or 1, tonumber(meta[3])
  local before, sum, seen = c, tonumber(meta[4]) or 0, tonumber(meta[5]) or 0
  local lost = 0
  nap(g)
  if known or resent then lost = recall(g, known, answer) end
  local given = (#answer - 2) / 4
  while room > given do
    local ns = call('LPOP', g.ready, room - given)
    if not ns or #ns == 0 then break end
    lost = lost + hand(g, ns, answer)
    given = (#answer - 2) / 4
  end
  if c < first then
    lost = lost + first - c
    c = first
  end
  local looked = 0
  while given < room and c <= last and looked < 2048 and call('HLEN', g.open) < MOST_OPEN do
    local from, got, gone = c, 0, 0
    c, got, gone = look(g, c, last, room - given, answer)
    given, lost, looked = given + got, lost + gone, looked + c - from
  end
  if given < room and c <= last and looked >= 2048 then more = 1 end
  if c ~= before then call('HSET', g.topic, 'c/' .. g.name, c) end
  if lost > 0 then
    sum = sum + lost
    call('HSET', g.topic, 'x/' .. g.name, sum, 'y/' .. g.name, now)
  end
  if told > seen then
    seen = math.min(told, sum)
    call('HSET', g.topic, 'u/' .. g.name, seen)
  end
  answer[1], answer[2] = sum - seen, sum
  if given >= room and call('EXISTS', g.ready) == 1 then rung[topic] = true end
  return answer
end

local at = 4
for _ = 1, tonumber(ARGV[3]) do
  local topic, group, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  settle(topic, group_of(topic, group), at + 3, count)
  at = at + 3 + 5 * count
end
local answers = {}
while ARGV[at] do
  local topic, group, room, told, n = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local known
  if n >= 0 then
    known = {}
    for i = at + 5, at + 4 + n do known[ARGV[i]] = true end
  end
  answers[#answers + 1] = fill(topic, group_of(topic, group), room, told, known)
  at = at + 5 + math.max(n, 0)
end
ring_events()
return { now, wait, more, answers }
