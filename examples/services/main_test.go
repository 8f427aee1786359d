package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/examples/services/story"
	"github.com/skald-go/skald/internal/postgresserver"
)

// TestMain is also the main function of the processes that the story starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "run" {
		main()
		return
	}
	os.Exit(m.Run())
}

// The story checks every answer and the books of all services itself.
func TestTheStoryEndsWell(t *testing.T) {
	var out strings.Builder
	err := story.Tell(t.Context(), &out, "")
	require.NoError(t, err, out.String())
	for _, said := range []string{
		"401 Unauthorized", "token is expired", `stock: 998 of "lamp" left`, "payments: not enough money", "shipping: no carrier goes there",
		"payments is gone", "payments is back", "all 200 were answered", "The books of all four agree",
	} {
		assert.Contains(t, out.String(), said)
	}
}

func TestTheStoryOnPostgreSQL(t *testing.T) {
	server, err := postgresserver.Start(t.Context())
	require.NoError(t, err)
	defer server.Close()
	var out strings.Builder
	err = story.Tell(t.Context(), &out, server.URL("postgres"))
	require.NoError(t, err, out.String())
	assert.Contains(t, out.String(), "The books of all four agree")
}

func TestBadCommandsAreRefused(t *testing.T) {
	for _, args := range [][]string{nil, {"run"}, {"dance"}} {
		assert.ErrorContains(t, run(t.Context(), args), "usage: services demo")
	}
	assert.ErrorContains(t, run(t.Context(), []string{"run", "bank"}), `there is no service "bank"`)
}
