//go:build !unix

package measure

import "time"

// CPU is the processor time that this process has used. It says false where the system does not tell.
func CPU() (time.Duration, bool) { return 0, false }
