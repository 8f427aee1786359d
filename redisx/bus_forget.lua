-- forget removes a group. ARGV: topic, group. It answers 0 if a living subscriber reads it.
local g = group_of(ARGV[1], ARGV[2])
local line = '\n' .. ARGV[1] .. '/' .. ARGV[2] .. '\n'
for _, said in ipairs(read(P .. 'es', call('ZRANGEBYSCORE', P .. 'eh', '(' .. now, '+inf'))) do
  if said and string.find(said, line, 1, true) then return 0 end
end
call('DEL', g.open, g.heirs, g.ready, g.naps, g.dead, g.again, g.tails)
call('HDEL', g.topic, 'c/' .. g.name, 'x/' .. g.name, 'y/' .. g.name, 'u/' .. g.name)
return 1
