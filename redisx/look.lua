-- look gives what is stored of sagas, with journal and mail if ARGV[1] is 1. For each of ARGV[2...] it answers nothing, or
-- outcome, then id, line, record, mail and journal as stored gives them; of a finished saga the line and outcome in one. The last answer is what the
-- workers say of themselves, if one of the sagas needs it.
local ids, journal = {}, ARGV[1] == '1'
for k = 2, #ARGV do ids[k - 1] = ARGV[k] end
local lines, kept, out, workers = read(P .. 'm', ids), read(P .. 's', ids), {}, false
for k, id in ipairs(ids) do
  local m = lines[k]
  if not m then
    local r = call('GET', P .. 'r:' .. id)
    out[k] = r and { r } or {}
  else
    local state, flags = parse(FIXED, m)
    local record = kept[k] or ''
    local saga = journal and stored(id, m, record) or { id, m, record }
    out[k] = { has(flags, OUTCOME) and call('HGET', P .. 'oc', id) or '', saga }
    workers = workers or state == READY or state == OWNED
  end
end
out[#ids + 1] = workers and call('HGETALL', KEYS[1]) or {}
return out
