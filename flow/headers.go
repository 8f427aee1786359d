package flow

import "context"

// Headers travel with a saga from its start: to every step, undo, child and listener. They are text, and
// are not enciphered. The methods are those of OpenTelemetry's TextMapCarrier.
type Headers map[string]string

// Get gives the value of a header, or "".
func (h Headers) Get(key string) string { return h[key] }

// Set sets a header.
func (h Headers) Set(key, value string) { h[key] = value }

// Keys lists the headers' keys.
func (h Headers) Keys() []string {
	keys := make([]string, 0, len(h))
	for k := range h {
		keys = append(keys, k)
	}
	return keys
}

// Propagator carries values of a context, such as a trace or a user, through sagas. Its methods are
// called concurrently.
type Propagator interface {
	// Inject writes values of ctx into h, when a saga is started.
	Inject(ctx context.Context, h Headers)
	// Extract returns ctx with the values that h holds, before a step, an undo or a listener runs. It must not change h.
	Extract(ctx context.Context, h Headers) context.Context
}
