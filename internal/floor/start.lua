-- Queues sagas. KEYS: states, the queue. ARGV: the bell's channel, then ID and state of each.
local states, ids = {}, {}
for i = 2, #ARGV do
  states[i - 1] = ARGV[i]
end
for i = 2, #ARGV, 2 do
  ids[#ids + 1] = ARGV[i]
end
redis.call('HSET', KEYS[1], unpack(states))
if redis.call('RPUSH', KEYS[2], unpack(ids)) == #ids then
  redis.call('PUBLISH', ARGV[1], '1')
end
return 1
