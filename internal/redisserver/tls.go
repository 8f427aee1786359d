package redisserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// TLS is an authority with a certificate for servers and one for their clients. Servers that share one trust each other.
type TLS struct {
	// ClientAuth makes servers refuse clients that show no certificate of this authority.
	ClientAuth bool

	ca             *x509.Certificate
	caKey          *ecdsa.PrivateKey
	server, client pair
}

// pair is a certificate and its key, in PEM.
type pair struct{ cert, key []byte }

// NewTLS makes an authority and certificates that are valid for the loopback interface and a day.
func NewTLS() (*TLS, error) {
	t := &TLS{}
	if err := t.make(); err != nil {
		return nil, fmt.Errorf("redisserver: make certificates: %w", err)
	}
	return t, nil
}

func (t *TLS) make() (err error) {
	template := certificate(1, "authority")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	if t.caKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, t.caKey.Public(), t.caKey)
	if err != nil {
		return err
	}
	if t.ca, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	if t.server, err = t.issue(2, "server"); err != nil {
		return err
	}
	t.client, err = t.issue(3, "client")
	return err
}

func certificate(serial int64, name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
}

func (t *TLS) issue(serial int64, name string) (pair, error) {
	template := certificate(serial, name)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	// A server is the client of its master and of the other nodes of its cluster.
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.IPAddresses, template.DNSNames = []net.IP{net.ParseIP(host)}, []string{"localhost"}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, t.ca, key.Public(), t.caKey)
	if err != nil {
		return pair{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	return pair{cert: encode("CERTIFICATE", cert), key: encode("PRIVATE KEY", secret)}, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Client is the configuration of a client that trusts the authority and shows its certificate. A nil TLS gives nil.
func (t *TLS) Client() *tls.Config {
	if t == nil {
		return nil
	}
	cert, err := tls.X509KeyPair(t.client.cert, t.client.key)
	if err != nil {
		panic(fmt.Sprintf("redisserver: a certificate that NewTLS made does not fit its key: %v", err))
	}
	config := t.Stranger()
	config.Certificates = []tls.Certificate{cert}
	return config
}

// Stranger is the configuration of a client that trusts the authority and has no certificate.
func (t *TLS) Stranger() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(t.ca)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// settings writes the files of a server into dir and returns the lines of redis.conf that name them.
func (t *TLS) settings(dir string, port int) ([]string, error) {
	files := map[string][]byte{"ca.pem": encode("CERTIFICATE", t.ca.Raw), "server.pem": t.server.cert, "server.key": t.server.key}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	auth := "no"
	if t.ClientAuth {
		auth = "yes"
	}
	return []string{
		"port 0", fmt.Sprintf("tls-port %d", port), "tls-replication yes", "tls-cluster yes", "tls-auth-clients " + auth,
		fmt.Sprintf("tls-ca-cert-file %q", filepath.Join(dir, "ca.pem")),
		fmt.Sprintf("tls-cert-file %q", filepath.Join(dir, "server.pem")),
		fmt.Sprintf("tls-key-file %q", filepath.Join(dir, "server.key")),
	}, nil
}
