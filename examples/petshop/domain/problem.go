package domain

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// Problem is an error between HTTP services (RFC 9457). Fields holds those of a typed error.
type Problem struct {
	Type   string          `json:"type"`
	Status int             `json:"status"`
	Detail string          `json:"detail"`
	Fields json.RawMessage `json:"fields,omitempty"`
}

// ProblemType is the media type of problems.
const ProblemType = "application/problem+json"

const (
	typePrefix = "https://petshop.example/problems/"
	unexpected = typePrefix + "unexpected"
)

// known are the errors that HTTP services tell one another as themselves.
var known = []struct {
	name   string
	status int
	is     func(error) (fields any, yes bool)
	make   func(Problem) error
}{
	sentinel("token-expired", http.StatusUnauthorized, jwt.ErrTokenExpired),
	sentinel("token-malformed", http.StatusUnauthorized, jwt.ErrTokenMalformed),
	sentinel("token-signature", http.StatusUnauthorized, jwt.ErrTokenSignatureInvalid),
	sentinel("no-account", http.StatusNotFound, ErrNoAccount),
	sentinel("account-closed", http.StatusConflict, ErrAccountClosed),
	sentinel("no-offer", http.StatusNotFound, ErrNoOffer),
	sentinel("not-on-sale", http.StatusConflict, ErrNotOnSale),
	sentinel("not-your-offer", http.StatusForbidden, ErrNotYourOffer),
	sentinel("already-offered", http.StatusConflict, ErrAlreadyOffered),
	sentinel("pet-exists", http.StatusConflict, ErrPetExists),
	sentinel("no-backdrop", http.StatusNotFound, ErrNoBackdrop),
	sentinel("already-owned", http.StatusConflict, ErrAlreadyOwned),
	sentinel("quiz-exists", http.StatusConflict, ErrQuizExists),
	sentinel("undone", http.StatusConflict, ErrUndone),
	typed[NotEnoughPoints]("not-enough-points", http.StatusPaymentRequired),
	typed[NoSuchPet]("no-such-pet", http.StatusNotFound),
	typed[StableFull]("stable-full", http.StatusConflict),
	typed[SoldOut]("sold-out", http.StatusGone),
}

type entry = struct {
	name   string
	status int
	is     func(error) (any, bool)
	make   func(Problem) error
}

func sentinel(name string, status int, err error) entry {
	return entry{
		name: name, status: status,
		is: func(other error) (any, bool) { return nil, errors.Is(other, err) },
		make: func(p Problem) error {
			return fmt.Errorf("%s%w", strings.TrimSuffix(p.Detail, err.Error()), err)
		},
	}
}

// pointerError is an error whose pointer to E has the methods.
type pointerError[E any] interface {
	*E
	error
}

func typed[E any, P pointerError[E]](name string, status int) entry {
	return entry{
		name: name, status: status,
		is: func(err error) (any, bool) { return errors.AsType[P](err) },
		make: func(p Problem) error {
			e := P(new(E))
			if err := json.Unmarshal(p.Fields, e); err != nil {
				return p.unknown()
			}
			return e
		},
	}
}

// ProblemOf tells an error to another HTTP service.
func ProblemOf(err error) Problem {
	for _, k := range known {
		fields, yes := k.is(err)
		if !yes {
			continue
		}
		p := Problem{Type: typePrefix + k.name, Status: k.status, Detail: err.Error()}
		if fields != nil {
			p.Fields, _ = json.Marshal(fields)
		}
		return p
	}
	if u, ok := errors.AsType[*UnknownProblem](err); ok {
		return Problem{Type: u.Type, Status: http.StatusConflict, Detail: u.Detail}
	}
	return Problem{Type: unexpected, Status: http.StatusInternalServerError, Detail: err.Error()}
}

// Err is the error that the other service told of.
func (p Problem) Err() error {
	for _, k := range known {
		if p.Type == typePrefix+k.name {
			return k.make(p)
		}
	}
	return p.unknown()
}

func (p Problem) unknown() error { return &UnknownProblem{Type: p.Type, Detail: p.Detail} }

// UnknownProblem is a problem that this version of the shop knows nothing of. It has no entry in
// Errors, so callers of a saga get its text, and not its type.
type UnknownProblem struct{ Type, Detail string }

func (e *UnknownProblem) Error() string { return e.Detail + " (" + e.Type + ")" }

// Write answers with the problem.
func (p Problem) Write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", ProblemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
