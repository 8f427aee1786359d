package redisserver

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below those that systems give to outgoing connections, so that a server that is killed finds its port free when
// it is started again. The bus of a cluster listens busDistance above, which must stay below them too.
const (
	firstPort   = 10_000
	lastPort    = 22_000
	busDistance = 10_000
	host        = "127.0.0.1"
)

// freePort is a port that nobody listens on now, nor busDistance above. Somebody may by the time a server does.
func freePort() (int, error) {
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if isFree(port) && isFree(port+busDistance) {
			return port, nil
		}
	}
	return 0, errors.New("no free port on " + host)
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

func address(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
