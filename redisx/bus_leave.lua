-- leave ends a subscriber's membership, and gives to others what it has. ARGV: the subscriber. It answers 1 if it was one.
local was = call('HEXISTS', P .. 'es', ARGV[1])
dismiss(ARGV[1], 1)
ring_events()
return was
