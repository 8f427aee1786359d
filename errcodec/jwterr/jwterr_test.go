package jwterr_test

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/errcodec/errcodectest"
	"github.com/skald-go/skald/errcodec/jwterr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var secret = []byte("a secret of the tests")

func signed(t *testing.T, claims jwt.MapClaims) string {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	require.NoError(t, err)
	return token
}

func key(*jwt.Token) (any, error) { return secret, nil }

// refused parses a token that must not be accepted.
func refused(t *testing.T, token string, key jwt.Keyfunc, options ...jwt.ParserOption) error {
	_, err := jwt.Parse(token, key, options...)
	require.Error(t, err)
	return err
}

func refusals(t *testing.T) map[error]error {
	now := time.Now()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	none, err := jwt.New(jwt.SigningMethodNone).SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	good := signed(t, jwt.MapClaims{"sub": "alice"})
	return map[error]error{
		jwt.ErrTokenExpired:                  refused(t, signed(t, jwt.MapClaims{"exp": now.Add(-time.Hour).Unix()}), key),
		jwt.ErrTokenNotValidYet:              refused(t, signed(t, jwt.MapClaims{"nbf": now.Add(time.Hour).Unix()}), key),
		jwt.ErrTokenUsedBeforeIssued:         refused(t, signed(t, jwt.MapClaims{"iat": now.Add(time.Hour).Unix()}), key, jwt.WithIssuedAt()),
		jwt.ErrTokenInvalidAudience:          refused(t, signed(t, jwt.MapClaims{"aud": "bank"}), key, jwt.WithAudience("shop")),
		jwt.ErrTokenInvalidIssuer:            refused(t, signed(t, jwt.MapClaims{"iss": "eve"}), key, jwt.WithIssuer("shop")),
		jwt.ErrTokenInvalidSubject:           refused(t, good, key, jwt.WithSubject("bob")),
		jwt.ErrTokenRequiredClaimMissing:     refused(t, good, key, jwt.WithExpirationRequired()),
		jwt.ErrInvalidType:                   refused(t, signed(t, jwt.MapClaims{"exp": "soon"}), key),
		jwt.ErrTokenMalformed:                refused(t, "no.token.here", key),
		jwt.ErrTokenSignatureInvalid:         refused(t, good[:len(good)-4]+"AAAA", key),
		jwt.ErrTokenUnverifiable:             refused(t, good, func(*jwt.Token) (any, error) { return nil, errors.New("no key for it") }),
		jwt.ErrInvalidKeyType:                refused(t, good, func(*jwt.Token) (any, error) { return rsaKey, nil }),
		jwt.NoneSignatureTypeDisallowedError: refused(t, none, func(*jwt.Token) (any, error) { return secret, nil }),
	}
}

func TestRefusedTokensArriveAsThemselves(t *testing.T) {
	codec := errcodec.New(jwterr.Errors())
	for sentinel, err := range refusals(t) {
		t.Run(sentinel.Error(), func(t *testing.T) {
			require.ErrorIs(t, err, sentinel)
			for _, err := range []error{err, fmt.Errorf("take points: %w", err)} {
				got := codec.Decode(codec.Encode(err))
				assert.EqualError(t, got, err.Error())
				for _, known := range codec.Registered() {
					if known.Sentinel != nil {
						assert.Equal(t, errors.Is(err, known.Sentinel), errors.Is(got, known.Sentinel), known.Key)
					}
				}
			}
		})
	}
}

func TestJoinedRefusalsKeepEveryReason(t *testing.T) {
	token := signed(t, jwt.MapClaims{"exp": 1, "aud": "bank", "iss": "eve"})
	err := refused(t, token, key, jwt.WithAudience("shop"), jwt.WithIssuer("shop"))
	codec := errcodec.New(jwterr.Errors())
	got := codec.Decode(codec.Encode(err))
	assert.Equal(t, "token has invalid claims: token is expired, token has invalid audience, token has invalid issuer", got.Error())
	for _, reason := range []error{jwt.ErrTokenInvalidClaims, jwt.ErrTokenExpired, jwt.ErrTokenInvalidAudience, jwt.ErrTokenInvalidIssuer} {
		require.ErrorIs(t, got, reason)
	}
	require.NotErrorIs(t, got, jwt.ErrTokenNotValidYet)
}

func TestEverySentinelIsRegistered(t *testing.T) {
	errcodectest.Missing(t, errcodec.New(jwterr.Errors()), "github.com/golang-jwt/jwt/v5", ".")
}

func TestKeysStay(t *testing.T) {
	var keys []string
	for _, known := range errcodec.New(jwterr.Errors()).Registered() {
		if !known.Standard {
			keys = append(keys, known.Key)
			got := errcodec.New(jwterr.Errors())
			assert.Same(t, known.Sentinel, got.Decode(got.Encode(known.Sentinel)))
		}
	}
	assert.Equal(t, []string{
		"jwt.ecdsa-verification", "jwt.ed25519-verification", "jwt.expired", "jwt.hash-unavailable",
		"jwt.hmac-signature-invalid", "jwt.invalid-audience", "jwt.invalid-claims", "jwt.invalid-id",
		"jwt.invalid-issuer", "jwt.invalid-key", "jwt.invalid-key-type", "jwt.invalid-subject",
		"jwt.invalid-type", "jwt.key-not-pem", "jwt.malformed", "jwt.none-not-allowed",
		"jwt.not-ec-private-key", "jwt.not-ec-public-key", "jwt.not-ed-private-key",
		"jwt.not-ed-public-key", "jwt.not-rsa-private-key", "jwt.not-rsa-public-key",
		"jwt.not-valid-yet", "jwt.required-claim-missing", "jwt.signature-invalid",
		"jwt.unverifiable", "jwt.used-before-issued",
	}, keys)
}

func Example() {
	token, _ := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"exp": 1}).SignedString(secret)
	_, err := jwt.Parse(token, key)

	codec := errcodec.New(jwterr.Errors())
	arrived := codec.Decode(codec.Encode(fmt.Errorf("take points: %w", err)))
	fmt.Println(arrived)
	fmt.Println(errors.Is(arrived, jwt.ErrTokenExpired))
	// Output:
	// take points: token has invalid claims: token is expired
	// true
}
