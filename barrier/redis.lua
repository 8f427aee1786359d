-- This follows "local effect = function(KEYS, ARGV, redis, refuse) … end".
-- KEYS[1] has the record of the effect, the others are the effect's own. ARGV: "do", "undo" or "again", TTL of the record in ms, "1" if
-- an undo's action is known to be done; the others are the effect's own.
-- The reply is {kind, …}: 0 with the result, 1 with the code and the text of a refusal, 2 for an action that comes after its undo, 3 with the text
-- of what broke off, 4 for an undo whose action is known to be done and has no record.
local record, operation, ttl, known = KEYS[1], ARGV[1], ARGV[2], ARGV[3] == '1'

-- The record is a letter and what belongs to it: d result, r refusal, u undo's result, a that of the undo after one that
-- answered Proceed, v nothing, b text.
local function keep(state, value)
	redis.call('SET', record, state .. cmsgpack.pack(value), 'PX', ttl)
end

local target = ({['do'] = 'd', undo = 'u', again = 'a'})[operation]
local was = redis.call('GET', record)
if was then
	local state, value = was:sub(1, 1), cmsgpack.unpack(was:sub(2))
	if state == 'b' then return {3, value} end
	if operation == 'do' then
		if state == 'd' then return {0, value} end
		if state == 'r' then return {1, value[1], value[2]} end
		return {2}
	end
	if state == target then return {0, value} end
	if state ~= 'd' and not (state == 'u' and operation == 'again') then return {0, false} end
elseif operation ~= 'do' then
	if known then return {4} end
	keep('v', false)
	return {0, false}
end

-- wrote says that the effect has changed something: Redis does not take that back.
local wrote = false
local reads = ' BITCOUNT BITPOS EXISTS EXPIRETIME GEODIST GEOPOS GEOSEARCH GET GETBIT GETRANGE HEXISTS HGET HGETALL HKEYS HLEN HMGET HSTRLEN HVALS ' ..
	'LINDEX LLEN LPOS LRANGE MGET PEXPIRETIME PTTL SCARD SDIFF SINTER SISMEMBER SMEMBERS SMISMEMBER STRLEN SUNION TIME TTL TYPE XLEN XRANGE XREVRANGE ' ..
	'ZCARD ZCOUNT ZLEXCOUNT ZMSCORE ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYSCORE ZREVRANK ZSCORE '
local function watched(run)
	return function(name, ...)
		local reply = run(name, ...)
		local failed = type(reply) == 'table' and reply.err
		if not failed and not reads:find(' ' .. string.upper(name) .. ' ', 1, true) then wrote = true end
		return reply
	end
end
local its_redis = setmetatable({call = watched(redis.call), pcall = watched(redis.pcall)}, {__index = redis})
local function refuse(code, text)
	error({refused = {tostring(code), tostring(text or '')}}, 0)
end

keep('b', 'the script did not end') -- before the effect: the write may not be allowed, or there may be no memory
local its_keys, its_args = {unpack(KEYS, 2)}, {unpack(ARGV, 4)}
local ok, result = pcall(effect, its_keys, its_args, its_redis, refuse)
if result == nil then result = false end
local problem = not ok and (result or 'an error without a reason') or type(result) == 'table' and result.err and result
if not problem then
	keep(target, result)
	return {0, result}
end
local refused = type(problem) == 'table' and problem.refused
local text = refused and ('refused as ' .. refused[1] .. ' after it had written') or type(problem) == 'table' and tostring(problem.err) or tostring(problem)
if wrote then
	keep('b', text)
	return {3, text}
end
if refused and operation == 'do' then
	keep('r', refused)
	return {1, refused[1], refused[2]}
end
if was then redis.call('SET', record, was, 'PX', ttl) else redis.call('DEL', record) end
if refused then return redis.error_reply('an undo cannot refuse: ' .. refused[1] .. ' ' .. refused[2]) end
return redis.error_reply(text)
