-- join makes a subscriber. ARGV: its token, what it says of itself, its lease in ms; then the groups that it reads, each as topic, group, and 1 if a new
-- group begins with what is published from now on. It answers the time.
call('HSET', P .. 'es', ARGV[1], ARGV[2])
call('HSETNX', P .. 'ec', ARGV[1], 0)
call('ZADD', P .. 'eh', now + ARGV[3], ARGV[1])
for i = 4, #ARGV, 3 do
  local key = P .. 'et:' .. ARGV[i]
  local meta = call('HMGET', key, 'n', 'f')
  local next = ARGV[i + 2] == '1' and (tonumber(meta[1]) or 0) + 1 or tonumber(meta[2]) or 1
  call('HSETNX', key, 'c/' .. ARGV[i + 1], next)
end
return now
