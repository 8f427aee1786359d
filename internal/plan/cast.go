package plan

// Cast gives v its type back. A nil v is the zero value: an interface type loses its nil on the way through any.
func Cast[T any](v any) T {
	if v == nil {
		var zero T
		return zero
	}
	return v.(T)
}
