-- decide takes a dead event out of its group. ARGV: topic, group, number, and 1 if it lives again. It answers 1 if there was one.
local topic, n = ARGV[1], ARGV[3]
local g = group_of(topic, ARGV[2])
local dead = call('HGET', g.dead, n)
if not dead then return 0 end
call('HDEL', g.dead, n)
if ARGV[4] ~= '1' then return 1 end
local _, _, turns, length, at = parse(BURIED, dead)
local body = sub(dead, at + length)
local _, _, key = parse('>I6I2c0I2c0', body)
call('HSET', g.again, n, body)
call('HSET', g.open, n, pack(OPEN, NOBODY, 0, turns, 0) .. key)
local tail = key ~= '' and call('HGET', g.tails, key)
if tail then
  call('HSET', g.heirs, tail, n)
else
  call('RPUSH', g.ready, n)
end
if key ~= '' then call('HSET', g.tails, key, n) end
rung[topic] = true
ring_events()
return 1
