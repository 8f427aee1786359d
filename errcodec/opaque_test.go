package errcodec_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/skald-go/skald/errcodec"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func opaqueIn(t *testing.T, err error) *errcodec.Opaque {
	t.Helper()
	var opaque *errcodec.Opaque
	require.ErrorAs(t, err, &opaque)
	return opaque
}

func TestOpaqueNamesWhatItStandsFor(t *testing.T) {
	opaque := opaqueIn(t, trip(app(), stranger{"strange"}))
	assert.Equal(t, "strange", opaque.Error())
	assert.Equal(t, "errcodec_test.stranger", opaque.Kind())
	assert.Equal(t, "errcodec_test.stranger is not registered where it was made", opaque.Why())
	assert.Empty(t, opaque.Unwrap())
}

func TestOpaqueForKeyThatIsNotRegisteredHere(t *testing.T) {
	var none *errcodec.Codec
	opaque := opaqueIn(t, none.Decode(app().Encode(&status{7, "typed"})))
	assert.Equal(t, "app.status", opaque.Kind())
	assert.Equal(t, `the key "app.status" is not registered here`, opaque.Why())
	require.ErrorIs(t, app().Decode(none.Encode(opaque)), &status{number: 7})
}

func TestOpaqueForKeyOfSomethingElse(t *testing.T) {
	here := errcodec.New(errcodec.Sentinel("app.status", errDeclined), typed[code]("app.declined"))
	opaque := opaqueIn(t, here.Decode(app().Encode(&status{7, "typed"})))
	assert.Equal(t, `the key "app.status" is that of the sentinel "bank: card declined" (*errors.errorString) here`, opaque.Why())
	opaque = opaqueIn(t, here.Decode(app().Encode(errDeclined)))
	assert.Equal(t, `the key "app.declined" is that of the type errcodec_test.code here`, opaque.Why())
}

func TestOpaqueAnswersAsItsIsMethodDid(t *testing.T) {
	got := trip(app(), fmt.Errorf("a: %w", strangeIs{errDeclined}))
	require.ErrorIs(t, got, errDeclined)
	require.NotErrorIs(t, got, errLocked)
	assert.Empty(t, opaqueIn(t, got).Unwrap(), "an answer is no cause")
}

func TestOpaqueAnswersAsItsAsMethodDid(t *testing.T) {
	got := trip(app(), fmt.Errorf("a: %w", strangeAs{&status{7, "within"}}))
	var s *status
	require.ErrorAs(t, got, &s)
	assert.Equal(t, &status{7, "within"}, s)
	var c code
	assert.NotErrorAs(t, got, &c)
}

// yes says yes to everything.
type yes struct{}

func (yes) Error() string   { return "yes" }
func (yes) Is(error) bool   { return true }
func (yes) As(any) bool     { return true }
func (yes) Timeout() bool   { return true }
func (yes) Temporary() bool { return true }

func TestErrorThatSaysYesToEverything(t *testing.T) {
	codec := app()
	data := codec.Encode(yes{})
	assert.Less(t, len(data), 2000)
	got := codec.Decode(data)
	assert.Equal(t, "yes", got.Error())
	requireSameBytes(t, data, codec.Encode(got))
	var timeout net.Error
	require.ErrorAs(t, got, &timeout)
	assert.True(t, timeout.Timeout())
	assert.True(t, timeout.(temporary).Temporary())
}

// mirror has an As method that gives itself, wrapped.
type mirror struct{}

func (mirror) Error() string { return "mirror" }
func (mirror) As(target any) bool {
	s, ok := target.(**stage)
	if ok {
		*s = &stage{"in", mirror{}}
	}
	return ok
}

func TestAsMethodThatGivesMoreOfItself(t *testing.T) {
	got := trip(app(), mirror{})
	var s *stage
	require.ErrorAs(t, got, &s)
	assert.Equal(t, "in: mirror", s.Error())
}

// slow is a time-out, and nothing more.
type slow struct{ late bool }

func (s slow) Error() string { return "slow" }
func (s slow) Timeout() bool { return s.late }

func TestTimeoutsStayTimeouts(t *testing.T) {
	for _, late := range []bool{true, false} {
		got := trip(app(), slow{late})
		assert.Equal(t, late, os.IsTimeout(got))
		_, has := got.(interface{ Timeout() bool }) //nolint:errorlint // it is about this error
		assert.True(t, has)
		var netErr net.Error
		assert.NotErrorAs(t, got, &netErr)
		assert.Equal(t, "errcodec_test.slow", opaqueIn(t, got).Kind())
		requireSameBytes(t, app().Encode(slow{late}), app().Encode(got))
	}
	_, has := trip(app(), stranger{}).(interface{ Timeout() bool }) //nolint:errorlint // it is about this error
	assert.False(t, has)
}

func TestOpaqueMovesToAnotherTree(t *testing.T) {
	codec := app()
	inner := opaqueIn(t, trip(codec, errors.Join(errors.New("x"), &strangeWrap{"y", errDeclined})))
	for _, tree := range []error{inner, fmt.Errorf("z: %w", inner), errors.Join(inner, inner), &strangeList{"other text", []error{inner}}} {
		requireSameTree(t, tree, trip(codec, tree))
		require.ErrorIs(t, trip(codec, tree), errDeclined)
	}
}
