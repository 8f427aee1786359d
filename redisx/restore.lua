-- restore stores a saga as another broker had it, all or nothing. It answers 'C' if the ID is taken, and nothing if the saga is restored, by this
-- call or by an earlier one of the same name.
--
-- ARGV: ID, name of the call, state, revision, takeovers, until and delay as a commit has them, head, record, outcome, journal, memo, then
-- pairs of an event's ID and its body.
local id, named, state, rev, takeovers = ARGV[1], ARGV[2], tonumber(ARGV[3]), parse('>I6', ARGV[4]), tonumber(ARGV[5])
local until_, delay = parse('>I6I6', ARGV[6])
local head, record, outcome, journal, memo = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local box = P .. 'in:' .. id

local taken = call('HEXISTS', P .. 'm', id) == 1 or call('EXISTS', P .. 'r:' .. id) == 1
if taken then return call('HEXISTS', box, named) == 1 and '' or 'C' end

-- What came early is mail, as for a start, and the mail of the saga follows.
local early = call('HKEYS', box)
local members = {}
for k, ev in ipairs(early) do members[k] = id .. '\0' .. ev end
many('ZREM', P .. 'em', members)
call('PERSIST', box)
local unread = #early
for k = 12, #ARGV, 2 do
  if call('HSETNX', box, ARGV[k], pack('>I4', unread + 1) .. ARGV[k + 1]) == 1 then unread = unread + 1 end
end
call('HSETNX', box, named, '')

local flags, wake, chunks = BOX + POSTED, 0, 0
if (state == PARKED or state == HELD) and unread > 0 then state = READY end
if outcome ~= '' then
  call('HSET', P .. 'oc', id, outcome)
  flags = with(flags, OUTCOME)
end
call('HSET', P .. 's', id, record)
if memo ~= '' then
  call('HSET', P .. 'j', id .. suffix(0), memo)
  flags = with(flags, MEMO)
end
if journal ~= '' then
  chunks = 1
  call('HSET', P .. 'j', id, journal)
end
if state == PARKED or state == HELD then
  wake = until_
  call('ZADD', P .. (state == PARKED and 'pk' or 'hd'), until_ > 0 and now + delay or '+inf', id)
elseif state == BURIED then
  call('SADD', P .. 'dl', id)
end
local line = pack(FIXED, state, flags, rev, now, wake, takeovers, chunks, unread, NOBODY, NOBODY) .. head
call('HSET', P .. 'm', id, line)
if state == READY then
  push(line, id)
  ring()
end
return ''
