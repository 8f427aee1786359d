package barrier

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

var (
	// ErrUndone refuses an action that comes after its undo. It arrives as a refusal: there was no effect.
	ErrUndone = errors.New("barrier: the effect was undone before this attempt came")
	// ErrOutside says that a barrier was used outside of a step, with a context that tells of no saga.
	ErrOutside = errors.New("barrier: the context is not that of a step: pass on the one that the step's function was given")
	// ErrForgotten is the error of an undo whose action is known to be done, and of which there is no record: see SQL.Known. The saga becomes a dead letter.
	ErrForgotten = errors.New("barrier: the action is done, and its record is gone or elsewhere")
	// ErrName says that a name of a barrier or of its table cannot be one.
	ErrName = errors.New("barrier: not a name")
)

// Errors is how the errors of this package travel: an entry for the codec of an engine.
func Errors() errcodec.Entry {
	return errcodec.Group(
		errcodec.Sentinel("barrier.undone", ErrUndone), errcodec.Sentinel("barrier.outside", ErrOutside),
		errcodec.Sentinel("barrier.name", ErrName), errcodec.Sentinel("barrier.broken", ErrBroken),
		errcodec.Sentinel("barrier.forgotten", ErrForgotten),
	)
}

// scope is what a step and its undo share: which effect it is.
type scope struct {
	key   string
	undo  bool
	again bool // the undo comes after one that answered Proceed, and is no repeat of that one
}

// scopeOf finds the effect of the step that ctx belongs to. The separators of paths stand in no name, so that no two effects share a key.
func scopeOf(ctx context.Context, name string) (scope, error) {
	info := step.InfoFrom(ctx)
	if info.Saga == "" || info.Path == "" {
		return scope{}, ErrOutside
	}
	key := info.Namespace + "/" + info.Saga + "/" + info.Path
	if name != "" {
		if err := plan.CheckName(name); err != nil {
			return scope{}, fmt.Errorf("%w: barrier %.80q of step %q: %w", ErrName, name, info.Path, err)
		}
		key += "~" + name
	}
	return scope{key: key, undo: info.Undo, again: info.Undo && info.Again}, nil
}

// String is the key with its operation, for messages.
func (s scope) String() string {
	switch {
	case s.again:
		return fmt.Sprintf("second undo of %q", s.key)
	case s.undo:
		return fmt.Sprintf("undo of %q", s.key)
	default:
		return fmt.Sprintf("%q", s.key)
	}
}

// refuses says that an action's error is a refusal: by its mark, or else because it is one of those that are declared to be.
func (s scope) refuses(err error, declared []error) bool {
	if s.undo {
		return false
	}
	if m := plan.MarkOf(err); m != nil {
		return m.Class == plan.Refused
	}
	return slices.ContainsFunc(declared, func(target error) bool { return errors.Is(err, target) })
}

// late refuses an action that comes after its undo.
func (s scope) late() error { return step.Refused(fmt.Errorf("%w: %v", ErrUndone, s)) }

// forgotten gives up an undo that finds no record of an action that is known to be done.
func (s scope) forgotten(is bool) error {
	if !is {
		return nil
	}
	return step.GiveUp(fmt.Errorf("%w: %v", ErrForgotten, s))
}
