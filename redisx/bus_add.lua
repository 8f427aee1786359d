-- add adds an entry to a list, with events. ARGV: what store takes; topic, key, how many entries there are, for how many ms the list is kept, an ID and
-- data; then what store takes. It answers 1 if the entry is there, 0 if the list has another number of entries.
local list, id = P .. 'el:' .. ARGV[4] .. '/' .. ARGV[5], ARGV[8]
local entries = call('LRANGE', list, 0, -1)
for _, e in ipairs(entries) do
  if parse('>I2c0', e) == id then return 1 end
end
if #entries ~= tonumber(ARGV[6]) then return 0 end
call('RPUSH', list, pack('>I2', #id) .. id .. ARGV[9])
call('PEXPIRE', list, ARGV[7])
store(10)
ring_events()
return 1
