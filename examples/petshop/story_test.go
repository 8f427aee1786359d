package main

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the story that is told as the one that is expected")

var port = regexp.MustCompile(`127\.0\.0\.1:\d+`)

func TestTheStory(t *testing.T) {
	var out strings.Builder
	require.NoError(t, tellStory(&out))
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
