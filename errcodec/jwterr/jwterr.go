// Package jwterr lets the errors of github.com/golang-jwt/jwt/v5 travel as
// themselves:
//
//	codec := errcodec.New(jwterr.Errors())
//
// A token that expires in one process is jwt.ErrTokenExpired under errors.Is
// in every other.
package jwterr

import (
	"github.com/golang-jwt/jwt/v5"
	"github.com/skald-go/skald/errcodec"
)

// Errors registers every sentinel of the library. What it joins and wraps them
// with needs no registration.
func Errors() errcodec.Entry {
	return errcodec.Group(
		errcodec.Sentinel("jwt.invalid-key", jwt.ErrInvalidKey),
		errcodec.Sentinel("jwt.invalid-key-type", jwt.ErrInvalidKeyType),
		errcodec.Sentinel("jwt.hash-unavailable", jwt.ErrHashUnavailable),
		errcodec.Sentinel("jwt.malformed", jwt.ErrTokenMalformed),
		errcodec.Sentinel("jwt.unverifiable", jwt.ErrTokenUnverifiable),
		errcodec.Sentinel("jwt.signature-invalid", jwt.ErrTokenSignatureInvalid),
		errcodec.Sentinel("jwt.required-claim-missing", jwt.ErrTokenRequiredClaimMissing),
		errcodec.Sentinel("jwt.invalid-audience", jwt.ErrTokenInvalidAudience),
		errcodec.Sentinel("jwt.expired", jwt.ErrTokenExpired),
		errcodec.Sentinel("jwt.used-before-issued", jwt.ErrTokenUsedBeforeIssued),
		errcodec.Sentinel("jwt.invalid-issuer", jwt.ErrTokenInvalidIssuer),
		errcodec.Sentinel("jwt.invalid-subject", jwt.ErrTokenInvalidSubject),
		errcodec.Sentinel("jwt.not-valid-yet", jwt.ErrTokenNotValidYet),
		errcodec.Sentinel("jwt.invalid-id", jwt.ErrTokenInvalidId),
		errcodec.Sentinel("jwt.invalid-claims", jwt.ErrTokenInvalidClaims),
		errcodec.Sentinel("jwt.invalid-type", jwt.ErrInvalidType),
		errcodec.Sentinel("jwt.hmac-signature-invalid", jwt.ErrSignatureInvalid),
		errcodec.Sentinel("jwt.ecdsa-verification", jwt.ErrECDSAVerification),
		errcodec.Sentinel("jwt.ed25519-verification", jwt.ErrEd25519Verification),
		errcodec.Sentinel("jwt.none-not-allowed", jwt.NoneSignatureTypeDisallowedError),
		errcodec.Sentinel("jwt.not-ec-private-key", jwt.ErrNotECPrivateKey),
		errcodec.Sentinel("jwt.not-ec-public-key", jwt.ErrNotECPublicKey),
		errcodec.Sentinel("jwt.not-ed-private-key", jwt.ErrNotEdPrivateKey),
		errcodec.Sentinel("jwt.not-ed-public-key", jwt.ErrNotEdPublicKey),
		errcodec.Sentinel("jwt.key-not-pem", jwt.ErrKeyMustBePEMEncoded),
		errcodec.Sentinel("jwt.not-rsa-private-key", jwt.ErrNotRSAPrivateKey),
		errcodec.Sentinel("jwt.not-rsa-public-key", jwt.ErrNotRSAPublicKey),
	)
}
