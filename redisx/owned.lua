-- owned gives the IDs that a worker owns or, for those in ARGV[2...], all that is stored of them, if it owns them.
local w = ARGV[1]
if call('HEXISTS', KEYS[1], w) == 0 then return redis.error_reply('FENCED') end
if #ARGV == 1 then return call('SMEMBERS', P .. 'o:' .. w) end
local asked, ids, lines = {}, {}, {}
for k = 2, #ARGV do asked[k - 1] = ARGV[k] end
for k, m in ipairs(read(P .. 'm', asked)) do
  if m then
    local state, _, _, _, _, _, _, _, owner = parse(FIXED, m)
    if state == OWNED and owner == w then
      ids[#ids + 1] = asked[k]
      lines[#lines + 1] = m
    end
  end
end
return records(ids, lines)
