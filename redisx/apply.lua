-- apply does a batch of operations in order: starts, commits, deliveries, resolutions. The answer tells only of those
-- whose outcome is not the usual one, as index, code and details.
--
-- ARGV: own node, limit of ready sagas (0: none), ms that early mail is kept, limit of early mail, operations,
-- number of workers, the workers, the IDs that the operations are about.
local node, backlog, early_for, early_max, ops = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local W, ID = {}, {}
local nw = tonumber(ARGV[6])
for i = 1, nw do W[i] = ARGV[6 + i] end
for i = 7 + nw, #ARGV do ID[#ID + 1] = ARGV[i] end
local alive = nw > 0 and call('HMGET', KEYS[1], unpack(W)) or {}

local line = read(P .. 'm', ID)
local dirty, past, out = {}, {}, {}
local starts, stopped, journal, dropped = {}, {}, {}, {} -- of hashes s and j
local added, removed = {}, {}                            -- of the sets of owned IDs, by worker
local asleep, outcomes = { pk = {}, hd = {} }, {}         -- by ID, when parked and held sagas wake; outcomes so far; false: none any more
local unnoted, emptied = {}, {}                          -- owned sagas whose mail needs no note, by worker; mailboxes that nobody needs
local told, kept = {}, {}                                -- results by node, finished sagas by when they are forgotten

