package redisserver_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakes are programs that stand in for those of a system, each a line of shell; $DIR is where they are.
type fakes map[string]string

const installs = `echo "$0 $@" >>"$DIR/calls"; case "$*" in *install*|add*) cp "$DIR/fresh" "$DIR/redis-server"; chmod +x "$DIR/redis-server";; esac`

// version is a redis-server that only says which it is.
func version(v string) string { return `echo "Redis server v=` + v + ` sha=00000000:0"` }

func TestTheScriptInstallsRedisOrSaysHow(t *testing.T) {
	const root, user = "echo 0", "echo 1000"
	const sudo = `echo "sudo" >>"$DIR/calls"; exec "$@"`
	tests := map[string]struct {
		system fakes
		fails  bool
		says   string
		calls  []string
	}{
		"there already":      {system: fakes{"redis-server": version("7.0.15"), "id": user}},
		"too old":            {system: fakes{"redis-server": version("6.2.14"), "id": root, "apt-get": installs}, fails: true, says: "is older: Redis server v=6.2.14"},
		"root on Debian":     {system: fakes{"apt-get": installs, "id": root}, calls: []string{"apt-get update", "install -y"}},
		"sudo on Debian":     {system: fakes{"apt-get": installs, "id": user, "sudo": sudo}, calls: []string{"sudo", "apt-get update", "install -y"}},
		"root on Fedora":     {system: fakes{"dnf": installs, "id": root}, calls: []string{"dnf install"}},
		"root on Alpine":     {system: fakes{"apk": installs, "id": root}, calls: []string{"apk add"}},
		"user with brew":     {system: fakes{"brew": installs, "id": user}, calls: []string{"brew install"}},
		"user, no sudo":      {system: fakes{"apt-get": installs, "id": user}, fails: true, says: "Run: sudo sh -c 'apt-get update"},
		"refused":            {system: fakes{"apt-get": "exit 100", "id": root}, fails: true, says: "Run: sh -c 'apt-get update"},
		"sudo refused":       {system: fakes{"apt-get": installs, "id": user, "sudo": "exit 1"}, fails: true, says: "installing it failed. Run: sudo"},
		"installs no such":   {system: fakes{"dnf": "exit 0", "id": root}, fails: true, says: "has put none into PATH"},
		"no known manager":   {system: fakes{"id": root}, fails: true, says: "no apt-get, dnf, apk or brew"},
		"apt-get goes first": {system: fakes{"apt-get": installs, "brew": "exit 9", "id": root}, calls: []string{"apt-get"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			test.system.write(t, dir)
			script, err := filepath.Abs("../../scripts/redis-server")
			require.NoError(t, err)
			cmd := exec.Command(script)
			cmd.Env = []string{"PATH=" + dir, "DIR=" + dir}
			out, err := cmd.CombinedOutput()
			if test.fails {
				assert.Error(t, err)
			} else {
				assert.NoError(t, err, string(out))
			}
			assert.Contains(t, string(out), test.says)
			calls, _ := os.ReadFile(filepath.Join(dir, "calls"))
			for _, call := range test.calls {
				assert.Contains(t, string(calls), call)
			}
		})
	}
}

// write puts the programs into dir, with the shell and what they themselves need.
func (f fakes) write(t *testing.T, dir string) {
	f = maps.Clone(f)
	f["fresh"] = version("8.0.2")
	for name, line := range f {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+line+"\n"), 0o700))
	}
	for _, name := range []string{"sh", "chmod", "cp", "sed"} {
		path, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(dir, name)))
	}
}
