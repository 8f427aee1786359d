package saga

import (
	"context"
	"errors"
	"net"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// Classify says what an error that a step returned means. It does not fail, whatever the error does when it is compared.
func Classify(spec *plan.StepSpec, err error) (class plan.Class, mark *plan.Mark) {
	defer func() {
		if recover() != nil {
			class, mark = plan.Failed, nil
		}
	}()
	if m := plan.MarkOf(err); m != nil {
		return m.Class, m
	}
	if len(spec.Refuses) == 0 || elsewhere(err) {
		return plan.Failed, nil
	}
	for _, target := range spec.Refuses {
		if errors.Is(err, target) {
			return plan.Refused, nil
		}
	}
	return plan.Failed, nil
}

// elsewhere says that err also tells of something that leaves the outcome open.
func elsewhere(err error) bool {
	var network net.Error
	var panicked *step.PanicError
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &network) || errors.As(err, &panicked)
}
