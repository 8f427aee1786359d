// Package redisserver starts real redis-server processes, of Redis 7.0 or later, on free ports of the loopback interface and in directories of their own, and
// stops them: single servers, replicas, Sentinels and clusters. It serves commands and tests; package redistest is the latter's wrapper.
//
// Every process ends with the process that started it. On Linux the kernel sees to that even when the parent is killed; elsewhere only
// Close does.
package redisserver

import (
	"errors"
	"os/exec"
)

// program is what is started, looked up in PATH.
const program = "redis-server"

// InstallCommand installs redis-server with the package manager of the system.
const InstallCommand = "apt-get install -y redis-server || dnf install -y redis || apk add redis || brew install redis"

// ErrMissing says that no redis-server is installed, and how to get one.
var ErrMissing = errors.New("redisserver: no redis-server in PATH; run: " + InstallCommand)

// Installed tells whether there is a redis-server to start.
func Installed() bool {
	_, err := exec.LookPath(program)
	return err == nil
}
