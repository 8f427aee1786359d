package redisx_test

import (
	"flag"
	"os"
	"testing"
)

// Cases of the suite spend their time waiting for a server's clock, so more of them run side by side than there are cores.
// Fuzzing does not wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() == "" {
		if err := flag.Set("test.parallel", "8"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
