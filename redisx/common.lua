-- What all scripts share. KEYS[1] is the hash of the partition's workers; the names of its other keys follow from it.
--
-- A saga's line in hash m is a fixed part, which changes, and a head, which does not, except for rejections in its lane:
--   fixed  state, flags, revision, since, wake, takeovers, chunks of journal, unread events, owner, last committer
--   head   digest, node that started it, lane, parent
local P = string.sub(KEYS[1], 1, -2)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local FIXED, HEAD = '>BBI6I6I6I2I4I4c16c16', 63
local NODE, LANE = HEAD + 32, HEAD + 42
local NOBODY = string.rep(' ', 16)
local READY, OWNED, PARKED, HELD, BURIED, FINISHED = 1, 2, 3, 4, 5, 6
local KEPT, BOX, OUTCOME = 1, 2, 4 -- flags: the last transition left it with its owner; it has a mailbox; an outcome

local call, pack, parse, sub = redis.call, struct.pack, struct.unpack, string.sub
local _

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
    call('PUBLISH', channel('bell'), table.concat(woken, '\n'))
  end
end

-- suffix names a chunk of a journal. It is remembered because Lua formats numbers slowly.
local suffixes = {}
local function suffix(n)
  local s = suffixes[n]
  if not s then
    s = '\0' .. n
    suffixes[n] = s
  end
  return s
end

local function journal_fields(fields, id, chunks)
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

-- records gives all that is stored of owned sagas: id, line, start, mail, then the journal.
local function records(ids, lines)
  local starts = read(P .. 's', ids)
  local fields, counts = {}, {}
  for k, id in ipairs(ids) do
    local _, flags, _, _, _, _, chunks, unread = parse(FIXED, lines[k])
    journal_fields(fields, id, chunks)
    counts[k] = { chunks, unread }
  end
  local journal, from, out = read(P .. 'j', fields), 0, {}
  for k, id in ipairs(ids) do
    local record = { id, lines[k], starts[k] or '', counts[k][2] > 0 and mailbox(id) or {} }
    for n = 1, counts[k][1] do record[4 + n] = journal[from + n] or '' end
    from = from + counts[k][1]
    out[k] = record
  end
  return out
end
