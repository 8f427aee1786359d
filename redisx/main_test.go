package redisx_test

import (
	"flag"
	"os"
	"testing"
)

// Cases of the suite spend their time waiting for a server's clock, so more of them run side by side than there are cores.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
