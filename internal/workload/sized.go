package workload

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// Note is what the steps of sized flows take and give.
type Note struct{ Text string }

// recorded is 64 bytes when it is encoded.
var recorded = Note{Text: strings.Repeat("r", 56)}

// Sized are two sagas of so many steps, each with an undo and an output of 64 bytes, and with an input of so many bytes: one that is
// done, and one whose last step is refused so that the others are undone. It panics if steps is not positive or payload negative.
func Sized(steps, payload int) (success, rollback Saga) {
	if steps < 1 || payload < 0 {
		panic(fmt.Sprintf("workload: Sized(%d, %d): there must be a step, and an input cannot be negative", steps, payload))
	}
	in := Note{Text: strings.Repeat("p", payload)}
	return Of(sized("sized", steps, note), in, nil), Of(sized("sized-rollback", steps, refuse), in, ErrNoCourier)
}

func sized(name string, steps int, last do[Note, Note]) flow.Flow[Note, Note] {
	f := flow.New[Note](name)
	for i := 1; i < steps; i++ {
		f = f.Then(numbered(i, note))
	}
	return f.Then(numbered(steps, last))
}

func numbered(i int, f do[Note, Note]) step.Step[Note, Note] {
	return step.New(fmt.Sprintf("step-%d", i), f).Compensate(undo[Note, Note]).Timeout(10 * time.Second)
}

func note(context.Context, Note) (Note, error) { return recorded, nil }

func refuse(context.Context, Note) (Note, error) { return Note{}, step.Refused(ErrNoCourier) }
