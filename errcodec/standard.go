package errcodec

func standardEntries() []Entry { return nil }
