-- What all scripts share. KEYS[1] is the hash of the partition's workers; the names of its other keys follow from it.
--
-- A saga's line in hash m is a fixed part, which changes, and a head, which does not, except for rejections in its lane:
--   fixed  state, flags, revision, since, wake, takeovers, chunks of journal, unread events, owner, last committer
--   head   node that started it, lane
-- The record is in hash s, after the origin: digest and parent. The journal is in hash j: its first chunk grows as long as it is short. A line says
-- nothing that is one saga's alone, and is short, because Lua, as Redis has it, hashes each byte of every string that it makes, and makes none that
-- it has.
--
-- While the partition's slot moves from one node of a cluster to another, some keys are here and others are there, and a script that met
-- one of those would end halfway. So each begins by asking for two keys that nobody has: then, and only then, that is an error.
local P = string.sub(KEYS[1], 1, -2)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local FIXED, HEAD = '>BBI6I6I6I2I4I4c16c16', 63
local END = '>BBI6I6c16' -- what is kept of the fixed part when a saga has finished: state, flags, revision, since, last committer
local NODE, LANE = HEAD, HEAD + 10
local NOBODY = string.rep(' ', 16)
local READY, OWNED, PARKED, HELD, BURIED, FINISHED = 1, 2, 3, 4, 5, 6
-- Flags: the last transition left it with its owner; it has a mailbox; an outcome; a memo; events that clients have sent, and may send again
local KEPT, BOX, OUTCOME, MEMO, POSTED = 1, 2, 4, 8, 64 -- 16 and 32 are those of claims
local SEEN = 60000 -- for how many ms a message from another partition is known to have come
local ROOM = 1024 -- the bytes that the first chunk of a journal may grow to

local call, pack, parse, sub = redis.call, struct.pack, struct.unpack, string.sub
local _
call('EXISTS', P .. '-', P .. '--')

local function has(flags, flag) return flags % (2 * flag) >= flag end
local function with(flags, flag) return has(flags, flag) and flags or flags + flag end
local function without(flags, flag) return has(flags, flag) and flags - flag or flags end

-- many calls a command with any number of values; unpack has a limit. What it answers is added up.
local function many(command, key, values)
  local n, sum = #values, 0
  for i = 1, n, 4000 do
    local answer = call(command, key, unpack(values, i, math.min(i + 3999, n)))
    sum = sum + (tonumber(answer) or 0)
  end
  return sum
end

-- read is HMGET with any number of fields.
local function read(key, fields)
  local n = #fields
  if n <= 4000 then
    return n == 0 and {} or call('HMGET', key, unpack(fields))
  end
  local values = {}
  for i = 1, n, 4000 do
    for _, v in ipairs(call('HMGET', key, unpack(fields, i, math.min(i + 3999, n)))) do
      values[#values + 1] = v
    end
  end
  return values
end

local function lane_of(line) return (parse('>I2c0', line, LANE)) end

-- origin is what a record begins with, or what stands for it if the server has lost the record.
local function origin(record)
  if not record then return string.rep('\0', 34) end
  local _, _, after = parse('>c32I2c0', record)
  return sub(record, 1, after - 1)
end

-- The namespace's channels: one bell for ready sagas, and one for each node.
local function channel(name) return string.match(P, '^{(.*):%d+}:$') .. ':' .. name end

local pushed = {} -- by lane
local function push(line, id)
  local lane = lane_of(line)
  local ids = pushed[lane]
  if not ids then
    ids = {}
    pushed[lane] = ids
  end
  ids[#ids + 1] = id
end

-- ring queues what was pushed, and wakes workers for lanes that were empty.
local function ring()
  local woken = {}
  for lane, ids in pairs(pushed) do
    local before = call('LLEN', P .. 'q:' .. lane)
    many('RPUSH', P .. 'q:' .. lane, ids)
    if before == 0 then
      call('SADD', P .. 'ls', lane)
      woken[#woken + 1] = lane
    end
  end
  if #woken > 0 then
    call('PUBLISH', channel('bell'), string.match(P, ':(%d+)}:$') .. '\n' .. table.concat(woken, '\n'))
  end
end

-- suffix names a chunk of a journal; the first has the saga's name alone. It is remembered because Lua formats numbers slowly.
local suffixes = { '' }
local function suffix(n)
  local s = suffixes[n]
  if not s then
    s = '\0' .. n
    suffixes[n] = s
  end
  return s
end

-- journal_fields adds the names of what hash j has of a saga: its memo, then the chunks of its journal.
local function journal_fields(fields, id, chunks, flags)
  if has(flags, MEMO) then fields[#fields + 1] = id .. suffix(0) end
  for n = 1, chunks do fields[#fields + 1] = id .. suffix(n) end
end

-- mailbox gives the events that nobody has consumed, unsorted.
local function mailbox(id)
  local events, mail = call('HGETALL', P .. 'in:' .. id), {}
  for i = 1, #events, 2 do
    if events[i + 1] ~= '' then
      mail[#mail + 1] = events[i]
      mail[#mail + 1] = events[i + 1]
    end
  end
  return mail
end

-- stored gives what is stored of a saga: id, line, record, mail, then the memo, if the flags say that there is one, and the journal.
local function stored(id, line, record)
  local _, flags, _, _, _, _, chunks, unread = parse(FIXED, line)
  if chunks == 0 and unread == 0 and not has(flags, MEMO) then return { id, line, record } end
  local saga = { id, line, record, unread > 0 and mailbox(id) or {} }
  local fields = {}
  journal_fields(fields, id, chunks, flags)
  for n, chunk in ipairs(read(P .. 'j', fields)) do saga[4 + n] = chunk or '' end
  return saga
end

local function records(ids, lines)
  local out = {}
  for k, record in ipairs(read(P .. 's', ids)) do out[k] = stored(ids[k], lines[k], record or '') end
  return out
end
