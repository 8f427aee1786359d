package saga

import "time"

// Encode gives the bytes of f in a journal.
func (f *Fact) Encode(started time.Time) []byte { return f.append(nil, started) }
