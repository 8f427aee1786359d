package postgresserver_test

import (
	"context"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/postgresserver"
)

func TestAServerListensUntilItIsClosed(t *testing.T) {
	temp := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(temp), 0o755)) // the user postgres has to get there
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := postgresserver.Start(ctx)
	require.NoError(t, err)
	defer s.Close()
	u, err := url.Parse(s.URL("postgres"))
	require.NoError(t, err)
	conn, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	require.NoError(t, conn.Close())

	for range 2 {
		require.NoError(t, s.Close())
	}
	_, err = net.Dial("tcp", u.Host)
	assert.Error(t, err)
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// installs stands in for a package manager.
const installs = `echo "$0 $@" >>"$DIR/calls"; case "$*" in *install*|add*) cp "$DIR/fresh" "$DIR/initdb"; chmod +x "$DIR/initdb";; esac`

func TestTheScriptInstallsPostgreSQLOrSaysHow(t *testing.T) {
	const root, user = "echo 0", "echo 1000"
	const sudo = `echo "sudo" >>"$DIR/calls"; exec "$@"`
	tests := map[string]struct {
		system map[string]string
		fails  bool
		says   string
		calls  []string
	}{
		"there already":    {system: map[string]string{"initdb": "", "id": user}},
		"root on Debian":   {system: map[string]string{"apt-get": installs, "id": root}, calls: []string{"apt-get update", "install -y"}},
		"sudo on Debian":   {system: map[string]string{"apt-get": installs, "id": user, "sudo": sudo}, calls: []string{"sudo", "apt-get update"}},
		"root on Fedora":   {system: map[string]string{"dnf": installs, "id": root}, calls: []string{"dnf install"}},
		"user, no sudo":    {system: map[string]string{"apt-get": installs, "id": user}, fails: true, says: "Run: sudo sh -c 'apt-get update"},
		"refused":          {system: map[string]string{"apt-get": "exit 100", "id": root}, fails: true, says: "Run: sh -c 'apt-get update"},
		"installs no such": {system: map[string]string{"dnf": "exit 0", "id": root}, fails: true, says: "has put no initdb into PATH"},
		"no known manager": {system: map[string]string{"id": root}, fails: true, says: "no apt-get, dnf, apk or brew"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, test.system)
			script, err := filepath.Abs("../../scripts/postgres")
			require.NoError(t, err)
			cmd := exec.Command(script)
			cmd.Env = []string{"PATH=" + dir, "DIR=" + dir, "POSTGRES_HOME=" + dir + "/none"}
			out, err := cmd.CombinedOutput()
			assert.Equal(t, test.fails, err != nil, string(out))
			assert.Contains(t, string(out), test.says)
			calls, _ := os.ReadFile(filepath.Join(dir, "calls"))
			for _, call := range test.calls {
				assert.Contains(t, string(calls), call)
			}
		})
	}
}

// write puts the programs, each a line of shell, into dir, with the shell and what they need.
func write(t *testing.T, dir string, system map[string]string) {
	programs := map[string]string{"fresh": ""}
	for name, line := range system {
		programs[name] = line
	}
	for name, line := range programs {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+line+"\n"), 0o700))
	}
	for _, name := range []string{"sh", "chmod", "cp"} {
		path, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(dir, name)))
	}
}
