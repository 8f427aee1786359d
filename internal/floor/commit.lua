-- Starts, records and finishes sagas of one worker. KEYS: workers, states, owned, then a key for each result.
-- ARGV: worker, its token, how long results are kept, the channel of results or '', how many sagas start, record and
-- finish, then ID and state of those that start and record, the IDs and the results of those that finish, and the message.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return redis.error_reply('FENCED')
end
local starts, records, finishes = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local at = 7
local stored = starts + records
if stored > 0 then
  local states = {}
  for i = 1, 2 * stored do
    states[i] = ARGV[at + i]
  end
  redis.call('HSET', KEYS[2], unpack(states))
  if starts > 0 then
    local ids = {}
    for i = 1, starts do
      ids[i] = ARGV[at + 2 * i - 1]
    end
    redis.call('SADD', KEYS[3], unpack(ids))
  end
  at = at + 2 * stored
end
if finishes > 0 then
  local ids = {}
  for i = 1, finishes do
    ids[i] = ARGV[at + i]
  end
  redis.call('HDEL', KEYS[2], unpack(ids))
  redis.call('SREM', KEYS[3], unpack(ids))
  at = at + finishes
  for i = 1, finishes do
    redis.call('SET', KEYS[3 + i], ARGV[at + i], 'PX', ARGV[3])
  end
  at = at + finishes
  if ARGV[4] ~= '' then
    redis.call('PUBLISH', ARGV[4], ARGV[at + 1])
  end
end
return 1