-- other tells whether any of the IDs that are not in m may have a result or early mail.
local other, boxed = false, {} -- boxed: by an operation of this batch
do
  local keys = {}
  for i = 1, #ID do
    if not line[i] then
      keys[#keys + 1] = P .. 'r:' .. ID[i]
      keys[#keys + 1] = P .. 'in:' .. ID[i]
    end
  end
  for i = 1, #keys, 4000 do
    other = other or call('EXISTS', unpack(keys, i, math.min(i + 3999, #keys))) > 0
  end
end

local function say(o, code, details)
  local n = #out
  out[n + 1], out[n + 2], out[n + 3] = o, code, details or ''
end

local function set(i, new)
  line[i] = new
  dirty[i] = true
end

-- result gives what is kept of a finished saga, or false: of its last line what END says and the lane, then origin and outcome.
local function result(i)
  if past[i] == nil then past[i] = other and call('GET', P .. 'r:' .. ID[i]) or false end
  return past[i]
end

local recorded = {} -- of sagas that this batch starts
local function origin_of(i)
  return origin(recorded[i] or call('HGET', P .. 's', ID[i]))
end

-- card gives line and origin of a saga that exists, or what is kept of them.
local function card(i)
  if line[i] then return line[i] .. origin_of(i) end
  local _, _, _, after = parse('>I2c0c32I2c0', result(i), 31)
  return sub(result(i), 1, after - 1)
end

local function note(lists, key, value)
  local l = lists[key]
  if not l then
    l = {}
    lists[key] = l
  end
  l[#l + 1] = value
end

local queued -- sagas that are ready, counted at need
local function crowded()
  if not queued then
    queued = 0
    for _, lane in ipairs(call('SMEMBERS', P .. 'ls')) do queued = queued + call('LLEN', P .. 'q:' .. lane) end
    for _, ids in pairs(pushed) do queued = queued + #ids end
  end
  return queued >= backlog
end

-- adopt makes early mail the mail of a saga that begins.
local function adopt(id)
  local events = call('HKEYS', P .. 'in:' .. id)
  if #events == 0 then return 0 end
  local members = {}
  for k, ev in ipairs(events) do members[k] = id .. '\0' .. ev end
  many('ZREM', P .. 'em', members)
  call('PERSIST', P .. 'in:' .. id)
  return #events
end

-- start gives a code if something is to be said.
local function start(i, w, head, record, limited)
  if line[i] or result(i) then return 'E' end
  local id, state, owner = ID[i], READY, NOBODY
  if w > 0 and alive[w] then
    state, owner = OWNED, W[w]
    note(added, owner, id)
  elseif limited and backlog > 0 and crowded() then
    return 'O'
  end
  local mail = (other or boxed[i]) and adopt(id) or 0
  set(i, pack(FIXED, state, mail > 0 and BOX + POSTED or 0, 1, now, 0, 0, 0, mail, owner, NOBODY) .. head)
  starts[#starts + 1] = id
  starts[#starts + 1] = record
  recorded[i] = record
  if state == READY then
    push(line[i], id)
    if queued then queued = queued + 1 end
    return w > 0 and 'Q'
  end
  return mail > 0 and 'M'
end

-- early keeps an event for a saga that is not yet.
local function early(i, ev, body, limited)
  local id = ID[i]
  local box = P .. 'in:' .. id
  if call('HEXISTS', box, ev) == 1 then return end
  if limited then
    call('ZREMRANGEBYSCORE', P .. 'em', '-inf', now)
    if call('ZCARD', P .. 'em') >= early_max then return 'O' end
  end
  boxed[i] = true
  call('HSET', box, ev, pack('>I4', call('HLEN', box) + 1) .. body)
  call('PEXPIRE', box, early_for)
  call('ZADD', P .. 'em', now + early_for, id .. '\0' .. ev)
  call('PEXPIRE', P .. 'em', early_for)
end

-- post puts an event into the box of a saga in m, and says whether it is new there.
local function post(id, flags, ev, body)
  local box = P .. 'in:' .. id
  if not has(flags, BOX) then
    call('HSET', box, ev, pack('>I4', 1) .. body)
    return true, 1
  end
  local seq = call('HLEN', box) + 1
  return call('HSETNX', box, ev, pack('>I4', seq) .. body) == 1, seq
end

local function deliver(i, ev, body, limited)
  local id = ID[i]
  if not line[i] then
    if not result(i) then return early(i, ev, body, limited) end
    return call('HEXISTS', P .. 'in:' .. id, ev) == 0 and 'X'
  end
  local state, flags, rev, since, wake, takeovers, chunks, unread, owner, last = parse(FIXED, line[i])
  local new, seq = post(id, flags, ev, body)
  if not new then return end
  if limited then flags = with(flags, POSTED) end
  local sleeps = state == PARKED or state == HELD
  if sleeps then
    asleep[state == PARKED and 'pk' or 'hd'][id] = false
    state, since, wake = READY, now, 0
  elseif state == OWNED then
    call('HSET', P .. 'ml:' .. owner, id, seq)
    call('PUBLISH', channel('n:' .. sub(owner, 1, 10)), 'M' .. owner)
  end
  set(i, pack(FIXED, state, with(flags, BOX), rev, since, wake, takeovers, chunks, unread + 1, owner, last) .. sub(line[i], HEAD))
  if sleeps then push(line[i], id) end
end

local numbers -- of IDs, made at need: claims tell sagas that the batch is not about
local function number(id)
  if not numbers then
    numbers = {}
    for i, other in ipairs(ID) do numbers[other] = i end
  end
  local i = numbers[id]
  if not i then
    i = #ID + 1
    ID[i], numbers[id], line[i] = id, i, call('HGET', P .. 'm', id)
  end
  return i
end

-- grant tells a saga that it holds all its keys, or gives them up if it has ended meanwhile.
function grant(c, id)
  local i = number(id)
  if not line[i] or call('HGET', P .. 'lc', id) ~= c then return release(c) end
  local kind = 'broker.granted'
  deliver(i, kind, pack('>I2c0I2I8I4', #kind, kind, 0, tonumber(time[1]), time[2] * 1000), false)
end

local function resolve(i, rev, ev, body)
  local id = ID[i]
  if call('HEXISTS', P .. 'in:' .. id, ev) == 1 and (line[i] or result(i)) then return end
  if not line[i] then return result(i) and 'X' or 'U' end
  local state, flags, at, since, wake, takeovers, chunks, unread, owner, last = parse(FIXED, line[i])
  if state ~= BURIED then return 'X' end
  if at ~= rev then return 'S' end
  post(id, flags, ev, body)
  call('SREM', P .. 'dl', id)
  set(i, pack(FIXED, READY, with(with(flags, BOX), POSTED), rev, now, 0, takeovers, chunks, unread + 1, owner, last) .. sub(line[i], HEAD))
  push(line[i], id)
end

-- consume empties events, and gives how many.
local function consume(id, events)
  local box, n = P .. 'in:' .. id, 0
  for _, ev in ipairs(events) do
    local body = call('HGET', box, ev)
    if body and body ~= '' then
      call('HSET', box, ev, '')
      n = n + 1
    end
  end
  return n
end

-- close empties a box, and remembers for as long as the saga is kept that its events came.
local function close(id, keep)
  local events = call('HKEYS', P .. 'in:' .. id)
  local empty = {}
  for _, ev in ipairs(events) do
    empty[#empty + 1] = ev
    empty[#empty + 1] = ''
  end
  many('HSET', P .. 'in:' .. id, empty)
  call('PEXPIRE', P .. 'in:' .. id, keep)
end

-- millis is a time as text, remembered because numbers are formatted slowly.
local known = {}
local function millis(keep)
  local s = known[keep]
  if not s then
    s = string.format('%.0f', keep)
    known[keep] = s
  end
  return s
end

-- append adds to a journal: to its first chunk as long as that is short, and otherwise as a new one. It gives how many there are.
local young = {} -- first chunks that this batch has written
local function append(i, chunks, more)
  local id, n = ID[i], chunks + 1
  if chunks == 1 and #more < ROOM and (young[i] or call('HSTRLEN', P .. 'j', id) <= ROOM - #more) then
    local whole = (young[i] or call('HGET', P .. 'j', id) or '') .. more
    if #whole <= ROOM then n, more = 1, whole end
  end
  if n == 1 then young[i] = more end
  journal[#journal + 1] = id .. suffix(n)
  journal[#journal + 1] = more
  return math.max(n, chunks)
end

-- finish keeps of a saga what readers and repeats need. m is its last line.
local function finish(i, m, flags, chunks, outcome, keep)
  local id = ID[i]
  past[i] = sub(m, 1, 14) .. sub(m, 47, 62) .. sub(m, LANE) .. origin_of(i) .. outcome
  call('SET', P .. 'r:' .. id, past[i], 'PX', millis(keep))
  stopped[#stopped + 1] = id
  journal_fields(dropped, id, chunks, flags)
  if has(flags, OUTCOME) then outcomes[id] = false end
  if has(flags, POSTED) then close(id, keep)
  elseif has(flags, BOX) then emptied[#emptied + 1] = P .. 'in:' .. id end
  local grain = math.max(1000, math.floor(keep / 64000) * 1000)
  local till = math.ceil((now + keep) / grain) * grain
  kept[till] = (kept[till] or 0) + 1
  set(i, false)
  recorded[i], young[i] = nil, nil
  if has(flags, CLAIMS) then
    local c = call('HGET', P .. 'lc', id)
    call('HDEL', P .. 'lc', id)
    release(c)
  end
end

-- reject adds a build to those that leave the saga alone.
local function reject(head, build)
  local lane, at = parse('>I2c0', head, LANE - HEAD + 1)
  local builds = {}
  local served = nil
  for part in string.gmatch(lane .. '\0', '(%Z*)%z') do
    if served == nil then served = part elseif part ~= build then builds[#builds + 1] = part end
  end
  builds[#builds + 1] = build
  table.sort(builds)
  lane = served .. '\0' .. table.concat(builds, '\0')
  return sub(head, 1, LANE - HEAD) .. pack('>I2', #lane) .. lane .. sub(head, at)
end

local function unown(owner, id, flags)
  note(removed, owner, id)
  if has(flags, BOX) then note(unnoted, owner, id) end
end

-- tell notes for the node that started a saga what became of it.
local function tell(i, m, state)
  local to = sub(m, NODE, NODE + 9)
  if to == node or to == sub(NOBODY, 1, 10) then return end
  if state == FINISHED then
    note(told, to, 'R' .. pack('>I2', #ID[i]) .. ID[i] .. pack('>I4', #past[i]) .. past[i])
  else
    note(told, to, 'H' .. pack('>I2', #ID[i]) .. ID[i])
  end
end

-- again answers the repeat of a transition, or says that it is stale.
local function again(o, i, w, rev)
  local flags, at, unread, last, _
  if line[i] then
    _, flags, at, _, _, _, _, unread, _, last = parse(FIXED, line[i])
  elseif result(i) then
    _, flags, at, _, last = parse(END, result(i))
  end
  if last ~= W[w] or at ~= rev + 1 then return say(o, 'S') end
  local owned = has(flags, KEPT)
  say(o, 'A', { owned and 1 or 0, owned and line[i] and unread > 0 and mailbox(ID[i]) or {} })
end

-- hold starts a saga that claims keys. It gives a code, if something is to be said, or whether the saga waits. held says that it has them all.
local function hold(i, w, c, head, record, limited, held)
  if line[i] or result(i) then return 'E' end
  if start(i, w, head, record, limited) == 'O' then return 'O' end
  call('HSET', P .. 'lc', ID[i], c)
  local m, waits = line[i], not held and not ask(c, 1)
  set(i, sub(m, 1, 1) .. string.char(string.byte(m, 2) + CLAIMS + (waits and WAITS or 0)) .. sub(m, 3))
  return nil, waits
end

local function send(p)
  local n
  n, p = parse('>I2', ops, p)
  for _ = 1, n do
    local kind, i
    kind, i, p = parse('>BI2', ops, p)
    if kind == 1 then
      local head, record
      head, record, p = parse('>I2c0I4c0', ops, p)
      start(i, 0, head, record, false)
    elseif kind == 2 then
      local message, body
      message, body, p = parse('>I2c0I4c0', ops, p)
      outbox[#outbox + 1] = message
      outbox[#outbox + 1] = body
    elseif kind == 4 then
      local c, head, record
      c, head, record, p = parse('>I4c0I2c0I4c0', ops, p)
      hold(i, 0, c, head, record, false)
    else
      local ev, body
      ev, body, p = parse('>I2c0I4c0', ops, p)
      deliver(i, ev, body, false)
    end
  end
end

-- write replaces a memo, and gives the flags that say whether there is one.
local function write(id, flags, memo)
  if memo == '' then
    call('HDEL', P .. 'j', id .. suffix(0))
    return without(flags, MEMO)
  end
  journal[#journal + 1] = id .. suffix(0)
  journal[#journal + 1] = memo
  return with(flags, MEMO)
end

local function commit(o, i, w, p)
  if not alive[w] then return say(o, 'F') end
  local next, rev, mask
  next, rev, mask, p = parse('>BI6B', ops, p)
  local m, id = line[i], ID[i]
  if not m then return again(o, i, w, rev) end
  local state, flags, at, since, wake, takeovers, chunks, unread, owner, last = parse(FIXED, m)
  if state ~= OWNED or owner ~= W[w] or at ~= rev then return again(o, i, w, rev) end
  if mask % 2 >= 1 then
    local chunk
    chunk, p = parse('>I4c0', ops, p)
    if next ~= 4 then chunks = append(i, chunks, chunk) end -- otherwise nobody reads it any more
  end
  local outcome, until_, delay, keep, build = '', 0, 0, 0, nil
  if mask % 4 >= 2 then outcome, p = parse('>I4c0', ops, p) end
  if mask % 8 >= 4 then
    local n, events = 0, {}
    n, p = parse('>I2', ops, p)
    for k = 1, n do events[k], p = parse('>I2c0', ops, p) end
    if unread > 0 and next ~= 4 then unread = unread - consume(id, events) end
  end
  if mask % 16 >= 8 then until_, delay, p = parse('>I6I6', ops, p) end
  if mask % 32 >= 16 then keep, p = parse('>I6', ops, p) end
  if mask % 64 >= 32 then build, p = parse('>I2c0', ops, p) end
  if mask >= 128 then
    local memo
    memo, p = parse('>I4c0', ops, p)
    if next ~= 4 then flags = write(id, flags, memo) end
  end

  rev, last, takeovers = rev + 1, owner, 0
  local head = sub(m, HEAD)
  if next == 0 or next <= 2 and unread > 0 then -- Keep, or crossing with mail
    flags = with(flags, KEPT)
  else
    flags = without(flags, KEPT)
    unown(owner, id, flags)
    owner, since, wake = NOBODY, now, 0
    if next == 1 then state = PARKED
    elseif next == 2 then state = HELD
    elseif next == 3 then state = BURIED
    elseif next == 4 then state, unread = FINISHED, 0
    else state = READY end
  end
  if next == 2 or next == 3 then
    outcomes[id] = outcome
    flags = with(flags, OUTCOME)
  end
  if state == PARKED or state == HELD then
    wake = until_
    asleep[state == PARKED and 'pk' or 'hd'][id] = until_ > 0 and now + delay or '+inf'
  elseif state == BURIED then
    call('SADD', P .. 'dl', id)
  elseif build then
    head = reject(head, build)
  end
  m = pack(FIXED, state, flags, rev, since, wake, takeovers, chunks, unread, owner, last) .. head
  if state == FINISHED then
    finish(i, m, flags, chunks, outcome, keep)
  else
    set(i, m)
    if state == READY then push(m, id) end
  end
  if mask % 128 >= 64 then send(p) end

  m = line[i] or m
  state, flags, _, _, _, _, _, unread = parse(FIXED, m)
  if state >= HELD then tell(i, m, state) end
  if state == OWNED and (unread > 0 or next ~= 0) then
    say(o, 'A', { 1, unread > 0 and mailbox(id) or {} })
  end
end


-- claimed starts a saga that claims keys. Its mode says what if another saga holds one of them: it waits, it is refused, or all of them are held
-- for it already, until a time. Or it only asks for that time.
local function claimed(o, i, w, p)
  local mode, late, c, head, record = parse('>BI6I4c0I2c0I4c0', ops, p)
  if line[i] or result(i) then return say(o, 'E', card(i)) end
  if mode == 3 then return say(o, 'T', pack('>I6', now + LATE)) end
  if mode == 2 and now > late then return say(o, 'L') end
  local held = mode == 1 and locked(c)
  if held then return say(o, 'H', held) end
  local own, before = {}, #sent
  local code, waits = hold(i, w, c, head, record, true, mode == 2)
  if code then return say(o, code) end
  for k = before + 1, #sent do own[#own + 1], sent[k] = sent[k], nil end
  local state, _, _, _, _, _, _, unread = parse(FIXED, line[i])
  say(o, 'D', { state, waits and 1 or 0, unread > 0 and mailbox(ID[i]) or {}, own })
end

-- relay applies a message from another partition, or one without a name from another service, once, unless whoever brings it was stopped on the way: what it says may have
-- happened long ago.
local function relay(i, p)
  local late, message, kind
  late, message, kind, p = parse('>I6I2c0B', ops, p)
  if now > late then return 'L' end
  if message ~= '' then
    if call('ZSCORE', P .. 'sn', message) then return end
    call('ZADD', P .. 'sn', now + SEEN, message)
  end
  if kind == 1 then
    local head, record = parse('>I2c0I4c0', ops, p)
    start(i, 0, head, record, false)
  elseif kind == 3 then
    local ev, body = parse('>I2c0I4c0', ops, p)
    deliver(i, ev, body, false)
  elseif kind == 4 then
    local c, head, record = parse('>I4c0I2c0I4c0', ops, p)
    hold(i, 0, c, head, record, false)
  else
    local _, n, stamp, c = parse('>I2I2I6I4c0', ops, p)
    arrive(string.char(kind), n, stamp, c)
  end
end

local p, o = 1, 0
while p <= #ops do
  local size, kind, i, w, body = parse('>I4BI2B', ops, p)
  o = o + 1
  if kind == 1 then
    local head, record = parse('>I2c0I4c0', ops, body)
    local code = start(i, w, head, record, true)
    if code == 'E' then say(o, code, card(i))
    elseif code == 'M' then say(o, code, mailbox(ID[i]))
    elseif code then say(o, code) end
  elseif kind == 2 then
    commit(o, i, w, body)
  elseif kind == 3 then
    local ev, data = parse('>I2c0I4c0', ops, body)
    local code = deliver(i, ev, data, true)
    if code then say(o, code) end
  elseif kind == 5 then
    local code = relay(i, body)
    if code then say(o, code) end
  elseif kind == 6 then
    claimed(o, i, w, body)
  elseif kind == 7 then
    local held = try((parse('>I4c0', ops, body)))
    if held then say(o, 'H', held) end
  elseif kind == 8 then
    drop((parse('>I4c0', ops, body)))
  elseif kind == 9 then
    call('ZREM', P .. 'lp', (parse('>I4c0', ops, body)))
  else
    local rev, ev, data = parse('>I6I2c0I4c0', ops, body)
    local code = resolve(i, rev, ev, data)
    if code then say(o, code) end
  end
  p = p + size
end

local lines, gone = {}, {}
for i = 1, #ID do
  if dirty[i] then
    if line[i] then
      lines[#lines + 1] = ID[i]
      lines[#lines + 1] = line[i]
    else
      gone[#gone + 1] = ID[i]
    end
  end
end
many('HSET', P .. 'm', lines)
many('HSET', P .. 's', starts)
many('HSET', P .. 'j', journal)
many('HSET', P .. 'ob', outbox)
for i = 1, #emptied, 4000 do call('DEL', unpack(emptied, i, math.min(i + 3999, #emptied))) end
for owner, ids in pairs(unnoted) do many('HDEL', P .. 'ml:' .. owner, ids) end
for name, sagas in pairs(asleep) do
  local sleep, awake = {}, {}
  for id, at in pairs(sagas) do
    if at then
      sleep[#sleep + 1], sleep[#sleep + 2] = at, id
    else
      awake[#awake + 1] = id
    end
  end
  many('ZADD', P .. name, sleep)
  many('ZREM', P .. name, awake)
end
do
  local there, none = {}, {}
  for id, outcome in pairs(outcomes) do
    if outcome then
      there[#there + 1], there[#there + 2] = id, outcome
    else
      none[#none + 1] = id
    end
  end
  many('HSET', P .. 'oc', there)
  many('HDEL', P .. 'oc', none)
end
for owner, ids in pairs(added) do many('SADD', P .. 'o:' .. owner, ids) end
for owner, ids in pairs(removed) do many('SREM', P .. 'o:' .. owner, ids) end
many('HDEL', P .. 'm', gone)
many('HDEL', P .. 's', stopped)
many('HDEL', P .. 'j', dropped)
for till, n in pairs(kept) do
  if call('HINCRBY', P .. 'fc', till, n) == n and call('PTTL', P .. 'fc') < till - now then
    call('PEXPIREAT', P .. 'fc', till)
  end
end
ring()
if #sent > 0 then
  say(0, 'R', sent)
end
for to, results in pairs(told) do call('PUBLISH', channel('n:' .. to), table.concat(results)) end
return out
