-- publish stores events. ARGV: what store takes.
store(4)
ring_events()
return 1
