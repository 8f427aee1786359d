package payments

import (
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Token lets who pay for a while. A negative time makes one that has expired.
func Token(secret, who string, valid time.Duration) (string, error) {
	claims := jwt.RegisteredClaims{Subject: who, ExpiresAt: jwt.NewNumericDate(time.Now().Add(valid))}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
}

// payer says whose token it is. The errors are those of golang-jwt.
func payer(secret, token string) (string, error) {
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return []byte(secret), nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Name}), jwt.WithExpirationRequired())
	return claims.Subject, err
}
