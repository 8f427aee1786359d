// Package identity issues and verifies the tokens that users and services show one another.
package identity

import (
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Identity is the authority that all services of the shop trust. Its clock can be turned forward.
type Identity struct {
	secret []byte
	ahead  atomic.Int64
}

// New makes an authority with a secret of its own.
func New(secret string) *Identity { return &Identity{secret: []byte(secret)} }

// Token lets who in for a while.
func (i *Identity) Token(who string, valid time.Duration) string {
	claims := jwt.RegisteredClaims{Subject: who, ExpiresAt: jwt.NewNumericDate(i.now().Add(valid))}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(i.secret)
	if err != nil {
		panic("identity: sign with HS256: " + err.Error()) // it takes any bytes as its key
	}
	return token
}

// Verify says whose token it is. The errors are those of golang-jwt.
func (i *Identity) Verify(token string) (who string, err error) {
	var claims jwt.RegisteredClaims
	_, err = jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return i.secret, nil },
		jwt.WithTimeFunc(i.now), jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Name}), jwt.WithExpirationRequired())
	return claims.Subject, err
}

// Skip turns the clock forward, so that tokens expire.
func (i *Identity) Skip(d time.Duration) { i.ahead.Add(int64(d)) }

func (i *Identity) now() time.Time { return time.Now().Add(time.Duration(i.ahead.Load())) }
