package redisx_test

import (
	"crypto/tls"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

func TestSagasRunOverTLSWithClientCertificates(t *testing.T) {
	verifyNone(t)
	authority := redistest.NewTLS(t)
	authority.ClientAuth = true
	s := redistest.Start(t, redistest.TLS(authority))
	work(t, newBroker(t, s.Client(), redisx.Options{}), options())
	callAll(t, flow.NewEngine(newBroker(t, s.Client(), redisx.Options{}), options()), 200)
}

func TestAServerThatIsNotTrustedOrDoesNotTrustIsAnError(t *testing.T) {
	authority, other := redistest.NewTLS(t), redistest.NewTLS(t)
	authority.ClientAuth = true
	s := redistest.Start(t, redistest.TLS(authority))
	for name, config := range map[string]*tls.Config{
		"no certificate":                 authority.Stranger(),
		"certificate of somebody else":   other.Client(),
		"no TLS":                         nil,
		"an authority that is not known": {Certificates: authority.Client().Certificates, MinVersion: tls.VersionTLS12},
	} {
		t.Run(name, func(t *testing.T) {
			opts := s.ClientOptions()
			opts.TLSConfig, opts.MaxRetries = config, -1
			client := redis.NewClient(opts)
			defer client.Close()
			_, err := newBroker(t, client, redisx.Options{}).Stats(t.Context())
			require.Error(t, err)
			assert.ErrorContains(t, err, "redisx: ")
		})
	}
}
