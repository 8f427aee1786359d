-- join makes a worker, with what it says of itself and its lease in ms. It answers the time.
call('HSET', KEYS[1], ARGV[1], ARGV[2])
call('ZADD', P .. 'hb', now + ARGV[3], ARGV[1])
return now
