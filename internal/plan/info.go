package plan

// InfoKey is the context key under which a running step finds its *step.Info.
type InfoKey struct{}
