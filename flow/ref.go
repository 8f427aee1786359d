package flow

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
)

// Ref refers to a flow that another service runs: it is what two services agree on, in a small package that both import.
//
//	var Charge = flow.Ref[Order, Payment]{Service: "payments", Name: "charge"}
//
// It is a part of flows, and can be started by itself. The other service serves it with a flow of its own that has this name and
// takes and gives values that look alike; which version of that flow, the other service decides.
//
// A part that is a Ref is a saga of the other service: its ID is "<service of the caller>~<saga>/<path>", it is started once, and its output or
// its error comes back as mail for the calling saga, which waits for it as for a child, without a goroutine. A service that is down is only late.
// When the calling saga goes back, a remote saga that runs is cancelled, and one that was done is undone as a whole, by its own
// compensations; it is kept for that until the calling saga has ended. If it is a dead letter there, the calling saga waits, and
// Snapshot says so. One that is past its own pivot is not undone: its path is in Error.Kept.
//
// Both engines need brokers of services on one network, such as inmem.NewNetwork gives and redisx with Options.Service. A service that only
// calls must run an engine as well: answers come to it.
type Ref[I, O any] struct {
	Service string // that runs the flow
	Name    string // of the flow there, and of the part

	path    string        // of the part, if it is not Name
	timeout time.Duration // 0: for ever
}

// As returns the reference under another name, for a flow that uses it twice. The other service runs the same flow.
func (r Ref[I, O]) As(name string) Ref[I, O] {
	r.path = name
	return r
}

// Timeout bounds how long the outcome is waited for, from the call on; it survives restarts. When it has passed, the part has failed with
// ErrNoAnswer: its effect is unknown, and the other service is asked to undo it. The calling saga goes back, and ends when the other service has done
// that. Past a pivot there is no timeout. Without one it waits for ever: see also Flow.Deadline.
func (r Ref[I, O]) Timeout(d time.Duration) Ref[I, O] {
	if d <= 0 {
		r.at("Timeout").panicf("%v is no time to wait", d)
	}
	r.timeout = d
	return r
}

// Plan makes a Ref a part of flows. It panics if a name is missing or cannot be one, or if a value of I or O could not come back whole
// from storage.
func (r Ref[I, O]) Plan() plan.Typed[I, O] {
	at := r.at("Plan")
	at.checkName(r.Name)
	if err := checkService(r.Service); err != nil {
		at.panicf("Service %q: %v", r.Service, err)
	}
	in, out := plan.TypeOf[I](), plan.TypeOf[O]()
	at.checkType(in)
	at.checkType(out)
	remote := &plan.Remote{Service: r.Service, Flow: r.Name, Timeout: r.timeout, Contract: plan.Contract(in, out)}
	n := &plan.Node{Kind: plan.Child, Name: r.Name, Remote: remote, In: in, Out: out}
	remote.Alone = &plan.Def{Name: r.alone(), Root: &plan.Node{Kind: plan.Seq, In: in, Out: out, Kids: []*plan.Node{n}}}
	if r.path == "" {
		return plan.Typed[I, O]{Node: n}
	}
	at.checkName(r.path)
	return plan.Typed[I, O]{Node: n.WithName(r.path)}
}

// alone names the flow of nothing but the reference.
func (r Ref[I, O]) alone() string {
	if r.timeout > 0 {
		return fmt.Sprintf("%s:%s within %v", r.Service, r.Name, r.timeout)
	}
	return r.Service + ":" + r.Name
}

func (r Ref[I, O]) at(call string) place {
	return place{flow: fmt.Sprintf("Ref %s:%s", r.Service, r.Name), call: call}
}

// Flow gives a flow of nothing but the reference, for Engine.Serve: an engine that serves it, or any flow with the reference in it,
// runs the sagas that Start begins.
func (r Ref[I, O]) Flow() Flow[I, O] { return Flow[I, O]{r.Plan().Remote.Alone} }

// Start begins a saga of this service which does nothing but call the other, and returns when it is durable. It is what Start of
// Ref.Flow is: with ID, the same ID is the same saga; the error of one that failed is an *Error with that of the other service as its Cause.
// Some engine of this service must serve the reference: see Flow.
func (r Ref[I, O]) Start(ctx context.Context, e *Engine, in I, opts ...StartOption) (Future[O], error) {
	if e.isZero() {
		return Future[O]{}, fmt.Errorf("flow: start %s:%s on an Engine that NewEngine did not make: %w", r.Service, r.Name, ErrZero)
	}
	if e.env.Service == "" {
		return Future[O]{}, fmt.Errorf("flow: start %s:%s: %w", r.Service, r.Name, e.noService())
	}
	return e.alone(r).Start(ctx, e, in, opts...)
}

// Attach gives the Future of a saga that Start began, in any process.
func (r Ref[I, O]) Attach(e *Engine, id string) Future[O] {
	if e.isZero() {
		return Future[O]{}
	}
	return e.alone(r).Attach(e, id)
}

// alone is r.Flow(), made once.
func (e *Engine) alone[I, O any](r Ref[I, O]) Flow[I, O] {
	key := r.key()
	if def, ok := e.refs.Load(key); ok {
		return Flow[I, O]{def.(*plan.Def)}
	}
	def, _ := e.refs.LoadOrStore(key, r.Flow().def)
	return Flow[I, O]{def.(*plan.Def)}
}

// refKey tells references apart.
type refKey struct {
	in, out reflect.Type
	name    string
}

func (r Ref[I, O]) key() refKey {
	return refKey{reflect.TypeFor[I](), reflect.TypeFor[O](), r.alone()}
}

// checkService says why s cannot be the name of a service.
func checkService(s string) error {
	if strings.ContainsAny(s, "{}*?\\") {
		return fmt.Errorf(`it contains one of {}*?\`)
	}
	return plan.CheckName(s)
}

// serviceOf is the service that a broker belongs to, or nothing.
func serviceOf(b broker.Broker) string {
	if l, ok := b.(broker.Linked); ok {
		return l.Service()
	}
	return ""
}

// noService says that the engine's broker cannot call services.
func (e *Engine) noService() error {
	return fmt.Errorf("%w: its broker, a %T, belongs to no service: use one of inmem.NewNetwork, or redisx with Options.Service", ErrNoService, e.broker)
}
