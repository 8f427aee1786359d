package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func Example() {
	main()
	// Output:
	// reserve Dune
	// release Dune because of bank: card declined
	// receipt: "", declined: true
	// flow: saga "order-42" of "buy" is undone: step "charge" failed: bank: card declined
}

func TestTheFirstSagaIsThirtyLinesLong(t *testing.T) {
	source, err := os.ReadFile("main.go")
	require.NoError(t, err)
	_, code, found := strings.Cut(string(source), "\n)\n")
	require.True(t, found, "the imports end with a parenthesis")
	lines := 0
	for line := range strings.Lines(code) {
		if strings.TrimSpace(line) != "" {
			lines++
		}
	}
	require.LessOrEqual(t, lines, 30)
}
