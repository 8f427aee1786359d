package flow_test

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the compiler says of wrong programs is part of the surface: users read it.
func TestWrongProgramsDoNotCompile(t *testing.T) {
	const file = "testdata/wrong/wrong.go"
	source, err := os.ReadFile(file)
	require.NoError(t, err)
	said, err := exec.Command("go", "build", "-gcflags=-e", "./testdata/wrong").CombinedOutput()
	require.Error(t, err, "all of it compiled")

	errs := map[int]string{}
	for _, m := range regexp.MustCompile(`(?m)^\S*wrong\.go:(\d+):\d+: (.*)$`).FindAllStringSubmatch(string(said), -1) {
		line, err := strconv.Atoi(m[1])
		require.NoError(t, err)
		errs[line] = m[2]
	}
	wants := 0
	for i, text := range strings.Split(string(source), "\n") {
		want, ok := strings.CutPrefix(text, "\t// want ")
		if !ok {
			continue
		}
		wants++
		got := errs[i+2]
		if at := strings.Index(got, ", type"); at >= 0 {
			got = got[at:]
		}
		require.Equal(t, want, got, "%s:%d", file, i+2)
	}
	require.Len(t, errs, wants, "%s", said)
}
