-- Gives a worker sagas of the queue. KEYS: workers, states, owned, the queue. ARGV: worker, its token, how many at most.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return redis.error_reply('FENCED')
end
local ids = redis.call('LPOP', KEYS[4], ARGV[3])
if not ids then
  return {}
end
redis.call('SADD', KEYS[3], unpack(ids))
return { ids, redis.call('HMGET', KEYS[2], unpack(ids)) }
