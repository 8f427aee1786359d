package main

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/examples/internal/brokers"
)

var update = flag.Bool("update", false, "write the story that is told as the one that is expected")

var port = regexp.MustCompile(`127\.0\.0\.1:\d+`)

func TestTheStory(t *testing.T) {
	for _, k := range brokers.All() {
		t.Run(k.Name, func(t *testing.T) { requireTheStory(t, k.Open(t)) })
	}
}

func requireTheStory(t *testing.T, b broker.Broker) {
	t.Helper()
	var out strings.Builder
	require.NoError(t, tellStory(&out, b))
	told := port.ReplaceAllString(out.String(), "127.0.0.1:port")
	const golden = "testdata/story.golden"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, []byte(told), 0o644))
	}
	expected, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(expected), told)
}
