-- look gives what is stored of sagas, with journal and mail if ARGV[1] is 1. For each of ARGV[2...] it answers nothing, or
-- line, start, outcome, mail, then the journal; of a finished saga the line and outcome in one. The last answer is what the
-- workers say of themselves, if one of the sagas needs it.
local ids, journal = {}, ARGV[1] == '1'
for k = 2, #ARGV do ids[k - 1] = ARGV[k] end
local lines, out, workers = read(P .. 'm', ids), {}, false
for k, id in ipairs(ids) do
  local m = lines[k]
  if not m then
    local r = call('GET', P .. 'r:' .. id)
    out[k] = r and { r } or {}
  else
    local state, flags, _, _, _, _, chunks, unread = parse(FIXED, m)
    local saga = { m, call('HGET', P .. 's', id) or '', has(flags, OUTCOME) and call('HGET', P .. 'oc', id) or '', {} }
    if journal then
      if unread > 0 then saga[4] = mailbox(id) end
      local fields = {}
      journal_fields(fields, id, chunks)
      for n, chunk in ipairs(read(P .. 'j', fields)) do saga[4 + n] = chunk or '' end
    end
    workers = workers or state == READY or state == OWNED
    out[k] = saga
  end
end
out[#ids + 1] = workers and call('HGETALL', KEYS[1]) or {}
return out
