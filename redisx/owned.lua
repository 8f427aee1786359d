-- owned gives the IDs that a worker owns or, for those in ARGV[2...], all that is stored of them, if it owns them. Others leave its set.
local w = ARGV[1]
if call('HEXISTS', KEYS[1], w) == 0 then return redis.error_reply('FENCED') end
if #ARGV == 1 then return call('SMEMBERS', P .. 'o:' .. w) end
local asked, ids, lines, strangers = {}, {}, {}, {}
for k = 2, #ARGV do asked[k - 1] = ARGV[k] end
for k, m in ipairs(read(P .. 'm', asked)) do
  if m and string.byte(m) == OWNED and sub(m, 31, 46) == w then
    ids[#ids + 1] = asked[k]
    lines[#lines + 1] = m
  else
    strangers[#strangers + 1] = asked[k]
  end
end
many('SREM', P .. 'o:' .. w, strangers)
return records(ids, lines)
