-- count counts sagas by state. It answers counts of owned, parked, held, buried and finished sagas and of living workers,
-- what the workers say of themselves, and for each lane its name, length, and for how many ms its first saga has been ready.
local owned, finished, lanes = 0, 0, {}
local workers = call('HGETALL', KEYS[1])
for k = 1, #workers, 2 do owned = owned + call('SCARD', P .. 'o:' .. workers[k]) end
for _, w in ipairs(call('HKEYS', P .. 'dw')) do owned = owned + call('SCARD', P .. 'o:' .. w) end
local kept = call('HGETALL', P .. 'fc')
for k = 1, #kept, 2 do
  if tonumber(kept[k]) > now then finished = finished + kept[k + 1] end
end
for _, lane in ipairs(call('SMEMBERS', P .. 'ls')) do
  local first = call('LINDEX', P .. 'q:' .. lane, 0)
  local m = first and call('HGET', P .. 'm', first)
  local since = now
  if m then
    local _
    _, _, _, since = parse(FIXED, m)
  end
  lanes[#lanes + 1] = lane
  lanes[#lanes + 1] = call('LLEN', P .. 'q:' .. lane)
  lanes[#lanes + 1] = now - since
end
return {
  owned, call('ZCARD', P .. 'pk'), call('ZCARD', P .. 'hd'), call('SCARD', P .. 'dl'), finished,
  call('ZCOUNT', P .. 'hb', '(' .. now, '+inf'), workers, lanes,
}
