-- beat is a sign of life of a worker, good for its lease in ms. It answers how many sagas the worker owns, and the time.
if call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return redis.error_reply('FENCED') end
call('ZADD', P .. 'hb', now + ARGV[2], ARGV[1])
return { call('SCARD', P .. 'o:' .. ARGV[1]), now }
