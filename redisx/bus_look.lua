-- look tells how far the groups of a topic are. ARGV: the topic. It answers the time, what the topic's hash has, what living subscribers say of themselves, and
-- for each group its name, how many events are open, and how many are dead.
local meta, living, sizes = call('HGETALL', P .. 'et:' .. ARGV[1]), {}, {}
for i = 1, #meta, 2 do
  local group = string.match(meta[i], '^c/(.*)$')
  if group then
    local g = group_of(ARGV[1], group)
    for _, v in ipairs({ group, call('HLEN', g.open), call('HLEN', g.dead) }) do sizes[#sizes + 1] = v end
  end
end
local tokens = call('ZRANGEBYSCORE', P .. 'eh', '(' .. now, '+inf')
for _, said in ipairs(read(P .. 'es', tokens)) do living[#living + 1] = said or '' end
return { now, meta, living, sizes }
